import FoundationEssentials
import Glibc

/// How a server that somebody else made is run and configured, as it was when the agent first saw it: so it is run
/// again, after a restart as after a new copy.
///
/// Read from `postmaster.opts`, which outlives the postmaster, and from `postgres -C`: finding out changes nothing and
/// needs no session.
struct AdoptedServer: Codable, Hashable, Sendable {
    /// Absolute, symbolic links resolved.
    var data: String
    /// The postmaster's arguments but for the data directory.
    var options: [String]
    /// `postgresql.conf`, `pg_hba.conf`, `pg_ident.conf`, wherever they are.
    var configFile: String
    var hbaFile: String
    var identFile: String
    /// What would need a restart to change and is this server's own business: kept as it was.
    var settings: [String: String]
    /// Whether pg_rewind can do without `wal_log_hints`, which would need a restart.
    var hasChecksums: Bool

    /// The agent's superuser there. A line of ours for `postgres`, first in `pg_hba.conf`, would stand before the
    /// administrator's own; this role has no password and comes in over the socket alone.
    static let role = "pgha_agent"

    /// Read at the start only, the same on every server that pgha makes and at home on this one.
    static let ownSettings = ["listen_addresses", "unix_socket_directories", "cluster_name", "logging_collector"]

    /// The first of `unix_socket_directories`.
    var socketDirectory: String {
        let first = self.settings["unix_socket_directories"]?.split(separator: ",").first.map(String.init) ?? ""
        return first.filter { $0 != " " && $0 != "\"" }
    }

    /// One of the three files, for a copy of the data directory at `data`: those outside stay where they are.
    func place(_ file: String, data: String) -> String {
        file.hasPrefix(self.data + "/") ? data + file.dropFirst(self.data.count) : file
    }

    /// What an earlier agent kept; nil when there was none. Blocks.
    static func kept(_ path: String) throws -> AdoptedServer? {
        guard let text = try DurableFile.read(path) else { return nil }
        return try JSONDecoder().decode(AdoptedServer.self, from: Data(text.utf8))
    }

    /// Blocks.
    func keep(_ path: String) throws {
        try DurableFile.write(String(decoding: try JSONEncoder().encode(self), as: UTF8.self), to: path)
    }

    /// - Throws: ``AgentStartError/cannotAdopt(_:)``.
    static func examine(_ data: String, programs: ServerPrograms) async throws -> AdoptedServer {
        let text = await Offload.run { try? DurableFile.read(data + "/postmaster.opts") }
        let options = Self.options(text ?? "", data: data)
        func ask(_ name: String) async throws -> String {
            let output = try await Program.run(programs.path("postgres"), ["-D", data] + options + ["-C", name])
            guard output.status == 0 else {
                throw AgentStartError.cannotAdopt("`postgres -C \(name)` says \(output.complaint).")
            }
            return output.standardOutput.split(separator: "\n").first.map(String.init) ?? ""
        }
        var settings: [String: String] = [:]
        for name in self.ownSettings { settings[name] = try await ask(name) }
        let result = AdoptedServer(
            data: data, options: options, configFile: Self.resolved(try await ask("config_file")),
            hbaFile: Self.resolved(try await ask("hba_file")), identFile: Self.resolved(try await ask("ident_file")),
            settings: settings, hasChecksums: try await self.hasChecksums(data, programs))
        guard !result.socketDirectory.isEmpty else {
            throw AgentStartError.cannotAdopt(
                "unix_socket_directories is empty, and the agent works over a socket: set it and restart the server.")
        }
        return result
    }

    private static func hasChecksums(_ data: String, _ programs: ServerPrograms) async throws -> Bool {
        let output = try await Program.run(programs.path("pg_controldata"), ["-D", data])
        guard output.status == 0, let control = ControlData(output.standardOutput) else {
            throw AgentStartError.cannotAdopt("pg_controldata says \(output.complaint).")
        }
        return control.hasChecksums
    }

    /// A symbolic link stays what it is: the file behind it is written.
    private static func resolved(_ path: String) -> String {
        guard let resolved = realpath(path, nil) else { return path }
        defer { free(resolved) }
        return String(cString: resolved)
    }

    /// Of `postmaster.opts`: the program, then each argument in double quotes. `-D` may name a directory that holds the
    /// configuration alone.
    static func options(_ text: String, data: String) -> [String] {
        let words = self.words(text).dropFirst()
        var result: [String] = []
        var home: String?
        var isHome = false
        for word in words {
            if isHome {
                home = word
                isHome = false
            } else if word == "-D" {
                isHome = true
            } else if word.hasPrefix("-D") {
                home = String(word.dropFirst(2))
            } else {
                result.append(word)
            }
        }
        if let home, home.hasPrefix("/"), self.resolved(home) != data, !text.contains("config_file=") {
            result += ["-c", "config_file=\(home)/postgresql.conf"]
        }
        return result
    }

    /// The directory of the program that ran the server last.
    static func programs(_ data: String) -> String? {
        guard let text = try? DurableFile.read(data + "/postmaster.opts"), let program = self.words(text).first,
            program.hasPrefix("/")
        else { return nil }
        return DurableFile.parent(program)
    }

    private static func words(_ text: String) -> [String] {
        let line = text.split(separator: "\n").first.map(String.init) ?? ""
        let parts = line.split(separator: "\"", omittingEmptySubsequences: false)
        // Odd parts are within quotes.
        return parts.enumerated().compactMap { index, part in
            if index % 2 == 1 { return String(part) }
            return index == 0 ? part.filter { $0 != " " } : nil
        }
    }
}
