package import PGHAWire

extension PoolerConfiguration {
    /// Who may log in, and where the proofs of that come from.
    package struct Authentication: Sendable {
        /// First match decides; nobody gets in by default but with a password.
        package var rules: HBARules = .passwords
        package var identities: IdentityMap?
        /// Lines `"user" "secret"`: a SCRAM verifier, `md5…`, or a password in clear, with which the pooler also logs
        /// in to servers as that user. Must be readable for its owner alone, or for root and a group.
        package var usersFile: String?
        /// Asks a server about users that the file does not have; nil: they are unknown.
        package var lookup: Lookup?
        /// Makes the salts of users that do not exist, where no password of `lookup` does; the same for all poolers of
        /// one cluster and over restarts, or else a salt that changes tells who does not exist. nil: from `usersFile`.
        package var mockSecret: Secret?
        /// Sessions may lower `synchronous_commit` and hide warnings (DESIGN, "Commits that lie").
        package var allowsRiskySettings = false

        package init() {}
    }

    /// The pooler's own connection that asks for verifiers.
    package struct Lookup: Equatable, Sendable {
        package var user: WireText = "pgha_pooler"
        package var database: WireText = "postgres"
        /// `$1` is the user. Columns: verifier or NULL, and VALID UNTIL in microseconds since 1970 or NULL. No row:
        /// no such user.
        package var query = "SELECT verifier, valid_until FROM pgha.auth_lookup($1)"
        /// How long an answer counts without asking again.
        ///
        /// Zero: each log-in asks, at the same time as the client makes its proof, and those that come while a question
        /// is under way share the answer. What was changed counts at once.
        ///
        /// Longer: so long may a role that was dropped or locked out, or a password that was changed, still be let in;
        /// VALID UNTIL is kept to the moment, as it was when asked. Nobody is refused from memory: a log-in that fails
        /// asks again before its client hears so. But a proof by SCRAM is made for the salt of the old password: the
        /// first log-in with a new password may fail, and its second attempt does not.
        package var cacheTime = Duration.zero
        /// How long an answer counts while no server can be asked.
        package var outageTime = Duration.seconds(3600)
        /// Users that are remembered.
        package var cacheSize = 10_000

        package init() {}
    }
}

extension HBARules {
    /// `scram-sha-256` for everybody from everywhere.
    package static let passwords = Self.everywhere("scram-sha-256")

    /// Lets everybody in without a question. For tests and benchmarks.
    package static let trust = Self.everywhere("trust")

    /// `all` does not mean replication connections.
    private static func everywhere(_ method: String) -> HBARules {
        let text = "local all,replication all \(method)\nhost all,replication all all \(method)"
        guard let rules = try? HBARules(text) else { preconditionFailure("rules that cannot be read: \(text)") }
        return rules
    }
}
