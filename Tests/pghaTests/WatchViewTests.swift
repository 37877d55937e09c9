import PGHAClient
import PGHACommand
import PGHACore
import Testing

@Suite struct WatchViewTests {
    /// Ten minutes: b was far behind once, c falls behind more and more and was unknown at first.
    private static func samples() throws -> [LagSample] {
        var status = try Sample.status()
        status.nodes = []
        return (0..<120).map { second in
            var sample = LagSample(status, unixMilliseconds: Int64(second) * 5000)
            sample.lag = ["b": second == 60 ? 20 << 20 : 0, "c": UInt64(max(0, second - 30)) << 15]
            if second < 10 { sample.lag["c"] = nil }
            return sample
        }
    }

    private func report(_ status: StatusReport, _ steps: [WatchReport.Step]) -> WatchReport {
        WatchReport(status: status, procedure: steps, phaseMilliseconds: 1200, poolers: [])
    }

    @Test(arguments: [100, 72, 40, 20])
    func everyTerminalShowsWhatMatters(columns: Int) throws {
        let steps = [
            WatchReport.Step(phase: "sealing", milliseconds: 25), .init(phase: "changing_rule", milliseconds: 140),
        ]
        let lines = WatchView.lines(self.report(try Sample.healthy(), steps), try Self.samples(), columns: columns)
        try expectSnapshot(lines.rendered(colour: false), "watch-\(columns).txt")
        if columns >= 40 { #expect(lines.allSatisfy { $0.width <= columns }) }
    }

    /// An agent that starts a server says what the server's log says.
    @Test func aLongStateLeavesRoomForTheOthers() throws {
        var report = try Sample.healthy()
        report.nodes[2].state = "start: 2026-11-22 02:02:49.229 UTC [24844] FATAL:  the database system is starting up"
        let lines = WatchView.lines(self.report(report, []), [], columns: 80)
        #expect(lines.allSatisfy { $0.width <= 80 })
        #expect(
            lines.contains {
                $0.rendered(colour: false).contains("c     standby  start: 2026-11-22 02:02:49.229 UTC [248…")
            })
    }

    @Test func theStepsOfAProcedureThatRunsStandOut() throws {
        let steps = [
            WatchReport.Step(phase: "preparing", milliseconds: 25), .init(phase: "sealing", milliseconds: nil),
        ]
        let lines = WatchView.lines(self.report(try Sample.degraded(), steps), [], columns: 60)
        try expectSnapshot(lines.rendered(colour: true), "watch-procedure-colour.txt")
    }
}

@Suite struct SparklineTests {
    @Test func aColumnShowsTheGreatestOfItsValues() {
        let line = Sparkline([nil, 0, 1, 0, 0, 8, 4, 0])
        #expect(line.text(columns: 8, top: 8) == " ▁▂▁▁█▅▁")
        #expect(line.text(columns: 4, top: 8) == "▁▂█▅")
        #expect(line.text(columns: 3, top: 8) == "▁▂█")
        #expect(line.text(columns: 20, top: 8) == " ▁▂▁▁█▅▁")
        #expect(line.greatest == 8)
        #expect(Sparkline([.max - 1, 1 << 62]).text(columns: 2, top: .max) == "█▃")
        #expect(Sparkline([nil]).greatest == nil && Sparkline([]).text(columns: 5, top: 1) == "")
    }
}

@Suite struct WrappedLineTests {
    @Test func wordsGoOnBehindTheIndentation() {
        let line: Line = [
            Styled("at risk     ", .faint), Styled("yes", .bad), Styled(": one standby streams", .warning),
        ]
        #expect(line.wrapped(to: nil, indent: 12) == [line])
        #expect(line.wrapped(to: 80, indent: 12) == [line])
        #expect(line.wrapped(to: 34, indent: 12).map(\.pieces.count) == [3, 2])
        let words = line.wrapped(to: 22, indent: 12).map { $0.rendered(colour: false) }
        #expect(words == ["at risk     yes: one", "            standby", "            streams"])
        #expect(line.wrapped(to: 10, indent: 12) == [line])
    }
}
