import ArgumentParser
import Testing

@testable import pgha

@Suite struct SimulateTests {
    @Test(arguments: [
        ["simulate", "--seconds", "0"], ["simulate", "--jobs", "0"], ["simulate", "--seeds", "0"],
        ["simulate", "--variant", "nonsense"],
    ])
    func wrongUsageIsRefused(arguments: [String]) {
        let error = #expect(throws: (any Error).self) { try PGHA.parseAsRoot(arguments) }
        if let error { #expect(PGHA.exitCode(for: error) == .validationFailure) }
    }

    @Test func theTotalIsOneLine() {
        var total = SimulationTotal()
        total.seeds = 1000
        total.failing = 1
        total.failovers = 7
        total.acknowledged = 900
        total.simulatedSeconds = 151_200
        #expect(
            total.line(took: .seconds(60))
                == "1000 seeds, 1 failing: 42.0 simulated hours, 7 failovers, 900 commits acknowledged; 60 s, 2520 simulated seconds per second"
        )
    }
}
