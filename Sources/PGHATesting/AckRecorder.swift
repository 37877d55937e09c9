package import PGHACore
package import PGHAPostgres
internal import Synchronization

/// Writers that insert increasing ids on every server that is not in recovery, and remember each acknowledgement:
/// the judge of lost commits, of gaps, and of two servers acknowledging at once.
package final class AckRecorder: Sendable {
    package struct Ack: Sendable {
        package let id: Int64
        package let node: NodeName
        package let sent: ContinuousClock.Instant
        package let acknowledged: ContinuousClock.Instant
    }

    package struct Server: Sendable {
        let name: NodeName
        private(set) var parameters: ConnectionParameters

        package init(_ name: NodeName, _ parameters: ConnectionParameters) {
            self.name = name
            self.parameters = parameters
            self.parameters.connectTimeout = .seconds(2)
        }
    }

    private let servers: [Server]
    /// What explains that nothing was acknowledged.
    private let log: @Sendable () -> String
    private let next: Atomic<Int64>
    private let acks = Mutex<[Ack]>([])
    private let tasks = Mutex<[Task<Void, Never>]>([])
    private let pause: Duration

    /// - Parameters:
    ///   - firstID: greater than every id in the table.
    ///   - pause: between two inserts, and between two looks at a server in recovery.
    ///   - inside: over each node's Unix socket, so that no cut of a link keeps a server from acknowledging.
    package convenience init(
        _ cluster: ScratchCluster, firstID: Int64 = 1, pause: Duration = .milliseconds(2), inside: Bool = false
    ) {
        let servers = cluster.nodes.map { node in
            Server(node.name, inside ? cluster.insideParameters(node) : cluster.parameters(node))
        }
        self.init(servers, firstID: firstID, pause: pause) { cluster.log("controller.log") }
    }

    /// The servers have a table `ids (id bigint, node text)`.
    package init(
        _ servers: [Server], firstID: Int64 = 1, pause: Duration = .milliseconds(2),
        log: @escaping @Sendable () -> String = { "" }
    ) {
        self.servers = servers
        self.log = log
        self.next = Atomic(firstID)
        self.pause = pause
    }

    package func start() {
        self.tasks.withLock { tasks in
            tasks = self.servers.map { server in Task { await self.write(on: server) } }
        }
    }

    package func stop() async {
        let tasks = self.tasks.withLock { $0 }
        for task in tasks { task.cancel() }
        for task in tasks { await task.value }
    }

    package var all: [Ack] { self.acks.withLock { $0 } }
    package var nextID: Int64 { self.next.load(ordering: .relaxed) }

    private func write(on server: Server) async {
        while !Task.isCancelled {
            if let session = try? await PostgresConnection.open(server.parameters) {
                await self.write(on: server, session)
                await session.close()
            }
            try? await Task.sleep(for: self.pause)
        }
    }

    private func write(on server: Server, _ session: PostgresConnection) async {
        do {
            while !Task.isCancelled {
                if try await session.query("SELECT pg_is_in_recovery() AS r").first?.bool("r") != false {
                    try await Task.sleep(for: self.pause)
                    continue
                }
                try await self.insert(on: server, session)
            }
        } catch {
            // The server went away or refuses writes: the caller connects again.
        }
    }

    private func insert(on server: Server, _ session: PostgresConnection) async throws {
        while !Task.isCancelled {
            let id = self.next.wrappingAdd(1, ordering: .relaxed).oldValue
            let sent = ContinuousClock.now
            // Longer than any failover: a commit that waits for its copies is not given up, it is not acknowledged.
            try await session.query(
                "INSERT INTO ids VALUES ($1::bigint, $2)", ["\(id)", server.name.text], timeout: .seconds(120))
            let ack = Ack(id: id, node: server.name, sent: sent, acknowledged: .now)
            self.acks.withLock { $0.append(ack) }
            try await Task.sleep(for: self.pause)
        }
    }

    // MARK: - Judging

    /// The first commit after `moment` that a server other than `old` acknowledged.
    ///
    /// Asked every 2 ms while a failover is measured, so it looks at the end of the list only, where it lies: to copy
    /// tens of thousands each time would cost the servers what is to be measured.
    package func firstAck(after moment: ContinuousClock.Instant, notBy old: NodeName) -> Ack? {
        self.acks.withLock { acks in
            var first: Ack?
            // Two writers may append in another order than they were answered in, by far less than a second.
            for ack in acks.reversed() {
                guard ack.acknowledged > moment - .seconds(1) else { break }
                guard ack.acknowledged > moment, ack.node != old else { continue }
                if first.map({ ack.acknowledged < $0.acknowledged }) ?? true { first = ack }
            }
            return first
        }
    }

    package func waitForAck(
        after moment: ContinuousClock.Instant, notBy old: NodeName, timeout: Duration = .seconds(60)
    ) async throws -> Ack {
        let deadline = ContinuousClock.now + timeout
        while ContinuousClock.now < deadline {
            if let ack = self.firstAck(after: moment, notBy: old) { return ack }
            try await Task.sleep(for: .milliseconds(2))
        }
        throw ScratchFailure(
            "no commit was acknowledged by another than \(old) within \(timeout)\n"
                + self.log().suffix(3000))
    }

    /// Acknowledged ids that `node` does not hold. Must be empty on a leader.
    package func lost(on node: ScratchCluster.Node) async throws -> [Int64] {
        guard let server = self.servers.first(where: { $0.name == node.name }) else {
            throw ScratchFailure("nobody wrote on \(node.name)")
        }
        let session = try await PostgresConnection.open(server.parameters)
        let rows = try await session.query("SELECT id FROM ids", timeout: .seconds(60))
        let present = Set(try rows.map { try $0.int64("id") })
        await session.close()
        return self.all.map(\.id).filter { !present.contains($0) }.sorted()
    }

    /// How often the acknowledging server changed, along the time at which the commits were sent: more often than the
    /// leader changed means that two servers acknowledged in turn. Not along the time of the acknowledgements: that of
    /// a commit from before a cut may arrive after it.
    package func changesOfServer() -> Int {
        let ordered = self.all.sorted { $0.sent < $1.sent }
        return zip(ordered, ordered.dropFirst()).count { $0.node != $1.node }
    }
}
