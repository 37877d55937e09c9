import PGHAClient
import PGHACommand
import PGHACore
import Testing

@testable import pgha

@Suite struct StatusViewTests {
    @Test func aHealthyClusterFitsInEightyColumns() throws {
        var report = try Sample.healthy()
        try expectSnapshot(StatusView.lines(report).rendered(colour: false), "status-healthy.txt")
        report.nodes[2].lagBytes = 0
        #expect(StatusView.lines(report).allSatisfy { $0.width <= 80 })
    }

    @Test func aDegradedClusterSaysWhatIsUnknownAndWhatItWaitsFor() throws {
        try expectSnapshot(StatusView.lines(try Sample.degraded()).rendered(colour: false), "status-degraded.txt")
    }

    @Test func coloursSurroundTheTextAndNothingElse() throws {
        let lines = StatusView.lines(try Sample.degraded())
        try expectSnapshot(lines.rendered(colour: true), "status-degraded-colour.txt")
    }

    @Test func withoutAClusterTheNextStepIsShown() throws {
        try expectSnapshot(StatusView.lines(Sample.empty()).rendered(colour: false), "status-none.txt")
    }

    @Test(arguments: ["healthy", "degraded", "none"])
    func theJSONHasEveryKeyAndNullForWhatIsUnknown(kind: String) throws {
        let report: StatusReport =
            switch kind {
            case "healthy": try Sample.healthy()
            case "degraded": try Sample.degraded()
            default: Sample.empty()
            }
        try expectSnapshot(try JSONText.pretty(report) + "\n", "status-\(kind).json")
    }

    @Test func aStatusSurvivesItsOwnJSON() throws {
        let report = try Sample.degraded()
        #expect(try decoded(StatusReport.self, from: try JSONText.line(report)) == report)
    }

    @Test func aLineTooWideForTheTerminalIsCutAndNotWrapped() {
        let line: Line = ["abc", Styled("defgh", .bad)]
        #expect(line.rendered(colour: false, width: 8) == "abcdefgh")
        #expect(line.rendered(colour: false, width: 6) == "abcde…")
        #expect(line.rendered(colour: true, width: 6) == "abc\u{1B}[31;1mde\u{1B}[0m…")
    }
}

@Suite struct LiveBlockTests {
    @Test func aFrameGoesBackOverTheLastAndClearsWhatIsLeft() {
        var block = LiveBlock(colour: false)
        #expect(block.frame(block: ["one", "two"], columns: 80, rows: 24) == "one\u{1B}[K\ntwo\u{1B}[K\n\u{1B}[J")
        let next = block.frame(log: ["news"], block: ["one"], columns: 80, rows: 24)
        #expect(next == "\u{1B}[2A\rnews\u{1B}[K\none\u{1B}[K\n\u{1B}[J")
        #expect(block.clear() == "\u{1B}[1A\r\u{1B}[J")
        #expect(block.clear() == "")
    }

    @Test func aBlockHigherThanTheTerminalIsCut() {
        var block = LiveBlock(colour: false)
        _ = block.frame(block: ["1", "2", "3", "4"], columns: 80, rows: 3)
        #expect(block.frame(block: ["1"], columns: 80, rows: 3).hasPrefix("\u{1B}[2A"))
    }
}
