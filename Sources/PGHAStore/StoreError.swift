/// Why the store did not answer or did not write.
package enum StoreError: Error, Hashable, Sendable {
    /// The store is at `actual` (nil: empty), not at the revision that the writer read. Nothing was changed.
    case conflict(actual: Int64?)
    /// The write may or may not have happened: read back. The text is for people.
    case unknownOutcome(String)
    /// Another controller leads. Nothing was changed.
    case notLeading
    /// The store cannot be reached, or its disk refuses. Nothing was changed. The text is for people.
    case unavailable(String)
    /// The store holds something that is not, or is no longer, the state of a cluster.
    case damaged(String)
    /// The store was written by a newer pgha. Both are names of schema migrations.
    case newerSchema(found: String, supported: String)
    /// Another controller has this store open. `pid` is nil when the holder has not written it yet.
    case lockedByAnotherController(pid: Int32?, path: String)

    /// For logs, metrics and JSON; stable.
    package var code: String {
        switch self {
        case .conflict: "store_conflict"
        case .unknownOutcome: "store_unknown_outcome"
        case .notLeading: "store_not_leading"
        case .unavailable: "store_unavailable"
        case .damaged: "store_damaged"
        case .newerSchema: "store_newer_schema"
        case .lockedByAnotherController: "store_locked"
        }
    }

    /// Whether the store is certain to be as it was before the call.
    package var nothingChanged: Bool {
        switch self {
        case .unknownOutcome: false
        case .conflict, .notLeading, .unavailable, .damaged, .newerSchema, .lockedByAnotherController: true
        }
    }
}

extension StoreError: CustomStringConvertible {
    package var description: String {
        switch self {
        case .conflict(let actual?): "the store has moved on to revision \(actual)"
        case .conflict(nil): "the store is empty, a state was expected"
        case .unknownOutcome(let why): "it is not known whether the write happened: \(why)"
        case .notLeading: "another controller leads"
        case .unavailable(let why): "the store is unavailable: \(why)"
        case .damaged(let why): "the store is damaged: \(why)"
        case .newerSchema(let found, let supported):
            "the store has schema \(found), newer than \(supported), the newest that this pgha knows: "
                + "start the pgha that wrote it, or a later one"
        case .lockedByAnotherController(let pid?, let path):
            "the controller with process id \(pid) has \(path) open: stop it first, or give another store"
        case .lockedByAnotherController(nil, let path):
            "another controller has \(path) open: stop it first, or give another store"
        }
    }
}
