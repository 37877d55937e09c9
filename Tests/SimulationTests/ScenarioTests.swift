import Foundation
import PGHASimulation
import Testing

/// Failing seeds of the past, and the wrong variants, as files. `PGHA_WRITE_SCENARIOS=1` writes their outcomes anew
/// after a change of the model or of the core: review that diff.
@Suite struct ScenarioTests {
    static let directory = URL(filePath: #filePath).deletingLastPathComponent().appending(path: "Scenarios")

    static var files: [String] {
        ((try? FileManager.default.contentsOfDirectory(atPath: self.directory.path())) ?? [])
            .filter { $0.hasSuffix(".txt") }.sorted()
    }

    private func read(_ file: String) throws -> Scenario {
        try Scenario.parse(String(contentsOf: Self.directory.appending(path: file), encoding: .utf8)).get()
    }

    @Test func thereAreSome() { #expect(Self.files.count > 20) }

    /// Exactly what the file says, in this process as in the one that wrote it.
    @Test(arguments: files)
    func theRightOneKeepsEveryPromise(file: String) throws {
        var scenario = try self.read(file)
        let report = scenario.replay()
        #expect(report.violation == nil)
        if ProcessInfo.processInfo.environment["PGHA_WRITE_SCENARIOS"] != nil {
            scenario.outcome = report.outcome
            try Data(scenario.text.utf8).write(to: Self.directory.appending(path: file))
        }
        #expect(report.outcome == scenario.outcome)
    }

    /// The schedule is aimed; how long each message takes is not. So the same schedule is tried in several worlds.
    @Test(arguments: Variant.allCases)
    func theWrongOneIsCaught(variant: Variant) throws {
        var scenario = try self.read("\(variant.rawValue).txt")
        #expect(scenario.variant == variant)
        let first = scenario.seed
        let caught = (first..<first + 60).first { seed in
            scenario.seed = seed
            return variant.isShown(by: Simulation.run(scenario.options(wrong: true)))
        }
        #expect(caught != nil, "no world of 60 shows \(variant)")
    }

    @Test(arguments: files)
    func theTextIsReadAsItWasWritten(file: String) throws {
        let text = try String(contentsOf: Self.directory.appending(path: file), encoding: .utf8)
        #expect(try Scenario.parse(text).get().text == text)
    }

    @Test(arguments: [
        "nodes 1", "nodes 9", "copies 1", "controllers 0", "standby_loss maybe", "variant none", "fault soon crash n0",
        "fault 1.000000 crash n9", "fault 1.000000 when never crash n0", "fault 1.000000 crash n0 for ever", "what",
    ])
    func whatIsNoScenarioIsNamed(line: String) {
        guard case .failure(let error) = Scenario.parse("seed 1\n\(line)\n----\n") else {
            Issue.record("\(line) was taken")
            return
        }
        #expect(error.line == line)
    }
}

@Suite struct ShrinkingTests {
    /// A seed that catches a variant becomes a few faults, and still catches it.
    @Test func aFailingSeedIsShortened() throws {
        let options = Simulation.Options(seed: 3, faultSeconds: 60, variant: .emptyListOnStandbys)
        let all = Schedule(seed: 3, seconds: 60).faults.count
        let scenario = try #require(Scenario.shortest(failing: options, budget: 60))
        #expect(scenario.schedule.faults.count < min(all, 6))
        #expect(Simulation.run(scenario.options(wrong: true)).isUnsafe)
        #expect(scenario.replay().violation == nil)
        #expect(try Scenario.parse(scenario.text).get() == scenario)
    }
}
