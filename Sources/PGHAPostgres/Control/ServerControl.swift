package import PGHACore

/// How a standby reaches the server that it follows: what goes into its `primary_conninfo`.
package struct Upstream: Sendable, Hashable {
    package var host: String
    package var port: Int
    package var user: String
    /// On the standby's host; the password itself is never part of a setting.
    package var passfile: String?
    package var sslMode: ConnectionParameters.SSLMode
    /// On the standby's host.
    package var sslRootCert: String?

    package init(
        host: String, port: Int, user: String, passfile: String? = nil,
        sslMode: ConnectionParameters.SSLMode = .prefer, sslRootCert: String? = nil
    ) {
        self.host = host
        self.port = port
        self.user = user
        self.passfile = passfile
        self.sslMode = sslMode
        self.sslRootCert = sslRootCert
    }

    func conninfo(name: ReplicationName) -> String { self.conninfo(applicationName: name.description) }

    func conninfo(applicationName: String) -> String {
        var pairs = [
            ("host", self.host), ("port", "\(self.port)"), ("user", self.user), ("application_name", applicationName),
            ("sslmode", self.sslMode.rawValue), ("gssencmode", "disable"), ("connect_timeout", "2"),
        ]
        if let passfile = self.passfile { pairs.append(("passfile", passfile)) }
        if let sslRootCert = self.sslRootCert { pairs.append(("sslrootcert", sslRootCert)) }
        return PGHAPostgres.conninfo(pairs.map { (keyword: $0.0, value: $0.1) })
    }
}

/// Carries out a controller's SQL commands on one server: each under the node lock, refused below the server's
/// pledge, and answered only after the effect was seen in a session that was opened after it (DESIGN section 4).
///
/// One session is kept open between commands; it holds the node lock only while a command runs. Commands of one
/// `ServerControl` run one after the other.
package actor ServerControl {
    /// How long the steps of a command may take.
    package struct Deadlines: Sendable {
        /// For a setting to be loaded, and for the lock.
        package var settings = Duration.seconds(2)
        package var lock = Duration.milliseconds(500)
        package var seal = Duration.seconds(2)
        /// Replay of what was received included.
        package var promote = Duration.seconds(10)
        package var checkpoint = Duration.seconds(300)

        package init() {}
    }

    let node: NodeName
    let parameters: ConnectionParameters
    let expectedSystemIdentifier: UInt64?
    let deadlines: Deadlines
    private var warm: PostgresConnection?
    private var isBusy = false
    private var waiting: [CheckedContinuation<Void, Never>] = []

    /// - Parameters:
    ///   - node: the server's own name: its `primary_slot_name` follows from it.
    ///   - parameters: of the control role. All controllers must use the same database: PostgreSQL keeps advisory
    ///     locks per database.
    ///   - expectedSystemIdentifier: a server with another one is never touched; nil accepts any.
    package init(
        node: NodeName, parameters: ConnectionParameters, expectedSystemIdentifier: UInt64? = nil,
        deadlines: Deadlines = Deadlines()
    ) {
        var parameters = parameters
        parameters.settings.merge(sessionSettings) { _, ours in ours }
        self.node = node
        self.parameters = parameters
        self.expectedSystemIdentifier = expectedSystemIdentifier
        self.deadlines = deadlines
    }

    /// Carries out `command`. Host work is not done here: it answers `.failed(.other(…))`.
    ///
    /// - Parameter upstream: for `follow` only.
    package func execute(_ command: NodeCommand, upstream: Upstream? = nil) async -> NodeOutcome {
        do {
            return try await self.exclusively { try await self.perform(command, upstream) }
        } catch {
            return .failed(Self.failure(error))
        }
    }

    private func perform(_ command: NodeCommand, _ upstream: Upstream?) async throws -> NodeOutcome {
        switch command {
        case .seal(let pledge): return .sealed(try await self.seal(pledge))
        case .reclaim(let pledge): return .reclaimed(try await self.reclaim(pledge))
        case .readPosition(let pledge): return .sealed(try await self.readPosition(pledge))
        case .promote(let pledge): return .promoted(try await self.promote(pledge))
        case .follow(let pledge, _, let name):
            guard let upstream else { throw NodeFailure.other("follow: no address of the leader was given") }
            try await self.follow(pledge, name, upstream)
            return .done
        case .writeTermRow(let rule, let timeline, let reason):
            return .wrote(try await self.writeTermRow(TermHistoryRow(rule: rule, timeline: timeline, reason: reason)))
        case .readSenders(let pledge): return .senders(try await self.readSenders(pledge))
        case .setSyncList(let pledge, let list):
            try await self.setSyncList(pledge, list)
            return .done
        case .checkpoint:
            _ = try await self.onWarmSession { try await $0.query("CHECKPOINT", timeout: self.deadlines.checkpoint) }
            return .done
        case .fence, .startLeader, .startStandby, .rejoin, .initialize, .lease:
            throw NodeFailure.other("\(command.label) is work for the agent")
        }
    }

    /// Sees to it that the session for commands is open and alive: logging in takes some milliseconds, which the first
    /// command of a failover does not have.
    package func warmUp() async throws(NodeFailure) {
        guard !self.isBusy else { return }
        do {
            try await self.exclusively {
                try await self.onWarmSession { _ = try await $0.query("SELECT", timeout: self.deadlines.settings) }
            }
        } catch {
            throw Self.failure(error)
        }
    }

    /// Ends the kept session.
    package func close() async {
        let session = self.warm
        self.warm = nil
        await session?.close()
    }

    static func failure(_ error: any Error) -> NodeFailure {
        switch error {
        case let failure as NodeFailure: failure
        case let error as PostgresError: error.nodeFailure
        case is CancellationError: .unreachable("the task was cancelled")
        default: .other("\(error)")
        }
    }
}

