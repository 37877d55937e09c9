import Foundation
import Glibc
import PGHAClient
import PGHACore
import PGHAPooler
import PGHAPostgres
import PGHATesting
import Synchronization
import Testing

private let soakMinutes = ProcessInfo.processInfo.environment["PGHA_SOAK_MINUTES"].flatMap { Double($0) }

/// `make soak MINUTES=30`: clients and servers die at random around one pooler; in the end it must have lost nothing
/// and kept nothing.
@Suite(
    .enabled(if: soakMinutes != nil && ScratchCluster.unavailable == nil, "set PGHA_SOAK_MINUTES"),
    .timeLimit(.minutes(240)))
struct SoakTests {
    /// What polite clients did, and the rows whose insertion was acknowledged.
    private final class Ledger: Sendable {
        let isOver = Atomic(false)
        let next = Atomic<Int>(1)
        let acknowledged = Mutex<[Int]>([])
        let counts = Mutex<[String: Int]>([:])
        func count(_ what: String) { self.counts.withLock { $0[what, default: 0] += 1 } }
        var goesOn: Bool { !self.isOver.load(ordering: .relaxed) }
    }

    @Test func nothingIsLostAndNothingIsKept() async throws {
        let minutes = try #require(soakMinutes)
        try await RealClusters.withCluster(RealClusters.PoolerTests.options) { cluster in
            let pooler = try FollowingPooler(cluster, poolSize: 8) {
                $0.threads = 2
                $0.resolvesCommits = true
                $0.listeners.append(.init(host: "127.0.0.1", port: 0, role: .read))
                $0.timeouts.serverLifetime = .seconds(20)
                $0.timeouts.idleInTransaction = .seconds(20)
            }
            defer { pooler.stop() }
            try await pooler.connect().query("CREATE TABLE soak (id bigint PRIMARY KEY)")
            let ledger = Ledger()
            let began = ContinuousClock.now
            var residentBefore = 0
            await withTaskGroup(of: Void.self) { group in
                for number in 0..<16 { group.addTask { await Self.bePolite(pooler, ledger, seed: UInt64(number)) } }
                group.addTask { await Self.breakThings(cluster, ledger) }
                let rude = (0..<3).map { number in
                    let ports = [pooler.pooler.ports[0], pooler.pooler.ports[1]]
                    return Thread { Self.beRude(ports, ledger, seed: UInt64(100 + number)) }
                }
                for thread in rude { thread.start() }
                while ContinuousClock.now - began < .seconds(minutes * 60) {
                    try? await Task.sleep(for: .seconds(1))
                    if residentBefore == 0, ContinuousClock.now - began > .seconds(minutes * 15) {
                        residentBefore = Self.resident
                    }
                }
                ledger.isOver.store(true, ordering: .relaxed)
                await group.waitForAll()
                while rude.contains(where: { !$0.isFinished }) { try? await Task.sleep(for: .milliseconds(20)) }
            }
            try await Self.judge(cluster, pooler, ledger, residentBefore)
        }
    }

    private static func judge(
        _ cluster: ScratchCluster, _ pooler: FollowingPooler, _ ledger: Ledger, _ residentBefore: Int
    ) async throws {
        try await cluster.waitUntilComplete(timeout: .seconds(120))
        // What clients left behind is rolled back, discarded or closed.
        let deadline = ContinuousClock.now + .seconds(60)
        var left = await pooler.pooler.leftovers()
        while !left.counts.isEmpty, ContinuousClock.now < deadline {
            try await Task.sleep(for: .milliseconds(200))
            left = await pooler.pooler.leftovers()
        }
        #expect(left.counts == [:])
        let statistics = await pooler.pooler.statistics()
        #expect(statistics.clients == 0)
        let rows = try await cluster.connect(cluster.leader()).query("SELECT id::text AS id FROM soak")
        let present = Set(try rows.map { Int(try $0.string("id")) ?? 0 })
        let acknowledged = ledger.acknowledged.withLock { $0 }
        #expect(acknowledged.filter { !present.contains($0) } == [])
        let counts = ledger.counts.withLock { $0 }.sorted { $0.key < $1.key }.map { "\($0.key) \($0.value)" }
        let pools = statistics.pools
        print(
            """
            soak: \(acknowledged.count) rows acknowledged, \(present.count) present
            clients and deaths: \(counts.joined(separator: ", "))
            pooler: \(pools.reduce(0) { $0 + $1.transactions }) transactions, \(statistics.servers) idle servers, \
            resident \(residentBefore >> 20) -> \(Self.resident >> 20) MiB
            """)
        // Of the whole test process, from the first quarter to the end.
        #expect(Self.resident - residentBefore < 64 << 20)
    }

