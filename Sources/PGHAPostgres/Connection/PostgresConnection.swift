internal import CLibpq

/// One session. Statements run one after the other, in the order of their calls; none blocks a thread.
///
/// The actor is the sole owner of its `PGconn`: libpq lets a connection change threads while only one uses it at
/// a time (PostgreSQL manual, "Behavior in Threaded Programs"). A statement that ends without a result (time-out,
/// cancelled task) is cancelled on the server; when that does not end it soon, the session is closed.
package actor PostgresConnection {
    /// For how long a cancelled statement may take to end before the session is given up.
    static let cancelPatience = Duration.milliseconds(300)

    private var raw: OpaquePointer?
    private let parameters: ConnectionParameters
    private var isBusy = false
    private var isClosing = false
    private var waiting: [CheckedContinuation<Void, Never>] = []
    /// The wait under way, so that ``close()`` can end it.
    private var currentWait: UInt64?
    /// The waits of ``waitUntilLost()``, ended when the socket goes away.
    private var lossWaits: Set<UInt64> = []

    private init(_ parameters: ConnectionParameters) { self.parameters = parameters }

    isolated deinit { if let raw = self.raw { PQfinish(raw) } }

    /// Opens a session within `parameters.connectTimeout`.
    package static func open(_ parameters: ConnectionParameters) async throws(PostgresError) -> PostgresConnection {
        let connection = PostgresConnection(parameters)
        do {
            try await connection.connect()
        } catch {
            await connection.close()
            if !parameters.isLocalSocket { AddressResolver.shared.expire(parameters.host) }
            throw error
        }
        return connection
    }

    /// Whether another statement can be sent. True may be outdated: only a statement finds a silent peer.
    package var isUsable: Bool {
        guard let raw = self.raw, !self.isClosing else { return false }
        return PQstatus(raw) == CONNECTION_OK
    }

    /// The server process behind the session.
    package var backendPID: Int32 { self.raw.map { PQbackendPID($0) } ?? 0 }

    /// As `server_version_num`: 150018 for 15.18.
    package var serverVersion: Int { self.raw.map { Int(PQserverVersion($0)) } ?? 0 }

    /// Runs one statement with `$1`-style values in text form (extended protocol).
    ///
    /// - Parameter timeout: from the moment the statement is sent; then it is cancelled and `.timedOut` thrown.
    @discardableResult
    package func query(
        _ sql: String, _ values: [String?] = [], timeout: Duration = .seconds(5)
    ) async throws(PostgresError) -> [Row] {
        let results = try await self.run(timeout: timeout) { raw in send(raw, sql, values) }
        return results.last ?? []
    }

    /// Runs several statements in one message and one implicit transaction (simple protocol), results dropped.
    package func script(_ sql: String, timeout: Duration = .seconds(5)) async throws(PostgresError) {
        _ = try await self.run(timeout: timeout) { raw in PQsendQuery(raw, sql) }
    }

    /// Runs several statements in one message and one implicit transaction; the rows of each that returns rows.
    package func results(
        _ sql: String, timeout: Duration = .seconds(5), whenLate: WhenLate = .cancel
    ) async throws(PostgresError) -> [[Row]] {
        try await self.run(timeout: timeout, whenLate: whenLate) { raw in PQsendQuery(raw, sql) }
    }

    /// What becomes of a statement that was not answered in time.
    package enum WhenLate: Sendable {
        /// Cancelled on the server, for at most ``cancelPatience``; then the session is closed.
        case cancel
        /// The session is closed at once: for statements without effect, where the answer's time is the message.
        case close
    }

    /// Ends the session; a statement under way fails with `.closed`. Returns at once.
    package func close() {
        self.isClosing = true
        if let token = self.currentWait { SocketPoller.shared.interrupt(token) }
        if !self.isBusy { self.finish() }
    }

    /// Returns true when the server has closed the session or the network has reset it, false when this side has
    /// closed it or the task was cancelled. Statements may run meanwhile.
    package func waitUntilLost() async -> Bool {
        guard let raw = self.raw, !self.isClosing else { return false }
        let token = SocketPoller.shared.makeToken()
        self.lossWaits.insert(token)
        defer { self.lossWaits.remove(token) }
        let readiness = await SocketPoller.shared.wait(
            PQsocket(raw), for: .hangUp, until: .now + .seconds(86_400 * 365), token: token, cancellable: true)
        return readiness == .ready
    }

    private func finish() {
        for token in self.lossWaits { SocketPoller.shared.interrupt(token) }
        if let raw = self.raw { PQfinish(raw) }
        self.raw = nil
    }
}

// MARK: - Opening

