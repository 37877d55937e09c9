import Glibc
import PGHAClient
import PGHACore
import PGHATesting

/// Faults on a running cluster: from the fault to the first commit acknowledged by the next leader.
enum Faults {
    enum Kind {
        case postmasterKilled
        case hostKilled
        case hostFrozen
        case hostCutOff
        case switchover
    }

    static func measure(_ kind: Kind, _ runs: Int) async throws -> Series {
        var options = ScratchCluster.Options()
        options.separateHosts = kind == .hostCutOff
        let cluster = try await ScratchCluster.start(options)
        defer { cluster.tearDown() }
        var series = Series()
        let recorder = AckRecorder(cluster)
        recorder.start()
        for run in 1...runs {
            do {
                series.gaps.append(try await Self.once(kind, cluster, recorder))
            } catch {
                series.anomalies.append("run \(run): \(error)")
                break
            }
        }
        await recorder.stop()
        let lost = try await recorder.lost(on: cluster.leader())
        if !lost.isEmpty { series.anomalies.append("acknowledged ids lost: \(lost.prefix(10)) (\(lost.count))") }
        if recorder.changesOfServer() > series.gaps.count {
            series.anomalies.append(
                "\(recorder.changesOfServer()) changes of the acknowledging server in \(series.gaps.count) runs")
        }
        return series
    }

    private static func once(_ kind: Kind, _ cluster: ScratchCluster, _ recorder: AckRecorder) async throws -> Double {
        try await cluster.waitUntilComplete()
        // The minimum interval between failovers is for faults, not for benches.
        try await Task.sleep(for: Timings().failoverInterval)
        let old = try await cluster.leader()
        let began = ContinuousClock.now
        switch kind {
        case .postmasterKilled: cluster.killPostmaster(old)
        case .hostKilled: cluster.killHost(old)
        case .hostFrozen: cluster.signalHost(old, SIGSTOP)
        case .hostCutOff: try await cluster.setLink(old, up: false)
        case .switchover: _ = try await cluster.client.switchover(SwitchoverCommand())
        }
        let first = try await recorder.waitForAck(after: began, notBy: old.name)
        var from = began
        switch kind {
        case .postmasterKilled: break
        case .hostKilled: try cluster.startAgent(old)
        case .hostFrozen:
            // Long enough for clients inside to try.
            try await Task.sleep(for: .seconds(1))
            cluster.signalHost(old, SIGCONT)
        case .hostCutOff:
            try await Task.sleep(for: .seconds(1))
            try await cluster.setLink(old, up: true)
        case .switchover:
            // What clients notice begins with the last commit of the old leader.
            from = recorder.all.filter { $0.node == old.name }.map(\.acknowledged).max() ?? began
        }
        try await cluster.wait(for: "the old leader to stream again", timeout: .seconds(15)) { status in
            status.nodes.contains { $0.name == old.name.text && $0.state == "streaming" }
        }
        return (first.acknowledged - from).inSeconds * 1000
    }
}
