internal import PGHAWire

// Bind, Describe and Close: clients' names become those that servers share.
extension PoolerLoop {
    mutating func takeBind(_ client: ClientPointer, _ server: ServerPointer, _ message: MessageView) -> Rewritten {
        var reader = ByteReader(message.body)
        guard let portal = reader.string(), let name = reader.string() else {
            return message.isComplete || message.presentCount > 1 << 15 ? .malformed : .incomplete
        }
        server.pointee.pool.pointee.statistics.binds &+= 1
        guard let statement = self.translated(client, server, name) else {
            server.pointee.session.sent(Request(.bind))
            return .unchanged
        }
        let newName = statement.pointee.name
        let portalBytes = UnsafeRawBufferPointer(start: portal.baseAddress, count: portal.count + 1)
        let bodyCount = message.totalCount - 5 - (name.count + 1) + newName.count
        self.appendHeader(FrontendMessage.bind, bodyCount: bodyCount, copying: nil, portalBytes, newName)
        let rest = reader.rest
        if let start = rest.baseAddress { self.out.append(start, rest.count) }
        server.pointee.session.sent(
            Request(.bind, statement: UnsafeMutableRawPointer(statement)))
        return .done
    }

    /// The statement to name instead of `name`; nil where the name stays. What the server lacks is prepared.
    private mutating func translated(
        _ client: ClientPointer, _ server: ServerPointer, _ name: UnsafeRawBufferPointer
    ) -> StatementPointer? {
        guard let own = client.pointee.statements?.pointee.definition(name, self.statementTable) else { return nil }
        let statement = own.statement
        self.note(client, server, statement)
        if name.isEmpty, self.statements(of: server).pointee.unnamed == statement { return nil }
        self.ensure(statement, definedBy: own.sequence, on: server)
        return statement
    }

    /// It is going to be run.
    @inline(__always) mutating func note(
        _ client: ClientPointer, _ server: ServerPointer, _ statement: StatementPointer
    ) {
        if server.pointee.session.status != .idle, CommitTest.mayCommit(statement.pointee.text) {
            server.pointee.flags.insert(.mayCommit)
            if self.configuration.resolvesCommits { self.askForTransaction(client, server, statement.pointee.text) }
        }
        // What may not be sent was replaced when it was parsed.
        if statement.pointee.needsAttention { _ = self.inspect(client, server, statement.pointee.text) }
    }

    mutating func takeDescribe(_ client: ClientPointer, _ server: ServerPointer, _ message: MessageView) -> Rewritten {
        var reader = ByteReader(message.body)
        guard let object = reader.byte(), let name = reader.string() else { return .malformed }
        let isStatement = object == DescribedObject.statement.rawValue
        defer { server.pointee.session.sent(Request(.describe, sequence: isStatement ? 1 : 0)) }
        guard isStatement, let statement = self.translated(client, server, name) else { return .unchanged }
        let newName = statement.pointee.name
        self.appendHeader(FrontendMessage.describe, bodyCount: 1 + newName.count, copying: object, newName)
        return .done
    }

    /// A client's Close frees its own name only: others may use the server's.
    mutating func takeClose(_ client: ClientPointer, _ server: ServerPointer, _ message: MessageView) -> Rewritten {
        var reader = ByteReader(message.body)
        guard let object = reader.byte(), let name = reader.string() else { return .malformed }
        guard object == DescribedObject.statement.rawValue else {
            server.pointee.session.sent(Request(.close))
            return .unchanged
        }
        client.pointee.statements?.pointee.remove(name, &self.statementTable)
        server.pointee.session.sent(Request(.skippedClose))
        return .done
    }
}
