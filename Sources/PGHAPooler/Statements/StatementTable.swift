/// Prepared statements of a loop, by text and parameter types.
struct StatementTable {
}

/// A client's prepared statements.
final class ClientStatements {
}

/// What a server connection has prepared.
final class ServerStatements {
}
