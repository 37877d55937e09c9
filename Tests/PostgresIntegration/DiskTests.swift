import Glibc
import PGHAClient
import PGHACore
import PGHATesting
import Testing

extension RealClusters {
    @Suite struct DiskTests {
        /// Data and WAL on one volume, and not a byte left on it.
        @Test(.enabled(if: ScratchCluster.hasSmallDisks, "a volume of its own needs root and the right to mount"))
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
                let fill = """
                    INSERT INTO ids SELECT least(0, (SELECT min(id) FROM ids)) - g, repeat('x', 200)
                    FROM generate_series(1, 20000) AS g
                    """
                let writer = Task {
                    while !Task.isCancelled {
                        _ = try? await cluster.query(fill, on: full)
                        try await Task.sleep(for: .milliseconds(50))
                    }
                }
                defer { writer.cancel() }
                try await cluster.wait(for: "the full disk to be said") { status in
                    status[full.name.text]?.problems.contains { $0.contains("disk is full") } == true
                }
                print("the full disk was said after \(ContinuousClock.now - filled)")
                let first = try await recorder.waitForAck(after: filled, notBy: full.name)
                print("another server leads, first commit \(first.acknowledged - filled) after the disk was full")
                writer.cancel()
                try await cluster.emptyDisk(full)
                let freed = ContinuousClock.now
                try await cluster.waitUntilComplete()
                print("the full server streams again \(ContinuousClock.now - freed) after there was space")
            }
        }
    }
}
