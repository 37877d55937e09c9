internal import PGHACore
internal import PGHAWire

// Where a read goes.
extension PoolerLoop {
    var moment: Moment { Moment(.nanoseconds(Int64(truncatingIfNeeded: self.now))) }

    /// Puts the client into the pool of the server that is to run what it begins; false: it must wait until a standby
    /// has caught up.
    mutating func place(_ client: ClientPointer) -> Bool {
        guard client.pointee.flags.isDisjoint(with: .pinned), client.pointee.flags.contains(.routed),
            let present = client.pointee.pool
        else { return true }
        let leader = present.pointee.leader ?? present
        let isReader = client.pointee.role == .read
        guard isReader || client.pointee.unitCount > 0 else {
            self.move(client, to: leader)
            return true
        }
        // Who is being greeted reads nothing yet.
        let need = client.pointee.logIn == nil ? client.pointee.causal?.pointee.need(self.reading.book) : nil
        let usesLeader = !isReader || self.balancer.limits.usesLeader
        switch self.plan(client, leader, need ?? .nothing, usesLeader: usesLeader) {
        case .go(.standby(let place)):
            leader.pointee.standbys[place].pointee.statistics.reads &+= 1
            self.move(client, to: leader.pointee.standbys[place])
        case .go(.leader): self.moveToLeader(client, leader)
        case .go(.none):
            if isReader { self.move(client, to: self.nobody(leader)) } else { self.moveToLeader(client, leader) }
        case .waitForSample(let number):
            self.reading.neededSample = max(self.reading.neededSample, number)
            self.reading.demander = leader
            return false
        case .waitForReplay:
            self.reading.needsReplay = true
            self.reading.demander = leader
            return false
        }
        return true
    }

    /// Whether the leader and a standby can be asked where they are, or have just failed to say.
    private var canLearn: Bool {
        if self.reading.pausedUntil.isEmpty { return true }
        guard let leader = self.topology.leader, self.isAskable(leader) else { return false }
        return self.topology.standbys.contains { self.balancer.isEligible($0, at: self.moment) && self.isAskable($0) }
    }

    private func isAskable(_ node: PoolTopology.Node) -> Bool {
        self.reading.pausedUntil[node.name].map { self.now >= $0 } ?? true
    }

    private mutating func plan(
        _ client: ClientPointer, _ leader: PoolPointer, _ need: CausalSession.Need, usesLeader: Bool
    ) -> ReadBalancer.Plan {
        if leader.pointee.standbysOf != self.reading.epoch { self.findStandbys(of: leader) }
        let waited = client.pointee.phase == .catchingUp ? self.now &- client.pointee.since : 0
        let random = self.random.next()
        let plan = self.balancer.plan(
            need, self.reading.book, waited: .nanoseconds(Int64(truncatingIfNeeded: waited)), usesLeader: usesLeader,
            self.topology, at: self.moment, random: random
        ) { place in
            let pool = leader.pointee.standbys[place]
            return pool.pointee.serverCount - pool.pointee.idleCount + pool.pointee.waitingCount
        }
        if case .go = plan { return plan }
        return usesLeader && !self.canLearn ? .go(.leader) : plan
    }

    /// The topology has changed since the pool's last read.
    @inline(never) private mutating func findStandbys(of leader: PoolPointer) {
        let key = leader.pointee.key
        var pools: [PoolPointer] = []
        for node in self.topology.standbys {
            pools.append(self.pool(PoolKey(user: key.user, database: key.database, target: .standby(node.name))))
        }
        leader.pointee.standbys = pools
        leader.pointee.standbysOf = self.reading.epoch
    }

    private mutating func moveToLeader(_ client: ClientPointer, _ leader: PoolPointer) {
        leader.pointee.statistics.reads &+= 1
        self.move(client, to: leader)
    }

    private mutating func nobody(_ leader: PoolPointer) -> PoolPointer {
        let key = leader.pointee.key
        return self.pool(PoolKey(user: key.user, database: key.database, target: .nobody))
    }

    @inline(__always) private func move(_ client: ClientPointer, to pool: PoolPointer) {
        guard let old = client.pointee.pool, old != pool else { return }
        old.pointee.clientCount -= 1
        pool.pointee.clientCount += 1
        client.pointee.pool = pool
    }

    // MARK: - The first statement

    enum FirstUnit {
        /// More is on its way.
        case incomplete
        /// A read of so many bytes, whole.
        case read(Int)
        case other
    }

    /// Longer statements are the leader's: so much can be sent again. See ``FirstBatch``.
    private static var longestUnit: Int { 8192 }