    private static var resident: Int {
        let text = (try? String(contentsOfFile: "/proc/self/statm", encoding: .utf8)) ?? ""
        return (text.split(separator: " ").dropFirst().first.flatMap { Int($0) } ?? 0) * 4096
    }

    // MARK: - Clients that keep to the rules

    private static func bePolite(_ pooler: FollowingPooler, _ ledger: Ledger, seed: UInt64) async {
        var random = SeededGenerator(seed: seed)
        while ledger.goesOn {
            let session: PostgresConnection
            do {
                session = try await pooler.connect()
            } catch {
                ledger.count("refused")
                try? await Task.sleep(for: .milliseconds(50))
                continue
            }
            for _ in 0..<(1 + random.next() % 40) where ledger.goesOn {
                do {
                    try await self.act(session, ledger, &random)
                } catch {
                    ledger.count("errors")
                    // Out of a failed block, if the connection is still there.
                    if (try? await session.query("ROLLBACK")) == nil { break }
                }
            }
            await session.close()
            ledger.count("sessions")
        }
    }

    private static func act(
        _ session: PostgresConnection, _ ledger: Ledger, _ random: inout SeededGenerator
    ) async throws {
        let id = ledger.next.wrappingAdd(1, ordering: .relaxed).oldValue
        switch random.next() % 12 {
        case 0, 1, 2:
            try await session.query("INSERT INTO soak VALUES ($1::bigint)", ["\(id)"], timeout: .seconds(60))
            ledger.acknowledged.withLock { $0.append(id) }
        case 3, 4:
            try await session.query("BEGIN")
            try await session.query("INSERT INTO soak VALUES (\(id))")
            try await session.query("COMMIT", timeout: .seconds(60))
            ledger.acknowledged.withLock { $0.append(id) }
        case 5:
            try await session.query("BEGIN")
            try await session.query("INSERT INTO soak VALUES (\(-id))")
            try await session.query("ROLLBACK")
        case 6: try await session.query("SELECT count(*) FROM soak WHERE id < $1::bigint", ["\(id)"])
        case 7: try await session.query("SET work_mem = '\(1 + id % 8)MB'")
        case 8:
            try await session.query("CREATE TEMP TABLE IF NOT EXISTS mine (a int)")
            try await session.query("INSERT INTO mine VALUES (1)")
            if id % 2 == 0 { try await session.query("DISCARD ALL") }
        case 9: try await session.query("SELECT repeat('x', 500) FROM generate_series(1, 4000)")
        case 10:
            try await session.query("SELECT pg_advisory_lock(\(id))")
            try await session.query("SELECT pg_advisory_unlock_all()")
        default: try await session.query("SELECT pg_sleep(0.02)")
        }
    }

    // MARK: - Clients that do not

