import ArgumentParser
import PGHAClient
import PGHACommand
import PGHACore
import Testing

@testable import pgha

@Suite struct DivergedViewTests {
    @Test func theListNamesWhatIsKeptAndWhoDidNotAnswer() throws {
        let report = DivergedReport(
            entries: [try self.entry().brief, try self.wholeData()],
            unknown: [.init(node: "c", reason: "its agent does not answer")])
        try expectSnapshot(DivergedView.list(report, offset: 3600).rendered(colour: false), "diverged-list.txt")
        try expectSnapshot(JSONText.pretty(report) + "\n", "diverged-list.json")
        let nothing = DivergedView.list(DivergedReport(entries: [], unknown: []), offset: 0)
        #expect(nothing.rendered(colour: false) == "Nothing is kept.\n")
    }

    @Test func oneEntryShowsItsCommitsAndWhatTheyChanged() throws {
        let text = try [self.entry(), self.wholeData()].map {
            DivergedView.details($0, offset: 3600).rendered(colour: false)
        }
        try expectSnapshot(text.joined(separator: "\n"), "diverged-show.txt")
    }

    @Test func droppingTakesWholeNamesOnly() throws {
        let name = "20261121T080910Z_a_tl3"
        let drop = try #require(try PGHA.parseAsRoot(["diverged", "drop", name]) as? DivergedCommand.Drop)
        #expect(drop.names == [try #require(DivergedName(name))] && !drop.yes)
        for wrong in [["diverged", "drop"], ["diverged", "drop", "a"], ["diverged", "show", "../x"]] {
            #expect(throws: (any Error).self) { try PGHA.parseAsRoot(wrong) }
        }
    }

    private func entry() throws -> DivergedEntry {
        let name = try #require(DivergedName("20261121T080910Z_a_tl3"))
        var summary = DivergedSummary(
            node: name.node, savedAt: name.savedAt, term: Term(5), leader: try Sample.name("b"),
            systemIdentifier: 7_300_000_000_000_000_001, timeline: name.timeline, from: LSN(0x300_0060),
            to: LSN(0x301_2AB8),
            ranges: [.init(timeline: name.timeline, from: LSN(0x300_0060), to: LSN(0x301_2AB8))],
            files: ["000000030000000000000003"])
        summary.commits = 103
        summary.heartbeatCommits = 12
        summary.firstCommit = (name.savedAt - 90) * 1_000_000 + 123_456
        summary.lastCommit = (name.savedAt - 30) * 1_000_000
        let orders = DivergedSummary.Change(relation: "shop.public.orders", inserted: 500, updated: 2, deleted: 0)
        summary.relations = ["shop.public.orders", "shop.public.orders_pkey"]
        summary.changes = [orders]
        summary.transactions = [
            .init(id: 741, committed: summary.firstCommit, changes: [orders]),
            .init(id: 742, committed: nil, changes: []),
        ]
        return DivergedEntry(
            name, path: "/var/lib/pgha/a/diverged/\(name)", diskBytes: 16 << 20, summary: summary)
    }

    private func wholeData() throws -> DivergedEntry {
        let name = try #require(DivergedName("20261122T000000Z_b_tl0_data"))
        return DivergedEntry(name, path: "/var/lib/pgha/b/diverged/\(name)", diskBytes: 3 << 30, summary: nil)
    }
}
