internal import Glibc

/// PostgreSQL's programs: `PGHA_TEST_BINDIR`, or the newest version folder that Debian's packages made. Never
/// PATH, where a wrapper may stand.
enum ScratchPrograms {
    static let directory: String? = Self.find()
    static let missing: String? =
        Self.directory == nil ? "no PostgreSQL server found in /usr/lib/postgresql (or PGHA_TEST_BINDIR)" : nil

    static func path(_ name: String) -> String { "\(self.directory ?? "")/\(name)" }

    /// Whether the servers were built with TLS: the wheel of `make test-versions` has some that were not.
    static let hasTLS: Bool = {
        guard Self.directory != nil else { return false }
        let words = ["/bin/grep", "-q", "libssl", Self.path("postgres")]
        guard let child = try? ChildProcess(arguments: words, dropsPrivileges: false) else { return false }
        child.waitForExit()
        return child.status() == 0
    }()

    private static func find() -> String? {
        if let chosen = getenv("PGHA_TEST_BINDIR").map({ String(cString: $0) }) { return chosen }
        return (15...30).reversed().map { "/usr/lib/postgresql/\($0)/bin" }
            .first { access("\($0)/postgres", X_OK) == 0 && access("\($0)/initdb", X_OK) == 0 }
    }
}

/// The data directory that initdb filled, with checksums; copied for every new server.
actor ScratchTemplate {
    static let shared = ScratchTemplate()

    private var made: Task<String, any Error>?

    func directory() async throws -> String {
        if let made = self.made { return try await made.value }
        let task = Task {
            let parent = try makeTemporaryDirectory("pgha-template")
            removeAtExit(parent)
            try writeFile("\(parent)/password", ScratchPostgres.superuserPassword)
            try await run([
                ScratchPrograms.path("initdb"), "-D", "\(parent)/data", "-U", ScratchPostgres.superuser, "-k", "-N",
                "-A", "scram-sha-256", "--pwfile", "\(parent)/password", "-E", "UTF8", "--locale=C",
            ])
            return "\(parent)/data"
        }
        self.made = task
        return try await task.value
    }
}
