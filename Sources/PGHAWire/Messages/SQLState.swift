/// The five characters by which drivers decide what to do next.
///
/// Source: PostgreSQL manual, appendix A. PgBouncer sends 08P01 for nearly all of its own errors, which drivers take
/// for a bug of theirs and do not retry; each case below is here because of what a client should do about it.
package struct SQLState: Hashable, Sendable, CustomStringConvertible {
    /// Five ASCII characters, the first in the highest byte.
    private let packed: UInt64

    /// nil unless there are five digits or capital letters.
    package init?(_ bytes: UnsafeRawBufferPointer) {
        guard bytes.count == 5 else { return nil }
        var packed: UInt64 = 0
        for byte in bytes {
            guard byte &- 0x30 < 10 || byte &- 0x41 < 26 else { return nil }
            packed = packed << 8 | UInt64(byte)
        }
        self.packed = packed
    }

    private init(_ code: StaticString) {
        var packed: UInt64 = 0
        for index in 0..<5 { packed = packed << 8 | UInt64(code.utf8Start[index]) }
        self.packed = packed
    }

    package var bytes: [UInt8] { (0..<5).map { UInt8(truncatingIfNeeded: self.packed >> (32 - 8 * UInt64($0))) } }
    package var description: String { String(decoding: self.bytes, as: UTF8.self) }

    /// The first two characters: `08` is connection trouble.
    package var classBytes: UInt16 { UInt16(truncatingIfNeeded: self.packed >> 24) }
}

extension SQLState {
    /// Only a warning. Also the class of "canceling wait for synchronous replication", which is a lost promise.
    package static let warning = SQLState("01000")
    package static let successfulCompletion = SQLState("00000")

    // MARK: The connection

    /// The server went away while something of the client's was under way: drivers drop the connection and pools
    /// open another. Never for a commit: see `outcomeUnknown`.
    package static let connectionFailure = SQLState("08006")
    /// A commit may or may not have happened. The one code that says so; a client must look before it repeats.
    package static let outcomeUnknown = SQLState("08007")
    /// The client broke the protocol; to try again would break it again.
    package static let protocolViolation = SQLState("08P01")
    package static let featureNotSupported = SQLState("0A000")

    // MARK: Log-in

    /// No rule lets this user in from there, or no user was named: only an operator can help.
    package static let invalidAuthorization = SQLState("28000")
    /// Wrong password, unknown user and expired password alike, so that they cannot be told apart.
    package static let invalidPassword = SQLState("28P01")
    /// No such database or pool.
    package static let undefinedDatabase = SQLState("3D000")
    /// A verb of the admin console that the role may not use; a setting that the cluster does not allow.
    package static let insufficientPrivilege = SQLState("42501")

    // MARK: The pool

    /// No server connection came free in time, or a limit on clients is reached: drivers and load balancers know it
    /// from PostgreSQL's own "too many clients already" and back off.
    package static let tooManyConnections = SQLState("53300")
    /// The client's own wait limit passed.
    package static let queryCanceled = SQLState("57014")
    /// The pooler or the server ends the session on purpose: reconnect.
    package static let adminShutdown = SQLState("57P01")
    package static let crashShutdown = SQLState("57P02")
    /// Not ready yet: libpq tries the next host, pools try again.
    package static let cannotConnectNow = SQLState("57P03")
    package static let idleInTransactionTimeout = SQLState("25P03")
    package static let transactionTimeout = SQLState("25P04")
    package static let idleSessionTimeout = SQLState("57P05")

    // MARK: High availability

    /// The node does not take writes (any more): `target_session_attrs=read-write` clients go looking.
    package static let readOnlyTransaction = SQLState("25006")
    /// The transaction's node is gone and nothing of it was committed: the code after which frameworks run a
    /// transaction again.
    package static let serializationFailure = SQLState("40001")
    /// Statements in a block that has failed already.
    package static let inFailedTransaction = SQLState("25P02")

    // MARK: Statements

    package static let syntaxError = SQLState("42601")
    /// A prepared statement's name that is taken; drivers that name by content rely on the code.
    package static let duplicatePreparedStatement = SQLState("42P05")
    /// A prepared statement that is not there; asyncpg and pgjdbc prepare again.
    package static let undefinedPreparedStatement = SQLState("26000")
    package static let invalidParameterValue = SQLState("22023")
    package static let cannotChangeParameter = SQLState("55P02")
    /// More than the pooler is made for.
    package static let programLimitExceeded = SQLState("54000")
    package static let undefinedObject = SQLState("42704")
    /// What is left: a fault of the pooler.
    package static let internalError = SQLState("XX000")
}
