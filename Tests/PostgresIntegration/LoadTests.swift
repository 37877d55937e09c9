import Glibc
import PGHAClient
import PGHACore
import PGHATesting
import Testing

extension RealClusters {
    @Suite struct LoadTests {
        static let isWanted = getenv("PGHA_LONG_TESTS") != nil

        @Test(.enabled(if: Self.isWanted, "a minute of full load: set PGHA_LONG_TESTS=1"))
        func aBusyMachineIsNoReasonToFailOver() async throws {
            try await RealClusters.underLoad(changes: 0) { cluster, _ in
                let loops = try (0..<4).map { _ in try BusyLoop() }
                defer { for loop in loops { loop.end() } }
                try await RealClusters.always(cluster, for: .seconds(60)) { status in
                    status.term == 1 ? nil : "term \(status.term)"
                }
            }
        }
    }
}
