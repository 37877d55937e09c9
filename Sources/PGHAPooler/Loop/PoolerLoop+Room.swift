internal import CPGHALoop

// When the loop is told that a socket can be written to.
//
// TCP says so only after a send that did not fit. A Unix socket says so each time its peer has read something, which
// would wake the loop once for every query and once for every answer; so these are watched only while output waits.
extension PoolerLoop {
    @inline(__always) func watchRoom(_ server: ServerPointer) {
        if server.pointee.transport.isUnix {
            let token = Token(.server, index: server.pointee.index, generation: server.pointee.generation)
            self.watch(server.pointee.transport, token, server.pointee.output != nil)
        }
    }

    @inline(__always) func watchRoom(_ client: ClientPointer) {
        if client.pointee.transport.isUnix {
            let token = Token(.client, index: client.pointee.index, generation: client.pointee.generation)
            self.watch(client.pointee.transport, token, client.pointee.output != nil)
        }
    }

    /// A change reports at once what is true already, so nothing is missed. It cannot fail for a socket that is there.
    @inline(never) private func watch(_ transport: Transport, _ token: Token, _ isWatched: Bool) {
        _ = pgha_epoll_watch_room(self.epoll, transport.descriptor, token.bits, isWatched ? 1 : 0)
    }
}
