import Hummingbird
import NIOCore
import PGHAHTTP
import PGHAPage

/// The status page at `/`, and the stream that it lives on. Reading needs no token, as everywhere.
enum PageRoutes {
    static func add(to router: Router<PeerContext>, _ controller: Controller) {
        for asset in StatusPage.assets {
            router.get(RouterPath(asset.path)) { _, _ in
                Response(
                    status: .ok, headers: self.headers(asset.contentType),
                    body: .init(byteBuffer: ByteBuffer(bytes: asset.bytes)))
            }
        }
        router.get("/v1/watch") { _, _ in
            Response(
                status: .ok, headers: self.headers("text/event-stream"),
                body: ResponseBody { writer in
                    var stream = WatchStream(controller)
                    try await stream.write(to: &writer)
                    try await writer.finish(nil)
                })
        }
    }

    private static func headers(_ contentType: String) -> HTTPFields {
        [
            .contentType: contentType, .cacheControl: "no-cache", .xContentTypeOptions: "nosniff",
            .contentSecurityPolicy: StatusPage.contentSecurityPolicy,
        ]
    }
}
