internal import CPGHALoop
internal import PGHACore
internal import PGHAWire

/// The pooler's own session on a server, which says where the server's WAL is.
final class PositionProbe {
    enum Phase {
        case connecting
        case loggingIn
        case idle
        case asking
    }

    let node: NodeName
    let generation: UInt32
    var transport: Transport
    let logIn: ServerLogIn
    var phase = Phase.connecting
    /// When it became what `phase` says, or was asked last.
    var since: UInt64
    var wasAsked = false
    /// The number of the leader's sample under way; 0: it is asked as a standby.
    var sample: UInt64 = 0
    var output: UnsafeMutablePointer<PendingOutput>?
    private var input = MessageInput()
    private var answer: Answer?

    struct Answer {
        let isStandby: Bool
        let position: LSN
    }

    init(_ node: NodeName, _ transport: Transport, _ logIn: ServerLogIn, generation: UInt32, now: UInt64) {
        self.node = node
        self.transport = transport
        self.logIn = logIn
        self.generation = generation
        self.since = now
    }

    deinit { PendingOutput.free(self.output) }

    var isFree: Bool {
        if case .idle = self.phase { return true }
        return false
    }

    /// Everybody may ask that.
    private static let question = """
        SELECT pg_catalog.pg_is_in_recovery(), CASE WHEN pg_catalog.pg_is_in_recovery() \
        THEN pg_catalog.pg_last_wal_replay_lsn() ELSE pg_catalog.pg_current_wal_insert_lsn() END, \
        pg_catalog.current_setting('wal_block_size')
        """

    func ask(_ out: inout Outgoing, now: UInt64) {
        self.phase = .asking
        self.since = now
        self.wasAsked = true
        self.answer = nil
        var buffer = WireBuffer(capacity: 512)
        buffer.query(Self.question)
        out.append(copyOf: buffer)
    }

    enum Outcome {
        case more
        case blocked
        case broken
        case answered(Answer)
    }

    func read(_ base: UnsafeMutableRawPointer, _ capacity: Int) -> Outcome {
        let count = self.transport.receive(base, capacity)
        if count == Transport.wouldBlock { return .blocked }
        guard count > 0, self.input.count < 1 << 16 else { return .broken }
        self.input.append(base, count)
        return self.input.walk(more: .more, malformed: .broken) { message in
            switch message.type {
            case BackendMessage.errorResponse: return .broken
            case BackendMessage.dataRow: self.answer = Self.answer(message.body)
            case BackendMessage.readyForQuery:
                self.phase = .idle
                return self.answer.map { .answered($0) } ?? .broken
            default: break
            }
            return nil
        }
    }

    /// nil where there is no position: a standby that has replayed nothing since its start.
    private static func answer(_ row: UnsafeRawBufferPointer) -> Answer? {
        guard let values = DataRowView(row)?.values, values.count == 3, let state = values[0], let text = values[1],
            let block = values[2].flatMap({ UInt64(String(decoding: $0, as: UTF8.self)) }),
            let position = LSN(String(decoding: text, as: UTF8.self))
        else { return nil }
        let isStandby = state.first == UInt8(ascii: "t")
        return Answer(
            isStandby: isStandby, position: isStandby ? position : position.withoutPageHeader(blockSize: block))
    }
}
