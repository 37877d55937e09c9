import PGHAClient
import PGHACore
import PGHAPooler
import PGHAPostgres
import PGHATesting
import PGHAWire
import Testing

extension RealClusters {
    /// The pooler knows nobody: what it needs for a client's log-in, it asks the cluster.
    @Suite struct PoolerLogInTests {
        private static var options: ScratchCluster.Options {
            var options = ScratchCluster.Options()
            options.access = [
                AccessRule(type: "host", database: "all", user: "app", address: "127.0.0.1/32", method: "scram-sha-256")
            ]
            return options
        }

        private static func connect(_ pooler: FollowingPooler, _ password: String) async throws -> PostgresConnection {
            try await PostgresConnection.open(
                ConnectionParameters(
                    host: "127.0.0.1", port: pooler.port, user: "app", password: PGHAPostgres.Secret(password),
                    applicationName: "pooled", connectTimeout: .seconds(20)))
        }

        /// Whether `password` gets in. Other refusals than for the password fail the test.
        private static func accepts(_ pooler: FollowingPooler, _ password: String) async throws -> Bool {
            do {
                let session = try await Self.connect(pooler, password)
                await session.close()
                return true
            } catch let error as PostgresError where error.sqlstate == "28P01" {
                return false
            }
        }

        /// The pooler remembers answers for some seconds.
        private static func wait(for what: String, _ condition: () async throws -> Bool) async throws {
            let deadline = ContinuousClock.now + .seconds(60)
            while try await !condition() {
                guard ContinuousClock.now < deadline else { throw ScratchFailure("not within 60 s: \(what)") }
                try await Task.sleep(for: .milliseconds(100))
            }
        }

        @Test func anOrdinaryUserLogsInByItsPasswordAndGoesOnDoingSoAfterAFailover() async throws {
            try await RealClusters.withCluster(Self.options) { cluster in
                let pooler = try FollowingPooler(cluster) { configuration in
                    configuration.authentication.rules = .passwords
                    configuration.authentication.lookup = .init()
                    configuration.passwords["pgha_pooler"] = ScratchCluster.passwords["pgha_pooler"]
                        .map { PGHAWire.Secret(Array($0.utf8)) }
                }
                defer { pooler.stop() }
                let first = try await cluster.leader()
                try await cluster.query("CREATE ROLE app LOGIN PASSWORD 'first'", on: first)
                let session = try await Self.connect(pooler, "first")
                #expect(try await session.query("SELECT current_user::text AS u")[0].string("u") == "app")
                #expect(try await !Self.accepts(pooler, "second"))

                try await cluster.query("ALTER ROLE app PASSWORD 'second'", on: first)
                try await Self.wait(for: "the new password to be asked") { try await Self.accepts(pooler, "second") }
                #expect(try await !Self.accepts(pooler, "first"))

                cluster.killPostmaster(first)
                // Its backends go on for a moment and would answer.
                try await cluster.wait(for: "another leader") { $0.leader != nil && $0.leader != first.name.text }
                // One that was there already needs a server connection that is made without its password.
                #expect(try await session.query("SELECT current_user::text AS u")[0].string("u") == "app")
                #expect(try await Self.accepts(pooler, "second"))
                #expect(try await !Self.accepts(pooler, "first"))

                let second = try await cluster.leader()
                #expect(second.name != first.name)
                try await cluster.query("ALTER ROLE app VALID UNTIL '2020-01-01'", on: second)
                try await Self.wait(for: "the password to expire") { try await !Self.accepts(pooler, "second") }
                try await cluster.query("ALTER ROLE app VALID UNTIL 'infinity'", on: second)
                try await Self.wait(for: "the password to count again") { try await Self.accepts(pooler, "second") }
            }
        }
    }
}
