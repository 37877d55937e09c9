import PGHAClient
import PGHACore
import PGHAPostgres
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
        let end = ContinuousClock.now + duration
        while ContinuousClock.now < end {
            if let broken = rule(try await cluster.status()) {
                Issue.record("\(broken)")
                return
            }
            try await Task.sleep(for: .milliseconds(50))
        }
    }
}

extension ScratchCluster {
    func standbys() async throws -> [Node] {
        let leader = try await self.leader()
        return self.nodes.filter { $0.name != leader.name }
    }

    /// One statement as superuser, in a session of its own.
    @discardableResult
    func query(_ sql: String, on node: Node, timeout: Duration = .seconds(20)) async throws -> [Row] {
        let session = try await self.connect(node)
        do {
            let rows = try await session.query(sql, timeout: timeout)
            await session.close()
            return rows
        } catch {
            await session.close()
            throw error
        }
    }

    /// The column `value` of the first row.
    func value(_ sql: String, on node: Node) async throws -> String? {
        try await self.query(sql, on: node).first?.stringIfPresent("value")
    }

    /// Waits until the column `holds` of the first row is true; errors of the server count as "not yet".
    func wait(until condition: String, on node: Node, timeout: Duration = .seconds(60)) async throws {
        let deadline = ContinuousClock.now + timeout
        while ContinuousClock.now < deadline {
            let rows = try? await self.query("SELECT (\(condition)) AS holds", on: node)
            if (try? rows?.first?.boolIfPresent("holds")) == true { return }
            try await Task.sleep(for: .milliseconds(20))
        }
        throw ScratchFailure("\(node.name): did not come true within \(timeout): \(condition)")
    }
}
