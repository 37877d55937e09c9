internal import CPGHASystem
internal import Glibc
package import PGHAPostgres
internal import Synchronization

/// A real PostgreSQL server in a temporary directory, for tests.
///
/// The directory comes from a template that initdb filled once per process. The server dies with the test
/// process: a small shell between the two holds the read end of a pipe and stops the server when the pipe closes,
/// however the process ended. The object's end kills the server and removes the directory.
package final class ScratchPostgres: Sendable {
    package struct Options: Sendable {
        /// Slower, and needed only where a test kills the machine; killed processes keep what they wrote.
        package var fsync = true
        /// `trust` or `scram-sha-256`, for TCP and the socket alike.
        package var authentication = "trust"
        package var maxConnections = 40
        /// Lines for `postgresql.conf`, after the defaults below.
        package var settings: [String: String] = [:]
        /// Whether the configuration is in a directory of its own, named on the command line, as Debian has it.
        package var hasSeparateConfiguration = false

        package init() {}
    }

    /// The superuser that initdb made, and its password under `scram-sha-256`.
    package static let superuser = "postgres"
    package static let superuserPassword = "scratch-superuser"

    /// Nil, or why tests with servers must be skipped on this machine.
    package static let unavailable: String? = ScratchPrograms.missing

    /// Whether its servers speak TLS.
    package static var hasTLS: Bool { ScratchPrograms.hasTLS }

    package let directory: String
    package let port: Int
    package let options: Options

    private struct Running {
        var keeper: ChildProcess?
    }
    private let running = Mutex(Running())

    package var dataDirectory: String { "\(self.directory)/data" }
    package var socketDirectory: String { "\(self.directory)/run" }
    /// Where `postgresql.conf` and `pg_hba.conf` are.
    package var configurationDirectory: String {
        self.options.hasSeparateConfiguration ? "\(self.directory)/etc" : self.dataDirectory
    }
    package var logFile: String { "\(self.directory)/log" }

    private init(directory: String, port: Int, options: Options) {
        self.directory = directory
        self.port = port
        self.options = options
    }

    deinit {
        self.stopNow()
        removeTree(self.directory)
    }

    // MARK: - Making servers

    /// A new cluster, started, accepting connections.
    package static func start(_ options: Options = Options()) async throws -> ScratchPostgres {
        let template = try await ScratchTemplate.shared.directory()
        let server = try Self.prepare(options)
        try await run(["cp", "-a", template, server.dataDirectory])
        try server.configure()
        try await server.launch()
        return server
    }

    /// A standby of `primary` by pg_basebackup, started, accepting connections; streaming as `name` unless
    /// `follows` is false.
    package static func standby(
        of primary: ScratchPostgres, name: String = "standby", slot: String? = nil, follows: Bool = true,
        launch: Bool = true, settings: [String: String] = [:]
    ) async throws -> ScratchPostgres {
        var options = primary.options
        options.settings.merge(settings) { $1 }
        let server = try Self.prepare(options)
        try await run(
            [
                ScratchPrograms.path("pg_basebackup"), "-h", primary.socketDirectory, "-p", "\(primary.port)",
                "-U", Self.superuser, "-D", server.dataDirectory, "-c", "fast", "-X", "stream", "--no-sync",
            ], environment: ["PGPASSWORD": Self.superuserPassword])
        try server.configure()
        try server.write("standby.signal", "")
        // Removes what the primary set by ALTER SYSTEM: a copied list or pledge would be another server's.
        try server.write("postgresql.auto.conf", "")
        if follows { try server.setFollowed(primary, name: name, slot: slot) }
        if launch { try await server.launch() }
        return server
    }

    /// Writes `primary_conninfo` for `primary` into `postgresql.auto.conf`; takes effect at the next start.
    package func setFollowed(_ primary: ScratchPostgres, name: String, slot: String? = nil) throws {
        var text = "primary_conninfo = 'host=127.0.0.1 port=\(primary.port) user=\(Self.superuser)"
        text += " password=\(Self.superuserPassword) application_name=\(name)'\n"
        if let slot { text += "primary_slot_name = '\(slot)'\n" }
        try self.write("postgresql.auto.conf", text)
    }

    private static func prepare(_ options: Options) throws -> ScratchPostgres {
        if let reason = Self.unavailable { throw ScratchFailure(reason) }
        let directory = try makeTemporaryDirectory("pgha-scratch")
        let server = ScratchPostgres(directory: directory, port: try freePort(), options: options)
        try makeDirectory(server.socketDirectory)
        return server
    }

    private func configure() throws {
        var settings = [
            "listen_addresses": "127.0.0.1", "port": "\(self.port)", "unix_socket_directories": self.socketDirectory,
            "max_connections": "\(self.options.maxConnections)", "superuser_reserved_connections": "3",
            "shared_buffers": "16MB", "wal_level": "replica", "hot_standby": "on", "max_wal_senders": "10",
            "max_replication_slots": "10", "wal_log_hints": "on", "wal_keep_size": "64MB",
            "max_slot_wal_keep_size": "1GB", "wal_sender_timeout": "5s", "wal_receiver_timeout": "5s",
            "wal_receiver_status_interval": "1s", "wal_retrieve_retry_interval": "200ms",
            "recovery_target_timeline": "latest", "fsync": self.options.fsync ? "on" : "off",
            "autovacuum": "off", "log_min_messages": "warning", "lc_messages": "C",
        ]
        settings.merge(self.options.settings) { $1 }
        let lines = settings.sorted { $0.key < $1.key }.map { "\($0.key) = '\($0.value)'\n" }.joined()
        let home = self.configurationDirectory
        if self.options.hasSeparateConfiguration { try makeDirectory(home) }
        let places = "hba_file = '\(home)/pg_hba.conf'\nident_file = '\(home)/pg_ident.conf'\n"
        try writeFile("\(home)/postgresql.conf", lines + places)
        try writeFile("\(home)/pg_ident.conf", "")
        let method = self.options.authentication
        let rules = ["local all all", "host all all 127.0.0.1/32"].map { "\($0) \(method)\n" }
        let replication = ["local replication all", "host replication all 127.0.0.1/32"].map { "\($0) \(method)\n" }
        try writeFile("\(home)/pg_hba.conf", (rules + replication).joined())
    }

    /// Replaces a file of the data directory.
    package func write(_ name: String, _ text: String) throws {
        try writeFile("\(self.dataDirectory)/\(name)", text)
    }

    /// The text of a file of the data directory; nil when it is not there.
    package func read(_ name: String) -> String? { readFile("\(self.dataDirectory)/\(name)") }

    // MARK: - Processes

    /// Starts the postmaster and waits until it accepts connections.
    package func launch(timeout: Duration = .seconds(60)) async throws {
        try self.launchWithoutWaiting()
        let deadline = ContinuousClock.now + timeout
        while ContinuousClock.now < deadline {
            if let connection = try? await PostgresConnection.open(self.parameters()) {
                await connection.close()
                return
            }
            if !self.isRunning { break }
            try await Task.sleep(for: .milliseconds(5))
        }
        throw ScratchFailure("the server did not start:\n\(readFile(self.logFile) ?? "no log")")
    }

    package func launchWithoutWaiting() throws {
        // The shell stays the postmaster's parent. `read` returns when the test process closes the pipe or dies.
        // A watcher in the background reads /dev/null as its standard input, hence descriptor 3.
        let script = """
            cd /; exec 2>/dev/null
            "$0" -D "$1" -c config_file="$3" >>"$2" 2>&1 </dev/null 3<&- & server=$!
            (
                read -r _ <&3
                kill -QUIT $server 2>/dev/null
                for attempt in 1 2 3 4 5 6 7 8 9 10; do kill -0 $server 2>/dev/null || exit; sleep 0.1; done
                kill -KILL $server $(cat /proc/$server/task/$server/children) 2>/dev/null
            ) & watcher=$!
            wait $server; status=$?
            kill -KILL $watcher 2>/dev/null
            exit $status
            """
        let keeper = try ChildProcess(
            arguments: [
                "/bin/bash", "-c", script, ScratchPrograms.path("postgres"), self.dataDirectory, self.logFile,
                "\(self.configurationDirectory)/postgresql.conf",
            ], dropsPrivileges: true)
        self.running.withLock { $0.keeper = keeper }
    }

    /// The postmaster's process; nil when `postmaster.pid` is not there.
    package var postmasterPID: Int32? {
        self.read("postmaster.pid")?.split(separator: "\n").first.flatMap { Int32($0) }
    }

    package var isRunning: Bool { self.running.withLock { $0.keeper?.isRunning ?? false } }

    /// Clean stop; returns when the postmaster has exited.
    package func stop(_ mode: StopMode = .fast) async throws {
        guard let pid = self.postmasterPID, self.isRunning else { return }
        _ = Glibc.kill(pid, mode.signal)
        let deadline = ContinuousClock.now + .seconds(30)
        while self.isRunning {
            guard ContinuousClock.now < deadline else { throw ScratchFailure("the server did not stop") }
            try await Task.sleep(for: .milliseconds(2))
        }
        self.running.withLock { $0.keeper = nil }
    }

    package enum StopMode: Sendable {
        case smart, fast, immediate
        var signal: Int32 {
            switch self {
            case .smart: SIGTERM
            case .fast: SIGINT
            case .immediate: SIGQUIT
            }
        }
    }

    /// Sends `signal` to the postmaster alone; its children notice a SIGKILL by themselves, soon.
    package func signalPostmaster(_ signal: Int32) {
        if let pid = self.postmasterPID { _ = Glibc.kill(pid, signal) }
    }

    /// The postmaster and all its children, as process ids.
    package var processes: [Int32] {
        guard let postmaster = self.postmasterPID else { return [] }
        return [postmaster] + childProcesses(of: postmaster)
    }

    /// SIGSTOP to every process of the server: the frozen host.
    package func freeze() { for pid in self.processes { _ = Glibc.kill(pid, SIGSTOP) } }
    package func thaw() { for pid in self.processes { _ = Glibc.kill(pid, SIGCONT) } }

    /// SIGKILL to every process of the server; it can be launched again. Returns when they are gone.
    package func kill() {
        let keeper = self.running.withLock { running in
            let keeper = running.keeper
            running.keeper = nil
            return keeper
        }
        // An agent that took the server over may have started it again.
        guard keeper?.isRunning == true || self.postmasterPID.map(self.isOurs) == true else { return }
        // The postmaster first, so that it starts no more children.
        let processes = self.processes
        for pid in processes { _ = Glibc.kill(pid, SIGKILL) }
        keeper?.closePipe()
        keeper?.waitForExit()
        for pid in processes { waitUntilGone(pid) }
    }

    /// Whether a process works in the data directory: another one may have its number by now.
    private func isOurs(_ pid: Int32) -> Bool {
        var buffer = [UInt8](repeating: 0, count: 4096)
        let count = readlink("/proc/\(pid)/cwd", &buffer, buffer.count)
        return count > 0 && String(decoding: buffer[..<count], as: UTF8.self) == self.dataDirectory
    }

    /// Immediate stop, by force if that takes long; gives the server's System V shared memory back, which a
    /// killed postmaster leaves behind.
    private func stopNow() {
        if self.isRunning {
            self.thaw()
            self.signalPostmaster(SIGQUIT)
            for _ in 0..<2000 where self.isRunning { usleep(1000) }
        }
        self.kill()
        // Line 7 of postmaster.pid: key and id. Source: PostgreSQL, src/include/utils/pidfile.h.
        let lines = self.read("postmaster.pid")?.split(separator: "\n", omittingEmptySubsequences: false) ?? []
        if lines.count >= 7, let id = lines[6].split(separator: " ").last.flatMap({ Int32($0) }) {
            shmctl(id, IPC_RMID, nil)
        }
    }

    // MARK: - Connections

    /// Over the Unix socket unless `tcp`.
    package func parameters(
        user: String = ScratchPostgres.superuser, password: String = ScratchPostgres.superuserPassword,
        database: String = "postgres", tcp: Bool = false
    ) -> ConnectionParameters {
        ConnectionParameters(
            host: tcp ? "127.0.0.1" : self.socketDirectory, port: self.port, user: user, database: database,
            password: Secret(password), connectTimeout: .seconds(30))
    }

    package func connect() async throws -> PostgresConnection { try await PostgresConnection.open(self.parameters()) }

    /// Runs one statement as superuser in a session of its own.
    @discardableResult
    package func query(_ sql: String, _ values: [String?] = []) async throws -> [Row] {
        let connection = try await self.connect()
        do {
            let rows = try await connection.query(sql, values, timeout: .seconds(30))
            await connection.close()
            return rows
        } catch {
            await connection.close()
            throw error
        }
    }

    /// Polls `condition`, one boolean column, until it holds.
    package func wait(until condition: String, timeout: Duration = .seconds(60)) async throws {
        let connection = try await self.connect()
        let deadline = ContinuousClock.now + timeout
        while ContinuousClock.now < deadline {
            if try await connection.query("SELECT (\(condition)) AS holds").first?.boolIfPresent("holds") == true {
                await connection.close()
                return
            }
            try await Task.sleep(for: .milliseconds(5))
        }
        await connection.close()
        throw ScratchFailure("did not come true within \(timeout): \(condition)")
    }
}

/// Why a scratch server could not do what a test asked.
package struct ScratchFailure: Error, CustomStringConvertible {
    package let description: String
    package init(_ description: String) { self.description = description }
}
