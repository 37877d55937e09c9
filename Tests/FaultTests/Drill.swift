import Glibc
import PGHAClient
import PGHACore
import PGHAPostgres
import PGHATesting
import Testing

/// Real faults: each node, the controller and the pooler on a host of its own. Only `make faults` runs them, as root and
/// in a network namespace of its own. Serialised: each test is a cluster.
@Suite(
    .serialized, .enabled(if: Drill.unavailable == nil, "\(Drill.unavailable ?? "")"), .timeLimit(.minutes(6)))
enum Faults {}

/// A cluster with writers inside of every host, what is done to it, and the judgement at the end.
struct Drill: Sendable {
    typealias Node = ScratchCluster.Node

    let scenario: String
    let cluster: ScratchCluster
    let recorder: AckRecorder

    static var unavailable: String? {
        guard getenv("PGHA_FAULTS") != nil else { return "real faults take a quarter of an hour: make faults" }
        return ScratchCluster.unavailable ?? ScratchNetwork.unavailable
    }

    static var options: ScratchCluster.Options {
        var options = ScratchCluster.Options()
        options.separateHosts = true
        options.access = ScratchCluster.insideAccess
        return options
    }

    /// Figures that a busy machine breaks are judged only when asked for.
    static let judgesFigures = getenv("PGHA_FAULT_LIMITS") != nil

    /// Runs `body` on a new cluster; mends the network afterwards and expects a complete cluster in which nothing that
    /// was acknowledged is missing.
    ///
    /// - Parameter changes: how often the acknowledging server may change; nil: not judged.
    static func run(
        _ scenario: String, _ options: ScratchCluster.Options = Drill.options, changes: Int? = nil,
        _ body: (Drill) async throws -> Void
    ) async throws {
        let cluster = try await ScratchCluster.start(options)
        defer { cluster.tearDown() }
        let drill = Drill(
            scenario: scenario, cluster: cluster, recorder: AckRecorder(cluster, inside: true))
        drill.recorder.start()
        let result: Result<Void, any Error>
        do {
            _ = try await drill.nextAck()
            try await body(drill)
            try await cluster.mendNetwork()
            try await cluster.waitUntilComplete(timeout: .seconds(90))
            result = .success(())
        } catch {
            result = .failure(error)
        }
        await drill.recorder.stop()
        drill.keepLogs()
        try result.get()
        let lost = try await drill.recorder.lost(on: cluster.leader())
        #expect(lost == [], "acknowledged ids are missing on the leader")
        if let changes { #expect(drill.recorder.changesOfServer() == changes) }
    }

    /// `PGHA_FAULT_LOGS` names a directory for the logs.
    private func keepLogs() {
        guard let directory = getenv("PGHA_FAULT_LOGS").map({ String(cString: $0) }) else { return }
        self.cluster.copyLogs(to: "\(directory)/\(self.scenario.filter { $0.isLetter || $0.isNumber })")
    }

    // MARK: - Acting

    func leader() async throws -> Node { try await self.cluster.leader() }
    func standbys() async throws -> [Node] { try await self.cluster.standbys() }

    /// At once, into a file too.
    func say(_ text: String) {
        print("scenario \(self.scenario): \(text)")
        fflush(nil)
    }

    func start(_ nodes: Node...) throws { for node in nodes { try self.cluster.startAgent(node) } }

    func complete() async throws -> StatusReport { try await self.cluster.waitUntilComplete(timeout: .seconds(90)) }

    /// The status must not break `rule` for `seconds`.
    func always(for seconds: Int, _ rule: (StatusReport) -> String?) async throws {
        let broken = try await self.cluster.firstBreach(for: .seconds(seconds), rule)
        #expect(broken == nil)
    }

    /// The standby prefers to be chosen, whatever else is equal.
    func prefer(_ node: Node) async throws {
        _ = try await self.cluster.client.setNode(node.name, NodePatch(priority: 1000))
        try await self.cluster.wait(for: "the priority") { $0[node.name.text]?.priority == 1000 }
    }

    func forbidPromotion(of nodes: [Node]) async throws {
        for node in nodes { _ = try await self.cluster.client.setNode(node.name, NodePatch(nofailover: true)) }
        try await self.cluster.wait(for: "no candidates") { status in
            nodes.allSatisfy { status[$0.name.text]?.nofailover == true }
        }
    }

    // MARK: - Measuring

    /// A commit that is acknowledged from now on, by anybody.
    @discardableResult
    func nextAck(within timeout: Duration = .seconds(60)) async throws -> AckRecorder.Ack {
        try await self.recorder.waitForAck(after: .now, notBy: NodeName("nobody")!, timeout: timeout)
    }

    /// Waits for the first commit of another server than `old` and prints the gap since `fault`.
    @discardableResult
    func gap(
        _ what: String, since fault: ContinuousClock.Instant, notBy old: Node, limit: Duration? = nil,
        timeout: Duration = .seconds(60)
    ) async throws -> AckRecorder.Ack {
        let first = try await self.recorder.waitForAck(after: fault, notBy: old.name, timeout: timeout)
        let gap = first.acknowledged - fault
        self.say("\(what): first commit on \(first.node) after \(gap)")
        if let limit, Self.judgesFigures { #expect(gap <= limit) }
        return first
    }

    /// The first commit of anybody that was begun and acknowledged after `moment`: no late word of one from before.
    func firstCommit(
        after moment: ContinuousClock.Instant, timeout: Duration = .seconds(60)
    ) async throws -> AckRecorder.Ack {
        let deadline = ContinuousClock.now + timeout
        while ContinuousClock.now < deadline {
            let later = self.recorder.all.filter { $0.sent > moment }
            if let first = later.min(by: { $0.acknowledged < $1.acknowledged }) { return first }
            try await Task.sleep(for: .milliseconds(2))
        }
        throw ScratchFailure("no commit within \(timeout)\n" + self.cluster.log("controller.log").suffix(3000))
    }

    /// Nothing that was sent after the first commit of its successor was acknowledged by `old`, until `end`.
    func expectSilence(
        of old: Node, after first: AckRecorder.Ack, until end: ContinuousClock.Instant = .now
    ) {
        let late = self.recorder.all.filter {
            $0.node == old.name && $0.sent > first.acknowledged && $0.acknowledged <= end
        }
        #expect(late.isEmpty, "\(old.name) acknowledged \(late.count) commits after its successor's first")
    }

    /// Longest time between two acknowledgements since `moment`, whoever gave them.
    func longestGap(since moment: ContinuousClock.Instant) -> Duration {
        let times = [moment] + self.recorder.all.map(\.acknowledged).filter { $0 > moment }.sorted()
        return zip(times, times.dropFirst()).map { $1 - $0 }.max() ?? .zero
    }

    /// How many promotions the history names for this term: one, whatever happened.
    func promotions(in term: UInt64) async throws -> Int {
        try await self.cluster.client.history(limit: 500).entries
            .count { ["failover", "switchover"].contains($0.kind) && $0.term == term }
    }
}
