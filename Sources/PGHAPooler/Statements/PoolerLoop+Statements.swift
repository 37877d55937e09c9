internal import PGHAWire

// Prepared statements while servers change: clients' names are translated to names that servers share by text and
// parameter types; what a server lacks is prepared ahead of its use, in the same write.
//
// Whoever rewrites a message puts all of it into `out`; spans of the receive buffer stay where they are.
extension PoolerLoop {
    /// Messages that have to be looked at as a whole may be this long: 16 MiB.
    static var longestStatement: Int { 1 << 24 }

    /// Whether this client's statements are translated.
    @inline(__always) func translates(_ client: ClientPointer) -> Bool {
        self.configuration.preparedStatements > 0 && client.pointee.pool?.pointee.mode != .session
            && !client.pointee.flags.contains(.ownNames)
    }

    mutating func nextSequence() -> UInt32 {
        self.sequence &+= 1
        return self.sequence
    }

    // MARK: - Parse

    mutating func takeParse(_ client: ClientPointer, _ server: ServerPointer, _ message: MessageView) -> Rewritten {
        var reader = ByteReader(message.body)
        guard let name = reader.string() else { return .malformed }
        let body = reader.rest
        if self.configuration.resolvesCommits, server.pointee.session.status == .inTransaction {
            self.askForTransaction(client, server, body)
        }
        let own = self.statements(of: client)
        if !name.isEmpty, let taken = own.pointee.definition(name, self.statementTable) {
            return self.repeatParse(server, taken, body)
        }
        let (content, isRefused) = self.retain(body, client, server)
        if content.pointee.needsAttention, self.looksAtStatements(client, server, content.pointee.text) {
            self.statementTable.release(content)
            guard self.giveOwnNames(client, server, replacesUnnamed: name.isEmpty) else { return .lost }
            server.pointee.session.sent(Request(.parse, sequence: self.nextSequence()))
            return .unchanged
        }
        let renamed = !isRefused && content.pointee.needsAttention ? self.renamed(client, server, content) : nil
        let statement = renamed ?? content
        let sequence = self.nextSequence()
        server.pointee.pool.pointee.statistics.clientParses &+= 1
        own.pointee.insert(name, statement, sequence: sequence, &self.statementTable)
        let request: Request.Kind
        if let entry = self.statements(of: server).pointee.use(statement), self.isUsable(entry, on: server),
            !name.isEmpty || !self.isOlderThanTypes(entry)
        {
            request = .skippedParse
        } else if name.isEmpty, !isRefused, self.isNew(statement) {
            // Passed on without a name, as it came.
            self.statements(of: server).pointee.setUnnamed(statement, sequence: sequence, &self.statementTable)
            server.pointee.session.sent(Request(.parse, sequence: sequence))
            server.pointee.pool.pointee.statistics.serverParses &+= 1
            guard renamed != nil else { return .unchanged }
            self.appendUnnamedParse(statement.pointee.body)
            return .done
        } else {
            self.prepare(statement, on: server, sequence: sequence, .parse)
            return .done
        }
        server.pointee.session.sent(Request(request, sequence: sequence))
        return .done
    }

    /// The statement of a Parse, or the one that takes its place because it must not be sent.
    private mutating func retain(
        _ body: UnsafeRawBufferPointer, _ client: ClientPointer, _ server: ServerPointer
    ) -> (statement: StatementPointer, isRefused: Bool) {
        let statement = self.statementTable.retain(body)
        guard statement.pointee.needsAttention,
            let text = self.replacement(of: statement.pointee.text, client, server)
        else {
            return (statement, false)
        }
        self.statementTable.release(statement)
        return (Self.parseContent(text).withUnsafeBytes { self.statementTable.retain($0) }, true)
    }

    /// Whether a statement without a name is seen for the first time.
    private func isNew(_ statement: StatementPointer) -> Bool {
        statement.pointee.sightings &+= 1
        return statement.pointee.sightings < 2
    }

    /// A name that the client has in use already: the server is made to refuse, so that the transaction fails as it
    /// would without a pooler (42P05).
    private mutating func repeatParse(
        _ server: ServerPointer, _ taken: ClientStatements.Definition, _ body: UnsafeRawBufferPointer
    ) -> Rewritten {
        self.ensure(taken.statement, definedBy: taken.sequence, on: server)
        self.appendParse(taken.statement, body)
        server.pointee.session.sent(Request(.parse, sequence: self.nextSequence()))
        return .done
    }

