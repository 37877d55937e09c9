internal import PGHACore
internal import PGHAWire

// `SHOW pgha.last_lsn` and `SET pgha.min_lsn`: how a client that has no session takes what it has written from one
// connection to another.
extension PoolerLoop {
    /// A server answers in the pooler's place: on the leader everything that the session has seen committed is in front
    /// of where its WAL is now, on a standby in front of what that has replayed.
    private static let lastPosition = """
        SELECT CAST(CASE WHEN pg_catalog.pg_is_in_recovery() THEN pg_catalog.pg_last_wal_replay_lsn() \
        ELSE pg_catalog.pg_current_wal_insert_lsn() END AS pg_catalog.text) AS "pgha.last_lsn"
        """

    static let invalidPosition = "pgha.min_lsn is no WAL position, such as 16/B374D848"

    private static func failure(_ condition: String, _ message: String) -> Inspection {
        .replaced("DO $pgha$BEGIN RAISE \(condition) USING MESSAGE = '\(message)'; END$pgha$")
    }

    /// What becomes of a statement about positions; `nothing` for all others and for a SET, which the server may have too.
    func positionInspection(_ client: ClientPointer, _ text: UnsafeRawBufferPointer) -> Inspection {
        guard StatementClassifier.mentionsPosition(text) else { return .nothing }
        switch self.classifier.positionStatement(text) {
        case .showLast: return .replaced(Self.lastPosition)
        case .setMinimum(let value):
            if client.pointee.flags.contains(.pinned), client.pointee.role == .read {
                return Self.failure(
                    "feature_not_supported", "pgha.min_lsn cannot be set: this session keeps its server")
            }
            guard let value, value.bytes.count > 0 else { return .nothing }
            return LSN(value.description) == nil
                ? Self.failure("invalid_parameter_value", Self.invalidPosition) : .nothing
        case .none:
            let effects = self.classifier.classify(text).effects
            guard !effects.isDisjoint(with: [.sets, .setsLocally, .callsSetConfig, .resets]) else { return .nothing }
            return Self.failure(
                "feature_not_supported", "pgha.min_lsn is set by SET pgha.min_lsn, a statement of its own")
        }
    }

    /// On its way to the server. nil where it is nothing of the kind.
    mutating func takePosition(_ client: ClientPointer, _ text: UnsafeRawBufferPointer) -> Inspection? {
        let inspection = self.positionInspection(client, text)
        if case .replaced = inspection { return inspection }
        guard case .setMinimum(let value) = self.classifier.positionStatement(text) else { return nil }
        self.demand(value.flatMap { LSN($0.description) }, client)
        return .nothing
    }
}
