internal import PGHAWire

/// A client's statement that commits by itself, run inside of a transaction of the pooler's own.
///
/// Intuition: what commits by itself cannot be asked for its transaction's id: the commit is part of it. So with
/// `resolve_commits` it leaves as four things in one write: BEGIN, the statement, the question, COMMIT. The server works
/// them off in this order and answers each before it begins the next, so that the id is known before the commit begins;
/// the client sees the answer of its statement alone, and the tag in it ("INSERT 0 1") only once COMMIT has succeeded.
///
/// Limits: INSERT, UPDATE, DELETE and MERGE sent alone, as a Query or as one Parse to Sync, from sessions that can move
/// between servers. The same statements mean the same in a block and outside of one; of all others that is not so, or
/// most of them write nothing and would pay for it.
struct OwnTransaction: BitwiseCopyable {
    /// What the server answers next.
    enum Step: UInt8 {
        case none
        case begin
        case statement
        case question
        case commit
    }

    var step = Step.none
    /// The statement has failed and its client knows that.
    var hasFailed = false
    /// CommandComplete of the statement.
    var tag = HeldInput()

    mutating func end() {
        self.tag.release()
        self.step = .none
        self.hasFailed = false
    }
}

/// Whether a client's bytes are one statement and all that belongs to it.
enum LoneStatement {
    case query(UnsafeRawBufferPointer)
    /// Parse to Sync; the text is there where its Parse is.
    case extended(name: UnsafeRawBufferPointer, text: UnsafeRawBufferPointer?)

    init?(_ bytes: UnsafeRawBufferPointer) {
        var walk = MessageWalk(bytes)
        var parsed: ParseView?
        var bound: UnsafeRawBufferPointer?
        var executions = 0
        while case .message(let message) = walk.next(), message.isComplete {
            let isLast = message.start + message.totalCount == bytes.baseAddress.map { $0 + bytes.count }
            switch message.type {
            case FrontendMessage.query:
                guard isLast, parsed == nil, bound == nil, message.body.count > 0 else { return nil }
                self = .query(UnsafeRawBufferPointer(rebasing: message.body.dropLast()))
                return
            case FrontendMessage.parse:
                guard parsed == nil, bound == nil, let view = ParseView(message.body) else { return nil }
                parsed = view
            case FrontendMessage.bind:
                guard bound == nil, let view = BindView(message.body) else { return nil }
                bound = view.statement
            case FrontendMessage.describe: break
            case FrontendMessage.execute:
                guard bound != nil, ExecuteView(message.body)?.limit == 0 else { return nil }
                executions += 1
            case FrontendMessage.sync:
                guard isLast, executions == 1, let bound else { return nil }
                let isOwn = parsed.map { $0.name.elementsEqual(bound) } ?? false
                // What it has parsed besides is no business of the statement's.
                guard isOwn || parsed == nil else { return nil }
                self = .extended(name: bound, text: isOwn ? parsed?.text : nil)
                return
            default: return nil
            }
        }
        return nil
    }
}

/// Queries of the pooler's own as whole messages; those of every transaction are made once.
enum OwnMessages {
    static let begin = Self.query("BEGIN")
    static let commit = Self.query("COMMIT")
    /// Asks for the transaction's id, nothing where it has none, and for where the WAL ends. See `TransactionAnswer`.
    static let question = Self.query(
        "SELECT pg_catalog.pg_current_xact_id_if_assigned()::text || ' ' || pg_catalog.pg_current_wal_insert_lsn()")

    static func query(_ text: String) -> [UInt8] {
        var buffer = WireBuffer()
        buffer.query(text)
        return buffer.array
    }
}