    /// Sends Parse for a statement that the server lacks, after Close for one too many.
    private mutating func prepare(
        _ statement: StatementPointer, on server: ServerPointer, sequence: UInt32, _ kind: Request.Kind
    ) {
        let known = self.statements(of: server)
        if known.pointee.use(statement) != nil { self.close(statement, on: server) }
        while known.pointee.count >= self.configuration.preparedStatements,
            let oldest = known.pointee.leastRecentlyUsed
        {
            self.close(oldest, on: server)
        }
        known.pointee.insert(statement, sequence: sequence)
        server.pointee.pool.pointee.statistics.serverParses &+= 1
        self.appendParse(statement, statement.pointee.body)
        server.pointee.session.sent(Request(kind, sequence: sequence))
    }

    /// Prepares it, if it is not, before whatever uses it next. True when that was needed. `parse`: the Parse that the
    /// client has defined it by; if that is what the server has yet to answer, and it fails, what uses it must fail too.
    @discardableResult mutating func ensure(
        _ statement: StatementPointer, definedBy parse: UInt32? = nil, on server: ServerPointer
    ) -> Bool {
        if let entry = self.statements(of: server).pointee.use(statement), !entry.pointee.isStale,
            entry.pointee.sequence == parse || self.isUsable(entry, on: server)
        {
            return false
        }
        self.prepare(statement, on: server, sequence: self.nextSequence(), .injectedParse)
        return true
    }

    /// Whether the server has it for sure, and fit to be run.
    private func isUsable(_ entry: ServerStatements.EntryPointer, on server: ServerPointer) -> Bool {
        !entry.pointee.isStale && !server.pointee.session.isUncertain(entry.pointee.sequence)
    }

    /// A type of its may be gone, by a DROP or a ROLLBACK, and another of its name there. Who prepares without a name
    /// expects it to be looked up now; a name keeps what it meant.
    private func isOlderThanTypes(_ entry: ServerStatements.EntryPointer) -> Bool {
        Int32(bitPattern: self.lastTypeChange &- entry.pointee.sequence) >= 0
    }

    private mutating func close(_ statement: StatementPointer, on server: ServerPointer) {
        self.appendClose(statement.pointee.name, server)
        self.statements(of: server).pointee.remove(statement, &self.statementTable)
    }

    /// `name` with its zero.
    mutating func appendClose(_ name: UnsafeRawBufferPointer, _ server: ServerPointer) {
        self.appendHeader(FrontendMessage.close, bodyCount: 1 + name.count, copying: UInt8(ascii: "S"), name)
        server.pointee.session.sent(Request(.injectedClose))
    }

    private mutating func appendParse(_ statement: StatementPointer, _ body: UnsafeRawBufferPointer) {
        let name = statement.pointee.name
        self.appendHeader(FrontendMessage.parse, bodyCount: name.count + body.count, copying: nil, name)
        if let start = body.baseAddress { self.out.append(start, body.count) }
    }

    private mutating func appendUnnamedParse(_ body: UnsafeRawBufferPointer) {
        let name = UnsafeRawBufferPointer(start: nil, count: 0)
        self.appendHeader(FrontendMessage.parse, bodyCount: 1 + body.count, copying: 0, name)
        if let start = body.baseAddress { self.out.append(start, body.count) }
    }

    /// A message's header, an optional byte and some bytes of its body; the caller appends the rest.
    mutating func appendHeader(
        _ type: UInt8, bodyCount: Int, copying byte: UInt8?, _ bytes: UnsafeRawBufferPointer,
        _ more: UnsafeRawBufferPointer? = nil
    ) {
        let room = self.out.appendRoom(5 + (byte == nil ? 0 : 1) + bytes.count + (more?.count ?? 0))
        room.storeBytes(of: type, as: UInt8.self)
        (room + 1).storeBytes(of: UInt32(bodyCount + 4).bigEndian, as: UInt32.self)
        var place = room + 5
        if let byte {
            place.storeBytes(of: byte, as: UInt8.self)
            place += 1
        }
        if let start = bytes.baseAddress { place.copyMemory(from: start, byteCount: bytes.count) }
        if let more, let start = more.baseAddress {
            (place + bytes.count).copyMemory(from: start, byteCount: more.count)
        }
    }
}

/// What became of a message about prepared statements.
enum Rewritten {
    /// In `out`, or answered in the server's place.
    case done
    /// Goes on as it came.
    case unchanged
    /// More of it is needed.
    case incomplete
    case malformed
    /// The client was closed, or lost its server.
    case lost
}
