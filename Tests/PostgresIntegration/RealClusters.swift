import PGHAClient
import PGHACore
import PGHATesting
import Testing

/// Whole clusters of real processes. Serialised, all suites below together: each starts a dozen processes, and the
/// machine has two cores.
@Suite(
    .serialized, .enabled(if: ScratchCluster.unavailable == nil, "\(ScratchCluster.unavailable ?? "")"),
    .timeLimit(.minutes(10)))
enum RealClusters {}

extension RealClusters {
    /// A cluster for one test, with writers on it, and afterwards the judgement: nothing that was acknowledged is
    /// missing on the leader, and the acknowledging server changed `changes` times.
    static func underLoad(
        _ options: ScratchCluster.Options = .init(), changes: Int? = nil,
        _ body: (ScratchCluster, AckRecorder) async throws -> Void
    ) async throws {
        try await Self.withCluster(options) { cluster in
            let recorder = AckRecorder(cluster)
            recorder.start()
            _ = try await recorder.waitForAck(after: .now, notBy: NodeName("nobody")!)
            do {
                try await body(cluster, recorder)
            } catch {
                await recorder.stop()
                throw error
            }
            await recorder.stop()
            let leader = try await cluster.leader()
            #expect(try await recorder.lost(on: leader) == [])
            if let changes { #expect(recorder.changesOfServer() == changes) }
        }
    }

    static func withCluster(
        _ options: ScratchCluster.Options = .init(), _ body: (ScratchCluster) async throws -> Void
    ) async throws {
        let cluster = try await ScratchCluster.start(options)
        defer { cluster.tearDown() }
        try await body(cluster)
    }

    /// The code with which the controller refused; nil when it accepted. Asks again while another procedure is under
    /// way.
    static func refusal(of request: () async throws -> Void) async -> String? {
        let deadline = ContinuousClock.now + .seconds(60)
        while true {
            do {
                try await request()
                return nil
            } catch let failure as ControllerFailure {
                guard failure.code == "busy", ContinuousClock.now < deadline else { return failure.code }
                try? await Task.sleep(for: .milliseconds(50))
            } catch {
                return "\(error)"
            }
        }
    }

    /// Looks at the status for `duration` and reports each time that it breaks the rule.
    static func always(
        _ cluster: ScratchCluster, for duration: Duration, _ rule: (StatusReport) -> String?
    ) async throws {
        if let broken = try await cluster.firstBreach(for: duration, rule) { Issue.record("\(broken)") }
    }
}
