internal import PGHAWire

// SQL that names what the protocol has prepared: `DEALLOCATE name`, as psycopg 3 sends it, and `EXECUTE name`. The
// server knows the statement by another name, which other clients may use too.
extension PoolerLoop {
    /// What a text does to one statement of its client.
    private struct NamedUse {
        /// Nil: it was deallocated already.
        let statement: StatementPointer?
        let name: WireText
        /// Where the text names it.
        let range: Range<Int>
        let isDeallocation: Bool
    }

    /// Nil where the text is none of these, or the server knows what it says, or nothing would come of it.
    private func namedUse(
        _ client: ClientPointer, _ server: ServerPointer, _ text: UnsafeRawBufferPointer
    ) -> NamedUse? {
        guard let own = client.pointee.statements, self.translates(client), server.pointee.session.status != .failed
        else { return nil }
        let summary = self.classifier.classify(text, strings: self.stringSyntax(of: server))
        guard summary.count == 1, !summary.effects.isDisjoint(with: .namesStatement),
            let name = summary.name(in: text), !name.bytes.isEmpty
        else { return nil }
        let statement = name.bytes.withUnsafeBytes { own.pointee.find($0, self.statementTable) }
        let isDeallocation = summary.effects.contains(.deallocates)
        // Sent again after the loss of its server, it finds its name gone: the first time took it away.
        let isRepeated = isDeallocation && client.pointee.trouble.contains(.retried)
        guard statement != nil || isRepeated else { return nil }
        return NamedUse(statement: statement, name: name, range: summary.name, isDeallocation: isDeallocation)
    }

    /// Adds a Query with the server's name instead of the client's; false where the text stays as it is.
    mutating func rename(_ client: ClientPointer, _ server: ServerPointer, _ text: UnsafeRawBufferPointer) -> Bool {
        guard !server.pointee.session.hasOpenPipeline, let use = self.namedUse(client, server, text)
        else { return false }
        if use.isDeallocation {
            // Others may use the server's: something else is deallocated, so that the answer is the server's own.
            let name = self.forget(use, of: client)
            self.appendQuery(Array("PREPARE \(name) AS SELECT 1; DEALLOCATE \(name)".utf8))
            server.pointee.session.sent(Request(.prefixedQuery))
            return true
        }
        guard let statement = use.statement else { return false }
        self.note(client, server, statement)
        if self.ensure(statement, on: server) {
            self.appendSync(server)
        }
        self.appendQuery(Self.text(text, use, statement))
        server.pointee.session.sent(Request(.query))
        return true
    }

    /// Behind a Parse of the pooler's own: without it one that fails would take the Query and its ReadyForQuery with it.
    mutating func appendSync(_ server: ServerPointer) {
        self.out.appendEmptyMessage(FrontendMessage.sync)
        server.pointee.session.sent(Request(.injectedSync))
    }

    /// The statement to prepare instead of `statement`, which is released; nil where it stays as it is.
    mutating func renamed(
        _ client: ClientPointer, _ server: ServerPointer, _ statement: StatementPointer
    ) -> StatementPointer? {
        let text = statement.pointee.text
        guard let use = self.namedUse(client, server, text) else { return nil }
        var body: [UInt8]
        if use.isDeallocation {
            let name = self.forget(use, of: client)
            var buffer = WireBuffer()
            buffer.message(FrontendMessage.parse) { buffer in
                buffer.appendString(name)
                buffer.appendString("SELECT 1")
                buffer.append(UInt16(0))
            }
            self.append(buffer)
            server.pointee.session.sent(Request(.injectedParse, sequence: self.nextSequence()))
            body = Array("DEALLOCATE \(name)".utf8)
        } else if let used = use.statement {
            self.note(client, server, used)
            _ = self.ensure(used, on: server)
            body = Self.text(text, use, used)
        } else {
            return nil
        }
        body += statement.pointee.body[text.count...]
        let renamed = body.withUnsafeBytes { self.statementTable.retain($0) }
        self.statementTable.release(statement)
        return renamed
    }

    /// The client's name is free again. Returns one that no statement has.
    private mutating func forget(_ use: NamedUse, of client: ClientPointer) -> String {
        use.name.bytes.withUnsafeBytes { client.pointee.statements?.pointee.remove($0, &self.statementTable) }
        return "pgha_gone_\(self.nextSequence())"
    }

    private static func text(
        _ text: UnsafeRawBufferPointer, _ use: NamedUse, _ statement: StatementPointer
    ) -> [UInt8] {
        text[..<use.range.lowerBound] + statement.pointee.name.dropLast() + text[use.range.upperBound...]
    }

    private mutating func appendQuery(_ text: [UInt8]) {
        var buffer = WireBuffer()
        buffer.message(FrontendMessage.query) { buffer in
            buffer.append(text)
            buffer.append(UInt8(0))
        }
        self.append(buffer)
    }
}
