import Glibc

/// Where PostgreSQL's programs are: `--pg-bindir`, else `pg_config --bindir`, else the newest of Debian's version
/// folders. Never PATH: another version there would damage a data directory or refuse it.
struct ServerPrograms: Hashable, Sendable {
    let directory: String
    /// Of `postgres --version`: 15.
    let majorVersion: Int

    func path(_ name: String) -> String { self.directory + "/" + name }

    static let oldestSupported = 15
    private static let debianFolder = "/usr/lib/postgresql"

    static func find(given: String?) async throws -> ServerPrograms {
        var tried: [String] = []
        for directory in try await self.candidates(given) {
            tried.append(directory)
            guard access(directory + "/postgres", X_OK) == 0, access(directory + "/initdb", X_OK) == 0 else { continue }
            return try await self.check(directory)
        }
        throw AgentStartError.programsNotFound(tried: tried)
    }

    private static func candidates(_ given: String?) async throws -> [String] {
        if let given { return [given] }
        var result: [String] = []
        for program in ["/usr/bin/pg_config", "/usr/local/bin/pg_config"] where access(program, X_OK) == 0 {
            let output = try await Program.run(program, ["--bindir"]).standardOutput
            if let line = output.split(separator: "\n").first { result.append(String(line)) }
        }
        let versions = try DurableFile.list(self.debianFolder).compactMap { Int($0) }.sorted(by: >)
        return result + versions.map { "\(self.debianFolder)/\($0)/bin" }
    }

    private static func check(_ directory: String) async throws -> ServerPrograms {
        let output = try await Program.run(directory + "/postgres", ["--version"]).standardOutput
        // "postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)"
        let words = output.split(whereSeparator: { $0 == " " || $0 == "\n" })
        let version = words.count > 2 ? String(words[2]) : output
        guard let major = Int(version.prefix { $0.isNumber }), major >= self.oldestSupported else {
            throw AgentStartError.versionTooOld(version)
        }
        return ServerPrograms(directory: directory, majorVersion: major)
    }
}
