import CPGHASystem
import Glibc
import Logging
import PGHAClient
import PGHACore

extension Agent {
    /// The data directory as the kernel names it: `/proc/PID/cwd` has symbolic links resolved.
    nonisolated var resolvedData: String {
        guard let path = realpath(self.directory.data, nil) else { return self.directory.data }
        defer { free(path) }
        return String(cString: path)
    }

    /// Takes over a postmaster that runs already: after the agent's own restart, or started by someone else.
    func adopt() async {
        guard self.postmaster == nil else { return }
        let path = self.directory.postmasterPID
        let data = self.resolvedData
        let file = await Offload.run { PostmasterFile.read(path).flatMap { $0.isAlive(data: data) ? $0 : nil } }
        guard let file, self.postmaster == nil else { return }
        self.watch(file.pid)
        self.logger.info("adopted the running postmaster", metadata: ["pid": "\(file.pid)"])
    }

    /// Reports the postmaster as running, and its end when that comes.
    func watch(_ pid: pid_t) {
        // In this order: the end may be seen before `ProcessHandle.init` returns.
        self.board.update(.postmasterStarted) { $0.postmaster = .running(pid: pid) }
        let board = self.board
        let handle = ProcessHandle(pid: pid) { exit in
            board.update(.postmasterStopped) { $0.postmaster = .stopped(exitStatus: exit.status) }
            Task { await self.postmasterEnded(pid) }
        }
        guard let handle else {
            board.update(.postmasterStopped) { $0.postmaster = .stopped(exitStatus: nil) }
            return
        }
        self.postmaster = handle
    }

    private func postmasterEnded(_ pid: pid_t) async {
        guard self.postmaster?.pid == pid else { return }
        self.postmaster = nil
        await self.local.close()
        await self.refreshFacts()
        await self.restartStandby(after: .seconds(1))
    }

    /// A standby that ended by itself is started again. A server without `standby.signal` never is: it would be
    /// a primary, and whether it may be one is not for the agent to say.
    private func restartStandby(after delay: Duration) async {
        try? await Task.sleep(for: delay)
        guard self.keepsRunning, self.postmaster == nil, self.isIdle, self.mayStartAsStandby else { return }
        do {
            _ = try await self.perform(.init(kind: .start), pledge: nil) { agent in
                try await agent.start(standby: true)
                return AgentResult()
            }
        } catch {
            self.logger.warning("the standby did not start again", metadata: ["why": "\(error)"])
            // Back-off, doubled up to half a minute: a server that cannot start must not keep the host busy.
            await self.restartStandby(after: min(delay * 2, .seconds(30)))
        }
    }

    var mayStartAsStandby: Bool {
        self.directory.hasData && DurableFile.exists(self.directory.standbySignal)
            && !DurableFile.exists(self.directory.rewindMark)
    }

    /// Finds the server that runs already. Before anyone is answered: "no postmaster", said by an agent that has not
    /// looked yet, would make a controller replace a leader that lives.
    func lookAround() async {
        if let port = self.setup?.port { await self.local.use(port: port) }
        await self.adopt()
        await self.settleGate()
        // Told to whoever asks first: by it a controller knows this directory from an older copy of it.
        await self.learnServersPledge()
        await self.refreshAccess()
        await self.refreshFacts()
    }

    /// The agent that ran before may have been an older one, which did not know of all roles.
    private func refreshAccess() async {
        guard self.directory.hasData, let files = try? self.managedFiles() else { return }
        let data = self.directory.data
        do {
            if try await Offload.run({ try files.writeAccess(into: data) }) { self.postmaster?.signal(SIGHUP) }
        } catch {
            self.logger.warning("pg_hba.conf is not brought up to date", metadata: ["why": "\(error)"])
        }
    }

    /// What the agent does by itself when it starts.
    func begin() async {
        let unfinished = self.directory.newData
        await Offload.run { for pid in ProcessTable.processes(mentioning: unfinished) { kill(pid, SIGKILL) } }
        await self.adopt()
        if self.postmaster == nil { await self.restartStandby(after: .zero) }
    }

    /// Starts the server and waits until it accepts connections. A standby that has nothing to stream from may
    /// never get that far: with `hot: false` it is enough that crash recovery is over.
    func start(standby: Bool, hot: Bool = true) async throws {
        guard self.directory.hasData else { throw Refusal.noData(self.directory.root) }
        guard DurableFile.exists(self.directory.standbySignal) == standby else { throw Refusal.neverLeader }
        try await self.endLeftovers()
        try await self.waitForReaper()
        if let port = self.setup?.port { await self.local.use(port: port) }
        let logOffset = try await self.spawn()
        guard let handle = self.postmaster else { throw Refusal.notRunning() }
        try await self.waitUntilReady(handle, hot: hot, logOffset: logOffset)
        self.keepsRunning = true
        await self.refreshFacts()
    }

    /// PostgreSQL takes a dead postmaster that nobody has reaped for a living one and does not start. After an
    /// agent's restart that is the init process's business, and some are slow.
    private func waitForReaper() async throws {
        let path = self.directory.postmasterPID
        let deadline = ContinuousClock.now + .seconds(15)
        while let pid = await Offload.run({ PostmasterFile.read(path).map(\.pid) }), ProcessTable.isZombie(pid) {
            guard ContinuousClock.now < deadline else {
                throw Refusal.startFailed(
                    "the former postmaster \(pid) ended, but its parent does not collect it", log: "")
            }
            try await Task.sleep(for: .milliseconds(20))
        }
    }

