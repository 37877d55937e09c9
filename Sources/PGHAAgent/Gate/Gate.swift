import CPGHASystem
import Glibc
package import Logging
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
            if lock >= 0, let ticket = try await Offload.run({ try self.files.take() }) {
                try await self.carryOut(ticket)
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

    private func carryOut(_ ticket: StartTicket) async throws {
        if let refusal = await Offload.run({ self.refusal(ticket) }) {
            self.logger.warning("start refused", metadata: ["why": "\(refusal)"])
            try await Offload.run { try self.files.reply(GateAnswer(number: ticket.number, refusal: refusal)) }
            return
        }
        let pid = try await Offload.run {
            let null = open("/dev/null", O_RDONLY | O_CLOEXEC)
            defer { close(null) }
            let pid = try Spawn.start(
                self.program, self.arguments, environment: self.environment,
                streams: .init(input: null, output: STDOUT_FILENO, error: STDERR_FILENO))
            try self.files.reply(
                GateAnswer(
                    number: ticket.number, pid: pid, startSeconds: ProcessTable.startSeconds(pid),
                    processNamespace: GateFiles.processNamespace()))
            return pid
        }
        self.logger.info("server started", metadata: ["pid": "\(pid)", "standby": "\(ticket.standby)"])
        await self.outlive(pid)
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
        guard DurableFile.exists(ticket.data + "/PG_VERSION") else {
            return "there is no data directory \(ticket.data) here: mount the volume at the same path as the agent"
        }
        let standby = DurableFile.exists(ticket.data + "/standby.signal")
        guard standby == ticket.standby else {
            return standby ? "standby.signal stands" : "standby.signal is missing"
        }
        let pledge = try? PledgeFile(path: self.stateDirectory + "/agent/pledge").pledge
        if !standby, pledge == nil { return "the term is unknown: no primary is started" }
        return nil
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
