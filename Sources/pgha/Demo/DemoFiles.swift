import CPGHASystem
import FoundationEssentials
import Glibc
import PGHACommand
import PGHAPostgres

/// The demo's own files: settings, secrets, spec.
enum DemoFiles {
    /// What a later run must do the same way.
    struct Settings: Hashable, Codable {
        var nodes: Int
        var basePort: Int

        enum CodingKeys: String, CodingKey {
            case nodes
            case basePort = "base_port"
        }
    }

    /// The layout of the data that is there, or of a new one.
    static func layout(directory: String, nodes: Int?, basePort: Int?, ephemeral: Bool) throws -> DemoLayout {
        let probe = DemoLayout(directory: directory, nodes: 1, basePort: DemoLayout.defaultBasePort)
        guard let data = FileManager.default.contents(atPath: probe.settingsFile) else {
            // What a run that ended at once may have left.
            let own = ["bin", "lib", "demo.lock"]
            let names = ((try? FileManager.default.contentsOfDirectory(atPath: directory)) ?? []).filter {
                !own.contains($0)
            }
            guard names.isEmpty else {
                throw CommandError(
                    .failed, "\(directory) is not empty and holds no demo",
                    hint: "Choose another directory with --dir.")
            }
            return DemoLayout(
                directory: directory, nodes: nodes ?? DemoLayout.defaultNodes,
                basePort: basePort ?? DemoLayout.defaultBasePort)
        }
        guard let kept = try? JSONDecoder().decode(Settings.self, from: data) else {
            throw CommandError(
                .failed, "\(probe.settingsFile) cannot be read", hint: "Choose another directory with --dir.")
        }
        try self.requireSame(kept, directory: directory, nodes: nodes, basePort: basePort, ephemeral: ephemeral)
        return DemoLayout(directory: directory, nodes: kept.nodes, basePort: kept.basePort)
    }

    private static func requireSame(
        _ kept: Settings, directory: String, nodes: Int?, basePort: Int?, ephemeral: Bool
    ) throws {
        if ephemeral {
            throw CommandError(
                .failed, "\(directory) holds a demo already, which --ephemeral would remove",
                hint: "Leave --dir out, or choose a directory that does not exist.")
        }
        if let nodes, nodes != kept.nodes {
            throw CommandError(
                .failed, "the demo in \(directory) was made with \(kept.nodes) servers",
                hint: "Leave --nodes out, or choose another directory with --dir.")
        }
        if let basePort, basePort != kept.basePort {
            throw CommandError(
                .failed, "the demo in \(directory) was made with --base-port \(kept.basePort)",
                hint: "Leave --base-port out, or choose another directory with --dir.")
        }
    }

    /// Makes what is missing. Secrets are made once.
    static func prepare(_ layout: DemoLayout) throws {
        let manager = FileManager.default
        try manager.createDirectory(atPath: layout.directory, withIntermediateDirectories: true)
        let settings = Settings(nodes: layout.nodes, basePort: layout.basePort)
        try self.write(JSONText.pretty(settings) + "\n", to: layout.settingsFile, mode: 0o644)
        for path in [layout.runDirectory, layout.logDirectory, layout.controllerDirectory, layout.directory + "/nodes"]
        {
            try manager.createDirectory(
                atPath: path, withIntermediateDirectories: true, attributes: [.posixPermissions: 0o700])
        }
        try self.write(layout.specText, to: layout.specFile, mode: 0o644)
        try self.writeOnce(layout.tokenFile) { self.secret() + "\n" }
        try self.writeOnce(layout.controllerPassfile) {
            ["pgha_control", "pgha_replica", "pgha_pooler"].map { "*:*:*:\($0):\(self.secret())\n" }.joined()
        }
        try self.writeOnce(layout.clientPassfile) { "*:*:*:demo:\(self.secret())\n" }
        // The pooler gets no more than it needs.
        if let password = try Passfile.read(path: layout.controllerPassfile).password(user: "pgha_pooler") {
            try self.writeOnce(layout.poolerPassfile) { "*:*:*:pgha_pooler:\(password.revealed)\n" }
        }
    }

    /// The lock that a second demo for the directory is refused by; held until the process ends.
    static func lock(_ layout: DemoLayout) throws {
        let descriptor = open(layout.lockFile, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0o600)
        guard descriptor >= 0 else { throw DemoIdentity.failure("open \(layout.lockFile)") }
        guard pgha_lock_exclusively(descriptor) == 0 else {
            throw CommandError(
                .failed, "a demo runs in \(layout.directory) already",
                hint:
                    "End that one with Ctrl-C, or choose another directory with --dir and other ports with --base-port."
            )
        }
    }

    /// Removes what the demo made, and the directory if nothing else is in it.
    static func remove(_ layout: DemoLayout) {
        for path in layout.contents { try? FileManager.default.removeItem(atPath: path) }
        rmdir(layout.directory)
    }

    private static func writeOnce(_ path: String, _ text: () -> String) throws {
        guard !FileManager.default.fileExists(atPath: path) else { return }
        try self.write(text(), to: path, mode: 0o600)
    }

    /// Moved into place, so that a killed demo leaves no half of a file; never readable by others in between.
    private static func write(_ text: String, to path: String, mode: mode_t) throws {
        let temporary = path + ".new"
        unlink(temporary)
        let descriptor = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode)
        guard descriptor >= 0 else { throw DemoIdentity.failure("write \(temporary)") }
        defer { close(descriptor) }
        Terminal(descriptor: descriptor).write(text)
        guard fchmod(descriptor, mode) == 0, fsync(descriptor) == 0, rename(temporary, path) == 0 else {
            throw DemoIdentity.failure("write \(path)")
        }
    }

    /// 160 bits from the system's generator, in hexadecimal.
    private static func secret() -> String {
        var generator = SystemRandomNumberGenerator()
        return (0..<5).map { _ in
            let digits = String(generator.next() as UInt32, radix: 16)
            return String(repeating: "0", count: 8 - digits.count) + digits
        }.joined()
    }
}
