package import AsyncHTTPClient
import Glibc
import NIOCore

extension HTTPClient.Configuration {
    /// Ends connections whose peer has vanished without a word.
    ///
    /// An agent may take a day to answer, and a host that lost its power never closes a connection: the request would wait
    /// on it although the host is back long since. 5 s idle + 3 × 2 s = 11 s until a silent peer is noticed, 5 s while
    /// something that was sent is not acknowledged. Source: tcp(7). A stopped process is no silent peer: its kernel answers.
    package mutating func noticeVanishedPeers() {
        self.http1_1ConnectionDebugInitializer = { channel in
            let limits = [
                (TCP_KEEPIDLE, 5), (TCP_KEEPINTVL, 2), (TCP_KEEPCNT, 3), (TCP_USER_TIMEOUT, 5000),
            ].map { name, value in
                channel.setOption(
                    ChannelOptions.Types.SocketOption(level: .tcp, name: .init(rawValue: CInt(name))),
                    value: SocketOptionValue(value))
            }
            let keepAlive = channel.setOption(ChannelOptions.socketOption(.so_keepalive), value: 1)
            return EventLoopFuture.andAllSucceed(limits + [keepAlive], on: channel.eventLoop)
        }
    }
}
