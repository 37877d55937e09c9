import PGHACore

extension SimServer {
    // MARK: - The standby's side

    func lookForUpstream(in delay: Int64) {
        self.later(delay) { [unowned self] in
            guard self.process == .running, self.inRecovery, self.receiver == nil, let upstream = self.loadedUpstream,
                upstream.leader != self.index
            else {
                if self.process == .running, self.inRecovery, self.receiver == nil {
                    self.lookForUpstream(in: .ms(200))
                }
                return
            }
            let id = self.sim.makeID()
            self.receiver = Receiver(id: id, upstream: upstream, lastMessage: self.sim.now)
            // The process exists before it has connected: invisible in pg_stat_wal_receiver.
            self.later(self.sim.chance(100) ? self.sim.between(.ms(20), .ms(500)) : self.sim.between(500, .ms(8))) {
                [unowned self] in self.connect(id, upstream)
            }
            self.later(.s(3)) { [unowned self] in
                if self.receiver?.id == id, self.receiver?.isStreaming == false { self.endReceiver(id) }
            }
        }
    }

    private func connect(_ id: Int, _ upstream: Upstream) {
        guard self.receiver?.id == id else { return }
        let sim = self.sim
        let life = self.life
        let start = (timeline: self.timeline, count: self.wal.count)
        let server = sim.servers[upstream.leader]
        sim.transmit(.node(self.index), .node(upstream.leader)) { [unowned self] in
            guard server.process == .running else {
                self.answer(from: server, life) { [unowned self] in self.endReceiver(id) }
                return
            }
            server.ifAlive(server.life) { [unowned self] in
                let accepted = server.accepts(start.timeline, start.count, slotOf: self.index)
                let known = server.highestTimeline
                if accepted { server.addSender(id, upstream.name, self.index, start.count) }
                self.answer(from: server, life) { [unowned self] in
                    guard accepted, self.receiver?.id == id else {
                        self.endReceiver(id)
                        return
                    }
                    self.receiver?.isStreaming = true
                    self.receiver?.lastMessage = self.sim.now
                    self.highestTimeline = max(self.highestTimeline, known)
                }
                if accepted { server.pump(id) }
            }
        }
    }

    private func answer(from server: SimServer, _ life: Int, _ body: @escaping () -> Void) {
        self.sim.transmit(.node(server.index), .node(self.index)) { [unowned self] in self.ifAlive(life, body) }
    }

    func endReceiver(_ id: Int) {
        guard let receiver = self.receiver, receiver.id == id else { return }
        self.receiver = nil
        self.closeSender(receiver)
        self.lookForUpstream(in: .ms(200))
    }

    /// Our end of the connection is closed; the walsender notices when that arrives.
    func closeSender(_ receiver: Receiver) {
        let server = self.sim.servers[receiver.upstream.leader]
        let life = server.life
        self.sim.transmit(.node(self.index), .node(server.index)) {
            server.ifAlive(life) { server.senders.removeAll { $0.id == receiver.id } }
        }
    }

    /// Records arrive: flushed at once, then acknowledged.
    func received(_ id: Int, from server: SimServer, at start: Int, _ records: [WALRecord], before: Int?) {
        guard let receiver = self.receiver, receiver.id == id, receiver.upstream.leader == server.index,
            self.wal.count == start
        else { return }
        // A server that nobody can reach may go on following one that was promoted by hand, and mix both histories as
        // PostgreSQL would. It must never be sent to a leader like that. A server that was removed has no slot any more,
        // which is not modelled.
        if let before, self.wal.last?.id != before, let state = self.sim.store.state, state.spec[self.name] != nil,
            state.openRules.contains(where: { $0.leader == server.name })
        {
            self.sim.violate("\(self.name) streams from \(server.name) across a history that is not its own")
        }
        if self.isDiskFull {
            self.endReceiver(id)
            return
        }
        self.receiver?.lastMessage = self.sim.now
        self.wal += records
        let all = server.forks
        let kept = all.filter { $0.at < self.end }
        self.timeline = kept.count == all.count ? server.timeline : all[kept.count].parent.number
        self.forks = kept
        self.highestTimeline = max(self.highestTimeline, server.highestTimeline)
        self.reply(id, to: server)
    }

    private func reply(_ id: Int, to server: SimServer) {
        let flushed = self.wal.count
        let life = server.life
        self.sim.transmit(.node(self.index), .node(server.index)) {
            server.ifAlive(life) { server.heard(id, flushed: flushed) }
        }
    }

    // MARK: - The sending side

    /// As PostgreSQL decides: by timeline ids and switch points, which do not prove equal history; and by the slot.
    private func accepts(_ timeline: UInt32, _ count: Int, slotOf standby: Int) -> Bool {
        guard self.process == .running, !self.senders.contains(where: { $0.standby == standby }) else { return false }
        guard let segment = self.history.segments.last(where: { $0.timeline.number == timeline }) else { return false }
        return Self.lsn(count) <= segment.end ?? self.end
    }

    private func addSender(_ id: Int, _ name: ReplicationName, _ standby: Int, _ count: Int) {
        self.senders.append(
            Sender(
                id: id, standby: standby, name: name, sent: count, flushed: count, isStreaming: count == self.wal.count,
                list: self.file.list, lastReply: self.sim.now))
    }

    func pumpAll() { for sender in self.senders { self.pump(sender.id) } }