    private static func beRude(_ ports: [UInt16], _ ledger: Ledger, seed: UInt64) {
        var random = SeededGenerator(seed: seed)
        while ledger.goesOn {
            let client = RudeClient(port: ports[Int(random.next() % UInt64(ports.count))])
            ledger.count("rude clients")
            switch random.next() % 9 {
            case 0: client.send([0, 0, 0])
            case 1: client.send([0x7F, 0xFF, 0xFF, 0xFF, 0, 3, 0, 0])
            case 2: client.send((0..<64).map { _ in UInt8(truncatingIfNeeded: random.next()) })
            case 3:
                // A cancel request that nobody waits for.
                client.send([0, 0, 0, 16, 4, 210, 22, 46, 0, 0, 0, UInt8(random.next() % 32), 1, 2, 3, 4])
            case 4:
                client.logIn()
                client.query("BEGIN; SELECT pg_advisory_lock(1)")
            case 5:
                client.logIn()
                client.query("SELECT repeat('x', 1000) FROM generate_series(1, 20000)")
                usleep(useconds_t(random.next() % 20_000))
            case 6:
                client.logIn()
                client.query("INSERT INTO soak VALUES (\(-1_000_000_000 - Int(random.next() % 1_000_000_000)))")
            case 7:
                // The front of a message.
                client.logIn()
                client.send([0x51, 0, 0, 1, 0, 0x53])
            default:
                client.logIn()
                client.query("SELECT pg_sleep(10)")
                usleep(useconds_t(random.next() % 50_000))
            }
            client.end()
            usleep(useconds_t(random.next() % 30_000))
        }
    }

    // MARK: - Servers

    private static func breakThings(_ cluster: ScratchCluster, _ ledger: Ledger) async {
        var random = SeededGenerator(seed: 7)
        var round = 0
        while ledger.goesOn {
            round += 1
            try? await Task.sleep(for: .milliseconds(500 + random.next() % 1500))
            guard let status = try? await cluster.status(), status.phase == "steady",
                let leader = try? cluster.node(status.leader)
            else { continue }
            if round % 20 == 0 {
                // Something large, once everybody is back from the last.
                guard (try? await cluster.waitUntilComplete(timeout: .seconds(60))) != nil else { continue }
                switch random.next() % 3 {
                case 0:
                    ledger.count("postmasters killed")
                    cluster.killPostmaster(leader)
                case 1:
                    ledger.count("switchovers")
                    _ = try? await cluster.client.switchover(SwitchoverCommand(target: nil))
                default:
                    ledger.count("backends killed")
                    // The server ends all other sessions and recovers.
                    if let pid = cluster.serverPIDs(leader).last { kill(pid, SIGKILL) }
                }
                continue
            }
            ledger.count("backends terminated")
            guard let session = try? await cluster.connect(leader) else { continue }
            _ = try? await session.query(
                """
                SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE backend_type = 'client backend'
                AND application_name = 'pooled' ORDER BY random() LIMIT 2
                """)
            await session.close()
        }
    }
}

/// A socket and no manners.
private final class RudeClient {
    private let descriptor: Int32

    init(port: UInt16) {
        self.descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = port.bigEndian
        address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        var limit = timeval(tv_sec: 5, tv_usec: 0)
        setsockopt(self.descriptor, SOL_SOCKET, SO_RCVTIMEO, &limit, socklen_t(MemoryLayout<timeval>.size))
        withUnsafePointer(to: &address) { pointer in
            _ = pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                connect(self.descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
            }
        }
    }

    func send(_ bytes: [UInt8]) { _ = Glibc.send(self.descriptor, bytes, bytes.count, Int32(MSG_NOSIGNAL)) }

    func logIn() {
        let user = ScratchCluster.user
        let body = [0, 3, 0, 0] + Array("user\0\(user)\0database\0postgres\0\0".utf8)
        self.send([0, 0, 0, UInt8(body.count + 4)] + body)
        // Up to ReadyForQuery, more or less.
        var bytes = [UInt8](repeating: 0, count: 8192)
        _ = recv(self.descriptor, &bytes, bytes.count, 0)
    }

    func query(_ text: String) {
        let body = Array(text.utf8) + [0]
        let count = body.count + 4
        self.send([0x51, 0, 0, UInt8(count >> 8), UInt8(count & 0xFF)] + body)
    }

    func end() { close(self.descriptor) }
}
