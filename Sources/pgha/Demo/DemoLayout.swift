import PGHAConfiguration
import PGHACore

/// Where the demo keeps its files and on which ports it listens. All of it follows from three values.
struct DemoLayout: Hashable, Sendable {
    static let defaultBasePort = 15_432
    static let defaultNodes = 3
    static let nodeLimit = 9

    /// Absolute.
    let directory: String
    let nodes: Int
    let basePort: Int

    /// `a`, `b`, `c`, …
    var names: [NodeName] {
        (0..<self.nodes).compactMap { NodeName(String(UnicodeScalar(UInt8(ascii: "a") + UInt8($0)))) }
    }

    func serverPort(_ index: Int) -> Int { self.basePort + index }
    /// 18432 by default.
    var controllerPort: Int { self.basePort + 3000 }
    /// 16432 by default.
    var writePort: Int { self.basePort + 1000 }
    /// 16433 by default.
    var readPort: Int { self.writePort + 1 }
    /// 18431 by default.
    var poolerHTTPPort: Int { self.controllerPort - 1 }
    /// 18433, 18434, … by default.
    func agentPort(_ index: Int) -> Int { self.controllerPort + 1 + index }

    var controllerURL: String { "http://127.0.0.1:\(self.controllerPort)" }
    var poolerURL: String { "http://127.0.0.1:\(self.poolerHTTPPort)" }
    func agentURL(_ index: Int) -> String { "http://127.0.0.1:\(self.agentPort(index))" }

    /// Every port with what listens there.
    var ports: [(port: Int, use: String)] {
        self.names.indices.map { (self.serverPort($0), "PostgreSQL of node \(self.names[$0])") }
            + [
                (self.controllerPort, "the controller"), (self.writePort, "the pooler, to write"),
                (self.readPort, "the pooler, to read"), (self.poolerHTTPPort, "the pooler's metrics"),
            ]
            + self.names.indices.map { (self.agentPort($0), "the agent of node \(self.names[$0])") }
    }

    var settingsFile: String { self.directory + "/demo.json" }
    var lockFile: String { self.directory + "/demo.lock" }
    var tokenFile: String { self.directory + "/token" }
    var specFile: String { self.directory + "/cluster.yaml" }
    var clientPassfile: String { self.directory + "/pgpass" }
    var binaryDirectory: String { self.directory + "/bin" }
    var libraryDirectory: String { self.directory + "/lib" }
    var runDirectory: String { self.directory + "/run" }
    var logDirectory: String { self.directory + "/log" }
    var controllerDirectory: String { self.directory + "/controller" }
    var controllerPassfile: String { self.controllerDirectory + "/passfile" }
    /// With which the pooler asks servers about users.
    var poolerPassfile: String { self.directory + "/pooler-pgpass" }
    func nodeDirectory(_ name: NodeName) -> String { "\(self.directory)/nodes/\(name)" }
    func postmasterFile(_ name: NodeName) -> String { self.nodeDirectory(name) + "/data/postmaster.pid" }

    /// Every file and directory that the demo makes: what `--ephemeral` removes, and nothing else.
    var contents: [String] {
        [
            self.settingsFile, self.lockFile, self.tokenFile, self.specFile, self.clientPassfile, self.binaryDirectory,
            self.libraryDirectory, self.runDirectory, self.logDirectory, self.controllerDirectory, self.poolerPassfile,
            self.directory + "/nodes",
        ]
    }

    var spec: ClusterSpec {
        let nodes = self.names.enumerated().map { index, name in
            NodeSpec(name: name, host: "127.0.0.1", port: self.serverPort(index), agent: self.agentURL(index))
        }
        return ClusterSpec(name: "demo", nodes: nodes, durability: Durability(copies: min(2, self.nodes)))
    }

    /// The spec as `pgha init -f` reads it.
    var specText: String {
        "# The cluster of 'pgha demo', as 'pgha init -f' takes it.\n" + ClusterSpecFile.render(self.spec)
    }

    /// For clients: through the pooler, to whoever leads or to a standby.
    func connectionString(_ role: ConnectionRole) -> String {
        "host=127.0.0.1 port=\(role == .write ? self.writePort : self.readPort) user=demo dbname=demo"
    }

    enum ConnectionRole {
        case write, read
    }

    /// Past the pooler: every server, so that the string holds after a failover.
    var directConnectionString: String {
        let hosts = self.names.map { _ in "127.0.0.1" }.joined(separator: ",")
        let ports = self.names.indices.map { "\(self.serverPort($0))" }.joined(separator: ",")
        return "host=\(hosts) port=\(ports) user=demo dbname=demo target_session_attrs=read-write"
    }
}
