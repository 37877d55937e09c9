import Hummingbird
import NIOCore
import PGHAClient
import PGHACore
import PGHAHTTP
import ServiceLifecycle

/// `GET /v1/watch`: what the status page shows, as server-sent events.
///
/// - `status`: at once, with every change of state, and otherwise twice a second;
/// - `samples`, then `sample`: the last 15 minutes, then each new one;
/// - `history`: at once and whenever the store was written to;
/// - `plan`: what a failover would do, with each sample and each change of state; null without a cluster.
struct WatchStream {
    /// Figures alone change with every probe. Nobody reads them faster.
    private static let patience = Duration.milliseconds(500)
    private static let historyLength = 50

    private let controller: Controller
    private var shown: Shape?
    private var shownAt = ContinuousClock.now
    private var samples = 0
    private var revision: Int64??

    init(_ controller: Controller) { self.controller = controller }

    /// The part of the status that is news.
    private struct Shape: Equatable {
        var leader: String?
        var words: [String?]
        var paused: Bool
        var term: UInt64
        var steps: [WatchReport.Step]
        var poolers: [String]

        init(_ report: WatchReport) {
            let status = report.status
            self.leader = status.leader
            self.words =
                [status.phase, status.verdict, status.waitingFor, status.atRiskReason, status.rule]
                + status.nodes.flatMap { [$0.name, $0.role, $0.state, $0.sync] + $0.problems }
            self.paused = status.paused
            self.term = status.term
            self.steps = report.procedure
            self.poolers = report.poolers.map(\.name)
        }
    }

    /// Until the browser goes or the controller ends.
    mutating func write(to writer: inout any ResponseBodyWriter) async throws {
        while !Task.isCancelled, !Task.isShuttingDownGracefully {
            let news = await self.controller.news(since: self.samples)
            let shape = Shape(news.report)
            let isChanged = shape != self.shown
            if isChanged || ContinuousClock.now - self.shownAt >= Self.patience {
                try await Self.send("status", news.report, to: &writer)
                (self.shown, self.shownAt) = (shape, .now)
            }
            if !news.samples.isEmpty { try await self.send(news, to: &writer) }
            if isChanged || !news.samples.isEmpty {
                try await Self.send("plan", try? await self.controller.plan(target: nil), to: &writer)
            }
            if self.revision != .some(news.revision),
                let history = try? await self.controller.historyReport(limit: Self.historyLength)
            {
                try await Self.send("history", history, to: &writer)
                self.revision = .some(news.revision)
            }
            guard await self.controller.nextChange(after: news.change) else { return }
        }
    }

    private mutating func send(_ news: Controller.News, to writer: inout any ResponseBodyWriter) async throws {
        if self.samples == 0 {
            try await Self.send("samples", news.samples, to: &writer)
        } else {
            for sample in news.samples { try await Self.send("sample", sample, to: &writer) }
        }
        self.samples = news.sampleCount
    }

    private static func send(
        _ event: String, _ value: some Encodable, to writer: inout any ResponseBodyWriter
    ) async throws {
        var buffer = ByteBuffer(string: "event: \(event)\ndata: ")
        buffer.writeBytes(try JSONBody.encode(value))
        buffer.writeString("\n\n")
        try await writer.write(buffer)
    }
}

extension Controller {
    /// What a watcher gets next.
    struct News: Sendable {
        var report: WatchReport
        /// Those that the watcher does not have.
        var samples: [LagSample]
        /// Of samples that were ever taken.
        var sampleCount: Int
        /// Of the store; what it has of history is the same as long as this is.
        var revision: Int64?
        /// The number of the last event that this takes account of.
        var change: UInt64
    }

    /// `samples`: how many the watcher has seen, of all that were ever taken.
    func news(since samples: Int) -> News {
        News(
            report: WatchReport(
                status: self.statusReport(), procedure: self.past.procedure,
                phaseMilliseconds: (self.now - self.past.phase.since).milliseconds,
                poolers: self.poolerBoard.reports(of: self.poolers.names, at: self.now)),
            samples: self.past.samples.suffix(max(0, self.past.count - samples)), sampleCount: self.past.count,
            revision: self.revision, change: self.changes)
    }

    func takeSample() {
        let now = self.now
        guard self.past.isDue(at: now) else { return }
        let transactions = self.poolerBoard.transactions(at: now)
        let sample = LagSample(
            self.status(), transactions: transactions, unixMilliseconds: wallClockMicroseconds() / 1000)
        self.past.add(sample, at: now)
    }
}
