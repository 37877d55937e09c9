import PGHACore
import PGHAPooler
import PGHAPostgres
import PGHATesting
import PGHAWire
import Testing

@Suite("Sessions see what they have written", .serialized, .enabled(if: ScratchPostgres.unavailable == nil))
struct CausalReadTests {
    private static let count = "SELECT count(*), current_setting('port') FROM t"

    /// The count and the port.
    private func count(_ client: RawClient) throws -> [String] {
        client.send { $0.query(Self.count) }
        guard let row = try client.readToReady().first(where: { $0.type == "D" }) else { return [] }
        var values: [String] = []
        var rest = row.body[2...]
        while rest.count >= 4 {
            let length = rest.prefix(4).reduce(0) { $0 << 8 | Int($1) }
            values.append(String(decoding: rest.dropFirst(4).prefix(length), as: UTF8.self))
            rest = rest.dropFirst(4 + length)
        }
        return values
    }

    /// One cluster for all that leaves it whole: a standby costs seconds.
    @Test func whatWasWrittenIsSeen() async throws {
        let rig = try await ReadRig.start()
        try rig.writer().query("CREATE TABLE t (a int)")
        try await self.everyWriteIsSeenByTheNextRead(rig)
        try await self.aStandbyThatLagsIsWaitedFor(rig)
        try self.tokensThatAreNoneAreRefused(rig)
        try await rig.reload { $0.reads.catchUp = .milliseconds(50) }
        try await self.aPausedStandbyIsWaitedForButNotForLong(rig)
        try await self.aTokenCarriesAWriteToAnotherSession(rig)
        try await rig.reload { $0.readsAreCausal = false }
        try await self.withoutCausalityNobodyWaits(rig)
        try await rig.reload { _ in }
        try await self.aRestartedStandbyIsAskedAnew(rig)
    }

    private func pause(_ rig: ReadRig) async throws {
        try await rig.replayed()
        try await rig.standbys[0].query("SELECT pg_wal_replay_pause()")
        try await rig.standbys[0].wait(until: "pg_get_wal_replay_pause_state() = 'paused'")
    }

    private func resume(_ rig: ReadRig) async throws {
        try await rig.standbys[0].query("SELECT pg_wal_replay_resume()")
        try await rig.replayed()
    }

    private func everyWriteIsSeenByTheNextRead(_ rig: ReadRig) async throws {
        let client = try rig.writer()
        var onStandby = 0
        for number in 1...100 {
            try client.query("INSERT INTO t VALUES (\(number))")
            let seen = try self.count(client)
            #expect(seen.first == "\(number)")
            if seen.last == rig.standbyPort() { onStandby += 1 }
        }
        // Not because the primary had to answer.
        #expect(onStandby == 100)
        #expect(await rig.sum("s0") { $0.reads } >= 100)
    }

    private func aPausedStandbyIsWaitedForButNotForLong(_ rig: ReadRig) async throws {
        let (client, other) = (try rig.writer(), try rig.writer())
        try client.query("TRUNCATE t")
        try await self.pause(rig)
        try client.query("INSERT INTO t VALUES (1)")
        #expect(try self.count(client) == ["1", rig.primaryPort])
        // Who has written nothing reads what the standby has.
        #expect(try self.count(other) == ["0", rig.standbyPort()])
        #expect(await rig.sum(nil) { $0.waitingReads } >= 1)
        try await self.resume(rig)
        #expect(try self.count(client) == ["1", rig.standbyPort()])
    }

    private func aStandbyThatLagsIsWaitedFor(_ rig: ReadRig) async throws {
        try await rig.standbys[0].query("ALTER SYSTEM SET recovery_min_apply_delay = '300ms'")
        try await rig.standbys[0].query("SELECT pg_reload_conf()")
        try await rig.standbys[0].wait(until: "current_setting('recovery_min_apply_delay') = '300ms'")
        let before = await rig.sum(nil) { $0.waitingReads }
        let client = try rig.writer()
        try client.query("TRUNCATE t")
        for number in 1...3 {
            try client.query("INSERT INTO t VALUES (1)")
            #expect(try self.count(client) == ["\(number)", rig.standbyPort()])
        }
        #expect(await rig.sum(nil) { $0.waitingReads } >= before + 3)
        try await rig.standbys[0].query("ALTER SYSTEM RESET recovery_min_apply_delay")
        try await rig.standbys[0].query("SELECT pg_reload_conf()")
    }

    private func withoutCausalityNobodyWaits(_ rig: ReadRig) async throws {
        let client = try rig.writer()
        try client.query("TRUNCATE t")
        try await self.pause(rig)
        try client.query("INSERT INTO t VALUES (1)")
        #expect(try self.count(client) == ["0", rig.standbyPort()])
        try await self.resume(rig)
    }

