internal import Foundation
internal import Synchronization

/// What `GET /v1/watch` tells somebody at a terminal.
package enum WatchEvent: Hashable, Sendable {
    case status(WatchReport)
    /// All that are kept, the oldest first: in place of those told before.
    case samples([LagSample])
    /// One more.
    case sample(LagSample)
}

extension ControllerClient {
    /// Follows `GET /v1/watch`: a status at once, with every change, and otherwise twice a second.
    ///
    /// Ends only by throwing a ``ControllerFailure``: when the controller goes away, answers something else, or falls
    /// silent. Who does not keep up misses the oldest: 256 are a minute or two.
    package func watch() -> AsyncThrowingStream<WatchEvent, any Error> {
        AsyncThrowingStream(bufferingPolicy: .bufferingNewest(256)) { continuation in
            let task = Task {
                do {
                    let events = Mutex(ServerSentEvents())
                    try await self.followLines("/v1/watch") { line in
                        guard let (name, data) = events.withLock({ $0.add(line) }) else { return }
                        if let event = try WatchEvent(name, data) { continuation.yield(event) }
                    }
                } catch {
                    continuation.finish(throwing: error)
                }
            }
            continuation.onTermination = { _ in task.cancel() }
        }
    }
}

extension WatchEvent {
    /// Nil for what is not followed here.
    init?(_ name: String, _ data: Data) throws {
        let decoder = JSONDecoder()
        switch name {
        case "status": self = .status(try decoder.decode(WatchReport.self, from: data))
        case "samples": self = .samples(try decoder.decode([LagSample].self, from: data))
        case "sample": self = .sample(try decoder.decode(LagSample.self, from: data))
        default: return nil
        }
    }
}

/// Server-sent events as the controller writes them: `event: NAME`, then `data: …` on one line.
///
/// Source: HTML Living Standard, "Server-sent events".
struct ServerSentEvents: Sendable {
    private var name = ""

    /// The event that `line` completes.
    mutating func add(_ line: Data) -> (name: String, data: Data)? {
        if line.starts(with: Self.event) {
            self.name = String(decoding: line.dropFirst(Self.event.count), as: UTF8.self)
        }
        guard line.starts(with: Self.data) else { return nil }
        return (self.name, Data(line.dropFirst(Self.data.count)))
    }

    private static let event = Data("event: ".utf8)
    private static let data = Data("data: ".utf8)
}