    /// What the client begins: one Query, or messages of the extended protocol up to Sync.
    mutating func firstUnit(_ client: ClientPointer, _ bytes: UnsafeRawBufferPointer) -> FirstUnit {
        guard self.isWorthAServer(bytes) else { return .incomplete }
        guard client.pointee.role == .write else { return .other }
        guard self.configuration.split.isOn, !self.topology.standbys.isEmpty,
            client.pointee.flags.isDisjoint(with: [.pinned, .toLeader]),
            let set = client.pointee.parameters?.takeUnretainedValue(), !set.isLeaderOnly
        else {
            client.pointee.flags.remove(.toLeader)
            return .other
        }
        var walk = MessageWalk(bytes)
        var count = 0
        var sawRead = false
        while true {
            switch walk.next() {
            case .message(let message):
                count += message.totalCount
                if count > Self.longestUnit { return .other }
                guard message.isComplete else { return .incomplete }
                switch self.judge(client, message, isFirst: count == message.totalCount, set.strings, &sawRead) {
                case .goesOn: continue
                case .ends: return sawRead ? .read(count) : .other
                case .other: return .other
                }
            case .partialHeader: return count < Self.longestUnit ? .incomplete : .other
            // It asks for answers before it is through, or sends in pieces.
            case .done, .malformed: return .other
            }
        }
    }

    /// Whether the first message is there, or is too long to wait for all of it.
    private func isWorthAServer(_ bytes: UnsafeRawBufferPointer) -> Bool {
        var walk = MessageWalk(bytes)
        switch walk.next() {
        case .message(let message): return message.isComplete || message.totalCount > Self.bufferSize
        case .partialHeader: return false
        case .done, .malformed: return true
        }
    }

    private enum Judgement {
        case goesOn
        case ends
        case other
    }

    @inline(__always) private func judge(
        _ client: ClientPointer, _ message: MessageView, isFirst: Bool, _ strings: StringSyntax, _ sawRead: inout Bool
    ) -> Judgement {
        switch message.type {
        case FrontendMessage.query:
            guard isFirst, message.body.last == 0 else { return .other }
            let text = UnsafeRawBufferPointer(rebasing: message.body.dropLast())
            sawRead = self.classifier.mayReadElsewhere(text, strings: strings)
            return sawRead ? .ends : .other
        case FrontendMessage.parse:
            guard self.translates(client), let parse = ParseView(message.body),
                self.classifier.mayReadElsewhere(parse.text, strings: strings)
            else { return .other }
            sawRead = true
            return .goesOn
        case FrontendMessage.bind: return self.judgeBind(client, message, &sawRead)
        case FrontendMessage.describe: return self.judgeDescribe(client, message, &sawRead)
        case FrontendMessage.execute, FrontendMessage.close, FrontendMessage.flush: return .goesOn
        case FrontendMessage.sync: return .ends
        default: return .other
        }
    }

    private func judgeBind(
        _ client: ClientPointer, _ message: MessageView, _ sawRead: inout Bool
    ) -> Judgement {
        var reader = ByteReader(message.body)
        guard reader.string() != nil, let name = reader.string() else { return .other }
        return self.judgeUse(client, name, &sawRead)
    }

    private func judgeDescribe(
        _ client: ClientPointer, _ message: MessageView, _ sawRead: inout Bool
    ) -> Judgement {
        var reader = ByteReader(message.body)
        guard reader.byte() == DescribedObject.statement.rawValue else { return .goesOn }
        guard let name = reader.string() else { return .other }
        return self.judgeUse(client, name, &sawRead)
    }

    /// Of a statement that was prepared earlier, or by this unit: then a read.
    private func judgeUse(
        _ client: ClientPointer, _ name: UnsafeRawBufferPointer, _ sawRead: inout Bool
    ) -> Judgement {
        if name.isEmpty, sawRead { return .goesOn }
        guard self.translates(client),
            let statement = client.pointee.statements?.pointee.find(name, self.statementTable)
        else { return sawRead ? .goesOn : .other }
        let isRead = statement.pointee.isRead ?? self.classifier.mayReadElsewhere(statement.pointee.text)
        statement.pointee.isRead = isRead
        sawRead = isRead
        return isRead ? .goesOn : .other
    }
}

extension FrontendMessage {
    /// Whether a message of this type needs a server.
    static func beginsTransaction(_ type: UInt8) -> Bool {
        switch type {
        case Self.query, Self.parse, Self.bind, Self.describe, Self.execute, Self.close, Self.sync, Self.flush,
            Self.functionCall:
            true
        default: false
        }
    }
}
