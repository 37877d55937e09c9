import AsyncHTTPClient
import Foundation
import Hummingbird
import Logging
import NIOCore
import NIOHTTP1
import PGHAClient
import PGHAController
import PGHAPage
import PGHATesting
import Testing

@Suite struct StatusPageTests {
    /// A controller without a cluster, behind its HTTP interface; `body` gets the address.
    private func withController(_ body: @escaping @Sendable (String) async throws -> Void) async throws {
        let logger = Logger(label: "page") { _ in SwiftLogNoOpLogHandler() }
        let controller = Controller(
            store: MemoryStore(), storeKind: "memory", seed: 1, logger: logger,
            makeNode: { _, _ in preconditionFailure("there is no cluster") })
        let (ports, port) = AsyncStream.makeStream(of: Int.self)
        let application = Application(
            router: ControllerRoutes(controller: controller, token: WireSecret("a-token-of-a-test")).router(),
            configuration: .init(address: .hostname("127.0.0.1", port: 0)),
            onServerRunning: { port.yield($0.localAddress?.port ?? 0) }, logger: logger)
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await controller.run() }
            group.addTask { try await application.run() }
            for await port in ports {
                try await body("http://127.0.0.1:\(port)")
                break
            }
            group.cancelAll()
        }
    }

    private static func get(_ url: String) async throws -> HTTPClientResponse {
        try await HTTPClient.shared.execute(HTTPClientRequest(url: url), timeout: .seconds(60))
    }

    @Test func thePageMayLoadItselfAndNothingElse() async throws {
        try await self.withController { base in
            let types = ["/": "text/html", "/page/page.css": "text/css", "/page/page.js": "text/javascript"]
            for asset in StatusPage.assets {
                let response = try await Self.get(base + asset.path)
                #expect(response.status == .ok)
                let body = try await response.body.collect(upTo: 1 << 20)
                #expect(Array(body.readableBytesView) == asset.bytes && !asset.bytes.isEmpty)
                let headers = response.headers
                if let type = types[asset.path] {
                    #expect(headers.first(name: "content-type") == "\(type); charset=utf-8")
                }
                let policy = try #require(headers.first(name: "content-security-policy"))
                #expect(policy.hasPrefix("default-src 'none'; ") && policy.contains("frame-ancestors 'none'"))
                #expect(!policy.contains("unsafe") && !policy.contains("http") && !policy.contains("*"))
                #expect(headers.first(name: "x-content-type-options") == "nosniff")
                #expect(headers.first(name: "cache-control") == "no-cache")
            }
        }
    }

    @Test func everythingThePageAsksForIsServedHere() throws {
        let paths = StatusPage.assets.map(\.path)
        for asset in StatusPage.assets {
            let text = String(decoding: asset.bytes, as: UTF8.self)
            for match in text.matches(of: #/(?:src=|href=|from |import )"([^"\n]*)"/#) {
                let target = String(match.1)
                let isServed =
                    paths.contains(target) || paths.contains("/page/" + target.replacing("./", with: ""))
                    || ["data:,", "/v1/status", "/v1/history", "/metrics"].contains(target)
                #expect(isServed, "\(asset.path) asks for \(target)")
            }
            // The one address in it is a name, not a place: that of the drawing language.
            let elsewhere = text.replacing("http://www.w3.org/2000/svg", with: "")
            #expect(!elsewhere.contains("//www") && !elsewhere.contains("http:") && !elsewhere.contains("https:"))
        }
    }

    /// Names of nodes, messages of servers and reasons of operators become text, whatever is in them; the policy would
    /// refuse to run them, and this keeps them from being markup in the first place.
    @Test func nothingFromOutsideBecomesMarkup() throws {
        let roads = [
            "innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "createContextualFragment", "DOMParser",
            "eval(", "new Function", "setHTML", "srcdoc", "javascript:", " style=", " onclick=",
        ]
        for asset in StatusPage.assets {
            let text = String(decoding: asset.bytes, as: UTF8.self)
            for road in roads { #expect(!text.contains(road), "\(asset.path) has \(road)") }
        }
    }

    @Test func aWatcherHearsTheStatusThePastAndTheHistoryAtOnce() async throws {
        try await self.withController { base in
            let response = try await Self.get(base + "/v1/watch")
            #expect(response.headers.first(name: "content-type") == "text/event-stream")
            var events: [String: [String]] = [:]
            var text = ""
            for try await chunk in response.body {
                text += String(buffer: chunk)
                while let end = text.range(of: "\n\n") {
                    let lines = text[..<end.lowerBound].split(separator: "\n").map(String.init)
                    text.removeSubrange(..<end.upperBound)
                    #expect(lines.count == 2 && lines[0].hasPrefix("event: ") && lines[1].hasPrefix("data: "))
                    events[String(lines[0].dropFirst(7)), default: []].append(String(lines[1].dropFirst(6)))
                }
                // The second comes without any change: silence means that the controller is gone.
                if (events["status"]?.count ?? 0) > 2, events.count == 4 { break }
            }
            #expect(Set(events.keys) == ["status", "samples", "history", "plan"])
            let status = try #require(events["status"]?.last)
            let report = try JSONDecoder().decode(WatchReport.self, from: Data(status.utf8))
            #expect(report.status.cluster == nil && report.status.phase == "none")
            #expect(report.procedure.isEmpty && report.poolers.isEmpty)
            #expect(events["plan"]?.first == "null")
            #expect(events["samples"]?.first?.hasPrefix("[{\"lag\":{},\"leader\":null,") == true)
            #expect(events["history"] == ["{\"entries\":[]}"])
        }
    }

    @Test func aTerminalHearsTheStatusAndThePast() async throws {
        try await self.withController { base in
            let client = ControllerClient(baseURL: base, token: nil, httpClient: .shared)
            var statuses = 0
            var samples: [LagSample]?
            let deadline = ContinuousClock.now + .seconds(60)
            while statuses <= 2 || samples == nil {
                do {
                    for try await event in client.watch() {
                        switch event {
                        case .status(let report):
                            #expect(report.status.phase == "none")
                            statuses += 1
                        case .samples(let all): samples = all
                        case .sample: break
                        }
                        if statuses > 2, samples != nil { break }
                    }
                } catch let failure as ControllerFailure {
                    // On a busy machine the controller may be silent for longer than a watcher waits.
                    guard ContinuousClock.now < deadline else { throw failure }
                    try await Task.sleep(for: .milliseconds(50))
                }
            }
            #expect(samples?.first?.lag.isEmpty == true)
        }
    }
}

/// What the page says of a status, run by node where there is one.
@Suite struct PageViewTests {
    private static let node = ["/usr/bin/node", "/usr/local/bin/node"].first {
        FileManager.default.isExecutableFile(atPath: $0)
    }

    @Test(.enabled(if: Self.node != nil, "node is not installed"))
    func whatThePageSaysIsTrue() throws {
        let here = URL(filePath: #filePath).deletingLastPathComponent()
        let process = Process()
        process.executableURL = URL(filePath: try #require(Self.node))
        process.arguments = [
            here.appending(path: "Page/view.test.mjs").path,
            here.appending(path: "../../Sources/PGHAPage/view.js").standardized.path,
        ]
        try process.run()
        process.waitUntilExit()
        #expect(process.terminationStatus == 0, "see the output: node says which expectation failed")
    }
}
