import Glibc
import Logging
import PGHAClient
import PGHACore
import Testing

@testable import PGHAAgent

/// `supervise: external`: the agent decides, another process starts PostgreSQL.
@Suite(.serialized, .enabled(if: AgentRig.unavailable == nil, "no PostgreSQL server on this machine"))
struct GateTests {
    private func withNodes(_ names: [String], _ body: ([AgentRig]) async throws -> Void) async throws {
        var rigs: [AgentRig] = []
        do {
            for name in names {
                let rig = try await AgentRig.make(name, flags: ["--supervise", "external"])
                rigs.append(rig)
                try await rig.launch()
            }
            try await body(rigs)
        } catch {
            for rig in rigs { await rig.tearDown() }
            throw error
        }
        for rig in rigs { await rig.tearDown() }
    }

    @Test func theGateStartsWhatTheAgentPreparedAndNothingElse() async throws {
        try await self.withNodes(["n1", "n2"]) { rigs in
            let (leader, standby) = (rigs[0], rigs[1])
            for rig in rigs { try await rig.launchGate() }
            _ = try await leader.initialize(pledge(1))
            #expect(ProcessTable.parent(try #require(leader.postmasterPID)) == leader.gatePID)
            let joined = try await standby.rejoin(leader, pledge(1), suffix: 1)
            #expect(joined.method == "clone")
            try await standby.eventually("streaming") {
                try await standby.sql("SELECT status FROM pg_stat_wal_receiver") == "streaming"
            }
            // A standby that ends by itself is started again, by the same gate.
            let first = try #require(standby.postmasterPID)
            kill(first, SIGKILL)
            try await standby.eventually("another postmaster") {
                standby.postmasterPID.map { $0 != first && ProcessTable.parent($0) == standby.gatePID } == true
            }
            // A primary is not: whether it may be one is not for its host to say.
            let primary = try #require(leader.postmasterPID)
            kill(primary, SIGKILL)
            try await leader.eventually("the end is known") {
                try await leader.client.facts().postmaster != .running(pid: primary)
            }
            try await Task.sleep(for: .seconds(2))
            #expect(ProcessTable.processes(workingIn: leader.data).isEmpty)
        }
    }

    @Test func aFencedServerStaysDownAndComesBackAsAStandby() async throws {
        try await self.withNodes(["n1"]) { rigs in
            let node = rigs[0]
            try await node.launchGate()
            _ = try await node.initialize(pledge(1))
            let result = try await node.client.fence(FenceRequest(pledge: pledge(2), clean: true))
            #expect(result.position != nil)
            #expect(DurableFile.exists(node.data + "/standby.signal"))
            #expect(ProcessTable.processes(workingIn: node.data).isEmpty)
            _ = try await node.client.startStandby(StartStandbyRequest(pledge: pledge(2)))
            #expect(try await node.sql("SELECT pg_is_in_recovery()") == "t")
        }
    }

    @Test func withoutAGateNothingStartsAndATicketIsTakenBack() async throws {
        try await self.withNodes(["n1"]) { rigs in
            let node = rigs[0]
            let making = Task { try await node.initialize(pledge(1)) }
            try await node.eventually("a ticket") { DurableFile.exists(node.directory + "/gate/ticket") }
            #expect(try await node.client.facts().activity == "waiting for the gate")
            // A fence of a newer claim ends the wait and the permission with it.
            _ = try await node.client.fence(FenceRequest(pledge: pledge(2), clean: false))
            #expect(!DurableFile.exists(node.directory + "/gate/ticket"))
            _ = await making.result
            try await node.launchGate()
            try await Task.sleep(for: .seconds(1))
            #expect(ProcessTable.processes(workingIn: node.data).isEmpty)
        }
    }

    @Test func anAgentThatReturnsWatchesTheGatesServer() async throws {
        try await self.withNodes(["n1"]) { rigs in
            let node = rigs[0]
            try await node.launchGate()
            _ = try await node.initialize(pledge(1))
            let postmaster = try #require(node.postmasterPID)
            await node.killAgent()
            try await node.launch()
            #expect(try await node.client.facts().postmaster == .running(pid: postmaster))
            // The end of PostgreSQL's container is an orderly shutdown.
            await node.killGate(SIGTERM)
            try await node.eventually("the end is known") {
                try await node.client.facts().postmaster != .running(pid: postmaster)
            }
            try await node.eventually("shut down in order") {
                try await node.client.facts().controlState == "shut down"
            }
        }
    }

    @Test func aGateLooksForItself() async throws {
        let root = "/tmp/pgha-gate-test.\(UInt64.random(in: 0 ... .max))"
        defer { try? DurableFile.removeTree(root) }
        try DurableFile.makeDirectory(root)
        try DurableFile.makeDirectory(root + "/data")
        let files = GateFiles(root: root + "/gate")
        let gate = try Gate(directory: root, command: ["/bin/false"], environment: [:], logger: .init(label: "gate"))
        let running = Task { try await gate.run() }
        func outcome(_ ticket: StartTicket) async throws -> GateAnswer {
            try files.issue(ticket)
            return try #require(await Offload.run { files.answer(to: ticket.number, within: .seconds(30)) })
        }
        let data = root + "/data"
        #expect(
            try await outcome(StartTicket(number: 1, data: data, standby: true)).refusal?.contains("no data") == true)
        try DurableFile.write("15\n", to: data + "/PG_VERSION")
        #expect(
            try await outcome(StartTicket(number: 2, data: data, standby: true)).refusal?.contains("missing") == true)
        let unknown = try await outcome(StartTicket(number: 3, data: data, standby: false))
        #expect(unknown.refusal?.contains("the term is unknown") == true)
        try DurableFile.write("", to: data + "/standby.signal")
        #expect(
            try await outcome(StartTicket(number: 4, data: data, standby: false)).refusal?.contains("stands") == true)
        let started = try await outcome(StartTicket(number: 5, data: data, standby: true))
        #expect(started.pid != nil && started.refusal == nil)
        #expect(!files.withdraw())
        running.cancel()
        _ = await running.result
    }
}
