import CPGHASystem
import Glibc
import Logging
import PGHAClient
import PGHACore
import PGHAPostgres

extension Agent {
    /// Takes a base backup beside the old data directory and puts it in its place. The old one stays as `data.old`
    /// until the new server streams.
    func clone(_ request: RejoinRequest, reason: RejoinPlan.CloneReason) async throws {
        let source = request.source ?? request.leader
        self.report("clone from \(source.name)")
        try self.requirePlaceForCopy()
        try await self.ensureSlot(request.leader)
        try await self.prepareNewData()
        try await self.makeRoom(request, source: source)
        try await self.write("\(request.pledge)\n", to: self.directory.agent + "/made-for")
        try await self.baseBackup(request, source: source)
        let files = try self.managedFiles()
        let directory = self.directory
        try await Offload.run {
            try DurableFile.write("", to: directory.newData + "/standby.signal")
            try files.write(into: directory.newData)
        }
        // The source's settings came along: its pledge, its list, its upstream.
        try await self.isolate(data: directory.newData)
        try Task.checkCancellation()
        try await self.installNewData()
        if reason == .unreadable { try await self.keepUnreadable() }
    }

    /// A copy is made beside the data and takes its place by a rename: not where the data directory is a volume by
    /// itself, or its parent somebody else's.
    private func requirePlaceForCopy() throws {
        let directory = self.directory
        guard self.adopted != nil, directory.hasData else { return }
        let data = try DurableFile.status(directory.data)
        let volume = try DurableFile.status(directory.volume)
        guard access(directory.volume, W_OK) == 0, data?.device == volume?.device else {
            throw AgentFailure(
                code: "no_place_for_copy",
                message: "A copy cannot be made beside \(directory.data): \(directory.volume) is another volume, or not"
                    + " writable",
                hint: "Let the agent's user write there, or move the data into a directory below the volume.")
        }
    }

    /// A copy needs about as much as the source's databases, and 64 MiB for WAL and the rest.
    private func makeRoom(_ request: RejoinRequest, source: AgentUpstream) async throws {
        let sizes = try? await self.leaderQuery(
            source, "SELECT sum(pg_database_size(oid))::bigint AS bytes FROM pg_database WHERE datallowconn")
        guard let bytes = try sizes?.first?.int64IfPresent("bytes") else { return }
        let needed = UInt64(max(0, bytes)) + (64 << 20)
        let directory = self.directory
        let old = await Offload.run { DurableFile.treeSize(directory.oldData) }
        guard let free = DurableFile.freeBytes(directory.volume), free < needed else { return }
        if old > 0 { try await Offload.run { try directory.removeData(directory.oldData) } }
        guard free + old < needed else { return }
        guard request.mode == .discard else {
            throw Refusal.noRoom("A copy beside the old data", needed: needed, free: free + old)
        }
        self.report("discarding the old data")
        try await Offload.run { try directory.removeData(directory.data) }
        await self.refreshFacts()
    }

    private func baseBackup(_ request: RejoinRequest, source: AgentUpstream) async throws {
        var arguments = [
            "--pgdata=\(self.directory.newData)", "--dbname=\(self.toolConnection(source, database: nil))",
            "--wal-method=stream", "--checkpoint=fast", "--progress", "--no-password", "--label=pgha \(self.node)",
        ]
        if try await self.hasFreeSlot(source) { arguments.append("--slot=\(self.node.slotName)") }
        if let rate = request.maxRate { arguments.append("--max-rate=\(rate)") }
        arguments += try await self.tablespaceMappings(source)
        let board = self.board
        let output = try await Program.run(
            self.programs.path("pg_basebackup"), arguments, passfile: self.directory.passfile,
            progress: { line in
                guard let percent = Self.percent(line) else { return }
                board.update(.activity) { $0.activity = "clone from \(source.name): \(percent) %" }
            })
        guard output.status == 0 else {
            throw Refusal.programFailed("pg_basebackup", status: output.status, output.complaint)
        }
    }

