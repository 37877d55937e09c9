internal import PGHAWire

// Messages of clients that name a prepared statement or a portal.
extension PoolerLoop {
    /// EXECUTE or DEALLOCATE.
    @inline(never) mutating func takeNamedQuery(
        _ client: ClientPointer, _ server: ServerPointer, _ message: MessageView, _ span: inout UnsafeRawPointer
    ) -> Taken {
        let text = Self.queryText(message)
        self.out.append(span, message.start - span)
        span = message.start
        // What fills the room alone stays as it is.
        let fits = message.isComplete && self.makeRoom(for: Self.ownRoom + text.count, client)
        guard client.pointee.server == server else { return .closed }
        if fits, self.looksAtStatements(client, server, text), !server.pointee.session.hasOpenPipeline {
            guard self.giveOwnNames(client, server, replacesUnnamed: true) else { return .closed }
            self.appendSync(server)
        }
        let isRenamed = fits && self.rename(client, server, text)
        if !isRenamed { server.pointee.session.sent(Request(.query)) }
        if server.pointee.session.hasFailures { self.forgetFailed(server) }
        self.forgetUnnamed(server)
        return isRenamed ? .done : .forward
    }

    /// Close, Parse, and the message itself are the most that one message can become.
    private static var ownRoom: Int { 512 + 2 * 64 + Self.frontRoom }

    /// Messages that name a prepared statement or a portal.
    mutating func takeStatement(
        _ client: ClientPointer, _ message: MessageView, _ span: inout UnsafeRawPointer
    ) -> Taken {
        let isWhole = message.isComplete || message.type == FrontendMessage.bind
        guard isWhole || !self.translates(client) else {
            if message.totalCount <= Self.longestStatement { return .keep }
            self.refuse(client, .programLimitExceeded, "prepared statement of more than 16 MiB")
            return .closed
        }
        guard let server = self.serverReady(for: client) else { return .keep }
        if client.pointee.flags.contains(.guardsBinds), message.type == FrontendMessage.bind {
            guard message.isComplete else { return .keep }
            if let refusal = self.settingRefusal(ofBind: message) {
                self.out.append(span, message.start - span)
                span = message.start
                return self.replaceBind(client, server, message, refusal) ? .done : .closed
            }
        }
        guard self.translates(client) else { return self.passStatement(client, server, message, &span) }
        self.out.append(span, message.start - span)
        span = message.start
        guard self.makeRoom(for: Self.ownRoom, client) else { return .closed }
        switch self.rewrite(client, server, message) {
        case .done:
            client.pointee.flags.remove(.dropsRest)
            if server.pointee.session.hasFailures { self.forgetFailed(server) }
            return .done
        case .unchanged:
            if server.pointee.session.hasFailures { self.forgetFailed(server) }
            return .forward
        case .incomplete: return .keep
        case .lost: return .closed
        case .malformed:
            self.refuse(client, .protocolViolation, "invalid message format")
            return .closed
        }
    }

    @inline(__always) private mutating func rewrite(
        _ client: ClientPointer, _ server: ServerPointer, _ message: MessageView
    ) -> Rewritten {
        switch message.type {
        case FrontendMessage.parse: self.takeParse(client, server, message)
        case FrontendMessage.bind: self.takeBind(client, server, message)
        case FrontendMessage.describe: self.takeDescribe(client, server, message)
        default: self.takeClose(client, server, message)
        }
    }
}