    /// - Returns: The log's size before, so that a failure can quote what came after.
    private func spawn() async throws -> Int64 {
        if let gate = self.gate {
            // What the server says goes to its own container's log; ours has nothing new.
            let log = self.directory.log
            try await self.admitStart(gate)
            return await Offload.run { ((try? DurableFile.status(log)) ?? nil)?.size ?? 0 }
        }
        let program = self.programs.path("postgres")
        let directory = self.directory
        let options = self.adopted?.options ?? []
        let (pid, offset) = try await Offload.run {
            try Self.rotateLog(directory.log)
            let log = open(directory.log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0o600)
            guard log >= 0 else { throw SystemError("open \(directory.log)") }
            let null = open("/dev/null", O_RDONLY | O_CLOEXEC)
            defer { for file in [log, null] { close(file) } }
            let size = try DurableFile.status(directory.log)?.size ?? 0
            // The passfile serves a `primary_conninfo` that names none (set over SQL by the controller).
            var environment = Spawn.environment(passfile: directory.passfile)
            environment["LC_ALL"] = nil
            environment["LANG"] = "C.UTF-8"
            let pid = try Spawn.start(
                program, ["-D", directory.data] + options, environment: environment, directory: directory.root,
                streams: .init(input: null, output: log, error: log))
            return (pid, size)
        }
        self.watch(pid)
        return offset
    }

    /// The log's size at which a start puts it aside, once. While the server runs it belongs to logrotate
    /// (`copytruncate`).
    private static let logLimit = 64 << 20

    private static func rotateLog(_ path: String) throws {
        guard let size = try DurableFile.status(path)?.size, size > Self.logLimit else { return }
        try DurableFile.move(path, to: path + ".1")
    }

    /// Watches the status line of `postmaster.pid`, the only sign of readiness that needs no connection.
    private func waitUntilReady(_ handle: ProcessHandle, hot: Bool, logOffset: Int64) async throws {
        let path = self.directory.postmasterPID
        let log = self.directory.log
        var nextLook = ContinuousClock.now + .seconds(1)
        while true {
            try Task.checkCancellation()
            if let exit = handle.exit {
                let tail = await Offload.run { Self.logTail(log, from: logOffset, lines: 5) }
                throw Refusal.startFailed("it ended with \(exit.status.map { "\($0)" } ?? "unknown status")", log: tail)
            }
            let file = await Offload.run { PostmasterFile.read(path) }
            if let file, file.pid == handle.pid, file.status == "ready" || (!hot && file.status == "standby") { return }
            if !hot, let control = try? await self.controlData(), control.state == "in archive recovery" { return }
            if ContinuousClock.now >= nextLook {
                // What keeps it from getting ready (no slot, no password, much to replay) shows in the facts.
                let last = await Offload.run { Self.logTail(log, from: logOffset, lines: 1) }
                self.report("start: \(last)")
                nextLook += .seconds(1)
            }
            try await Task.sleep(for: .milliseconds(5))
        }
    }

    private static func logTail(_ path: String, from offset: Int64, lines: Int) -> String {
        guard let text = try? DurableFile.read(path) else { return "" }
        let new = text.utf8.dropFirst(Int(clamping: offset))
        return String(decoding: new, as: UTF8.self).split(separator: "\n").suffix(lines).joined(separator: " | ")
    }

    /// Stops by signals of growing force, each with its time, and then ends what is left of the server. Does
    /// nothing when no postmaster runs, except for the latter.
    func stop(_ steps: [(signal: Int32, within: Duration)]) async throws {
        if let handle = self.postmaster {
            var ended = false
            for step in steps where !ended {
                handle.signal(step.signal)
                ended = await handle.exit(within: step.within) != nil
            }
            guard ended else { throw Refusal.stopFailed() }
            await self.local.close()
            if self.postmaster === handle { self.postmaster = nil }
        }
        try await self.endLeftovers()
        await self.refreshFacts()
    }

    /// A frozen standby can hold a fast shutdown for `wal_sender_timeout` and longer; then it is made immediate.
    static func cleanStop(drain: Duration) -> [(signal: Int32, within: Duration)] {
        [(SIGINT, drain), (SIGQUIT, .seconds(5)), (SIGKILL, .seconds(5))]
    }

    static let immediateStop: [(signal: Int32, within: Duration)] = [
        (SIGQUIT, .seconds(2)), (SIGKILL, .seconds(5)),
    ]

    /// Ends processes that outlived their postmaster: a busy backend can acknowledge a commit seconds after it,
    /// and holds the shared memory until it ends.
    func endLeftovers() async throws {
        guard self.postmaster == nil else { return }
        if let unwatched = try await self.endStart() { kill(unwatched, SIGKILL) }
        let data = self.resolvedData
        let deadline = ContinuousClock.now + .seconds(5)
        while true {
            let left = await Offload.run { ProcessTable.processes(workingIn: data) }
            if left.isEmpty { return }
            guard ContinuousClock.now < deadline else { throw Refusal.stopFailed() }
            for pid in left { kill(pid, SIGKILL) }
            try await Task.sleep(for: .milliseconds(2))
        }
    }
}
