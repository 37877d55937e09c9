import PGHACore

/// The people: what they ask for as a fault, and what they do about what the status shows.
extension Simulation {
    func operate(_ fault: Fault, _ name: NodeName?) {
        guard let controller = self.controllers.first(where: { $0.isLeading && $0.isAlive && !$0.isStalled }) else {
            return
        }
        switch fault.kind {
        case .switchover: _ = controller.request(.switchover(target: name))
        case .failover: _ = controller.request(.failover(target: name, force: false))
        case .force: _ = controller.request(.failover(target: name, force: true))
        case .pause:
            guard controller.request(.pause(true)) else { return }
            self.after(fault.length) { [unowned self] in self.resume() }
        case .mode:
            guard var spec = self.store.state?.spec, self.schedule.async != nil else { return }
            spec.durability.mode = spec.durability.mode == .async ? .quorum : .async
            _ = controller.request(.setSpec(spec))
        case .membership:
            guard let spec = self.store.state?.spec, let name,
                let node = self.servers.firstIndex(where: { $0.name == name })
            else { return }
            let staying = spec.nodes.count - (self.store.state?.removing.count ?? 0)
            let isHandmade = self.servers.contains { $0.isHandmade }
            if spec[name] != nil, !isHandmade, staying > max(2, self.schedule.copies) {
                _ = controller.request(.removeNode(name))
            } else if spec[name] == nil {
                _ = controller.request(.addNode(self.nodeSpec(node)))
            }
        default: break
        }
    }

    func resume() {
        guard self.store.state?.paused == true else { return }
        for controller in self.controllers where controller.isLeading { _ = controller.request(.pause(false)) }
    }

    func nodeSpec(_ node: Int) -> NodeSpec {
        NodeSpec(
            name: self.servers[node].name, host: "h\(node)", port: 5432,
            agent: self.agents[node].isInSpec ? "http://h\(node)" : nil)
    }

    /// Looks at the status now and then: a server promoted by hand is given up, an old store is made again.
    func tend() {
        self.after(self.healed ? .s(1) : .s(4)) { [unowned self] in
            for controller in self.controllers where controller.isLeading && controller.isAlive && !controller.isStalled
            {
                guard let coordinator = controller.coordinator else { continue }
                if coordinator.halted != nil {
                    self.adoptStore(by: controller)
                } else if self.isStuckAfterAdoption(coordinator) {
                    _ = controller.request(.failover(target: nil, force: true))
                } else if self.servers.contains(where: { $0.isHandmade }) {
                    self.rebuildHandmade(by: controller)
                }
            }
            self.tend()
        }
    }

    /// A store that was put back from the middle of a promotion, and made again, cannot know whose WAL on the new
    /// timeline is the leader's. If nobody else can hold a copy, people must say so.
    private func isStuckAfterAdoption(_ coordinator: Coordinator) -> Bool {
        guard self.healed, self.ledger.storeWasMadeAgain, case .failover(let machine) = coordinator.activity else {
            return false
        }
        return machine.phase == .sealing && self.moment - machine.startedAt > .seconds(15)
    }

    private func rebuildHandmade(by controller: SimController) {
        guard let status = controller.coordinator?.status(at: self.moment) else { return }
        for node in status.nodes where node.state == "forked" {
            _ = controller.request(.rejoin(node.spec.name, discard: true))
        }
    }

    /// `pgha store adopt`: reads every server that answers, then asks. Servers that are down are started for it.
    private func adoptStore(by controller: SimController) {
        var answers: [NodeName: StoreEvidence] = [:]
        var failures: [NodeName: String] = [:]
        for server in self.servers {
            let place = Place.node(server.index)
            if server.process == .running, !server.isFrozen, !self.network.isCut(controller.place, place),
                !self.network.isCut(place, controller.place)
            {
                answers[server.name] = server.storeEvidence
            } else {
                failures[server.name] = "no answer"
                if server.process == .stopped { server.start() }
            }
        }
        let life = controller.life
        self.after(self.between(.ms(5), .ms(40))) { [unowned self] in
            controller.ifAlive(life) { [unowned self] in
                controller.adoptStore(spec: self.ledger.newestSpec, answers: answers, failures: failures)
            }
        }
    }
}

extension SimServer {
    /// What `pgha store adopt` reads of it.
    fileprivate var storeEvidence: StoreEvidence {
        let rows = self.wal.compactMap { $0.kind == .row ? self.sim.ledger.rows[$0.id] : nil }
        return StoreEvidence(
            systemIdentifier: self.systemIdentifier, inRecovery: self.inRecovery, pledge: self.file.pledge, rows: rows,
            position: self.position)
    }
}
