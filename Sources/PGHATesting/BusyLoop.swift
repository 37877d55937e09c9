internal import Glibc

/// One process that keeps a core busy until it is ended.
package struct BusyLoop: Sendable {
    private let child: ChildProcess

    /// It ends by itself after `atMost`.
    package init(atMost limit: Duration = .seconds(120)) throws {
        self.child = try ChildProcess(
            arguments: ["/usr/bin/timeout", "\(limit.components.seconds)", "/bin/bash", "-c", "while :; do :; done"],
            dropsPrivileges: false)
    }

    package func end() {
        // The whole process group: `timeout` has a child.
        Glibc.kill(-self.child.pid, SIGKILL)
        self.child.waitForExit()
    }
}
