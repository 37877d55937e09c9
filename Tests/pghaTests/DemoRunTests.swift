import Foundation
import PGHAClient
import PGHATesting
import Testing

@testable import pgha

/// The demo as people run it: the built executable, real servers, signals.
@Suite(.serialized, .enabled(if: ScratchCluster.unavailable == nil, "PostgreSQL and the built pgha are needed"))
struct DemoRunTests {
    @Test(.timeLimit(.minutes(8)))
    func aDemoIsStoppedInOrderResumedAndTakenOverAfterItsOwnDeath() async throws {
        let run = try DemoRun()
        defer { run.tearDown() }

        // The first run makes the cluster.
        var demo = try run.start()
        let first = try await run.untilFormed()
        #expect(first.cluster == "demo")
        #expect(first.nodes.map(\.name) == ["a", "b"])
        try await run.end(demo, with: SIGINT)
        #expect(run.output.contains("stopped; the data is in"))
        #expect(run.layout.ports.allSatisfy { DemoPorts.isFree($0.port) })

        // The second goes on with it, under the same leader.
        demo = try run.start()
        let second = try await run.untilFormed()
        #expect(second.term == first.term)
        let postmasters = second.nodes.map(\.postmasterPID)

        // Its death leaves the servers running; the third takes them over without a restart.
        demo.signal(SIGKILL)
        #expect(await demo.waitForEnd(within: .seconds(60)))
        demo = try run.start()
        try await run.waitForOutput("agent-a of an earlier demo still runs")
        let third = try await run.untilFormed()
        #expect(third.nodes.map(\.postmasterPID) == postmasters)
        try await run.end(demo, with: SIGTERM)
        #expect(run.layout.ports.allSatisfy { DemoPorts.isFree($0.port) })
    }

    @Test(.timeLimit(.minutes(5)))
    func anEphemeralDemoLeavesNothingEvenWhenInterruptedWhileItStarts() async throws {
        let run = try DemoRun()
        defer { run.tearDown() }
        let demo = try run.start(["--ephemeral"])
        try await run.waitForOutput("controller listens")
        try await run.end(demo, with: SIGINT)
        #expect((try? FileManager.default.contentsOfDirectory(atPath: run.directory)) ?? [] == [])
        #expect(run.layout.ports.allSatisfy { DemoPorts.isFree($0.port) })
    }
}

/// Runs of the demo in one directory. What they start ends with the test, however that ends.
private final class DemoRun {
    let directory: String
    let layout: DemoLayout
    private let log: String
    private let reaper = Process()
    private let lifeline = Pipe()

    init() throws {
        // Short, and where any user may go: the demo gives up root's rights.
        self.directory = "/tmp/pgha-demo-\(UUID().uuidString.prefix(8))"
        self.log = "/tmp/\(UUID().uuidString).log"
        let bases = stride(from: 20_000, to: 29_000, by: 10).shuffled()
        let directory = self.directory
        let free = bases.lazy.map { DemoLayout(directory: directory, nodes: 2, basePort: $0) }.first { layout in
            layout.ports.allSatisfy { DemoPorts.isFree($0.port) }
        }
        self.layout = try #require(free)
        self.reaper.executableURL = URL(filePath: "/bin/bash")
        self.reaper.arguments = ["-c", Self.reaperScript, self.directory, self.log]
        self.reaper.standardInput = self.lifeline
        try self.reaper.run()
    }

    /// Waits until its input ends, then ends every process that runs in the directory or from it.
    private static let reaperScript = """
        read -r _
        for round in 1 2 3; do
          for pid in /proc/[0-9]*; do
            case "$(readlink $pid/cwd) $(readlink $pid/exe) $(tr '\\0' ' ' < $pid/cmdline)" in
              *"$0/"*|*"--dir $0 "*) [ "${pid#/proc/}" = $$ ] || kill -9 ${pid#/proc/};;
            esac
          done 2>/dev/null
          sleep 0.05
        done
        rm -rf "$0" "$1"
        """

    func tearDown() {
        try? self.lifeline.fileHandleForWriting.close()
        self.reaper.waitUntilExit()
    }

    func start(_ more: [String] = []) throws -> DemoProcess {
        try DemoProcess.start(
            ScratchCluster.builtExecutable,
            ["demo", "--dir", self.directory, "--nodes", "2", "--base-port", "\(self.layout.basePort)"] + more,
            log: self.log)
    }

    var output: String { (try? String(contentsOfFile: self.log, encoding: .utf8)) ?? "" }

    /// Until the demo has said that all is there, which it does after the status.
    func untilFormed() async throws -> StatusReport {
        let before = self.output.components(separatedBy: "Ctrl-C stops").count
        try await self.wait { $0.components(separatedBy: "Ctrl-C stops").count > before }
        let token = try BearerToken.read(path: self.layout.tokenFile)
        return try await ControllerClient(baseURL: self.layout.controllerURL, token: token).status()
    }

    func waitForOutput(_ text: String) async throws { try await self.wait { $0.contains(text) } }

    func end(_ demo: DemoProcess, with signal: Int32) async throws {
        demo.signal(signal)
        try #require(await demo.waitForEnd(within: .seconds(60)), "still runs: \(self.output)")
    }

    private func wait(until condition: (String) -> Bool) async throws {
        let deadline = ContinuousClock.now + .seconds(90)
        while !condition(self.output) {
            try #require(ContinuousClock.now < deadline, "not in time: \(self.output)")
            try await Task.sleep(for: .milliseconds(50))
        }
    }
}
