import Foundation
import Glibc
import PGHATesting
import Testing

/// What tests leave of the machine to others.
extension RealClusters {
    @Suite struct ScratchClusterTests {
        /// Whether the machine has a System V segment of this id. As root: any; else its owner's.
        private func isThere(_ id: Int32) -> Bool {
            var state = shmid_ds()
            return shmctl(id, IPC_STAT, &state) == 0 || errno == EACCES
        }

        @Test func serversLeaveNoSharedMemory() async throws {
            var options = ScratchCluster.Options()
            options.nodes = 2
            let cluster = try await ScratchCluster.start(options)
            let held = try cluster.nodes.map { node in
                let file = "\(cluster.directory)/\(node.name)/data/postmaster.pid"
                let lines = try String(contentsOfFile: file, encoding: .utf8).split(separator: "\n")
                return try #require(lines[6].split(separator: " ").last.flatMap { Int32($0) })
            }
            #expect(held.filter(self.isThere) == held)
            // One is dead before the reaper comes, and nobody starts it again.
            cluster.killHost(cluster.nodes[0])
            cluster.tearDown()
            #expect(held.filter(self.isThere) == [])
        }
    }
}
