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
        if !name.isEmpty, let taken = own.pointee.find(name, self.statementTable) {
            return self.repeatParse(server, taken, body)
        }
        let (content, isRefused) = self.retain(body, client)
        let renamed = !isRefused && content.pointee.needsAttention ? self.renamed(client, server, content) : nil
        let statement = renamed ?? content
        let sequence = self.nextSequence()
        server.pointee.pool.pointee.statistics.clientParses &+= 1
        own.pointee.insert(name, statement, sequence: sequence, &self.statementTable)
        let request: Request.Kind
        if let entry = self.statements(of: server).pointee.use(statement), !entry.pointee.isStale {
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
        _ body: UnsafeRawBufferPointer, _ client: ClientPointer
    ) -> (statement: StatementPointer, isRefused: Bool) {
        let statement = self.statementTable.retain(body)
        guard statement.pointee.needsAttention, let text = self.replacement(of: statement.pointee.text, client) else {
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
        _ server: ServerPointer, _ taken: StatementPointer, _ body: UnsafeRawBufferPointer
    ) -> Rewritten {
        self.ensure(taken, on: server)
        self.appendParse(taken, body)
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

    /// Prepares it, if it is not, before whatever uses it next. True when that was needed.
    @discardableResult mutating func ensure(_ statement: StatementPointer, on server: ServerPointer) -> Bool {
        if let entry = self.statements(of: server).pointee.use(statement), !entry.pointee.isStale { return false }
        self.prepare(statement, on: server, sequence: self.nextSequence(), .injectedParse)
        return true
    }

    private mutating func close(_ statement: StatementPointer, on server: ServerPointer) {
        let name = statement.pointee.name
        self.appendHeader(FrontendMessage.close, bodyCount: 1 + name.count, copying: UInt8(ascii: "S"), name)
        server.pointee.session.sent(Request(.injectedClose))
        self.statements(of: server).pointee.remove(statement, &self.statementTable)
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
    private mutating func appendHeader(
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

    // MARK: - Bind, Describe, Close

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
        guard let statement = client.pointee.statements?.pointee.find(name, self.statementTable) else { return nil }
        self.note(client, server, statement)
        if name.isEmpty, self.statements(of: server).pointee.unnamed == statement { return nil }
        self.ensure(statement, on: server)
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

    /// A simple Query destroys the server's statement without a name. Source: PostgreSQL manual, "Extended Query".
    @inline(__always) mutating func forgetUnnamed(_ server: ServerPointer) {
        guard let statements = server.pointee.statements, statements.pointee.unnamed != nil else { return }
        statements.pointee.setUnnamed(nil, sequence: 0, &self.statementTable)
    }

    // MARK: - What servers say

    /// Parses have failed: they define nothing, for the client and on the server.
    mutating func forgetFailed(_ server: ServerPointer) {
        guard let failed = server.pointee.session.takeFailures() else { return }
        server.pointee.statements?.pointee.removeFailed(failed, &self.statementTable)
        server.pointee.client?.pointee.statements?.pointee.removeFailed(failed, &self.statementTable)
    }

    /// "cached plan must not change result type": the next use prepares it afresh.
    mutating func planIsStale(_ server: ServerPointer, _ statement: UnsafeMutableRawPointer?) {
        guard let statement = statement?.assumingMemoryBound(to: Statement.self) else { return }
        server.pointee.statements?.pointee.use(statement)?.pointee.isStale = true
    }

    /// DEALLOCATE ALL and DISCARD ALL: nothing is prepared any more, under no name.
    mutating func takeCommandTag(_ server: ServerPointer, _ body: UnsafeRawBufferPointer) {
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

    private func statements(of server: ServerPointer) -> UnsafeMutablePointer<ServerStatements> {
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

/// What became of a message about prepared statements.
enum Rewritten {
    /// In `out`, or answered in the server's place.
    case done
    /// Goes on as it came.
    case unchanged
    /// More of it is needed.
    case incomplete
    case malformed
}

enum CommandTag {
    static func forgetsStatements(_ body: UnsafeRawBufferPointer) -> Bool {
        Self.equals(body, "DEALLOCATE ALL") || Self.equals(body, "DISCARD ALL")
    }

    private static func equals(_ body: UnsafeRawBufferPointer, _ tag: StaticString) -> Bool {
        guard body.count == tag.utf8CodeUnitCount + 1 else { return false }
        for index in 0..<tag.utf8CodeUnitCount where body[index] != tag.utf8Start[index] { return false }
        return true
    }
}
