import Glibc
import PGHACore
import PGHAPostgres
import PGHATesting
import Testing

/// What `synchronous_standby_names` shows and hides on a real server.
@Suite(.serialized, .enabled(if: ScratchPostgres.unavailable == nil, "needs PostgreSQL's server programs"))
struct SyncListTests {
    private let b = ReplicationName(node: name("b"), suffix: 1)
    private let c = ReplicationName(node: name("c"), suffix: 1)

    /// A walsender that has not reloaded releases commits by its own copy of the old list. The marker shows which one
    /// that is, as its priority stays what it was.
    @Test func theMarkerShowsAWalsenderThatHasNotLoadedTheNewList() async throws {
        let primary = try await ScratchPostgres.start()
        try await installControl(on: primary)
        let first = try await ScratchPostgres.standby(of: primary, name: self.b.description)
        let second = try await ScratchPostgres.standby(of: primary, name: self.c.description)
        try await primary.wait(until: "(SELECT count(*) FROM pg_stat_replication WHERE state = 'streaming') = 2")
        let a = control(primary, "a")
        #expect(await a.execute(.setSyncList(pledge(1), .any(1, [self.b, self.c])), upstream: nil) == .done)
        try await self.wait(a, for: [self.b: 1, self.c: 1])

        let frozen = try await primary.query(
            "SELECT pid FROM pg_stat_replication WHERE application_name = $1", [self.b.description])[0].int32("pid")
        kill(frozen, SIGSTOP)
        #expect(await a.execute(.setSyncList(pledge(1), .marked(1, [self.b, self.c])), upstream: nil) == .done)
        try await self.wait(a, for: [self.b: 1, self.c: 3])
        kill(frozen, SIGCONT)
        try await self.wait(a, for: [self.b: 2, self.c: 3])
        _ = [first.port, second.port]
        await a.close()
    }

    /// `ANY 2` counts walsenders, not servers: a copied data directory that streams under the same name acknowledges in
    /// the place of a server that is away.
    @Test func twoWalsendersOfOneNameSatisfyTwoAndAreSeenAsTwo() async throws {
        let primary = try await ScratchPostgres.start()
        try await installControl(on: primary)
        let standby = try await ScratchPostgres.standby(of: primary, name: self.b.description)
        let copy = try await ScratchPostgres.standby(of: primary, name: self.b.description)
        try await primary.wait(until: "(SELECT count(*) FROM pg_stat_replication WHERE state = 'streaming') = 2")
        let a = control(primary, "a")
        #expect(await a.execute(.setSyncList(pledge(1), .any(2, [self.b, self.c])), upstream: nil) == .done)
        try await self.wait(a, for: [self.b: 1])
        // The hole: c is nowhere, and the commit is acknowledged.
        try await primary.query("INSERT INTO rows VALUES (1)")

        let seen = try await ServerProbe(primary.parameters(user: "pgha", password: "control")).observe(
            timeout: .seconds(20)
        ).get()
        #expect(seen.senders.map(\.applicationName) == [self.b.description, self.b.description])
        // Whoever counts distinct names, as confirming a rule does, counts one.
        #expect(Set(seen.senders.map(\.applicationName)).count == 1)
        _ = [standby.port, copy.port]
        await a.close()
    }

    private func wait(_ control: ServerControl, for priorities: [ReplicationName: Int]) async throws {
        let deadline = ContinuousClock.now + .seconds(60)
        var last: NodeOutcome?
        while ContinuousClock.now < deadline {
            let outcome = await control.execute(.readSenders(pledge(1)), upstream: nil)
            last = outcome
            if case .senders(let senders) = outcome,
                Set(senders.map { "\($0.applicationName) \($0.syncPriority)" })
                    == Set(priorities.map { "\($0.key) \($0.value)" })
            {
                return
            }
            try await Task.sleep(for: .milliseconds(10))
        }
        throw ScratchFailure("never \(priorities): \(String(describing: last))")
    }
}