    private func aTokenCarriesAWriteToAnotherSession(_ rig: ReadRig) async throws {
        let (writer, reader) = (try rig.writer(), try rig.reader())
        try writer.query("TRUNCATE t")
        try await self.pause(rig)
        try writer.query("INSERT INTO t VALUES (1)")
        let token = try #require(try writer.value("SHOW pgha.last_lsn"))
        #expect(LSN(token) != nil)
        #expect(try self.count(reader) == ["0", rig.standbyPort()])
        #expect(try reader.query("SET pgha.min_lsn = '\(token)'") == ["C:SET", "Z:I"])
        #expect(try self.count(reader) == ["1", rig.primaryPort])
        // In the startup packet, and in the extended protocol.
        #expect(try self.count(try rig.reader([("pgha.min_lsn", token)])) == ["1", rig.primaryPort])
        let third = try rig.reader([("options", "-c pgha.min_lsn=0/1")])
        third.send {
            $0.parse("", "SET pgha.min_lsn TO '\(token)'")
            $0.bind("")
            $0.execute()
            $0.sync()
        }
        #expect(try third.answers() == ["1", "2", "C:SET", "Z:I"])
        #expect(try self.count(third) == ["1", rig.primaryPort])
        // No more.
        #expect(try reader.query("RESET pgha.min_lsn") == ["C:RESET", "Z:I"])
        #expect(try self.count(reader) == ["0", rig.standbyPort()])
        try await self.resume(rig)
        #expect(try self.count(third) == ["1", rig.standbyPort()])
        // A standby tells how far it is.
        third.send {
            $0.parse("s", "SHOW pgha.last_lsn")
            $0.bind("s")
            $0.execute()
            $0.sync()
        }
        let told = try third.answers().first { $0.hasPrefix("D:") }.flatMap { LSN($0.dropFirst(2)) }
        #expect(try #require(told) >= LSN(token)!)
        // A position that nobody ever reaches is worth what there is.
        #expect(try third.query("SET pgha.min_lsn = 'FFFFFFFF/0'") == ["C:SET", "Z:I"])
        #expect(try self.count(third) == ["1", rig.standbyPort()])
    }

    private func tokensThatAreNoneAreRefused(_ rig: ReadRig) throws {
        let reader = try rig.reader()
        #expect(try reader.query("SET pgha.min_lsn = 'soon'") == ["E:22023", "Z:I"])
        #expect(try reader.query("SET pgha.min_lsn = '0/1'; SELECT 1").first == "E:0A000")
        #expect(try reader.query("SELECT set_config('pgha.min_lsn', '0/1', false)").contains("E:0A000"))
        #expect(throws: (any Error).self) { try rig.reader([("pgha.min_lsn", "soon")]) }
        #expect(try reader.value(ReadRig.port) == rig.standbyPort())
    }

    @Test func afterAFailoverOldPositionsDoNotCount() async throws {
        let rig = try await ReadRig.start(standbys: ["s", "t"])
        let client = try rig.writer()
        try client.query("CREATE TABLE t (a int)")
        try client.query("INSERT INTO t VALUES (1)")
        try await rig.replayed(0)
        try await rig.replayed(1)
        let (successor, follower) = (rig.standbys[0], rig.standbys[1])
        try await follower.stop()
        try await successor.stop()
        // WAL that only the old primary has: its positions are behind all that the new one will reach.
        await rig.apply(standbys: [])
        try client.query("SELECT pg_logical_emit_message(true, 'x', repeat('x', 10000000))")
        let token = try #require(try client.value("SHOW pgha.last_lsn"))
        rig.primary.kill()
        try await successor.launch()
        try await successor.query("SELECT pg_promote()")
        try await successor.wait(until: "NOT pg_is_in_recovery()")
        try follower.setFollowed(successor, name: "t")
        try await follower.launch()
        await rig.apply(
            term: 2, leader: ("s0", successor), standbys: [ReadRig.node("s1", follower)])
        #expect(try self.count(client) == ["1", rig.standbyPort(1)])
        try client.query("INSERT INTO t VALUES (2)")
        #expect(try self.count(client) == ["2", rig.standbyPort(1)])
        let reader = try rig.reader([("pgha.min_lsn", token)])
        #expect(try self.count(reader) == ["2", rig.standbyPort(1)])
    }

    private func aRestartedStandbyIsAskedAnew(_ rig: ReadRig) async throws {
        let client = try rig.writer()
        try client.query("TRUNCATE t")
        try client.query("INSERT INTO t VALUES (1)")
        #expect(try self.count(client) == ["1", rig.standbyPort()])
        rig.standbys[0].kill()
        #expect(try self.count(client) == ["1", rig.primaryPort])
        try await rig.standbys[0].launch()
        // Passed over for a while after its failure, then it has to say where it is.
        var last = ""
        for _ in 0..<400 where last != rig.standbyPort() {
            let seen = try self.count(client)
            #expect(seen.first == "1")
            last = seen.last ?? ""
            try await Task.sleep(for: .milliseconds(50))
        }
        #expect(last == rig.standbyPort())
    }
}
