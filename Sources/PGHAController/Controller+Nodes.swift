import Logging
import PGHACore

extension Controller {
    /// Follows the spec: access to each node in it, to no other.
    func reconcileNodes() {
        guard let spec = self.specInForce else { return }
        let identifier = self.coordinator.state?.systemIdentifier
        for node in spec.nodes where self.nodes[node.name]?.spec != node {
            let old = self.nodes[node.name]
            if let old, old.spec.host == node.host, old.spec.port == node.port, old.spec.agent == node.agent {
                self.nodes[node.name]?.spec = node
                continue
            }
            let access = self.makeNode(node, identifier)
            self.nodes[node.name] = NodeRecord(spec: node, access: access)
            self.start { for await _ in access.losses { await self.probeAll() } }
            if let old { self.start { await old.access.close() } }
            if node.agent != nil { self.start { await self.listen(to: node) } }
        }
        for (name, record) in self.nodes where spec[name] == nil {
            self.nodes[name] = nil
            self.applied[name] = nil
            self.start { await record.access.close() }
        }
    }

    var specInForce: ClusterSpec? {
        if let spec = self.coordinator.state?.spec { return spec }
        if case .bootstrap(let machine) = self.coordinator.activity { return machine.state.spec }
        return nil
    }

    // MARK: - Probes

    func probeAll() {
        for name in self.nodes.keys { self.probe(name) }
    }

    /// Starts a probe unless one is under way.
    private func probe(_ name: NodeName) {
        guard let record = self.nodes[name], !record.isProbing else { return }
        self.nodes[name]?.isProbing = true
        let began = self.now
        self.nodes[name]?.probedAt = began
        let timeout = self.probeTimeout
        self.start {
            let result = await record.access.probe(timeout: timeout)
            await self.probed(name, result, began: began)
        }
    }

    /// Two attempts must fit into the confirmation time.
    private var probeTimeout: Duration {
        (self.coordinator.state?.spec.timings.confirmAfter ?? .seconds(1)) * 2 / 5
    }

    private func probed(_ name: NodeName, _ result: Result<ServerObservation, ProbeFailure>, began: Moment) {
        guard self.nodes[name] != nil else { return }
        self.nodes[name]?.isProbing = false
        if case .success = result {
            self.nodes[name]?.latency = self.now - began
            self.metrics.probed(name, took: self.now - began)
        }
        self.deliver(.probed(name, result, began: began))
    }

    /// Something failed on the leader: look again at once, at it and at what its standbys see; then less and less
    /// often (the pause is a quarter of the suspicion's age), until the ordinary interval is enough.
    func probeIfSuspicious() {
        guard let leader = self.coordinator.watched, let view = self.coordinator.nodes[leader], view.failure != nil,
            case .idle = self.coordinator.activity
        else {
            self.suspicionBegan = nil
            return
        }
        let now = self.now
        let began = self.suspicionBegan ?? now
        self.suspicionBegan = began
        guard now - began < Self.urgentFor else { return }
        let pause = max(Self.urgentProbe, (now - began) / 4)
        var soonest: Duration?
        for (name, record) in self.nodes where !record.isProbing {
            let age = record.probedAt.map { now - $0 } ?? pause
            if age >= pause {
                self.probe(name)
            } else {
                soonest = min(soonest ?? pause, pause - age)
            }
        }
        guard let soonest, !self.urgentProbeIsDue else { return }
        self.urgentProbeIsDue = true
        self.start {
            try? await Task.sleep(for: soonest, tolerance: .zero)
            await self.urgentProbeDue()
        }
    }

    private func urgentProbeDue() {
        self.urgentProbeIsDue = false
        self.probeIfSuspicious()
    }

    // MARK: - Agents

    private func listen(to node: NodeSpec) async {
        while !Task.isCancelled, let record = self.nodes[node.name], record.spec.agent == node.agent {
            for await facts in record.access.facts() {
                self.deliver(.agent(node.name, facts))
                self.noteDiverged(facts, record.access)
            }
            try? await Task.sleep(for: .milliseconds(200))
        }
    }

    // MARK: - Slots

    /// Every member keeps a reserved slot for each of its peers, so that a new leader has the WAL they need.
    func keepSlotsForever() async {
        while !Task.isCancelled {
            // A store that must not lead changes nothing.
            guard self.coordinator.halted == nil else { return }
            let leader = self.coordinator.state?.rule?.leader
            let members = leader == nil ? nil : self.coordinator.state?.spec.nodes.map(\.name)
            await withDiscardingTaskGroup { group in
                for (name, record) in self.nodes {
                    guard let view = self.coordinator.nodes[name], view.failure == nil, view.observation != nil else {
                        continue
                    }
                    // A leader's slots move with their walsenders.
                    let peers = Dictionary(
                        uniqueKeysWithValues: self.nodes.keys.filter { $0 != name }.map {
                            ($0, self.coordinator.nodes[$0]?.observation?.position)
                        })
                    let advance = name != leader && self.coordinator.nodes[name]?.observation?.inRecovery == true
                    group.addTask {
                        do {
                            try await record.access.keepSlots(peers, advance: advance, members: members)
                        } catch {
                            self.logger.info(
                                "slots not kept", metadata: ["node": "\(name)", "error": "\(error)"])
                        }
                    }
                }
            }
            try? await Task.sleep(for: self.slotInterval)
        }
    }

    private var slotInterval: Duration { self.coordinator.state?.rule == nil ? .milliseconds(300) : .seconds(2) }
}