    func pump(_ id: Int) {
        guard let at = self.senders.firstIndex(where: { $0.id == id }), !self.senders[at].isBusy,
            self.senders[at].sent < self.wal.count
        else { return }
        let start = self.senders[at].sent
        let records = Array(self.wal[start...])
        self.senders[at].isBusy = true
        self.senders[at].busySince = self.sim.now
        self.senders[at].sent = self.wal.count
        let standby = self.sim.servers[self.senders[at].standby]
        let before = start > 0 ? self.wal[start - 1].id : nil
        let life = standby.life
        self.sim.transmit(.node(self.index), .node(standby.index)) { [unowned self] in
            standby.ifAlive(life) { standby.received(id, from: self, at: start, records, before: before) }
        }
    }

    private func heard(_ id: Int, flushed: Int) {
        guard let at = self.senders.firstIndex(where: { $0.id == id }) else { return }
        self.senders[at].lastReply = self.sim.now
        self.senders[at].isBusy = self.senders[at].isBusy && flushed < self.senders[at].sent
        self.senders[at].flushed = max(self.senders[at].flushed, flushed)
        if flushed >= self.senders[at].sent, self.senders[at].sent == self.wal.count {
            self.senders[at].isStreaming = true
        }
        if !self.inRecovery { self.releaseWaiters(self.senders[at]) }
        self.pump(id)
    }

    /// `SyncRepReleaseWaiters`: the walsender that heard something decides by its own copy of the list, over all
    /// walsenders that count by theirs.
    private func releaseWaiters(_ sender: Sender) {
        guard sender.isStreaming, sender.priority > 0 else { return }
        let counting = self.senders.filter { $0.isStreaming && $0.priority > 0 }
        switch sender.list {
        case .fence, .none: return
        case .any(let needed, _):
            guard counting.count >= needed else { return }
            self.release(counting.map(\.flushed).sorted(by: >)[needed - 1])
        case .marked(let needed, _):
            guard counting.count >= needed else { return }
            let first = counting.sorted { $0.priority < $1.priority }.prefix(needed)
            self.release(first.map(\.flushed).min() ?? 0)
        }
    }

    func release(_ count: Int) {
        self.released = max(self.released, count)
        let done = self.waiting.filter { $0 < count }
        guard !done.isEmpty else { return }
        self.waiting.removeAll { $0 < count }
        for index in done { self.sim.acknowledge(self, index) }
    }

    func closeReceiver(_ sender: Sender) {
        let standby = self.sim.servers[sender.standby]
        let life = standby.life
        self.sim.transmit(.node(self.index), .node(standby.index)) {
            standby.ifAlive(life) { standby.endReceiver(sender.id) }
        }
    }

    /// `wal_sender_timeout` and `wal_receiver_timeout` (5 s), the status interval (1 s). WAL that was lost on the way ends
    /// the connection too: nothing that is sent after it arrives.
    func expireConnections() {
        let now = self.sim.now
        for sender in self.senders
        where now - sender.lastReply > .s(5) || (sender.isBusy && now - sender.busySince > .s(7)) {
            self.senders.removeAll { $0.id == sender.id }
            self.closeReceiver(sender)
        }
        for sender in self.senders {
            let standby = self.sim.servers[sender.standby]
            let life = standby.life
            self.sim.transmit(.node(self.index), .node(standby.index)) { [unowned self] in
                standby.ifAlive(life) { standby.keepalive(sender.id, from: self) }
            }
        }
        if let receiver = self.receiver, receiver.isStreaming, self.sim.now - receiver.lastMessage > .s(5) {
            self.endReceiver(receiver.id)
        }
    }

    private func keepalive(_ id: Int, from server: SimServer) {
        guard self.receiver?.id == id else { return }
        self.receiver?.lastMessage = self.sim.now
        self.reply(id, to: server)
    }

    // MARK: - Clients

    /// Commits from clients on the host and outside, as long as the server is a primary.
    func serveClients() {
        let gap = self.sim.chance(50) ? self.sim.between(200, .ms(3)) : self.sim.between(.ms(20), .ms(160))
        self.later(gap) { [unowned self] in
            guard self.isPrimary else { return }
            self.commit()
            self.serveClients()
        }
    }

    /// A client's commit: flushed here, acknowledged when the walsenders allow it.
    func commit() {
        guard self.waiting.count < 4, !self.isDiskFull else { return }
        self.append(.commit)
        let index = self.wal.count - 1
        if !self.commitsWait || index < self.released {
            self.sim.acknowledge(self, index)
        } else {
            self.waiting.append(index)
        }
    }

    // MARK: - What a probe sees

    func observe() -> ServerObservation {
        ServerObservation(
            systemIdentifier: self.systemIdentifier, version: 150_018, postmasterStart: self.startedAt,
            inRecovery: self.inRecovery, timeline: TimelineID(self.timeline), position: self.end, replayed: self.end,
            receiver: self.receiver.flatMap {
                $0.isStreaming
                    ? ReceiverObservation(
                        pid: 1, status: "streaming", senderHost: "n\($0.upstream.leader)", senderPort: 5432,
                        lastMessage: $0.lastMessage) : nil
            }, senders: self.observeSenders(), syncNames: self.file.list.setting, pledge: self.file.pledge)
    }

    func observeSenders() -> [SenderObservation] {
        self.senders.map {
            SenderObservation(
                pid: Int32(truncatingIfNeeded: $0.id), applicationName: $0.name.description, clientAddress: nil,
                state: $0.isStreaming ? "streaming" : "catchup", flushed: Self.lsn($0.flushed),
                replayed: Self.lsn($0.flushed), syncPriority: $0.priority)
        }
    }
}