extension PostgresConnection {
    private func connect() async throws(PostgresError) {
        let deadline = ContinuousClock.now + self.parameters.connectTimeout
        self.isBusy = true
        defer { self.leave() }
        var addresses: [String] = []
        if !self.parameters.isLocalSocket {
            addresses = await AddressResolver.shared.addresses(of: self.parameters.host, until: deadline)
            guard !addresses.isEmpty else {
                throw PostgresError(.cannotResolve, message: "no address for host \(self.parameters.host)")
            }
        }
        let raw = try self.start(addresses)
        // Before the first answer, so that the text of a refusal carries its SQLSTATE.
        PQsetErrorVerbosity(raw, PQERRORS_VERBOSE)
        try await self.poll(raw, until: deadline)
        PQsetErrorVerbosity(raw, PQERRORS_DEFAULT)
        guard PQsetnonblocking(raw, 1) == 0 else { throw self.connectFailure(raw) }
    }

    private func start(_ addresses: [String]) throws(PostgresError) -> OpaquePointer {
        let pairs = self.parameters.keywords(addresses: addresses)
        let raw = withCStrings(pairs.map(\.0)) { keywords in
            withCStrings(pairs.map(\.1)) { values in PQconnectStartParams(keywords, values, 0) }
        }
        guard let raw else { throw PostgresError(.client, message: "libpq: out of memory") }
        self.raw = raw
        // libpq would print notices to stderr.
        PQsetNoticeProcessor(raw, { _, _ in }, nil)
        if PQstatus(raw) == CONNECTION_BAD { throw self.connectFailure(raw) }
        return raw
    }

    private func poll(_ raw: OpaquePointer, until deadline: ContinuousClock.Instant) async throws(PostgresError) {
        var interest = SocketPoller.Interest.writable
        while true {
            // The socket changes with every address that libpq tries.
            switch await self.wait(PQsocket(raw), for: interest, until: deadline, cancellable: true) {
            case .ready: break
            case .timedOut:
                throw PostgresError(.timedOut, message: "no session within \(self.parameters.connectTimeout)")
            case .cancelled: throw self.interrupted()
            }
            switch PQconnectPoll(raw) {
            case PGRES_POLLING_OK: return
            case PGRES_POLLING_READING: interest = .readable
            case PGRES_POLLING_WRITING: interest = .writable
            default: throw self.connectFailure(raw)
            }
        }
    }

    private func connectFailure(_ raw: OpaquePointer) -> PostgresError {
        ConnectFailure.classify(
            String(cString: PQerrorMessage(raw)),
            needsPassword: PQconnectionNeedsPassword(raw) == 1)
    }
}

// MARK: - Statements

extension PostgresConnection {
    private func run(
        timeout: Duration, whenLate: WhenLate = .cancel, _ send: (OpaquePointer) -> Int32
    ) async throws(PostgresError) -> [[Row]] {
        await self.enter()
        defer { self.leave() }
        guard let raw = self.raw, !self.isClosing else {
            throw PostgresError(.closed, message: "the session is closed")
        }
        guard send(raw) == 1 else { throw self.lost(raw) }
        do {
            return try await self.collect(raw, until: ContinuousClock.now + timeout, cancellable: true)
        } catch {
            switch error.kind {
            case .timedOut, .cancelled:
                switch whenLate {
                case .cancel: await self.abandonStatement(raw)
                case .close: self.isClosing = true
                }
            case .reset, .closed: self.isClosing = true
            default: break
            }
            throw error
        }
    }

    /// Reads results until the statement has ended; then throws the first error, if any.
    private func collect(
        _ raw: OpaquePointer, until deadline: ContinuousClock.Instant, cancellable: Bool
    ) async throws(PostgresError) -> [[Row]] {
        var rows: [[Row]] = []
        var failure: PostgresError?
        try await self.flush(raw, until: deadline, cancellable: cancellable)
        while true {
            while PQisBusy(raw) == 1 {
                try await self.ready(raw, .readable, until: deadline, cancellable: cancellable)
                guard PQconsumeInput(raw) == 1 else { throw self.lost(raw) }
            }
            guard let result = PQgetResult(raw) else { break }
            defer { PQclear(result) }
            do {
                if let decoded = try self.decode(result, raw) { rows.append(decoded) }
            } catch {
                failure = failure ?? error
            }
            if PQstatus(raw) == CONNECTION_BAD { throw failure ?? self.lost(raw) }
        }
        if let failure { throw failure }
        return rows
    }

