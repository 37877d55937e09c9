import Foundation
import PGHATesting

/// A wall clock that tests step under running processes, and that only those see which were started with it.
///
/// A time namespace would not do: it shifts the monotonic clocks alone. Source: time_namespaces(7).
struct SteppedClock: Sendable {
    private let directory: String

    /// For ``ScratchCluster/Options/environment``.
    var environment: [String: String] {
        ["LD_PRELOAD": "\(self.directory)/clock.so", "PGHA_CLOCK_OFFSET": "\(self.directory)/offset"]
    }

    static func make() async throws -> SteppedClock {
        let clock = SteppedClock(directory: try scratchDirectory("pgha-clock"))
        let source = URL(filePath: #filePath).deletingLastPathComponent().appending(path: "SteppedClock.c").path
        // The toolchain's, or the system's.
        try await runCommand([
            "/bin/bash", "-c",
            "\"$(command -v clang || command -v gcc || command -v cc)\" -O2 -fPIC -shared -o \"$1/clock.so\" \"$0\" && chmod 755 \"$1\"",
            source, clock.directory,
        ])
        try clock.step(to: 0)
        return clock
    }

    /// Seconds that the clock is ahead of the machine's, from now on.
    func step(to seconds: Int) throws {
        let path = "\(self.directory)/offset"
        if !FileManager.default.fileExists(atPath: path) {
            _ = FileManager.default.createFile(
                atPath: path, contents: Data(count: 8), attributes: [.posixPermissions: 0o644])
        }
        // In place: the processes have it mapped.
        let file = try FileHandle(forWritingTo: URL(filePath: path))
        try file.write(contentsOf: withUnsafeBytes(of: Int64(seconds)) { Data($0) })
        try file.close()
    }

    func remove() { try? FileManager.default.removeItem(atPath: self.directory) }
}