// MARK: - Sessions

extension ServerControl {
    /// Runs `body` when no other command of this object runs.
    func exclusively<Value: Sendable>(_ body: () async throws -> Value) async throws -> Value {
        if self.isBusy {
            await withCheckedContinuation { self.waiting.append($0) }
        } else {
            self.isBusy = true
        }
        defer {
            if self.waiting.isEmpty { self.isBusy = false } else { self.waiting.removeFirst().resume() }
        }
        return try await body()
    }

    /// Runs `body` on the kept session, opening it where needed. When the kept one turns out to be dead before
    /// anything came of `body`'s first statement, a new one is tried: `body` must be idempotent.
    func onWarmSession<Value: Sendable>(_ body: (PostgresConnection) async throws -> Value) async throws -> Value {
        if let session = self.warm {
            if await session.isUsable {
                do {
                    return try await body(session)
                } catch let error as PostgresError where error.kind == .reset || error.kind == .closed {
                    self.warm = nil
                }
            } else {
                self.warm = nil
            }
        }
        let session = try await PostgresConnection.open(self.parameters)
        do {
            try await self.checkCluster(session)
        } catch {
            await session.close()
            throw error
        }
        self.warm = session
        return try await body(session)
    }

    private func checkCluster(_ session: PostgresConnection) async throws {
        guard let expected = self.expectedSystemIdentifier else { return }
        let rows = try await session.query(
            "SELECT system_identifier FROM pg_control_system()", timeout: self.deadlines.settings)
        guard let row = rows.first else { throw NodeFailure.other("the system identifier came back empty") }
        let found = try ProbeAnswer.systemIdentifier(row)
        guard found == expected else { throw NodeFailure.foreignCluster(found) }
    }
}

/// Calls `attempt` every 1.5 ms until it returns a value; throws `late()` after the deadline.
///
/// The steps of a failover take single milliseconds: a longer pause would show in its duration.
func poll<Value: Sendable>(
    until deadline: ContinuousClock.Instant, isolation: isolated (any Actor)? = #isolation,
    late: () -> NodeFailure, _ attempt: () async throws -> Value?
) async throws -> Value {
    while true {
        if let value = try await attempt() { return value }
        guard ContinuousClock.now < deadline else { throw late() }
        try await Task.sleep(for: .microseconds(1500))
    }
}
