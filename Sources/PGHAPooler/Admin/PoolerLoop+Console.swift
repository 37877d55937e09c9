internal import Glibc
internal import PGHAWire

// The console: a virtual database whose statements ask and change the pooler itself.
//
// A client of it has no pool and no server. Its statements are asked of every loop; the answer is sent when the last
// loop's part is in, and nothing more is read from the client until then.
extension PoolerLoop {
    static var consoleDatabases: [WireText] { ["pgha", "pgbouncer"] }

    /// Whether the client wanted the console; it is in, or was told why not.
    mutating func admitToConsole(_ client: ClientPointer, _ logIn: LogIn, _ message: StartupMessage) -> Bool {
        guard Self.consoleDatabases.contains(message.database) else { return false }
        let console = self.configuration.console
        guard console.administrators.contains(message.user) || console.observers.contains(message.user) else {
            self.refuse(client, .insufficientPrivilege, "user \"\(message.user)\" may not use the console")
            return true
        }
        self.stopCounting(logIn)
        client.pointee.phase = .console
        client.pointee.since = self.now
        var buffer = WireBuffer(capacity: 256)
        buffer.authenticationOk()
        for (name, value) in [
            ("server_version", "1.24.0/pgha"), ("client_encoding", "UTF8"), ("server_encoding", "UTF8"),
            ("DateStyle", "ISO"), ("TimeZone", "GMT"), ("standard_conforming_strings", "on"), ("is_superuser", "on"),
        ] { buffer.parameterStatus(WireText(name), WireText(value)) }
        buffer.readyForQuery(.idle)
        self.out.removeAll()
        self.append(buffer)
        if self.flush(to: client) { self.readConsole(client) }
        return true
    }

    mutating func readConsole(_ client: ClientPointer) {
        guard let logIn = client.pointee.logIn?.takeUnretainedValue(), !logIn.isAnswering else { return }
        client.pointee.flags.remove(.unread)
        while client.pointee.phase == .console, !logIn.isAnswering {
            if let message = logIn.nextMessage(limit: Self.longestConsoleMessage) {
                self.takeConsole(client, logIn, message)
                continue
            }
            let base = self.input + Self.frontRoom
            let count = client.pointee.transport.receive(base, Self.bufferSize)
            if count == Transport.wouldBlock { return }
            guard count > 0, logIn.input.count < Self.longestConsoleMessage else { return self.closeClient(client) }
            logIn.input.append(UnsafeRawBufferPointer(start: base, count: count))
        }
    }

    private static var longestConsoleMessage: Int { 64 * 1024 }

    private mutating func takeConsole(_ client: ClientPointer, _ logIn: LogIn, _ message: LogIn.Message) {
        switch message.type {
        case FrontendMessage.query:
            let text = String(decoding: message.body.prefix { $0 != 0 }, as: UTF8.self)
            guard let command = ConsoleCommand(text) else {
                return self.answerConsole(
                    client, error: .syntaxError, "unknown command of the console; SHOW HELP lists them")
            }
            self.runConsole(client, logIn, command)
        case FrontendMessage.terminate: self.closeClient(client)
        case FrontendMessage.sync:
            self.answerConsole(
                client, error: .featureNotSupported, "the console understands the simple query protocol only")
        // Of the extended protocol; the Sync that ends it is answered.
        default: break
        }
    }

    private mutating func runConsole(_ client: ClientPointer, _ logIn: LogIn, _ command: ConsoleCommand) {
        guard let user = logIn.message?.user else { return }
        guard command.isHarmless || self.configuration.console.administrators.contains(user) else {
            return self.answerConsole(client, error: .insufficientPrivilege, "admin access needed")
        }
        switch command {
        case .set: return self.answerConsole(client, command, [])
        // What reads files and ends processes stands outside of the loops and takes signals.
        case .reload: _ = kill(getpid(), SIGHUP)
        case .shutdown: _ = kill(getpid(), SIGTERM)
        case .show, .change, .waitClose: break
        }
        logIn.isAnswering = true
        self.gather(Token(.client, index: client.pointee.index, generation: client.pointee.generation), command)
    }

    /// Asks every loop, this one included.
    private func gather(_ asking: Token, _ command: ConsoleCommand) {
        let count = self.mailbox.peerCount
        let gather = ConsoleGather(count: count)
        let home = self.mailbox
        for number in 0..<count {
            self.mailbox.postToPeer(
                number,
                .ask { loop in
                    var table: ConsoleCommand.Table?
                    if case .show(let shown) = command { table = shown }
                    if case .change(let change) = command { loop.apply(change) }
                    guard let parts = gather.add(loop.consolePart(table, command)) else { return }
                    home.post(.ask { loop in loop.finishConsole(asking, command, parts) })
                })
        }
    }

    private mutating func finishConsole(_ asking: Token, _ command: ConsoleCommand, _ parts: [ConsolePart]) {
        let client = self.clients[asking.index]
        guard client.pointee.phase == .console, client.pointee.generation == asking.generation,
            let logIn = client.pointee.logIn?.takeUnretainedValue()
        else { return }
        // A PAUSE is over when nothing runs any more: asked again at the next tick.
        if case .change(.pause) = command, parts.contains(where: { $0.busyWhilePaused > 0 }) {
            self.consoleWaits.append((asking, command))
            return
        }
        if case .waitClose = command, parts.contains(where: { $0.closing > 0 }) {
            self.consoleWaits.append((asking, command))
            return
        }
        logIn.isAnswering = false
        self.answerConsole(client, command, parts)
        if client.pointee.phase == .console { self.readConsole(client) }
    }

    mutating func askAgain() {
        guard !self.consoleWaits.isEmpty else { return }
        let waits = self.consoleWaits
        self.consoleWaits = []
        for (asking, command) in waits { self.gather(asking, command) }
    }

    // MARK: - Answers

    private mutating func answerConsole(_ client: ClientPointer, _ command: ConsoleCommand, _ parts: [ConsolePart]) {
        var buffer = WireBuffer(capacity: 4096)
        if case .show(let table) = command {
            let answer = ConsoleTable(table, parts, self.configuration)
            buffer.rowDescription(columns: answer.columns, isNumber: ConsoleTable.isNumber)
            for row in answer.rows { buffer.dataRow(row) }
        }
        buffer.commandComplete(command.tag)
        buffer.readyForQuery(.idle)
        self.sendConsole(client, buffer)
    }

    private mutating func answerConsole(_ client: ClientPointer, error state: SQLState, _ message: String) {
        var buffer = WireBuffer()
        buffer.errorResponse(WireError(.error, state, message))
        buffer.readyForQuery(.idle)
        self.sendConsole(client, buffer)
    }

    /// SHOW CLIENTS of thousands is longer than the loop's own room: sent from where it is.
    private mutating func sendConsole(_ client: ClientPointer, _ buffer: borrowing WireBuffer) {
        guard let start = buffer.bytes.baseAddress else { return }
        self.out.removeAll()
        self.out.append(start, buffer.count)
        _ = self.flush(to: client)
    }
}

extension LogIn {
    struct Message {
        let type: UInt8
        let body: [UInt8]
    }

    /// The next whole message of `input`; nil while there is none, and for lengths that nobody sends.
    func nextMessage(limit: Int) -> Message? {
        let bytes = self.input.bytes
        guard bytes.count >= 5 else { return nil }
        let length = bytes[1..<5].reduce(0) { $0 << 8 | Int($1) }
        guard length >= 4, length < limit, bytes.count > length else { return nil }
        let message = Message(type: bytes[0], body: Array(bytes[5..<length + 1]))
        self.input.removeFirst(length + 1)
        return message
    }
}
