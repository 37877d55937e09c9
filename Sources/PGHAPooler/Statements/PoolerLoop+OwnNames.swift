internal import PGHAWire

// A client that looks at `pg_prepared_statements` sees what it has prepared, by the names that it gave, as it would without
// a pooler: the statements that its server shares are closed, the client's are prepared by their own names, and from then
// on it keeps this server and nothing is translated, until DISCARD ALL.
//
// What both have is remembered all the same: in a pipeline that has failed the server skips all of this, and names go on
// being translated.
extension PoolerLoop {
    /// Whether the text looks there, and what is prepared there is not the client's own yet.
    func looksAtStatements(_ client: ClientPointer, _ server: ServerPointer, _ text: UnsafeRawBufferPointer) -> Bool {
        guard self.translates(client), server.pointee.session.status != .failed else { return false }
        return self.classifier.classify(text, strings: self.stringSyntax(of: server)).effects.contains(.readsStatements)
    }

    /// `replacesUnnamed`: what looks leaves no statement without a name. False when the client was closed, or lost its
    /// server on the way.
    mutating func giveOwnNames(_ client: ClientPointer, _ server: ServerPointer, replacesUnnamed: Bool) -> Bool {
        for statement in self.statements(of: server).pointee.all {
            guard self.hasRoom(0, client, server) else { return false }
            self.appendClose(statement.pointee.name, server)
        }
        let own = self.statements(of: client)
        for (name, statement) in own.pointee.named {
            // What was prepared by a look that failed later stays: statements do not belong to transactions.
            guard self.hasRoom(name.count, client, server) else { return false }
            (name + [0]).withUnsafeBytes { self.appendClose($0, server) }
            guard self.prepareOwn(client, server, name, statement.pointee.body) else { return false }
        }
        // If any of this is skipped or fails, so does the last.
        let unnamed = replacesUnnamed ? nil : own.pointee.unnamed
        guard self.prepareOwn(client, server, [], unnamed?.pointee.body) else { return false }
        own.pointee.ownNamesSince = self.sequence
        if unnamed == nil { [UInt8(0)].withUnsafeBytes { self.appendClose($0, server) } }
        client.pointee.flags.insert(.ownNames)
        self.pin(client, .ownNames)
        return true
    }

    /// Room for a message with a name of `count` bytes. A client whose name is longer than all the room there is
    /// cannot go on: what comes before was sent.
    private mutating func hasRoom(_ count: Int, _ client: ClientPointer, _ server: ServerPointer) -> Bool {
        // The header, and a name of the pooler's.
        if self.makeRoom(for: 64 + count, client) { return true }
        if client.pointee.server == server {
            self.refuse(client, .programLimitExceeded, "name of a prepared statement of more than 32 KiB")
        }
        return false
    }

    /// `body` stays where it is until the end of the turn; nil: an empty text and no parameters.
    private mutating func prepareOwn(
        _ client: ClientPointer, _ server: ServerPointer, _ name: [UInt8], _ body: UnsafeRawBufferPointer?
    ) -> Bool {
        guard self.hasRoom(name.count, client, server) else { return false }
        let own = name + (body == nil ? [0, 0, 0, 0] : [0])
        own.withUnsafeBytes {
            self.appendHeader(FrontendMessage.parse, bodyCount: $0.count + (body?.count ?? 0), copying: nil, $0)
        }
        if let body, let start = body.baseAddress { self.out.append(start, body.count) }
        server.pointee.session.sent(Request(.injectedParse, sequence: self.nextSequence()))
        return true
    }

    /// The server has skipped what should have given the client its own names, or some of it.
    mutating func keepSharedNames(_ server: ServerPointer, _ failed: ClosedRange<UInt32>) {
        guard let client = server.pointee.client, let own = client.pointee.statements,
            own.pointee.ownNamesSince != 0, failed.contains(own.pointee.ownNamesSince)
        else { return }
        own.pointee.ownNamesSince = 0
        client.pointee.flags.remove(.ownNames)
        server.pointee.statements?.pointee.doubtAll(&self.statementTable)
    }
}
