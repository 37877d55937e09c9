internal import PGHAWire

// Messages of clients that most transactions do without.
extension PoolerLoop {
    mutating func takeRare(
        _ client: ClientPointer, _ message: MessageView, _ span: UnsafeRawPointer
    ) -> Taken {
        switch message.type {
        case FrontendMessage.flush: return self.takeFlush(client, message, span)
        case FrontendMessage.functionCall:
            guard let server = self.serverReady(for: client) else { return .keep }
            server.pointee.session.sent(Request(.functionCall))
            return .forward
        case FrontendMessage.copyData, FrontendMessage.copyDone, FrontendMessage.copyFail:
            return self.takeCopy(client, message, span)
        case FrontendMessage.terminate:
            self.out.append(span, message.start - span)
            self.flushToServer(of: client)
            if client.pointee.phase != .free { self.closeClient(client) }
            return .closed
        default:
            self.refuse(client, .protocolViolation, "invalid frontend message type \(message.type)")
            return .closed
        }
    }

    /// Replies are wanted now; those that the pooler makes up itself may be due, with nothing of the server's to
    /// carry them.
    private mutating func takeFlush(
        _ client: ClientPointer, _ message: MessageView, _ span: UnsafeRawPointer
    ) -> Taken {
        guard let server = self.serverReady(for: client) else { return .keep }
        guard server.pointee.session.hasMadeUp else { return .forward }
        self.out.append(span, message.start + message.presentCount - span)
        self.flushToServer(of: client)
        guard client.pointee.server == server, client.pointee.phase == .active else { return .closed }
        return self.addMadeUp(server) && self.flushToClient(of: server) ? .done : .closed
    }

    /// Data that outlived its COPY (which failed) is dropped here as the server would drop it.
    private mutating func takeCopy(
        _ client: ClientPointer, _ message: MessageView, _ span: UnsafeRawPointer
    ) -> Taken {
        guard let server = client.pointee.server else {
            self.out.append(span, message.start - span)
            client.pointee.flags.insert(.dropsRest)
            return .done
        }
        if message.type != FrontendMessage.copyData { server.pointee.session.sent(Request(.copyEnd)) }
        return .forward
    }

    /// Another query goes in the place of one that must not be sent.
    @inline(never) mutating func replace(
        _ client: ClientPointer, _ message: MessageView, _ text: String, _ span: inout UnsafeRawPointer
    ) -> Taken {
        self.out.append(span, message.start - span)
        span = message.start
        guard self.makeRoom(for: 1024, client) else { return .closed }
        self.appendReplacement(text)
        client.pointee.flags.insert(.dropsRest)
        return .done
    }

    /// Of a client whose statements are not translated.
    mutating func passStatement(
        _ client: ClientPointer, _ server: ServerPointer, _ message: MessageView, _ span: inout UnsafeRawPointer
    ) -> Taken {
        let isParse = message.type == FrontendMessage.parse
        if isParse, !message.isComplete, message.totalCount <= Self.bufferSize { return .keep }
        server.pointee.session.sent(Request(Self.kind(message.type), sequence: isParse ? self.nextSequence() : 0))
        if isParse, message.body.first != 0 { client.pointee.flags.insert(.holdsState) }
        guard isParse, message.isComplete, let parse = ParseView(message.body),
            let text = self.replacement(of: parse.text, client, server)
        else { return .forward }
        self.out.append(span, message.start - span)
        span = message.start
        guard self.makeRoom(for: 1024 + parse.name.count, client) else { return .closed }
        self.appendReplacement(text, name: parse.name)
        return .done
    }

    private static func kind(_ type: UInt8) -> Request.Kind {
        switch type {
        case FrontendMessage.parse: .parse
        case FrontendMessage.bind: .bind
        case FrontendMessage.describe: .describe
        default: .close
        }
    }
}
