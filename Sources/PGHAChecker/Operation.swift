/// One operation of one client, as that client saw it.
package struct Operation: Hashable, Sendable, Codable {
    /// How the client reached its server.
    package enum Route: String, Hashable, Sendable, Codable {
        case pooler
        /// A server that says that it is no standby.
        case direct
    }

    package enum Action: Hashable, Sendable, Codable {
        /// Insert a row that nobody else inserts.
        case add(Int64)
        /// All ids from `from` on.
        case readSet(from: Int64, [Int64])
        /// Append to the list of `key` a value that nobody else appends to it.
        case append(key: Int, Int64)
        case readList(key: Int, [Int64])
        /// Move money between two accounts, and say so in the ledger under `id`.
        case transfer(id: Int64)
        /// The balances of all accounts.
        case readAccounts([Int64])

        package var isWrite: Bool {
            switch self {
            case .add, .append, .transfer: true
            case .readSet, .readList, .readAccounts: false
            }
        }
    }

    package enum Outcome: String, Hashable, Sendable, Codable {
        /// Acknowledged, or read.
        case ok
        /// Refused, or never asked: it must not have had an effect.
        case failed
        /// Anything may have become of it.
        case unknown
    }

    package var client: Int
    package var route: Route
    package var action: Action
    /// Nanoseconds since the run began, of one clock for all clients.
    package var start: Int64
    package var end: Int64
    package var outcome: Outcome
    /// Who answered; nil when nobody did.
    package var server: String?
    /// The timeline of the server that answered: each promotion begins a greater one. Nil for a standby.
    package var epoch: UInt32?

    package init(
        client: Int, route: Route, action: Action, start: Int64, end: Int64, outcome: Outcome, server: String? = nil,
        epoch: UInt32? = nil
    ) {
        self.client = client
        self.route = route
        self.action = action
        self.start = start
        self.end = end
        self.outcome = outcome
        self.server = server
        self.epoch = epoch
    }
}

/// What a run did, and what was there when all of it had ended.
package struct History: Sendable, Codable {
    /// Read once, on the leader of a complete cluster, after the last client had stopped.
    package struct Final: Hashable, Sendable, Codable {
        package var set: [Int64] = []
        package var lists: [Int: [Int64]] = [:]
        package var balances: [Int64] = []
        /// Ids in the ledger.
        package var transfers: [Int64] = []
        /// What the ledger's entries make of the balances.
        package var balancesByLedger: [Int64] = []

        package init() {}
    }

    package var operations: [Operation]
    package var final: Final
    /// The sum of all accounts, which never changes.
    package var total: Int64

    package init(operations: [Operation], final: Final, total: Int64) {
        self.operations = operations
        self.final = final
        self.total = total
    }
}
