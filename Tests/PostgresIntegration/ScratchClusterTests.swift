import Foundation
import PGHATesting
import Testing

/// What tests leave of the machine to others.
extension RealClusters {
    @Suite struct ScratchClusterTests {
        /// The ids of the machine's System V segments.
        private var segments: Set<Substring> {
            get throws {
                let lines = try String(contentsOfFile: "/proc/sysvipc/shm", encoding: .utf8).split(separator: "\n")
                return Set(lines.compactMap { $0.split(separator: " ").dropFirst().first })
            }
        }

        @Test func serversLeaveNoSharedMemory() async throws {
            var options = ScratchCluster.Options()
            options.nodes = 2
            let cluster = try await ScratchCluster.start(options)
            let held = try cluster.nodes.map { node in
                let file = "\(cluster.directory)/\(node.name)/data/postmaster.pid"
                let lines = try String(contentsOfFile: file, encoding: .utf8).split(separator: "\n")
                return try #require(lines[6].split(separator: " ").last)
            }
            #expect(Set(held).isSubset(of: try self.segments))
            // One is dead before the reaper comes, and nobody starts it again.
            cluster.killHost(cluster.nodes[0])
            cluster.tearDown()
            #expect(Set(held).isDisjoint(with: try self.segments))
        }
    }
}
