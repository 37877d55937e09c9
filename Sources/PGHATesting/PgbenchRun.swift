internal import Glibc

/// One run of pgbench against an address, with what it wrote of every transaction.
package final class PgbenchRun: Sendable {
    package struct Result: Sendable {
        package let transactions: Int
        /// Of any client's transaction, begin to end. Milliseconds.
        package let slowest: [(endedAt: Double, milliseconds: Double)]
        /// Longest time in which no client finished a transaction. Milliseconds.
        package let longestGap: Double
        package let output: String
        package let exitStatus: Int32
    }

    private let directory: String
    private let child: ChildProcess

    package static let path = ScratchPrograms.path("pgbench")

    /// Starts it. `arguments` without the address.
    package init(
        host: String = "127.0.0.1", port: Int, user: String, password: String, database: String = "postgres",
        _ arguments: [String]
    ) throws {
        self.directory = try makeTemporaryDirectory("pgha-pgbench")
        let script = "exec 3<&-; cd \"$0\" && exec \"$@\" >output 2>&1 </dev/null"
        self.child = try ChildProcess(
            arguments: [
                "/bin/bash", "-c", script, self.directory, Self.path, "-n", "-h", host, "-p", "\(port)", "-U", user,
            ] + arguments + [database], environment: ["PGPASSWORD": password], dropsPrivileges: true)
    }

    package var isRunning: Bool { self.child.isRunning }
    package var output: String { readFile("\(self.directory)/output") ?? "" }

    /// Ends it early, as ^C would.
    package func interrupt() { _ = Glibc.kill(self.child.pid, SIGINT) }

    /// Waits for its end and reads its log (`-l`), one line per transaction: client, number, microseconds, script, epoch
    /// seconds, microseconds. Source: PostgreSQL manual, pgbench, "Per-Transaction Logging".
    package func finish() async throws -> Result {
        while self.child.isRunning { try await Task.sleep(for: .milliseconds(20)) }
        defer { removeTree(self.directory) }
        var rows: [(endedAt: Double, milliseconds: Double)] = []
        for file in Self.logs(in: self.directory) {
            for line in (readFile(file) ?? "").split(separator: "\n") {
                let fields = line.split(separator: " ")
                guard fields.count >= 6, let took = Double(fields[2]), let seconds = Double(fields[4]),
                    let rest = Double(fields[5])
                else { continue }
                rows.append((seconds + rest / 1e6, took / 1000))
            }
        }
        let ends = rows.map(\.endedAt).sorted()
        let gap = zip(ends, ends.dropFirst()).map { $1 - $0 }.max() ?? 0
        return Result(
            transactions: rows.count, slowest: rows.sorted { $0.milliseconds > $1.milliseconds },
            longestGap: gap * 1000, output: self.output, exitStatus: self.child.status() ?? -1)
    }

    private static func logs(in directory: String) -> [String] {
        guard let stream = opendir(directory) else { return [] }
        defer { closedir(stream) }
        var paths: [String] = []
        while let entry = readdir(stream) {
            let name = withUnsafePointer(to: &entry.pointee.d_name) {
                $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
            }
            if name.hasPrefix("pgbench_log") { paths.append("\(directory)/\(name)") }
        }
        return paths
    }
}
