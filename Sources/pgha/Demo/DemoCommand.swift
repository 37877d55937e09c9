import ArgumentParser
import FoundationEssentials
import Glibc
import PGHACommand

/// `pgha demo`.
struct DemoCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "demo", abstract: "Run a whole cluster on this machine, to try things out.",
        discussion: """
            Three PostgreSQL servers with an agent beside each, a controller and a pooler, in the foreground. Ctrl-C stops all \
            of it in order and keeps the data; the next run goes on with it. As root the servers run as user \
            postgres under /var/lib/pgha/demo, otherwise as you under ~/.local/state/pgha/demo.

            Ports: pooler 16432 to write and 16433 to read, servers from 15432, controller 18432, agents from 18433. \
            --base-port moves all of them.
            """)

    @Option(help: ArgumentHelp("How many servers, 1 to 9; 3 unless the data is there already.", valueName: "count"))
    var nodes: Int?

    @Option(help: ArgumentHelp("Where everything is kept. Made when missing.", valueName: "path"))
    var dir: String?

    @Option(help: ArgumentHelp("The first server's port; 15432 unless the data is there already.", valueName: "port"))
    var basePort: Int?

    @Flag(help: "Remove the data at the end.")
    var ephemeral = false

    @Option(help: ArgumentHelp("The directory of PostgreSQL's programs.", valueName: "path"))
    var pgBindir: String?

    func validate() throws {
        if let nodes = self.nodes, !(1...DemoLayout.nodeLimit).contains(nodes) {
            throw ValidationError("--nodes takes 1 to \(DemoLayout.nodeLimit).")
        }
        if let port = self.basePort, !(1024...62_000).contains(port) {
            throw ValidationError("--base-port takes 1024 to 62000: the agents' ports are 3001 and more above it.")
        }
    }

    func run() async throws {
        signal(SIGPIPE, SIG_IGN)
        if geteuid() == 0 {
            // Of a temporary directory the user owns the parent too, and so can remove it.
            let parent = self.dir == nil && self.ephemeral ? "/var/lib/pgha/tmp" : nil
            let directory = parent.map(Self.ephemeral) ?? self.dir.map(Self.absolute) ?? "/var/lib/pgha/demo"
            try DemoIdentity.becomeServerUser(
                directory: directory, owned: parent ?? directory, arguments: self.arguments)
        }
        let home = HomeDirectory.path + "/.local/state/pgha"
        let directory = self.dir.map(Self.absolute) ?? (self.ephemeral ? Self.ephemeral(home) : "\(home)/demo")
        let layout = try DemoFiles.layout(
            directory: directory, nodes: self.nodes, basePort: self.basePort, ephemeral: self.ephemeral)
        let demo = Demo(layout: layout, programs: self.pgBindir, isEphemeral: self.ephemeral)
        try await demo.run()
    }

    /// The options but for the directory, as given.
    private var arguments: [String] {
        var result: [String] = []
        if let nodes = self.nodes { result += ["--nodes", "\(nodes)"] }
        if let port = self.basePort { result += ["--base-port", "\(port)"] }
        if let programs = self.pgBindir { result += ["--pg-bindir", Self.absolute(programs)] }
        return result + (self.ephemeral ? ["--ephemeral"] : [])
    }

    private static func ephemeral(_ parent: String) -> String { "\(parent)/demo-\(getpid())" }

    private static func absolute(_ path: String) -> String {
        path.hasPrefix("/") ? path : FileManager.default.currentDirectoryPath + "/" + path
    }
}

/// The user's home directory.
enum HomeDirectory {
    static var path: String {
        if let home = ProcessInfo.processInfo.environment["HOME"], home.hasPrefix("/") { return home }
        return getpwuid(geteuid()).map { String(cString: $0.pointee.pw_dir) } ?? "/tmp"
    }
}
