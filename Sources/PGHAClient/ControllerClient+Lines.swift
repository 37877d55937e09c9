internal import AsyncHTTPClient
internal import Foundation
internal import NIOCore
internal import NIOHTTP1
internal import PGHACore
internal import Synchronization

// Answers that go on, line by line.
extension ControllerClient {
    /// The streams repeat themselves each second; after three the controller, or the way to it, is gone.
    private static var silenceLimit: Duration { .seconds(3) }

    /// Hands each line of the answer to `deliver`, without its newline.
    ///
    /// Returns only by throwing, a ``ControllerFailure`` or a cancellation: when the controller goes away, answers
    /// something else, or falls silent.
    func followLines(_ path: String, _ deliver: @escaping @Sendable (Data) async throws -> Void) async throws {
        let lastLine = LastLine()
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask {
                try await self.readLines(path) { line in
                    lastLine.at.withLock { $0 = .now }
                    try await deliver(line)
                }
            }
            group.addTask {
                while lastLine.at.withLock({ $0.duration(to: .now) }) < Self.silenceLimit {
                    try await Task.sleep(for: .milliseconds(500))
                }
                throw ControllerFailure.unreachable(
                    url: self.baseURL, reason: Self.words(HTTPClientError.readTimeout, timeout: Self.silenceLimit))
            }
            defer { group.cancelAll() }
            try await group.next()
        }
    }

    private final class LastLine: Sendable {
        let at = Mutex(ContinuousClock.now)
    }

    private func readLines(_ path: String, _ deliver: (Data) async throws -> Void) async throws {
        do {
            // The deadline bounds the head only; the watchdog sees silence afterwards.
            let response = try await self.httpClient.execute(
                self.request("GET", path), timeout: .milliseconds(Self.silenceLimit.milliseconds))
            guard response.status == .ok else {
                let buffer = try await response.body.collect(upTo: 1 << 20)
                throw self.failure(Int(response.status.code), Data(buffer.readableBytesView))
            }
            var lines = LineSplitter()
            for try await chunk in response.body {
                for line in lines.add(chunk.readableBytesView) { try await deliver(Data(line)) }
            }
        } catch let failure as ControllerFailure {
            throw failure
        } catch let error as CancellationError {
            throw error
        } catch {
            throw ControllerFailure.unreachable(
                url: self.baseURL, reason: await Self.reason(error, url: self.baseURL, timeout: Self.silenceLimit))
        }
        throw ControllerFailure.unreachable(url: self.baseURL, reason: "it closed the connection")
    }
}
