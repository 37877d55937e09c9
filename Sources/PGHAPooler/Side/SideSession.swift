internal import PGHAWire

/// A session of the pooler's own on a server that answers one question: rare, and never in the way of a client's.
final class SideSession {
    enum Purpose {
        /// Ends what this server does, unless a commit of it waits for a standby.
        case cancel(server: Token, processID: UInt32)
        /// What became of the commit that this client waits for.
        case outcome(client: Token)
    }

    enum Phase {
        case connecting
        case loggingIn
        case asking
        /// Answered, and kept.
        case idle
    }

    enum Answer {
        case blocked
        case broken
        /// The first value of the last row; nil where there was none.
        case value(String?)
        case failed(SQLState?)
        /// The commit's wait for its standbys was cancelled.
        case alone
    }

    let purpose: Purpose
    let question: String
    var transport: Transport
    let logIn: ServerLogIn
    var phase = Phase.connecting
    /// The server and the term that it was opened under.
    let term: UInt64
    /// When it was opened or last asked. Nanoseconds of the loop's clock.
    var since: UInt64
    var output: UnsafeMutablePointer<PendingOutput>?
    /// Whether the client was told that its request waits.
    var wasTold = false
    private var input = WireBuffer()
    private var value: String?
    private var failure: (hasFailed: Bool, state: SQLState?) = (false, nil)
    private var isAlone = false

    init(
        _ purpose: Purpose, _ question: String, _ transport: Transport, _ logIn: ServerLogIn, term: UInt64, now: UInt64
    ) {
        self.purpose = purpose
        self.question = question
        self.transport = transport
        self.logIn = logIn
        self.term = term
        self.since = now
    }

    deinit { PendingOutput.free(self.output) }

    /// What such sessions need, whatever roles and databases say.
    static let settings: [StartupMessage.Parameter] = [
        .init("application_name", "pgha pooler"), .init("search_path", "pg_catalog"), .init("synchronous_commit", "on"),
        .init("default_transaction_read_only", "off"), .init("statement_timeout", "0"),
        .init("client_min_messages", "warning"),
    ]

    func ask(_ out: inout Outgoing, now: UInt64) {
        self.phase = .asking
        self.since = now
        self.value = nil
        self.failure = (false, nil)
        self.isAlone = false
        var buffer = WireBuffer()
        buffer.query(self.question)
        out.append(copyOf: buffer)
    }

    /// Reads what is there into `base`, room for `capacity` bytes.
    func read(_ base: UnsafeMutableRawPointer, _ capacity: Int) -> Answer {
        while true {
            let count = self.transport.receive(base, capacity)
            if count == Transport.wouldBlock { return .blocked }
            guard count > 0 else { return .broken }
            self.input.append(UnsafeRawBufferPointer(start: base, count: count))
            guard self.input.count < 1 << 20 else { return .broken }
            if let answer = self.walk() { return answer }
        }
    }

    /// Nil: there is more to come.
    private func walk() -> Answer? {
        var used = 0
        defer { self.input.removeFirst(used) }
        var walk = MessageWalk(self.input.bytes)
        while true {
            switch walk.next() {
            case .message(let message):
                guard message.isComplete else { return nil }
                used += message.totalCount
                if message.type == BackendMessage.readyForQuery { return self.answer }
                self.take(message)
            case .done, .partialHeader: return nil
            case .malformed: return .broken
            }
        }
    }

    private func take(_ message: MessageView) {
        switch message.type {
        case BackendMessage.dataRow:
            let first = DataRowView(message.body)?.values.first ?? nil
            self.value = first.map { String(decoding: $0, as: UTF8.self) }
        case BackendMessage.errorResponse: self.failure = (true, ErrorView(message.body)?.state)
        case BackendMessage.noticeResponse: if LyingCommit.isReported(message.body) { self.isAlone = true }
        default: break
        }
    }

    private var answer: Answer {
        self.phase = .idle
        if self.failure.hasFailed { return .failed(self.failure.state) }
        return self.isAlone ? .alone : .value(self.value)
    }
}
