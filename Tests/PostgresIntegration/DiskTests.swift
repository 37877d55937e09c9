import Glibc
import PGHAClient
import PGHACore
import PGHATesting
import Testing

extension RealClusters { @Suite struct DiskTests {
    /// Data and WAL on one volume, and not a byte left on it.
    @Test(.enabled(if: geteuid() == 0, "a volume of its own needs root"))
    func aPrimaryWithAFullDiskIsExplainedReplacedAndRecoversWithItsSpace() async throws {
        var options = ScratchCluster.Options()
        options.smallDiskMiB = 220
        options.postgres = ["min_wal_size": "32MB", "max_wal_size": "48MB", "wal_recycle": "off"]
        try await RealClusters.underLoad(options) { cluster, recorder in
            let full = cluster.nodes[0]
            #expect(try await cluster.leader().name == full.name)
            let filled = ContinuousClock.now
            try await cluster.fillDisk(full)
            // Rows that need new pages and new segments.
            let writer = Task {
                while !Task.isCancelled {
                    _ = try? await cluster.query(
                        "INSERT INTO ids SELECT -g, repeat('x', 200) FROM generate_series((SELECT 1 - min(id) FROM ids)::bigint, "
                            + "(SELECT 20000 - min(id) FROM ids)::bigint) g", on: full)
                    try await Task.sleep(for: .milliseconds(50))
                }
            }
            defer { writer.cancel() }
            let status = try await cluster.wait(for: "the full disk to be said") { status in
                status[full.name.text]?.problems.contains { $0.contains("disk") || $0.contains("space") } == true
            }
            print("full disk said after \(ContinuousClock.now - filled): \(status[full.name.text]!.problems), \(status[full.name.text]!.state), \(status.verdict)")
            let first = try await recorder.waitForAck(after: filled, notBy: full.name)
            print("another server leads, first commit \(first.acknowledged - filled) after the disk was full")
            writer.cancel()
            try await cluster.emptyDisk(full)
            let freed = ContinuousClock.now
            try await cluster.waitUntilComplete()
            print("the full server streams again \(ContinuousClock.now - freed) after there was space")
        }
    }
} }
