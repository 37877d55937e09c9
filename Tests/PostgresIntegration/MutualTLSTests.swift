import Glibc
import PGHAClient
import PGHACore
import PGHAPostgres
import PGHATesting
import Testing

/// A cluster whose agents, controller and pooler show each other certificates. The specification says `http://`, as that
/// of a cluster which was there before: it is spoken to over TLS all the same.
extension RealClusters {
    @Suite struct MutualTLSTests {
        private static var options: ScratchCluster.Options {
            var options = ScratchCluster.Options()
            options.nodes = 2
            options.hasTLS = true
            return options
        }

        /// Through the pooler, once it follows the leader.
        private func answer(_ cluster: ScratchCluster) async throws -> String {
            let deadline = ContinuousClock.now + .seconds(60)
            while ContinuousClock.now < deadline {
                if let answer = try? await self.ask(cluster) { return answer }
                try await Task.sleep(for: .milliseconds(50))
            }
            return try await self.ask(cluster)
        }

        private func ask(_ cluster: ScratchCluster) async throws -> String {
            let session = try await PostgresConnection.open(cluster.poolerParameters)
            let rows = try await session.query("SELECT 'ours' AS word")
            await session.close()
            return try rows[0].string("word")
        }

        /// For the pooler's report, in the controller's words.
        private func waitForFigures(_ cluster: ScratchCluster) async throws {
            let deadline = ContinuousClock.now + .seconds(60)
            while true {
                do {
                    for try await event in cluster.client.watch() {
                        guard case .status(let report) = event else { continue }
                        if let pooler = report.poolers.first, let figures = pooler.figures {
                            #expect(report.poolers.count == 1 && figures.hasLeader)
                            #expect(figures.term == report.status.term)
                            return
                        }
                        guard ContinuousClock.now < deadline else {
                            throw RunFailure(text: "no figures in \(report.poolers)")
                        }
                    }
                } catch let failure as ControllerFailure {
                    // On a busy machine the controller may be silent for longer than a watcher waits.
                    guard ContinuousClock.now < deadline else { throw failure }
                    try await Task.sleep(for: .milliseconds(50))
                }
            }
        }

        private func wait(for line: String, in log: String, _ cluster: ScratchCluster) async throws {
            let deadline = ContinuousClock.now + .seconds(60)
            while !cluster.log(log).contains(line) {
                guard ContinuousClock.now < deadline else {
                    throw RunFailure(text: "no '\(line)' in \(cluster.log(log))")
                }
                try await Task.sleep(for: .milliseconds(20))
            }
        }

        private struct RunFailure: Error { let text: String }

        @Test func aClusterOverTLSIsMadeChangedRenewedAndMended() async throws {
            try await RealClusters.withCluster(Self.options) { cluster in
                #expect(try await cluster.status().nodes.count == 2)
                let nobody = try cluster.clientWithoutCertificate()
                #expect(try await nobody.status().nodes.count == 2)
                #expect(await RealClusters.refusal { _ = try await nobody.pause() } == "no_certificate")
                try await cluster.pgha("pause")
                try await cluster.pgha("resume")
                try cluster.startPooler()
                #expect(try await self.answer(cluster) == "ours")
                try await self.waitForFigures(cluster)
                for text in try await cluster.metrics() {
                    for setting in ["http_tls_cert_file", "http_tls_ca_file"] {
                        let series = "pgha_tls_certificate_expiry_timestamp_seconds{setting=\"\(setting)\"} 1"
                        #expect(text.contains(series), "\(text)")
                    }
                }

                try await cluster.renewCertificate()
                kill(try #require(cluster.controllerPID), SIGHUP)
                try await self.wait(for: "files for TLS read again", in: "controller.log", cluster)

                let leader = try await cluster.leader()
                cluster.killHost(leader)
                try await cluster.wait(for: "the other to lead") { $0.leader != nil && $0.leader != leader.name.text }
                try cluster.startAgent(leader)
                try await cluster.waitUntilComplete()
                #expect(try await self.answer(cluster) == "ours")
            }
        }
    }
}
