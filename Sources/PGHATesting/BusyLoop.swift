internal import Glibc

/// One process that keeps a core busy until it is ended; it ends by itself after two minutes.
package struct BusyLoop: Sendable {
    private let child: ChildProcess

    package init() throws {
        self.child = try ChildProcess(
            arguments: ["/usr/bin/timeout", "120", "/bin/bash", "-c", "while :; do :; done"], dropsPrivileges: false)
    }

    package func end() {
        // The whole process group: `timeout` has a child.
        Glibc.kill(-self.child.pid, SIGKILL)
        self.child.waitForExit()
    }
}
