import PGHAClient
import PGHACore
import Testing

@testable import PGHAController

@Suite struct DivergedNotesTests {
    @Test func whatTheHistoryNamesIsNotWrittenAgain() throws {
        let entries = [try self.saved(), try self.saved(wholeData: true)]
        let names = entries.map(\.name)
        var notes = DivergedNotes()
        // One writer at a time.
        let first = [notes.begin(names), notes.begin(names)]
        #expect(first == [true, false])
        notes.isWriting = false
        let other = HistoryEntry(
            unixMicroseconds: 0, kind: "note", term: Term(1), leader: nil, detail: "about 20261121T080910Z_b_tl9")
        notes.read(entries.map(DivergedNotes.entry) + [other])
        #expect(notes.known == Set(names))
        let second = [notes.begin(names), notes.begin(["20261121T080910Z_b_tl9"])]
        #expect(second == [false, true])
    }

    @Test func anEntrySaysWhatWasInIt() throws {
        let entry = DivergedNotes.entry(try self.saved())
        #expect(
            entry.detail
                == "20261121T080910Z_a_tl3 was saved: at least 2 commits from 2026-11-21 08:09:00 to 08:09:09 UTC, "
                + "96 bytes of WAL to db.public.t1, db.public.t2, db.public.t3, db.public.t4, db.public.t5 and 2 more")
        #expect(entry.term == Term(5) && entry.leader == NodeName("b"))
        #expect(entry.unixMicroseconds == 1_795_248_550_000_000)
        let data = DivergedNotes.entry(try self.saved(wholeData: true))
        #expect(data.detail == "20261121T080910Z_a_tl3_data was saved: data of a that could not be read")
    }

    private func saved(wholeData: Bool = false) throws -> DivergedEntry {
        let node = try #require(NodeName("a"))
        let name = DivergedName(
            node: node, timeline: TimelineID(3), savedAt: 1_795_248_550, isWholeData: wholeData)
        var summary = DivergedSummary(
            node: node, savedAt: name.savedAt, term: Term(5), leader: try #require(NodeName("b")), systemIdentifier: 1,
            timeline: name.timeline, from: LSN(0x60), to: LSN(0xC0), complete: false)
        summary.commits = 2
        summary.firstCommit = 1_795_248_540_000_000
        summary.lastCommit = 1_795_248_549_999_999
        summary.relations = (1...7).map { "db.public.t\($0)" }
        return DivergedEntry(name, path: "/x/\(name)", diskBytes: 1, summary: wholeData ? nil : summary)
    }
}
