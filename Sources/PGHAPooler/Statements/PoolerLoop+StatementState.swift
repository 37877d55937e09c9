internal import PGHAWire

// What is prepared for whom, as far as servers' answers change it.
extension PoolerLoop {
    /// A simple Query destroys the server's statement without a name. Source: PostgreSQL manual, "Extended Query".
    @inline(__always) mutating func forgetUnnamed(_ server: ServerPointer) {
        guard let statements = server.pointee.statements, statements.pointee.unnamed != nil else { return }
        statements.pointee.setUnnamed(nil, sequence: 0, &self.statementTable)
    }

    /// Parses have failed: they define nothing, for the client and on the server.
    mutating func forgetFailed(_ server: ServerPointer) {
        guard let failed = server.pointee.session.takeFailures() else { return }
        server.pointee.statements?.pointee.removeFailed(failed, &self.statementTable)
        server.pointee.client?.pointee.statements?.pointee.removeFailed(failed, &self.statementTable)
        self.keepSharedNames(server, failed)
    }

    /// "cached plan must not change result type", or a type that it needs is gone: the next use prepares it afresh.
    mutating func planIsStale(_ server: ServerPointer, _ statement: UnsafeMutableRawPointer?) {
        guard let statement = statement?.assumingMemoryBound(to: Statement.self) else { return }
        server.pointee.statements?.pointee.use(statement)?.pointee.isStale = true
    }

    /// DEALLOCATE ALL and DISCARD ALL: nothing is prepared any more, under no name.
    mutating func takeCommandTag(_ server: ServerPointer, _ body: UnsafeRawBufferPointer) {
        if CommandTag.changesTypes(body) { self.lastTypeChange = self.nextSequence() }
        guard body.first == UInt8(ascii: "D"), CommandTag.forgetsStatements(body) else { return }
        server.pointee.statements?.pointee.removeAll(&self.statementTable)
        server.pointee.client?.pointee.statements?.pointee.removeAll(&self.statementTable)
        // DISCARD ALL resets settings and everything else, too.
        guard body.count == "DISCARD ALL".utf8.count + 1 else { return }
        if let client = server.pointee.client {
            self.unpin(client)
            if server.pointee.touch == nil { server.pointee.touch = Unmanaged.passRetained(SessionTouch()) }
        }
    }

    // MARK: - Side objects

    func statements(of client: ClientPointer) -> UnsafeMutablePointer<ClientStatements> {
        if let statements = client.pointee.statements { return statements }
        let statements = ClientStatements.make()
        client.pointee.statements = statements
        return statements
    }

    func statements(of server: ServerPointer) -> UnsafeMutablePointer<ServerStatements> {
        if let statements = server.pointee.statements { return statements }
        let statements = ServerStatements.make(limit: self.configuration.preparedStatements)
        server.pointee.statements = statements
        return statements
    }

    mutating func releaseStatements(of client: ClientPointer) {
        guard let statements = client.pointee.statements else { return }
        statements.pointee.deallocate(&self.statementTable)
        statements.deallocate()
        client.pointee.statements = nil
    }

    mutating func releaseStatements(of server: ServerPointer) {
        guard let statements = server.pointee.statements else { return }
        statements.pointee.deallocate(&self.statementTable)
        statements.deallocate()
        server.pointee.statements = nil
    }
}
