internal import PGHAWire

/// What servers said about users, who waits for an answer, and the one session that asks.
struct Lookups {
    /// An answer.
    struct Known {
        /// nil: no such user.
        let credential: RoleCredential?
        /// To which question, and when that was sent, in nanoseconds of the loop's clock.
        let question: UInt64
        let askedAt: UInt64
        /// A server knows better.
        var isDoubted = false
    }

    private var known: [WireText: Known] = [:]
    private var waiting: [WireText: [Token]] = [:]
    /// Users to ask about, in the order in which clients came.
    private var queue: [WireText] = []

    var connection: LookupConnection?
    var generation: UInt32 = 0
    /// Failed attempts to connect in a row, and when the next may be made.
    var failures = 0
    var nextAttempt: UInt64 = 0
    /// What went wrong last, for the operator.
    var lastFailure: String?
    /// Questions sent, over all users.
    var questions: UInt64 = 0

    var isWaiting: Bool { !self.queue.isEmpty }
    var next: WireText? { self.queue.first }

    /// An answer that counts without a question. For a log-in that failed with an older one: to a question that was
    /// sent after `questionsBefore`, however short answers count.
    func find(_ user: WireText, now: UInt64, freshFor: UInt64, after questionsBefore: UInt64?) -> Known? {
        guard let known = self.known[user], !known.isDoubted else { return nil }
        if let questionsBefore { return known.question > questionsBefore ? known : nil }
        return now &- known.askedAt < freshFor ? known : nil
    }

    mutating func invalidate(_ user: WireText) { self.known[user]?.isDoubted = true }

    mutating func wait(_ client: Token, for user: WireText) {
        if self.waiting[user] == nil { self.queue.append(user) }
        self.waiting[user, default: []].append(client)
    }

    /// Takes those that wait for `user`.
    mutating func takeWaiting(_ user: WireText) -> [Token] {
        self.queue.removeAll { $0 == user }
        return self.waiting.removeValue(forKey: user) ?? []
    }

    mutating func takeAllWaiting() -> [Token] {
        defer {
            self.waiting = [:]
            self.queue = []
        }
        return self.queue.flatMap { self.waiting[$0] ?? [] }
    }

    /// The answer to the last question, which was sent at `askedAt`.
    mutating func remember(_ user: WireText, _ credential: RoleCredential?, askedAt: UInt64, limit: Int) -> Known {
        // Names that strangers make up must not push out everybody at once, nor fill the memory.
        if self.known.count >= max(limit, 1), self.known[user] == nil {
            self.known = self.known.filter { $0.value.credential != nil }
            if self.known.count >= max(limit, 1) { self.known = [:] }
        }
        let known = Known(credential: credential, question: self.questions, askedAt: askedAt)
        self.known[user] = known
        return known
    }

    /// Whoever is asked from now on may know other users.
    mutating func forgetAnswers() { self.known = [:] }

    /// Answers that count while nobody can be asked.
    func stale(now: UInt64, for outage: UInt64) -> [(user: WireText, known: Known)] {
        self.queue.compactMap { user in
            guard let known = self.known[user], known.credential != nil, now &- known.askedAt < outage else {
                return nil
            }
            return (user, known)
        }
    }
}

/// The pooler's own session on a server.
final class LookupConnection {
    enum Phase {
        case connecting
        case loggingIn
        case idle
        case asking(WireText)
    }

    var transport: Transport
    var phase = Phase.connecting
    let logIn: ServerLogIn
    let term: UInt64
    var since: UInt64
    var output: UnsafeMutablePointer<PendingOutput>?
    private var input = MessageInput()
    private var row: [[UInt8]?]?
    private var error: String?

    init(_ transport: Transport, _ logIn: ServerLogIn, term: UInt64, now: UInt64) {
        self.transport = transport
        self.logIn = logIn
        self.term = term
        self.since = now
    }

    deinit { PendingOutput.free(self.output) }

    enum Answer {
        case more
        case blocked
        case broken
        case failed(String)
        /// nil: no such user.
        case found(RoleCredential?)
    }

    /// Parse, Bind, Execute, Sync: the name is a value and never part of the statement.
    func ask(_ user: WireText, _ query: String, _ out: inout Outgoing) {
        self.phase = .asking(user)
        self.row = nil
        self.error = nil
        var buffer = WireBuffer()
        buffer.parse(text: query)
        buffer.bind(values: [user])
        buffer.execute(limit: 1)
        buffer.sync()
        out.append(copyOf: buffer)
    }

    func read(_ base: UnsafeMutableRawPointer, _ capacity: Int) -> Answer {
        let count = self.transport.receive(base, capacity)
        if count == Transport.wouldBlock { return .blocked }
        guard count > 0 else { return .broken }
        self.input.append(base, count)
        guard self.input.count < 1 << 20 else { return .broken }
        return self.input.walk(more: .more, malformed: .broken) { message in
            if message.type == BackendMessage.readyForQuery { return self.answer }
            self.take(message)
            return nil
        }
    }

    private func take(_ message: MessageView) {
        switch message.type {
        case BackendMessage.dataRow:
            self.row = DataRowView(message.body).map { $0.values.map { $0.map { Array($0) } } } ?? []
        case BackendMessage.errorResponse:
            let text = ErrorView(message.body)?.message.map { String(decoding: $0, as: UTF8.self) }
            self.error = text ?? "an error without a message"
        default: break
        }
    }

    private var answer: Answer {
        self.phase = .idle
        if let error = self.error { return .failed(error) }
        guard let row = self.row else { return .found(nil) }
        self.row = nil
        guard let first = row.first else { return .failed("the lookup query gives no column") }
        var validUntil: Int64?
        if row.count > 1, let text = row[1] {
            guard let number = Int64(String(decoding: text, as: UTF8.self)) else {
                return .failed("the lookup query's second column is no number of microseconds")
            }
            validUntil = number
        }
        let password = first.flatMap { StoredPassword(Secret($0)) }
        return .found(RoleCredential(password: password, validUntil: validUntil))
    }
}
