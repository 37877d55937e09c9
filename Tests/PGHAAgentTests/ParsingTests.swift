import Glibc
import PGHAClient
import PGHACore
import PGHAHTTP
import Synchronization
import Testing

@testable import PGHAAgent

@Suite struct ParsingTests {
    @Test func autoConfKeepsWhatItDoesNotChange() {
        var settings = AutoConf("# comment\nwork_mem = '4MB'\nsearch_path = 'it''s, \\\\x'\nwork_mem = '8MB'\n")
        #expect(settings["work_mem"] == "8MB")
        #expect(settings["search_path"] == "it's, \\x")
        settings["primary_conninfo"] = "host='a b' passfile=\\x"
        #expect(AutoConf(settings.text) == settings)
        #expect(AutoConf(settings.text)["primary_conninfo"] == "host='a b' passfile=\\x")
        settings["work_mem"] = nil
        #expect(!settings.text.contains("work_mem"))
        #expect(AutoConf.quoted("a\nport = 1") == "'a port = 1'")
    }

    @Test func aPostmastersOptionsAreKeptButForItsDataDirectory() {
        let data = "/tmp"
        #expect(AdoptedServer.options("/usr/lib/postgresql/15/bin/postgres \"-D\" \"/tmp\"\n", data: data) == [])
        let debian =
            "/usr/lib/postgresql/15/bin/postgres \"-D\" \"/tmp\" \"-c\" \"config_file=/etc/postgresql/15/a b/postgresql.conf\""
        #expect(
            AdoptedServer.options(debian, data: data) == ["-c", "config_file=/etc/postgresql/15/a b/postgresql.conf"])
        // The configuration's directory, which names the data directory in turn.
        #expect(
            AdoptedServer.options("/bin/postgres \"-D\" \"/usr\" \"-p\" \"5433\"", data: data)
                == ["-p", "5433", "-c", "config_file=/usr/postgresql.conf"])
        #expect(AdoptedServer.options("", data: data) == [])
    }

    @Test func anAdoptedServersFilesFollowACopyOnlyWhereTheyAreWithinTheData() {
        var server = AdoptedServer(
            data: "/srv/data", options: [], configFile: "/srv/data/postgresql.conf", hbaFile: "/etc/pg/pg_hba.conf",
            identFile: "/srv/data/pg_ident.conf", settings: ["unix_socket_directories": "\"/run/a\", /tmp"],
            hasChecksums: true)
        #expect(server.place(server.configFile, data: "/srv/data.new") == "/srv/data.new/postgresql.conf")
        #expect(server.place(server.hbaFile, data: "/srv/data.new") == "/etc/pg/pg_hba.conf")
        #expect(server.socketDirectory == "/run/a")
        let files = ManagedFiles(
            node: NodeName("a")!, setup: ServerSetup(port: 5433, settings: ["wal_level": "logical"]),
            socketDirectory: "/x", systemUser: "postgres", adopted: server)
        #expect(files.problem == nil)
        #expect(files.configuration.contains("unix_socket_directories = '\"/run/a\", /tmp'"))
        #expect(files.configuration.contains("wal_level = 'logical'"))
        #expect(!files.configuration.contains("wal_log_hints"))
        #expect(!files.configuration.contains("max_wal_senders"))
        #expect(!files.accessRules("").contains("local all postgres"))
        server.hasChecksums = false
        var without = files
        without.adopted = server
        #expect(without.configuration.contains("wal_log_hints = 'on'"))
        without.adopted = nil
        #expect(without.accessRules("").contains("local all postgres peer map=pgha"))
    }

    @Test func theEndOfWALIsReadFromWhatWALDumpSays() {
        let segment: UInt64 = 16 << 20
        let length =
            "pg_waldump: error: error in WAL record at 0/1500060: invalid record length at 0/1500098: wanted 24, got 0"
        #expect(WALEnd.read(status: 1, standardError: length) == .end(LSN(0x150_0098)))
        // A reader's position after a page header is the page's beginning.
        let page = "pg_waldump: error: error in WAL record at 0/1501FC8: invalid record length at 0/1502018: wanted 24"
        #expect(WALEnd.read(status: 1, standardError: page) == .end(LSN(0x150_2000)))
        let crc =
            "pg_waldump: error: error in WAL record at 0/1500060: incorrect resource manager data checksum in record at 0/1500098"
        #expect(WALEnd.read(status: 1, standardError: crc) == .lastRecord(LSN(0x150_0060)))
        #expect(WALEnd.read(status: 0, standardError: "") == .reachedLimit)
        #expect(
            WALEnd.read(status: 1, standardError: "pg_waldump: error: could not find a valid record after 0/3000000")
                == .nothing)
        #expect(WALEnd.read(status: 1, standardError: "something else") == .notUnderstood)
        let line = "rmgr: Heap  len (rec/tot):     54/   154, tx:  733, lsn: 0/01500060, prev 0/01500028, desc: INSERT"
        #expect(WALEnd.recordStart(line: line) == LSN(0x150_0060))
        #expect(WALEnd.recordEnd(start: LSN(0x150_0060), line: line, segmentSize: segment) == LSN(0x150_0100))
        // Across a page: 24 bytes of header; across a segment: 40.
        #expect(WALEnd.advance(LSN(0x150_1FF0), by: 32, segmentSize: segment) == LSN(0x150_2028))
        #expect(WALEnd.advance(LSN(0x1FF_FFF0), by: 32, segmentSize: segment) == LSN(0x200_0038))
        #expect(WALEnd.advance(LSN(0x150_1FF0), by: 16, segmentSize: segment) == LSN(0x150_2000))
    }

    @Test func segmentNamesGoBothWays() throws {
        let segment = try #require(WALSegmentName("000000020000001600000074", segmentSize: 16 << 20))
        #expect(segment.timeline == TimelineID(2) && segment.start == LSN("16/74000000"))
        #expect(segment.fileName(segmentSize: 16 << 20) == "000000020000001600000074")
        #expect(WALSegmentName("00000002.history", segmentSize: 16 << 20) == nil)
        #expect(WALSegmentName.historyFileName(TimelineID(26)) == "0000001A.history")
    }

    @Test func localConnectionsAreLetInByPasswordsWhereOthersAre() throws {
        func rule(_ user: String, _ address: String, _ method: String) -> HBARule {
            HBARule(type: "hostssl", database: "all", user: user, address: address, method: method)
        }
        var files = ManagedFiles(
            node: try #require(NodeName("n1")),
            setup: ServerSetup(
                port: 5432,
                access: [
                    rule("evil", "all", "reject"), rule("app", "samenet", "md5"), rule("old", "all", "ldap"),
                    rule("all", "all", "scram-sha-256"),
                ]), socketDirectory: "/run/x", systemUser: "alice")
        func locals() -> [Substring] {
            files.accessRules("").split(separator: "\n").filter { $0.hasPrefix("local all ") && !$0.contains("peer") }
        }
        #expect(locals() == ["local all evil reject", "local all app md5"])
        // Its administrator's own lines decide.
        files.adopted = AdoptedServer(
            data: "/srv/data", options: [], configFile: "/srv/data/postgresql.conf", hbaFile: "/srv/data/pg_hba.conf",
            identFile: "/srv/data/pg_ident.conf", settings: [:], hasChecksums: true)
        #expect(locals() == [])
    }

    @Test func managedBlocksAreReplacedAndNeverPiledUp() throws {
        let files = ManagedFiles(
            node: try #require(NodeName("n1")),
            setup: ServerSetup(
                port: 5432, settings: ["work_mem": "5MB", "max_wal_senders": "20"], trustedNetworks: ["10.0.0.0/8"],
                access: [
                    HBARule(type: "host", database: "all", user: "app", address: "samenet", method: "scram-sha-256")
                ]),
            socketDirectory: "/run/x", systemUser: "alice")
        let once = files.accessRules("local all all peer\n")
        #expect(files.accessRules(once) == once)
        #expect(once.hasPrefix("# pgha begin\nlocal all postgres peer map=pgha\n"))
        #expect(once.contains("host all app samenet scram-sha-256\nlocal all app scram-sha-256\n# pgha end\n"))
        #expect(once.hasSuffix("# pgha end\nlocal all all peer\n"))
        #expect(once.contains("\nhost postgres pgha_pooler 10.0.0.0/8 scram-sha-256\n"))
        let main = files.mainConfiguration("port = 1\n")
        #expect(files.mainConfiguration(main) == main && main.hasSuffix("include = 'pgha.conf'\n# pgha end\n"))
        #expect(files.configuration.contains("max_wal_senders = '20'\n"))
        #expect(!files.configuration.contains("max_wal_senders = '10'"))
        #expect(files.identities("").contains("pgha \"alice\" postgres"))
        #expect(files.problem == nil)
    }

    @Test(arguments: ["port", "synchronous_standby_names", "pgha.term", "fsync", "a b", "x\ny", ""])
    func settingsThatWouldBreakTheProceduresAreRefused(name: String) throws {
        let files = ManagedFiles(
            node: try #require(NodeName("n1")), setup: ServerSetup(port: 5432, settings: [name: "1"]),
            socketDirectory: "/run/x", systemUser: "alice")
        #expect(files.problem != nil)
    }

    private final class Calls: Sendable {
        let blocked = Atomic<Int>(0)
        let released = Atomic<Bool>(false)
        /// Gave up waiting for their release.
        let late = Atomic<Int>(0)
    }

    /// As many blocked calls as a clone, its stop and a look at the facts make together, and more.
    @Test func blockedCallsDoNotHoldUpOthers() async {
        let calls = Calls()
        await withTaskGroup(of: Void.self) { group in
            for _ in 0..<8 {
                group.addTask {
                    await Offload.run {
                        calls.blocked.add(1, ordering: .relaxed)
                        let end = ContinuousClock.now + .seconds(30)
                        while !calls.released.load(ordering: .relaxed) {
                            usleep(1000)
                            guard ContinuousClock.now > end else { continue }
                            calls.late.add(1, ordering: .relaxed)
                            return
                        }
                    }
                }
            }
            // The ninth call, which alone ends the eight.
            while calls.blocked.load(ordering: .relaxed) < 8, calls.late.load(ordering: .relaxed) == 0 {
                try? await Task.sleep(for: .milliseconds(1))
            }
            await Offload.run { calls.released.store(true, ordering: .relaxed) }
        }
        #expect(calls.late.load(ordering: .relaxed) == 0)
    }

    @Test func tokensCompareWhole() {
        #expect(BearerCheck.bears("Bearer abc", token: "abc"))
        #expect(!BearerCheck.bears("Bearer abcd", token: "abc"))
        #expect(!BearerCheck.bears("Bearer ab", token: "abc"))
        #expect(!BearerCheck.bears(nil, token: "abc"))
        #expect(!BearerCheck.bears("bearer abc", token: "abc"))
    }

    @Test func lagLimitsAreReadInPostgreSQLsUnits() {
        #expect(ByteLimit.parse("16MB") == 16 << 20)
        #expect(ByteLimit.parse("64kB") == 64 << 10)
        #expect(ByteLimit.parse("1024") == 1024)
        #expect(ByteLimit.parse("12 parsecs") == nil)
        #expect(ByteLimit.parse("99999999999TB") == nil)
    }

    @Test func anUpstreamIsKnownHoweverItIsWritten() throws {
        let leader = AgentUpstream(name: try #require(NodeName("n1")), host: "10.0.0.1", port: 5432)
        let name = ReplicationName(node: try #require(NodeName("n2")), suffix: 7)
        let wanted = UpstreamIdentity(leader: leader, name: name)
        #expect(
            UpstreamIdentity(conninfo: "port = 5432 host='10.0.0.1' passfile='a\\'b' application_name=\(name)")
                == wanted)
        #expect(UpstreamIdentity(conninfo: "host=10.0.0.2 port=5432 application_name=\(name)") != wanted)
        #expect(UpstreamIdentity(conninfo: "") == nil && UpstreamIdentity(conninfo: "host='x") == nil)
    }

    @Test func secretsAreNeverPrinted() {
        let secret = WireSecret("hunter2")
        #expect("\(secret)" == "***" && String(reflecting: secret) == "***")
        #expect(Passfile.content(user: "u", password: "a:b\\c") == "*:*:*:u:a\\:b\\\\c\n")
    }
}
