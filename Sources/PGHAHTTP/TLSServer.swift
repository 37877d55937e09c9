package import HummingbirdCore
internal import Logging
internal import NIOCore
internal import NIOSSL
package import PGHATLS
internal import Synchronization

extension HTTPServerBuilder {
    /// HTTP/1.1: over TLS alone where this process has a certificate, else plain.
    package static func over(_ tls: TLSIdentity?) -> HTTPServerBuilder {
        guard let tls, tls.server != nil else { return .http1() }
        let said = LastSaid()
        return HTTPServerBuilder { TLSChildChannel(inner: HTTP1Channel(responder: $0), tls: tls, said: said) }
    }
}

/// Each connection takes the certificate that is current when it is made.
private struct TLSChildChannel: ServerChildChannel {
    let inner: HTTP1Channel
    let tls: TLSIdentity
    let said: LastSaid

    func setup(channel: any Channel, logger: Logger) -> EventLoopFuture<HTTP1Channel.Value> {
        channel.eventLoop.makeCompletedFuture {
            guard let context = self.tls.server else { throw ChannelError.operationUnsupported }
            try channel.pipeline.syncOperations.addHandlers([
                NIOSSLServerHandler(context: context), TLSTroubleHandler(logger, self.said),
            ])
        }.flatMap { self.inner.setup(channel: channel, logger: logger) }
    }

    func handle(value: HTTP1Channel.Value, logger: Logger) async {
        await self.inner.handle(value: value, logger: logger)
    }
}

/// Says who could not come in and why: the other side often learns less.
private final class TLSTroubleHandler: ChannelInboundHandler {
    typealias InboundIn = NIOAny

    private let logger: Logger
    private let said: LastSaid

    init(_ logger: Logger, _ said: LastSaid) {
        self.logger = logger
        self.said = said
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        if let trouble = TLSTrouble(error), self.said.isDue("\(context.remoteAddress?.ipAddress ?? "") \(trouble)") {
            self.logger.info(
                "no connection over TLS",
                metadata: [
                    "peer": "\(context.remoteAddress?.ipAddress ?? "unknown")", "error": "\(trouble.words)",
                ])
        }
        context.fireErrorCaught(error)
    }
}

/// Whoever tries again and again is named once a minute.
private final class LastSaid: Sendable {
    private let times = Mutex<[String: ContinuousClock.Instant]>([:])
    private static let pause = Duration.seconds(60)
    /// Peers; beyond that all are forgotten.
    private static let limit = 1000

    func isDue(_ what: String) -> Bool {
        self.times.withLock { times in
            if let last = times[what], .now - last < Self.pause { return false }
            if times.count >= Self.limit { times = [:] }
            times[what] = .now
            return true
        }
    }
}
