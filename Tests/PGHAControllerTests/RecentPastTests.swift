import PGHAClient
import PGHACore
import Testing

@testable import PGHAController

@Suite struct RecentPastTests {
    private func at(_ milliseconds: Int) -> Moment { Moment(.milliseconds(milliseconds)) }

    @Test func aProcedureIsShownStepByStepAndStaysUntilTheNext() {
        var past = RecentPast()
        #expect(past.note(phase: "steady", at: self.at(10)) == nil)
        #expect(past.procedure.isEmpty)
        #expect(past.note(phase: "sealing", at: self.at(100)) == nil)
        #expect(past.note(phase: "sealing", at: self.at(110)) == nil)
        #expect(past.procedure == [.init(phase: "sealing", milliseconds: nil)])
        let sealing = past.note(phase: "promoting", at: self.at(121))
        #expect(sealing?.name == "sealing" && sealing?.took == .milliseconds(21))
        _ = past.note(phase: "steady", at: self.at(150))
        let whole: [WatchReport.Step] = [
            .init(phase: "sealing", milliseconds: 21), .init(phase: "promoting", milliseconds: 29),
        ]
        #expect(past.procedure == whole)
        #expect(past.phase.name == "steady" && past.phase.since == self.at(150))
        _ = past.note(phase: "halted", at: self.at(160))
        #expect(past.procedure == whole)
        _ = past.note(phase: "changing_rule", at: self.at(170))
        #expect(past.procedure == [.init(phase: "changing_rule", milliseconds: nil)])
    }

    @Test func stepsAndSamplesAreBounded() {
        var past = RecentPast()
        for number in 0..<100 { _ = past.note(phase: number % 2 == 0 ? "sealing" : "promoting", at: self.at(number)) }
        #expect(past.procedure.count == RecentPast.stepLimit)
        #expect(past.procedure.last == .init(phase: "promoting", milliseconds: nil))
        let status = ClusterStatus(
            cluster: nil, term: .zero, leader: nil, rule: nil, phase: "none", durability: nil, effectiveCopies: nil,
            atRiskReason: nil, verdict: "", waitingFor: nil, paused: false, nodes: [])
        #expect(past.isDue(at: self.at(0)))
        for number in 0..<200 {
            past.add(LagSample(status, unixMilliseconds: Int64(number)), at: self.at(number * 5000))
        }
        #expect(past.samples.map(\.unixMilliseconds) == Array(20..<200))
        #expect(past.count == 200)
        #expect(!past.isDue(at: self.at(199 * 5000 + 4999)) && past.isDue(at: self.at(200 * 5000)))
    }
}
