import PGHACore

/// A controller's side of the poolers that follow it: each change of the topology to each of them, and who has let go of
/// a leader that is to be replaced.
final class PoolerStreams {
    private struct Stream {
        var number: Int
        var pooler: SimPooler
        var sent: PoolTopology?
        var lastSign: Int64
    }

    private var streams: [Stream] = []
    private var roster = PoolerRoster()

    /// A pooler connects; the controller leads.
    func open(_ number: Int, _ pooler: SimPooler, _ controller: SimController) {
        self.streams.append(Stream(number: number, pooler: pooler, lastSign: controller.sim.now))
        self.roster.connected(pooler.name)
        controller.tell(hasPoolers: true)
        self.changed(controller)
    }

    func close(_ number: Int, _ controller: SimController) {
        guard let at = self.streams.firstIndex(where: { $0.number == number }) else { return }
        self.roster.left(self.streams[at].pooler.name)
        self.streams.remove(at: at)
        controller.tell(hasPoolers: !self.roster.isEmpty)
        self.endDrain(controller)
    }

    /// The controller leads no more: its streams end.
    func end(_ controller: SimController) {
        for stream in self.streams {
            controller.sim.transmit(controller.place, stream.pooler.place) { stream.pooler.ended(stream.number) }
        }
        self.streams = []
        self.roster = PoolerRoster()
    }

    /// A sign of life each second in both directions; a stream without one ends.
    func keep(_ controller: SimController, _ reign: Int) {
        controller.later(.s(1)) { [unowned self, unowned controller] in
            guard controller.reign == reign else { return }
            let now = controller.sim.now
            for stream in self.streams where now - stream.lastSign > .s(5) { self.close(stream.number, controller) }
            for index in self.streams.indices { self.streams[index].sent = nil }
            self.changed(controller)
            self.keep(controller, reign)
        }
    }

    func heard(_ number: Int, at now: Int64) {
        guard let at = self.streams.firstIndex(where: { $0.number == number }) else { return }
        self.streams[at].lastSign = now
    }

    func reported(_ pooler: SimPooler, drained claim: Term, _ controller: SimController) {
        self.roster.drained(pooler.name, for: claim)
        self.endDrain(controller)
    }

    /// Pushes what has changed.
    func changed(_ controller: SimController) {
        guard !self.streams.isEmpty, let topology = controller.coordinator?.topology else { return }
        for index in self.streams.indices where self.streams[index].sent != topology {
            self.streams[index].sent = topology
            let stream = self.streams[index]
            let order = controller.sim.makeID()
            controller.sim.transmit(controller.place, stream.pooler.place) {
                stream.pooler.heard(topology, on: stream.number, order)
            }
        }
        self.endDrain(controller)
    }

    private func endDrain(_ controller: SimController) {
        guard let claim = controller.coordinator?.draining, self.roster.waiting(for: claim.term).isEmpty else { return }
        let reign = controller.reign
        controller.later(0) { [unowned self, unowned controller] in
            guard controller.reign == reign, controller.coordinator?.draining != nil,
                case .failover(let machine)? = controller.coordinator?.activity
            else { return }
            if case .draining = machine.phase { self.checkDrained(controller) }
            controller.feed(.drained)
        }
    }

    /// All have let go, as they say.
    private func checkDrained(_ controller: SimController) {
        for stream in self.streams where stream.pooler.isRunning && stream.pooler.follows(stream.number) {
            controller.sim.violate("the leader is stopped while \(stream.pooler.name) has a transaction on it")
        }
    }
}

extension Coordinator {
    /// What poolers are told.
    fileprivate var topology: PoolTopology {
        var claim: Term?
        var successor: NodeName?
        if case .failover(let machine) = self.activity { (claim, successor) = (machine.claim.term, machine.successor) }
        let rule = self.state?.rule
        return PoolTopology(
            term: rule?.number.term ?? .zero,
            leader: rule.map { PoolTopology.Node(name: $0.leader, host: $0.leader.text, port: 5432) }, claim: claim,
            successor: successor)
    }
}
