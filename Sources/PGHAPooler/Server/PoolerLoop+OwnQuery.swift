internal import PGHAWire

// Queries of the pooler's own on a server: parameters for the next client, cleaning after the last.
extension PoolerLoop {
    /// A message that no client gets to see: from an idle server, or in answer to a query of the pooler's own.
    mutating func takeUnseen(_ server: ServerPointer, _ message: MessageView) -> ServerTaken {
        switch message.type {
        case BackendMessage.notificationResponse:
            return server.pointee.client?.pointee.phase == .parked ? .forward : .drop
        case BackendMessage.noticeResponse:
            if self.noteProof(server, message) { server.pointee.flags.insert(.cleaningFailed) }
            return .drop
        case BackendMessage.parameterStatus: return self.takeParameterStatus(server, message)
        case BackendMessage.readyForQuery:
            guard message.isComplete else { return .keep }
            guard let status = message.body.first, server.pointee.session.receivedReady(status) == .swallow else {
                return .broken
            }
            if let client = server.pointee.client, client.pointee.phase == .learning {
                self.transactionLearned(client, server)
            } else if server.pointee.session.requests.isEmpty {
                self.ownQueryEnded(server)
            }
            return .drop
        case BackendMessage.errorResponse:
            server.pointee.flags.insert(.cleaningFailed)
            if self.noteProof(server, message) { self.admission.cannotBeAsked = true }
        case BackendMessage.dataRow:
            guard message.isComplete else { return message.totalCount <= Self.frontRoom ? .keep : .broken }
            if server.pointee.flags.contains(.learns) {
                self.learnTransaction(server, message.body)
                return server.pointee.session.received(message.type) == .broken ? .broken : .drop
            }
            if let touch = server.pointee.touch?.takeUnretainedValue() { touch.take(message.body) }
            if let replay = server.pointee.replay?.takeUnretainedValue() { replay.take(message.body) }
        case BackendMessage.commandComplete:
            guard message.isComplete else { return .keep }
            self.takeCommandTag(server, message.body)
        default: break
        }
        return server.pointee.session.received(message.type) == .broken ? .broken : .drop
    }

    /// The last answer to queries of the pooler's own is in.
    mutating func ownQueryEnded(_ server: ServerPointer) {
        if server.pointee.phase == .cleaning { return self.cleaningEnded(server) }
        guard let client = server.pointee.client else { return }
        if client.pointee.phase == .attaching { self.replayEnded(client, server) }
        if client.pointee.phase == .settling { self.settingsRead(client, server) }
    }

    private mutating func cleaningEnded(_ server: ServerPointer) {
        if server.pointee.flags.contains(.proves) { return self.proofEnded(server) }
        // A server whose state is not known is of no use.
        guard !server.pointee.flags.contains(.cleaningFailed), server.pointee.session.isReleasable else {
            let pool = server.pointee.pool
            self.dropServer(server)
            return self.openServersIfNeeded(pool)
        }
        if server.pointee.cancels == 0 { self.giveBack(server) }
    }
}
