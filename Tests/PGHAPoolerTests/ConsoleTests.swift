import PGHAPooler
import PGHAPostgres
import PGHATesting
import PGHAWire
import Testing

@Suite("The console", .serialized, .enabled(if: ScratchPostgres.unavailable == nil)) struct ConsoleTests {
    private static func rig(threads: Int = 1) async throws -> PoolerRig {
        try await PoolerRig.start(poolSize: 2) { configuration in
            configuration.threads = threads
            configuration.console.administrators = ["postgres"]
            configuration.console.observers = ["looker"]
        }
    }

    private static func console(_ rig: PoolerRig, user: String = "postgres") throws -> RawClient {
        try RawClient.logIn(port: rig.port, user: user, database: "pgbouncer")
    }

    @Test(arguments: [1, 2]) func showsWhatAllLoopsDo(threads: Int) async throws {
        let rig = try await Self.rig(threads: threads)
        let client = try rig.client()
        try client.query("SELECT 1")
        let console = try Self.console(rig)
        #expect(try console.query("SHOW POOLS").filter { $0.hasPrefix("D:") } == ["D:postgres"])
        #expect(try console.query("SHOW CLIENTS;").filter { $0.hasPrefix("D:") } == ["D:C"])
        #expect(try console.query("show servers").filter { $0.hasPrefix("D:") } == ["D:S"])
        for table in [
            "STATS", "STATS_TOTALS", "STATS_AVERAGES", "DATABASES", "USERS", "LISTS", "VERSION", "MEM", "HELP",
        ] {
            let answer = try console.query("SHOW \(table)")
            #expect(answer.first == "T" && answer.contains { $0.hasPrefix("D:") } && answer.last == "Z:I", "\(table)")
        }
        #expect(try console.query("SHOW NOTHING") == ["E:42601", "Z:I"])
    }

    /// Tools ask for columns by the names of the version that they were written for.
    @Test func columnsHaveTheNamesOfPgBouncers() async throws {
        let rig = try await Self.rig()
        try rig.client().query("SELECT 1")
        let console = try Self.console(rig)
        for (table, names) in Self.columns {
            console.send { $0.query("SHOW \(table)") }
            let description = try #require(try console.readToReady().first { $0.type == "T" })
            let shown = Set(Self.names(description.body))
            #expect(names.filter { !shown.contains($0) }.isEmpty, "\(table)")
        }
        let lists = try Self.rows(console, "LISTS").compactMap { $0[0] }
        #expect(Set(lists).isSuperset(of: Self.lists))
    }

    /// Of PgBouncer 1.18 (asked with the console of Debian 12's), of its manual for 1.25, and of
    /// prometheus-pgbouncer-exporter 1.7, which has never heard of anything newer than PgBouncer 1.7.
    private static let columns: [(String, [String])] = [
        (
            "STATS",
            """
            database total_xact_count total_query_count total_received total_sent total_xact_time total_query_time
            total_wait_time avg_xact_count avg_query_count avg_recv avg_sent avg_xact_time avg_query_time avg_wait_time
            total_server_assignment_count total_client_parse_count total_server_parse_count total_bind_count
            avg_server_assignment_count avg_client_parse_count avg_server_parse_count avg_bind_count
            total_requests avg_req avg_query
            """
        ),
        ("STATS_TOTALS", "database xact_count query_count bytes_received bytes_sent xact_time query_time wait_time"),
        ("STATS_AVERAGES", "database xact_count query_count bytes_received bytes_sent xact_time query_time wait_time"),
        ("TOTALS", "name value"),
        (
            "POOLS",
            """
            database user cl_active cl_waiting cl_active_cancel_req cl_waiting_cancel_req sv_active sv_active_cancel
            sv_being_canceled sv_idle sv_used sv_tested sv_login maxwait maxwait_us pool_mode load_balance_hosts
            """
        ),
        (
            "DATABASES",
            """
            name host port database force_user pool_size min_pool_size reserve_pool reserve_pool_size server_lifetime
            pool_mode load_balance_hosts max_connections current_connections max_client_connections
            current_client_connections paused disabled
            """
        ),
        ("CLIENTS", Self.sockets), ("SERVERS", Self.sockets), ("SOCKETS", Self.sockets),
        ("USERS", "name pool_size reserve_pool_size pool_mode max_user_connections current_connections"),
        ("LISTS", "list items"), ("CONFIG", "key value default changeable"), ("MEM", "name size used free memtotal"),
        ("DNS_HOSTS", "hostname ttl addrs"), ("DNS_ZONES", "zonename serial count"), ("VERSION", "version"),
    ].map { ($0.0, $0.1.split { $0 == " " || $0 == "\n" }.map(String.init)) }

    private static let sockets = """
        type user database replication state addr port local_addr local_port connect_time request_time wait wait_us
        close_needed ptr link remote_pid tls application_name prepared_statements id
        """

    private static let lists: Set<String> = [
        "databases", "users", "pools", "free_clients", "used_clients", "login_clients", "free_servers", "used_servers",
        "dns_names", "dns_zones", "dns_queries", "dns_pending",
    ]

    /// Behind each name: table, column, type, length, modifier, format.
    private static func names(_ body: [UInt8]) -> [String] {
        var names: [String] = []
        var index = 2
        while index < body.count, let end = body[index...].firstIndex(of: 0) {
            names.append(String(decoding: body[index..<end], as: UTF8.self))
            index = end + 1 + 18
        }
        return names
    }

    private static func rows(_ console: RawClient, _ table: String) throws -> [[String?]] {
        console.send { $0.query("SHOW \(table)") }
        return try console.readToReady().filter { $0.type == "D" }.map { message in
            message.body.withUnsafeBytes { body in
                DataRowView(body)?.values.map { $0.map { String(decoding: $0, as: UTF8.self) } } ?? []
            }
        }
    }

    @Test func socketsSayWhenTheyWereOpenedAndLastUsed() async throws {
        let rig = try await Self.rig()
        func clock() async throws -> String {
            let text = "SELECT to_char(clock_timestamp() AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS UTC') AS now"
            return try await rig.server.query(text)[0].string("now")
        }
        let before = try await clock()
        let client = try rig.client()
        #expect(try client.value("SELECT 1 FROM pg_sleep(1.1)") == "1")
        let after = try await clock()
        let console = try Self.console(rig)
        for table in ["CLIENTS", "SERVERS"] {
            let row = try #require(try Self.rows(console, table).first)
            let (opened, used) = (row[9] ?? "", row[10] ?? "")
            #expect(before <= opened && opened < used && used <= after, "\(table): \(before) \(row) \(after)")
        }
    }

    @Test func waitCloseWaitsForConnectionsThatAreReplaced() async throws {
        let rig = try await Self.rig()
        let client = try rig.client()
        try client.query("BEGIN")
        let console = try Self.console(rig)
        #expect(try console.query("RECONNECT").first == "C:RECONNECT")
        console.send { $0.query("WAIT_CLOSE postgres") }
        let second = try Self.console(rig)
        #expect(try Self.rows(second, "SERVERS").count == 1)
        #expect(try client.query("COMMIT").last == "Z:I")
        #expect(try console.answers() == ["C:WAIT_CLOSE", "Z:I"])
        #expect(try Self.rows(second, "SERVERS").isEmpty)
    }

    @Test func pauseWaitsForTransactionsAndHoldsTheNext() async throws {
        let rig = try await Self.rig()
        let client = try rig.client()
        try client.query("BEGIN")
        let console = try Self.console(rig)
        console.send { $0.query("PAUSE") }
        try await PoolerRig.wait("the pool is held") { await rig.pooler.statistics().pools.contains(where: \.isHeld) }
        #expect(try client.query("COMMIT").last == "Z:I")
        #expect(try console.answers() == ["C:PAUSE", "Z:I"])
        #expect(await rig.pooler.statistics().servers == 0)
        client.send { $0.query("SELECT 7") }
        try await PoolerRig.wait("a client waits") {
            await rig.pooler.statistics().pools.contains { $0.clientsWaiting > 0 }
        }
        #expect(try console.query("RESUME").first == "C:RESUME")
        #expect(try client.answers().contains("D:7"))
    }

    @Test func killEndsClientsAndDisableRefusesNewOnes() async throws {
        let rig = try await Self.rig()
        let client = try rig.client()
        let console = try Self.console(rig)
        #expect(try console.query("KILL postgres").first == "C:KILL")
        #expect(try client.answers() == ["E:57P01"])
        #expect(throws: RawClient.Failure.self) { try rig.client() }
        #expect(try console.query("RESUME postgres").first == "C:RESUME")
        #expect(try console.query("DISABLE postgres").first == "C:DISABLE")
        #expect(throws: RawClient.Failure.self) { try rig.client() }
        #expect(try console.query("ENABLE postgres").first == "C:ENABLE")
        #expect(try rig.client().value("SELECT 1") == "1")
    }

    @Test func reconnectReplacesServers() async throws {
        let rig = try await Self.rig()
        let client = try rig.client()
        let before = try client.value("SELECT pg_backend_pid()")
        #expect(try Self.console(rig).query("RECONNECT").first == "C:RECONNECT")
        #expect(try client.value("SELECT pg_backend_pid()") != before)
    }

    @Test func onlyAdministratorsChangeThingsAndStrangersSeeNothing() async throws {
        let rig = try await Self.rig()
        let looker = try Self.console(rig, user: "looker")
        #expect(try looker.query("SHOW VERSION").last == "Z:I")
        #expect(try looker.query("PAUSE") == ["E:42501", "Z:I"])
        #expect(throws: RawClient.Failure.self) { try Self.console(rig, user: "stranger") }
    }
}