    /// Each tablespace of the source goes beside the data directory: its own place may be missing here, or be the
    /// source's own when both are on one host. The directories are new with every copy, since the old data keeps its own.
    private func tablespaceMappings(_ source: AgentUpstream) async throws -> [String] {
        let rows = try await self.leaderQuery(
            source,
            """
            SELECT oid::text AS oid, pg_tablespace_location(oid) AS location FROM pg_tablespace
            WHERE spcname NOT IN ('pg_default', 'pg_global') ORDER BY oid
            """)
        let copy = "\(self.directory.tablespaces)/\(Self.clockMicroseconds())"
        func escaped(_ path: String) -> String { path.replacing("=", with: "\\=") }
        return try rows.map { row in
            let location = try row.string("location")
            return "--tablespace-mapping=\(escaped(location))=\(escaped("\(copy)/\(try row.string("oid"))"))"
        }
    }

    /// `  12345/45678 kB (27%), 0/1 tablespace`.
    static func percent(_ line: String) -> Int? {
        guard let end = line.firstIndex(of: "%") else { return nil }
        return Int(String(line[..<end].reversed().prefix { $0.isNumber }.reversed()))
    }

    /// The node's own slot on the leader, reserved. A lost one would refuse to stream for ever: it is made anew.
    /// The controller keeps slots on every member; this closes the gap before it comes round.
    func ensureSlot(_ leader: AgentUpstream) async throws {
        let name = self.node.slotName
        let rows = try await self.leaderQuery(
            leader, "SELECT wal_status = 'lost' AS lost, active FROM pg_replication_slots WHERE slot_name = $1", [name])
        if let row = rows.first {
            guard try row.boolIfPresent("lost") == true, try !row.bool("active") else { return }
            _ = try await self.leaderQuery(leader, "SELECT pg_drop_replication_slot($1)", [name])
        }
        do {
            _ = try await self.leaderQuery(leader, "SELECT pg_create_physical_replication_slot($1, true)", [name])
        } catch {
            // The controller, which makes every member's slots too, was quicker.
            let there = try await self.leaderQuery(
                leader, "SELECT FROM pg_replication_slots WHERE slot_name = $1", [name])
            if there.isEmpty { throw error }
        }
    }

    private func hasFreeSlot(_ source: AgentUpstream) async throws -> Bool {
        let rows = try await self.leaderQuery(
            source,
            "SELECT active FROM pg_replication_slots WHERE slot_name = $1 AND wal_status IS DISTINCT FROM 'lost'",
            [self.node.slotName])
        return try rows.first.map { try !$0.bool("active") } ?? false
    }

    /// The old directory goes once the new server streams: until then it could still be looked at. What only it
    /// held is under `diverged/`.
    func removeOldDataWhenStreaming() async {
        guard DurableFile.exists(self.directory.oldData) else { return }
        let deadline = ContinuousClock.now + .seconds(10)
        while ContinuousClock.now < deadline, !Task.isCancelled, self.postmaster != nil {
            if let status = try? await self.local.status(), status.isStreaming { return await self.removeOldData() }
            try? await Task.sleep(for: .milliseconds(50))
        }
    }

    func removeOldData() async {
        let path = self.directory.oldData
        guard DurableFile.exists(path) else { return }
        do {
            let directory = self.directory
            try await Offload.run { try directory.removeData(path) }
        } catch {
            self.logger.warning("the old data directory remains", metadata: ["why": "\(error)"])
        }
    }

    /// Data whose WAL could not be read was not compared and not saved: it is kept whole.
    private func keepUnreadable() async throws {
        let directory = self.directory
        let node = self.node
        guard DurableFile.exists(directory.oldData) else { return }
        let seconds = Self.clockMicroseconds() / 1_000_000
        try await Offload.run {
            let name = DivergedName(node: node, timeline: TimelineID(0), savedAt: seconds, isWholeData: true)
            // Within its volume: that of the state directory may be another.
            let place = directory.volume == directory.root ? directory.diverged : directory.volume
            try DurableFile.move(directory.oldData, to: "\(place)/\(name)")
        }
    }
}
