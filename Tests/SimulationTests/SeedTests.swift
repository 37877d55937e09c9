import PGHASimulation
import Testing

/// A failing seed shows the end of its transcript; `pgha simulate` shows all of it.
private func explain(_ report: Simulation.Report) -> Comment {
    Comment(
        rawValue: "seed \(report.seed): \(report.violation ?? "")\n"
            + report.transcript.suffix(60).joined(separator: "\n"))
}

@Suite struct SeedTests {
    /// Ten groups, so that they run on all cores.
    @Test(arguments: 0..<10)
    func noSeedLosesAnAcknowledgedCommitAndEveryOneRecovers(group: Int) {
        for seed in 1...10 {
            let report = Simulation.check(.init(seed: UInt64(group * 10 + seed), faultSeconds: 40))
            #expect(report.violation == nil, explain(report))
        }
    }

    @Test func oneSeedGivesOneTrace() {
        for seed in UInt64(1)...3 {
            let options = Simulation.Options(seed: seed, faultSeconds: 20, tracing: true)
            #expect(Simulation.run(options).transcript == Simulation.run(options).transcript)
        }
    }
}