    private func flush(
        _ raw: OpaquePointer, until deadline: ContinuousClock.Instant, cancellable: Bool
    ) async throws(PostgresError) {
        while true {
            switch PQflush(raw) {
            case 0: return
            case 1:
                // The server may have to be read before it reads on.
                try await self.ready(raw, .either, until: deadline, cancellable: cancellable)
                guard PQconsumeInput(raw) == 1 else { throw self.lost(raw) }
            default: throw self.lost(raw)
            }
        }
    }

    /// Nil for a statement without rows.
    private func decode(_ result: OpaquePointer, _ raw: OpaquePointer) throws(PostgresError) -> [Row]? {
        switch PQresultStatus(result) {
        case PGRES_TUPLES_OK, PGRES_SINGLE_TUPLE: return try Row.decode(result: result)
        case PGRES_COMMAND_OK, PGRES_EMPTY_QUERY: return nil
        case PGRES_COPY_IN, PGRES_COPY_OUT, PGRES_COPY_BOTH:
            self.isClosing = true
            throw PostgresError(.closed, message: "COPY is not supported here")
        default: throw Self.statementFailure(result, raw)
        }
    }

    private static func statementFailure(_ result: OpaquePointer, _ raw: OpaquePointer) -> PostgresError {
        // PG_DIAG_SQLSTATE and PG_DIAG_MESSAGE_PRIMARY: macros that Swift does not import.
        guard let code = PQresultErrorField(result, Int32(UInt8(ascii: "C"))).map({ String(cString: $0) }) else {
            let kind: PostgresError.Kind = PQstatus(raw) == CONNECTION_BAD ? .reset : .undecodable
            return PostgresError(
                kind, message: ConnectFailure.oneLine(String(cString: PQresultErrorMessage(result))))
        }
        let text = PQresultErrorField(result, Int32(UInt8(ascii: "M"))).map { String(cString: $0) } ?? "no message"
        // admin_shutdown, crash_shutdown: the server ended the session, not the statement.
        let ended = code == "57P01" || code == "57P02"
        return PostgresError(ended ? .reset : .server, sqlstate: code, message: text)
    }

    /// Cancels on the server and waits for the end of the statement, for ``cancelPatience``; then closes.
    ///
    /// A cancel request that is still under way could hit the next statement: then too the session is closed.
    private func abandonStatement(_ raw: OpaquePointer) async {
        let deadline = ContinuousClock.now + Self.cancelPatience
        guard let request = StatementCanceller.Request(raw),
            await StatementCanceller.shared.send(request, within: Self.cancelPatience)
        else {
            self.isClosing = true
            return
        }
        do {
            _ = try await self.collect(raw, until: deadline, cancellable: false)
        } catch {
            if error.kind != .server { self.isClosing = true }
        }
    }

    private func lost(_ raw: OpaquePointer) -> PostgresError {
        self.isClosing = true
        return PostgresError(.reset, message: ConnectFailure.oneLine(String(cString: PQerrorMessage(raw))))
    }
}

// MARK: - Waiting

extension PostgresConnection {
    private func enter() async {
        if self.isBusy {
            await withCheckedContinuation { self.waiting.append($0) }
        } else {
            self.isBusy = true
        }
    }

    /// Hands the session to the next caller, or closes it if that was asked for meanwhile.
    private func leave() {
        if self.isClosing { self.finish() }
        if self.waiting.isEmpty {
            self.isBusy = false
        } else {
            self.waiting.removeFirst().resume()
        }
    }

    private func wait(
        _ descriptor: Int32, for interest: SocketPoller.Interest, until deadline: ContinuousClock.Instant,
        cancellable: Bool
    ) async -> SocketPoller.Readiness {
        let token = SocketPoller.shared.makeToken()
        self.currentWait = token
        defer { self.currentWait = nil }
        return await SocketPoller.shared.wait(
            descriptor, for: interest, until: deadline, token: token, cancellable: cancellable)
    }

    private func ready(
        _ raw: OpaquePointer, _ interest: SocketPoller.Interest, until deadline: ContinuousClock.Instant,
        cancellable: Bool
    ) async throws(PostgresError) {
        switch await self.wait(PQsocket(raw), for: interest, until: deadline, cancellable: cancellable) {
        case .ready: return
        case .timedOut: throw PostgresError(.timedOut, message: "the statement was not answered in time")
        case .cancelled: throw self.interrupted()
        }
    }

    private func interrupted() -> PostgresError {
        self.isClosing
            ? PostgresError(.closed, message: "the session is closed")
            : PostgresError(.cancelled, message: "the task was cancelled")
    }
}

private func send(_ raw: OpaquePointer, _ sql: String, _ values: [String?]) -> Int32 {
    withCStrings(values) { pointers in
        PQsendQueryParams(raw, sql, Int32(values.count), nil, pointers, nil, nil, 0)
    }
}
