import CPGHASystem
import Glibc
package import Logging
import PGHACore
import ServiceLifecycle

/// The first process of an unmodified PostgreSQL's container: starts the server when the agent lets it; see
/// ``GateFiles``.
///
/// It stays when the server ends, so that the container does: an orchestrator would wait ever longer before it starts
/// a container again.
package struct Gate: Service {
    private let files: GateFiles
    private let stateDirectory: String
    private let program: String
    private let arguments: [String]
    private let environment: [String: String]
    private let logger: Logger

    /// Between two looks for a ticket: 50 a second are not seen in any figure.
    private static let interval = Duration.milliseconds(20)

    /// - Parameter command: what starts the server, looked for in `PATH` as a shell would.
    package init(
        directory: String, command: [String], environment: [String: String], logger: Logger
    ) throws {
        guard let name = command.first else { throw GateError.noCommand }
        self.stateDirectory = directory
        self.files = GateFiles(root: directory + "/gate")
        self.program = try Self.find(name, path: environment["PATH"] ?? "/usr/local/bin:/usr/bin:/bin")
        self.arguments = Array(command.dropFirst())
        self.environment = environment
        self.logger = logger
    }

    private static func find(_ name: String, path: String) throws -> String {
        if name.contains("/") { return name }
        let places = path.split(separator: ":").map { "\($0)/\(name)" }
        guard let found = places.first(where: { access($0, X_OK) == 0 }) else { throw GateError.notFound(name) }
        return found
    }

    package func run() async throws {
        self.logger.info("gate waits for the agent", metadata: ["directory": "\(self.stateDirectory)"])
        var lock: Int32 = -1
        while !Task.isShuttingDownGracefully, !Task.isCancelled {
            // The agent makes the directory.
            if lock < 0, DurableFile.exists(self.files.root) { lock = try self.lock() }
            if lock >= 0, let answer = try await Offload.run({ try self.files.serve(self.start) }) {
                await self.report(answer)
            }
            try? await cancelWhenGracefulShutdown { try await Task.sleep(for: Self.interval) }
        }
        if lock >= 0 { close(lock) }
    }

    private func lock() throws -> Int32 {
        let descriptor = open(self.files.lockFile, O_RDWR | O_CREAT | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else { throw SystemError("open \(self.files.lockFile)") }
        guard pgha_lock_exclusively(descriptor) == 0 else {
            close(descriptor)
            throw AgentStartError.directoryInUse(self.files.root)
        }
        return descriptor
    }

    private func report(_ answer: GateAnswer) async {
        guard let process = answer.process else {
            return self.logger.warning("start refused", metadata: ["why": "\(answer.refusal ?? "")"])
        }
        self.logger.info("server started", metadata: ["pid": "\(process.pid)"])
        await self.outlive(process.pid)
    }

    /// Blocks until the process has been started.
    private func start(_ ticket: StartTicket) throws -> GateAnswer {
        if let refusal = self.refusal(ticket) { return GateAnswer(number: ticket.number, refusal: refusal) }
        var environment = self.environment
        // An image's own entry point would make another data directory, and start that.
        environment["PGDATA"] = ticket.data
        // For a `primary_conninfo` that names none.
        environment["PGPASSFILE"] = self.stateDirectory + "/agent/passfile"
        let null = open("/dev/null", O_RDONLY | O_CLOEXEC)
        defer { close(null) }
        let pid = try Spawn.start(
            self.program, self.arguments, environment: environment,
            streams: .init(input: null, output: STDOUT_FILENO, error: STDERR_FILENO))
        // Until it is waited for, which `outlive` does, there is such a process.
        return GateAnswer(number: ticket.number, process: ProcessMark.of(pid))
    }

    /// Until the server has ended; a shutdown of the container shuts it down in order.
    private func outlive(_ pid: pid_t) async {
        guard let handle = ProcessHandle(pid: pid) else { return }
        await withTaskGroup(of: Bool.self) { group in
            group.addTask {
                _ = await handle.waitForExit()
                return true
            }
            group.addTask {
                try? await gracefulShutdown()
                if !Task.isCancelled { handle.signal(SIGINT) }
                return false
            }
            while let hasEnded = await group.next(), !hasEnded {}
            group.cancelAll()
        }
        self.logger.info("server ended", metadata: ["pid": "\(pid)", "status": "\(handle.exit?.status ?? -1)"])
    }

    /// Looks for itself at what the agent has looked at: the last thing before a server could become a primary.
    private func refusal(_ ticket: StartTicket) -> String? {
        guard ticket.agent.namespace == ProcessMark.ownNamespace else {
            return "the agent is not to be seen from here: let both containers share one process namespace "
                + "(shareProcessNamespace, or 'pid:' in a compose file)"
        }
        guard ticket.agent.isAlive else { return "the agent that allowed it has ended" }
        guard DurableFile.exists(ticket.data + "/PG_VERSION") else {
            return "there is no data directory \(ticket.data) here: mount the volume at the same path as the agent"
        }
        if let other = self.otherData(than: ticket.data) {
            return "the command would start \(other), and the agent looks after \(ticket.data)"
        }
        let isStandby = DurableFile.exists(ticket.data + "/standby.signal")
        guard let allowed = ticket.pledge else { return isStandby ? nil : "standby.signal is missing" }
        if isStandby { return "standby.signal stands" }
        let pledge = (try? PledgeFile(path: self.stateDirectory + "/agent/pledge"))?.pledge
        guard let pledge else { return "the term is unknown: no primary is started" }
        return pledge.description == allowed ? nil : "the node is pledged to \(pledge) by now, no more to \(allowed)"
    }

    /// What the command names after `-D`, unless it is `data`.
    private func otherData(than data: String) -> String? {
        for (index, argument) in self.arguments.enumerated() where argument.hasPrefix("-D") {
            let attached = String(argument.dropFirst(2))
            let named = attached.isEmpty ? self.arguments.dropFirst(index + 1).first ?? "" : attached
            if Self.resolved(named) != Self.resolved(data) { return named }
        }
        return nil
    }

    private static func resolved(_ path: String) -> String {
        guard let resolved = realpath(path, nil) else { return path }
        defer { free(resolved) }
        return String(cString: resolved)
    }
}

/// Why a gate does not begin.
package enum GateError: Error, Hashable, Sendable, CustomStringConvertible {
    case noCommand
    case notFound(String)

    package var description: String {
        switch self {
        case .noCommand: "No command. Give what starts PostgreSQL: pgha agent gate --dir DIR -- postgres -D DIR/data"
        case .notFound(let name): "There is no program '\(name)' in PATH. Give its whole path."
        }
    }
}
