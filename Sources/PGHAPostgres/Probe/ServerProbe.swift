package import PGHACore

/// Watches one server over one long-lived session; a session that was lost is reported once and opened again by
/// the next call.
package actor ServerProbe {
    private let parameters: ConnectionParameters
    private var session: PostgresConnection?
    /// Settings that wait for a restart, as of the configuration load that they were read at: scanning all
    /// settings costs the server about a millisecond, so it is done once per load.
    private var pendingRestart: (loadTime: Int64, names: [String]) = (0, [])
    /// A value each time the session is lost without our doing, the moment that the network says so: a reason to
    /// probe at once. For one reader.
    package nonisolated let losses: AsyncStream<Void>
    private let lossFound: AsyncStream<Void>.Continuation

    package init(_ parameters: ConnectionParameters) {
        var parameters = parameters
        parameters.settings.merge(sessionSettings) { _, ours in ours }
        self.parameters = parameters
        (self.losses, self.lossFound) = AsyncStream.makeStream(bufferingPolicy: .bufferingNewest(1))
    }

    /// Asks everything in one round trip (and opens the session first where there is none).
    ///
    /// - Parameter timeout: for all of it.
    package func observe(timeout: Duration) async -> Result<ServerObservation, ProbeFailure> {
        let deadline = ContinuousClock.now + timeout
        do {
            do {
                return .success(try await self.ask(until: deadline))
            } catch  where error.sqlstate == Self.recoveryEnded {
                return .success(try await self.ask(until: deadline))
            }
        } catch {
            return .failure(error.probeFailure)
        }
    }

    package func close() async {
        self.lossFound.finish()
        let session = self.session
        self.session = nil
        await session?.close()
    }

    /// Once lost, a session is not asked again: the next probe finds out what a new one meets.
    private func watch(_ session: PostgresConnection) async {
        guard await session.waitUntilLost() else { return }
        self.forget(session)
        self.lossFound.yield()
    }

    /// 55000 object_not_in_prerequisite_state: the server was promoted between two functions of one statement.
    private static let recoveryEnded = "55000"

    private func ask(until deadline: ContinuousClock.Instant) async throws(PostgresError) -> ServerObservation {
        let session = try await self.usableSession(until: deadline)
        let results: [[Row]]
        do {
            results = try await session.results(
                ProbeSQL.text(knownLoadTime: self.pendingRestart.loadTime), timeout: deadline - .now, whenLate: .close)
        } catch {
            if await !session.isUsable { self.forget(session) }
            throw error
        }
        var answer = try ProbeAnswer(results)
        if answer.loadTime == self.pendingRestart.loadTime {
            answer.observation.pendingRestart = self.pendingRestart.names
        } else {
            self.pendingRestart = (answer.loadTime, answer.observation.pendingRestart)
        }
        return answer.observation
    }

    private func usableSession(
        until deadline: ContinuousClock.Instant
    ) async throws(PostgresError) -> PostgresConnection {
        if let session = self.session { return session }
        var parameters = self.parameters
        parameters.connectTimeout = min(parameters.connectTimeout, deadline - .now)
        let session = try await PostgresConnection.open(parameters)
        // Another call may have been quicker.
        if let other = self.session {
            await session.close()
            return other
        }
        self.session = session
        self.pendingRestart = (0, [])
        Task { await self.watch(session) }
        return session
    }

    private func forget(_ session: PostgresConnection) {
        if self.session === session { self.session = nil }
    }
}

/// Settings of every session of ours, whatever role and database say: no statement of ours may wait for a
/// standby's acknowledgement, find a function in a schema of someone else, or hold the node lock for long after
/// its client vanished (5 s idle + 3 × 2 s = 11 s; source: tcp(7)).
let sessionSettings = [
    "synchronous_commit": "local", "search_path": "pg_catalog", "statement_timeout": "0", "lock_timeout": "0",
    "default_transaction_isolation": "read committed", "DateStyle": "ISO", "bytea_output": "hex",
    "tcp_keepalives_idle": "5", "tcp_keepalives_interval": "2", "tcp_keepalives_count": "3", "tcp_user_timeout": "5000",
]
