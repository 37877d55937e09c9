internal import Glibc
internal import PGHAClient
package import PGHACore
package import PGHAPostgres

/// Hosts of their own (``ScratchCluster/Options/separateHosts``): cuts between them, and the pooler.
extension ScratchCluster {
    package enum Host: Sendable {
        case node(Node)
        case controller
        case pooler
    }

    static func controllerHost(_ options: Options) -> String {
        options.separateHosts ? ScratchNetwork.address(options.nodes) : "127.0.0.1"
    }

    func index(of host: Host) -> Int {
        switch host {
        case .node(let node): self.nodes.firstIndex { $0.name == node.name } ?? 0
        case .controller: self.nodes.count
        case .pooler: self.nodes.count + 1
        }
    }

    /// Cuts the node's host off from everybody, or connects it again.
    package func setLink(_ node: Node, up: Bool) async throws {
        try await self.network?.setLink(self.index(of: .node(node)), up: up)
    }

    /// From now on nothing that `sender` sends reaches `receiver`; the other direction works.
    package func loseEverything(from sender: Host, to receiver: Host) async throws {
        try await self.network?.setPath(from: self.index(of: sender), to: self.index(of: receiver), open: false)
    }

    /// Neither reaches the other any more; both reach everybody else.
    package func cut(_ one: Host, from other: Host) async throws {
        try await self.loseEverything(from: one, to: other)
        try await self.loseEverything(from: other, to: one)
    }

    /// Every link up, every path open.
    package func mendNetwork() async throws { try await self.network?.mend() }

    // MARK: - Pooler

    /// Starts `pgha pooler`, which lets in ``user`` and logs in as that user.
    package func startPooler() throws {
        try writeFile("\(self.directory)/pooler-users", "\"\(Self.user)\" \"\(Self.user)\"\n")
        let host = self.poolerHost
        let arguments =
            "pooler --listen \(host):\(self.poolerPorts[0]) --listen-read \(host):\(self.poolerPorts[1]) "
            + "--http-listen \(host):\(self.poolerPorts[2]) --token-file \(self.directory)/token "
            + "--controller http://\(Self.controllerHost(self.options)):\(self.controllerPort) "
            + "--users-file \(self.directory)/pooler-users --log-level \(self.options.logLevel) \(self.tlsFlags)"
        try self.launch(
            "pooler", arguments, log: "pooler.log", host: self.network?.words(self.index(of: .pooler)))
    }

    package func killPooler() { self.kill("pooler") }

    /// To write, through the pooler.
    package var poolerParameters: ConnectionParameters {
        ConnectionParameters(
            host: self.poolerHost, port: self.poolerPorts[0], user: Self.user, password: Secret(Self.user),
            applicationName: "pooled")
    }

    var poolerHost: String {
        self.network == nil ? "127.0.0.1" : ScratchNetwork.address(self.index(of: .pooler))
    }

    // MARK: - Inside a host

    /// Over the Unix socket, as a client on the node's host: no cut of a link comes between. Needs ``insideAccess``.
    package func insideParameters(_ node: Node) -> ConnectionParameters {
        var parameters = self.parameters(node)
        parameters.host = "\(self.visibleDirectory(node))/run"
        return parameters
    }

    /// Everybody with a password over TCP, as without rules, and ``user`` inside of each host.
    package static let insideAccess = [
        AccessRule(type: "local", database: "all", user: ScratchCluster.user, address: nil, method: "scram-sha-256"),
        AccessRule.anyoneWithPassword,
    ]
}

// MARK: - Hands on

extension ScratchCluster {
    /// Runs a line of shell as root; returns what it printed, without the last end of line.
    @discardableResult
    package func shell(_ line: String) async throws -> String {
        let output = "\(self.directory)/shell-output"
        try await run(["/bin/bash", "-c", "{ \(line); } >\(output)"], dropsPrivileges: false)
        var text = readFile(output) ?? ""
        while text.hasSuffix("\n") { text.removeLast() }
        return text
    }

    /// Runs `pgha` against this controller; throws with its output when it fails.
    package func pgha(_ arguments: String...) async throws {
        try await run(
            ["\(self.directory)/pgha"] + arguments
                + ["--controller", self.client.baseURL, "--token-file", "\(self.directory)/token"]
                + self.tlsFlags.split(separator: " ").map(String.init))
    }

    /// Copies the logs of all processes into the directory, best effort.
    package func copyLogs(to directory: String) {
        let line =
            "mkdir -p \"$0\" && cp \"$1\"/*.log \"$0\" && for f in \"$1\"/*/log \"$1\"/*/*.log; do "
            + "[ -e \"$f\" ] && cp -rT \"$f\" \"$0/$(basename $(dirname $f))-$(basename $f)\"; done; true"
        let words = ["/bin/bash", "-c", "exec 3<&-; " + line, directory, self.directory]
        (try? ChildProcess(arguments: words, dropsPrivileges: false))?.waitForExit()
    }
}

/// A new directory under `PGHA_TEST_DIR` or `/tmp`, which the servers' user owns.
package func scratchDirectory(_ prefix: String) throws -> String { try makeTemporaryDirectory(prefix) }

/// Runs a program as this process's user; throws with its output when it fails.
package func runCommand(_ arguments: [String]) async throws {
    try await run(arguments, dropsPrivileges: false)
}
