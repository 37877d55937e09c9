import ArgumentParser
import Foundation
import PGHAAgent
import PGHAConfiguration
import ServiceLifecycle
import UnixSignals

/// `pgha agent gate`: what an unmodified PostgreSQL's container runs in place of its own command.
struct GateCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "gate",
        abstract: "Start PostgreSQL in a container of its own, whenever the agent beside it says so.",
        discussion: """
            For 'supervise: external': the agent prepares the data and decides, this starts COMMAND and stays when it \
            ends. Both need the volume under the same path, the same user and one process namespace. Without the agent \
            nothing is started.

            An image without pgha's libraries runs it from a volume that 'pgha agent gate --install DIR' has filled:
            DIR/lib/ld.so --library-path DIR/lib DIR/pgha agent gate --dir … -- postgres -D …
            """)

    /// Takes the options that both have: what is given behind `gate` too.
    @ParentCommand var agent: AgentCommand

    /// For the help.
    @Option(help: .setting("dir", of: .agent)) var dir: String?

    @Option(help: ArgumentHelp("Copy this program and its libraries there, and end.", valueName: "path"))
    var install: String?

    @Argument(parsing: .postTerminator, help: ArgumentHelp("What starts the server.", valueName: "command"))
    var command: [String] = []

    func validate() throws {
        guard (self.install == nil) != self.command.isEmpty else {
            throw ValidationError("Give either --install DIR, or -- and the command that starts PostgreSQL.")
        }
    }

    func run() async throws {
        if let install = self.install { return try GateInstaller.install(into: install) }
        let environment = ProcessInfo.processInfo.environment
        guard let directory = self.dir ?? self.agent.dir ?? environment["PGHA_AGENT_DIR"] else {
            throw CommandError(.failed, "no state directory", hint: "Give --dir or PGHA_AGENT_DIR: the agent's.")
        }
        let logger = LogConfiguration(level: self.agent.options.logLevel ?? "info").start(label: "pgha.gate")
        let gate: Gate
        do {
            gate = try Gate(directory: directory, command: self.command, environment: environment, logger: logger)
        } catch let error as GateError {
            throw CommandFailure(error.description)
        }
        try await ServiceGroup(
            configuration: .init(
                services: [.init(service: gate)], gracefulShutdownSignals: [.sigterm, .sigint], logger: logger)
        ).run()
    }
}

/// Copies this program with everything that it loads, so that it runs where none of that is: the loader included, which
/// is named on the command line.
enum GateInstaller {
    static func install(into directory: String) throws {
        let manager = FileManager.default
        try manager.createDirectory(atPath: directory + "/lib", withIntermediateDirectories: true)
        let executable = try manager.destinationOfSymbolicLink(atPath: "/proc/self/exe")
        let maps = try String(contentsOfFile: "/proc/self/maps", encoding: .utf8)
        let mapped = Set(
            maps.split(separator: "\n").compactMap { line in line.split(separator: " ").last.map(String.init) })
        try self.copy(executable, to: directory + "/pgha")
        for path in mapped.sorted() where path.contains(".so") && path != executable {
            let name = path.split(separator: "/").last.map(String.init) ?? path
            try self.copy(path, to: "\(directory)/lib/\(name)")
            // Mapped is the file; asked for is the name in it: libpq.so.5.15 and libpq.so.5.
            if let short = self.shortName(name), short != name {
                try? manager.removeItem(atPath: "\(directory)/lib/\(short)")
                try manager.createSymbolicLink(atPath: "\(directory)/lib/\(short)", withDestinationPath: name)
            }
            if name.hasPrefix("ld-") {
                try? manager.removeItem(atPath: "\(directory)/lib/ld.so")
                try manager.createSymbolicLink(atPath: "\(directory)/lib/ld.so", withDestinationPath: name)
            }
        }
    }

    /// `libpq.so.5.15` is asked for as `libpq.so.5`, `libldap-2.5.so.0.1.8` as `libldap-2.5.so.0`.
    static func shortName(_ name: String) -> String? {
        guard let end = name.range(of: ".so."), let major = name[end.upperBound...].split(separator: ".").first else {
            return nil
        }
        return String(name[..<end.upperBound]) + major
    }

    /// Moved into place: a container that starts at the same moment never runs a half of it.
    private static func copy(_ source: String, to target: String) throws {
        let manager = FileManager.default
        let temporary = target + ".new"
        try? manager.removeItem(atPath: temporary)
        try manager.copyItem(atPath: source, toPath: temporary)
        try? manager.removeItem(atPath: target)
        try manager.moveItem(atPath: temporary, toPath: target)
    }
}
