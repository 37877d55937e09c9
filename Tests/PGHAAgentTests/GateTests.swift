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
        try await withAgents(names, flags: ["--supervise", "external"], body)
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
        try await self.withGate { root, data, outcome in
            #expect(try await outcome(data, nil)?.contains("no data") == true)
            try DurableFile.write("15\n", to: data + "/PG_VERSION")
            #expect(try await outcome(data, nil)?.contains("missing") == true)
            #expect(try await outcome(data, "1/9")?.contains("the term is unknown") == true)
            try DurableFile.makeDirectory(root + "/agent")
            try DurableFile.write("nonsense\n", to: root + "/agent/pledge")
            #expect(try await outcome(data, "1/9")?.contains("the term is unknown") == true)
            try DurableFile.write("\(pledge(2))\n", to: root + "/agent/pledge")
            #expect(try await outcome(data, "\(pledge(1))")?.contains("no more to") == true)
            try DurableFile.write("", to: data + "/standby.signal")
            #expect(try await outcome(data, "\(pledge(2))")?.contains("stands") == true)
            #expect(try await outcome(data, nil) == nil)
        }
    }

    @Test func aGateStartsNothingForAnAgentThatHasEnded() async throws {
        let ended = try Spawn.start(
            "/bin/true", [], environment: [:], streams: .init(input: 0, output: 1, error: 2))
        let mark = try #require(ProcessMark.of(ended))
        #expect(await ProcessHandle(pid: ended)?.exit(within: .seconds(30)) != nil)
        #expect(!mark.isAlive)
        let another = ProcessMark(pid: getpid(), startTicks: 1, namespace: mark.namespace)
        let elsewhere = ProcessMark(pid: getpid(), startTicks: 1, namespace: "pid:[1]")
        for (agent, why) in [(mark, "ended"), (another, "ended"), (elsewhere, "namespace")] {
            try await self.withGate(agent: agent) { root, data, outcome in
                try DurableFile.write("15\n", to: data + "/PG_VERSION")
                try DurableFile.write("", to: data + "/standby.signal")
                #expect(try await outcome(data, nil)?.contains(why) == true)
            }
        }
    }

    @Test(arguments: [["-D", "/elsewhere"], ["-D/elsewhere"], ["-D"]])
    func aGateStartsNoOtherDirectory(arguments: [String]) async throws {
        try await self.withGate(arguments: arguments) { root, data, outcome in
            try DurableFile.write("15\n", to: data + "/PG_VERSION")
            try DurableFile.write("", to: data + "/standby.signal")
            #expect(try await outcome(data, nil)?.contains("the command would start") == true)
        }
    }

    /// In an image that has nothing of pgha: all that is loaded comes from the volume.
    @Test func anInstalledGateBringsEverythingAlong() async throws {
        let root = "/tmp/pgha-gate-test.\(UInt64.random(in: 0 ... .max))"
        defer { try? DurableFile.removeTree(root) }
        for _ in 0..<2 {
            let installing = try await Program.run(
                AgentRig.builtExecutable(), ["agent", "gate", "--install", root])
            #expect(installing.status == 0, "\(installing.standardError)")
        }
        let loader = root + "/lib/ld.so"
        let list = try await Program.run(loader, ["--library-path", root + "/lib", "--list", root + "/pgha"])
        #expect(list.status == 0, "\(list.standardError)")
        let libraries = list.standardOutput.split(separator: "\n").filter { $0.contains("=>") }
        #expect(libraries.count > 5)
        for library in libraries { #expect(library.contains("=> \(root)/lib/"), "\(library)") }
        let version = try await Program.run(loader, ["--library-path", root + "/lib", root + "/pgha", "--version"])
        #expect(version.status == 0 && !version.standardOutput.isEmpty)
        #expect(GateInstaller.shortName("libpq.so.5.15") == "libpq.so.5")
        #expect(GateInstaller.shortName("libldap-2.5.so.0.1.8") == "libldap-2.5.so.0")
        #expect(GateInstaller.shortName("libicu.so") == nil)
    }

    @Test func nobodyGoesOnWhileAStartIsUnderWay() throws {
        let root = "/tmp/pgha-gate-test.\(UInt64.random(in: 0 ... .max))"
        defer { try? DurableFile.removeTree(root) }
        let files = GateFiles(root: root)
        #expect(files.settle(within: .zero))
        let agent = try #require(ProcessMark.of(getpid()))
        try files.issue(StartTicket(number: 7, data: "/nowhere", pledge: nil, agent: agent))
        let answer = try files.serve { ticket in
            #expect(!files.withdraw())
            #expect(!files.settle(within: .milliseconds(20)))
            #expect(files.answer(to: 7) == nil)
            throw SystemError("start", code: ENOENT)
        }
        #expect(answer?.process == nil && answer?.refusal?.hasPrefix("start: ") == true)
        #expect(files.settle(within: .zero) && files.answer(to: 7) == answer)
        #expect(try files.serve { _ in throw SystemError("again", code: 0) } == nil)
    }

    /// Runs a gate over an empty directory. `body` gets the state directory, the data directory, and what lets a start
    /// happen and tells why it was refused.
    private func withGate(
        agent: ProcessMark? = ProcessMark.of(getpid()), arguments: [String] = [],
        _ body: (String, String, (_ data: String, _ pledge: String?) async throws -> String?) async throws -> Void
    ) async throws {
        let agent = try #require(agent)
        let root = "/tmp/pgha-gate-test.\(UInt64.random(in: 0 ... .max))"
        defer { try? DurableFile.removeTree(root) }
        try DurableFile.makeDirectory(root)
        try DurableFile.makeDirectory(root + "/data")
        let files = GateFiles(root: root + "/gate")
        let gate = try Gate(
            directory: root, command: ["/bin/false"] + arguments, environment: [:],
            logger: Logger(label: "gate") { _ in SwiftLogNoOpLogHandler() })
        let running = Task { try await gate.run() }
        defer { running.cancel() }
        try await body(root, root + "/data") { data, pledge in
            let number = UInt64.random(in: 0 ... .max)
            try files.issue(StartTicket(number: number, data: data, pledge: pledge, agent: agent))
            let deadline = ContinuousClock.now + .seconds(60)
            while ContinuousClock.now < deadline {
                if let answer = files.answer(to: number) {
                    #expect((answer.process == nil) == (answer.refusal != nil))
                    return answer.refusal
                }
                try await Task.sleep(for: .milliseconds(2))
            }
            throw SystemError("no answer", code: ETIMEDOUT)
        }
        running.cancel()
        _ = await running.result
    }
}
