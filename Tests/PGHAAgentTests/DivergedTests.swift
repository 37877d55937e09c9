import Glibc
import PGHAClient
import PGHACore
import Testing

@testable import PGHAAgent

@Suite struct DivergedTests {
    private let node = NodeName("b_c")!

    @Test func aNameIsReadBackAndNothingElseIs() throws {
        let name = DivergedName(node: self.node, timeline: TimelineID(3), savedAt: 1_795_248_550)
        #expect("\(name)" == "20261121T080910Z_b_c_tl3" && DivergedName("\(name)") == name)
        let data = DivergedName(node: self.node, timeline: TimelineID(0), savedAt: 0, isWholeData: true)
        #expect("\(data)" == "19700101T000000Z_b_c_tl0_data" && DivergedName("\(data)") == data)
        for text in [
            "", "..", "20261121T080910Z_b_c_tl3.part", "20261121T080910Z_../b_tl3", "20260231T080910Z_b_tl3",
            "20261121T080910Z_b_tl03", "20261121T080910Z_b_tl3_data/..", "notes",
        ] { #expect(DivergedName(text) == nil, "\(text)") }
    }

    @Test func savedWALIsKeptForItsTimeAndTheNewestOfANodeForEver() throws {
        func name(_ node: String, _ seconds: Int64, data: Bool = false) throws -> DivergedName {
            DivergedName(
                node: try #require(NodeName(node)), timeline: TimelineID(2), savedAt: seconds, isWholeData: data)
        }
        let old = [try name("a", 400, data: true), try name("a", 1000), try name("a", 2000)]
        let names = try old + [name("a", 3000), name("b_c", 500)]
        #expect(DivergedFiles.expired(names, before: 2500) == old)
        #expect(DivergedFiles.expired(names, before: .max) == old)
        #expect(DivergedFiles.expired(names, before: 0) == [])
    }

    @Test func heartbeatsAreCountedApart() {
        let summary = self.summary([
            "rmgr: Heap len (rec/tot): 72/72, tx: 10, lsn: 0/01, prev 0/00, desc: HOT_UPDATE off 1, blkref #0: rel 1663/5/99 blk 0",
            "rmgr: Transaction len (rec/tot): 34/34, tx: 10, lsn: 0/02, prev 0/01, desc: COMMIT 2026-11-21 08:09:09.000001 UTC",
            "rmgr: Heap len (rec/tot): 54/154, tx: 11, lsn: 0/03, prev 0/02, desc: INSERT off 1, blkref #0: rel 1663/5/7, blk 0",
            "rmgr: Transaction len (rec/tot): 34/34, tx: 11, lsn: 0/04, prev 0/03, desc: COMMIT 2026-11-21 08:09:10.000250 UTC",
            "rmgr: Transaction len (rec/tot): 34/34, tx: 12, lsn: 0/05, prev 0/04, desc: ABORT 2026-11-21 08:09:11.000000 UTC",
        ])
        #expect(summary.heartbeatCommits == 1 && summary.commits == 1)
        #expect(summary.relations == ["file 7 of database 5 in tablespace 1663"])
        #expect(summary.firstCommit == 1_795_248_550_000_250 && summary.lastCommit == summary.firstCommit)
    }

    /// As PostgreSQL 15 writes them, and 16 and later where that differs.
    @Test func rowsAreCountedWhenTheirTransactionCommits() {
        let summary = self.summary([
            "rmgr: Heap len (rec/tot): 54/154, tx: 20, lsn: 0/01, prev 0/00, desc: INSERT+INIT off 1 flags 0x00, blkref #0: rel 1663/5/7 blk 0",
            "rmgr: Btree len (rec/tot): 54/154, tx: 20, lsn: 0/01, prev 0/00, desc: INSERT_LEAF off 1, blkref #0: rel 1663/5/8 blk 0",
            "rmgr: Heap len (rec/tot): 54/154, tx: 20, lsn: 0/01, prev 0/00, desc: UPDATE off 1 xmax 20 flags 0x00 ; new off 4 xmax 0, "
                + "blkref #0: rel 1663/5/7 blk 1, blkref #1: rel 1663/5/7 blk 0",
            "rmgr: Heap2 len (rec/tot): 54/154, tx: 21, lsn: 0/01, prev 0/00, desc: MULTI_INSERT 3 tuples flags 0x02, blkref #0: rel 1663/5/9 blk 0",
            "rmgr: Heap2 len (rec/tot): 54/154, tx: 22, lsn: 0/01, prev 0/00, desc: MULTI_INSERT+INIT ntuples: 4, flags: 0x02, blkref #0: rel 1663/5/9 blk 0",
            "rmgr: Heap len (rec/tot): 54/154, tx: 23, lsn: 0/01, prev 0/00, desc: DELETE off: 2, flags: 0x00, blkref #0: rel 1663/5/7 blk 0",
            // 21 and 22 are its subtransactions; 23 goes on.
            "rmgr: Transaction len (rec/tot): 34/34, tx: 20, lsn: 0/02, prev 0/01, desc: COMMIT 2026-11-21 08:09:10.5 UTC; subxacts: 21 22; sync",
            "rmgr: Transaction len (rec/tot): 34/34, tx: 0, lsn: 0/02, prev 0/01, desc: COMMIT_PREPARED 24: 2026-11-21 08:09:11.000000 UTC",
        ])
        let changes = [
            DivergedSummary.Change(relation: "postgres.public.t", inserted: 1, updated: 1, deleted: 0),
            DivergedSummary.Change(relation: "postgres.public.u", inserted: 7, updated: 0, deleted: 0),
        ]
        #expect(summary.changes == changes)
        #expect(summary.transactions?.map(\.id) == [20, 24])
        #expect(summary.transactions?.map(\.changes) == [changes, []])
        #expect(summary.relations == ["postgres.public.t", "postgres.public.t_pkey", "postgres.public.u"])
    }

    /// An isolated server writes one each second, for as long as that takes.
    @Test func heartbeatsDoNotCrowdOutWhatPeopleCommitted() {
        let lines = (1...500).flatMap { id in
            let relation = id == 400 ? 7 : 99
            return [
                "rmgr: Heap len (rec/tot): 72/72, tx: \(id), lsn: 0/01, prev 0/00, desc: HOT_UPDATE off 1, blkref #0: rel 1663/5/\(relation) blk 0",
                "rmgr: Transaction len (rec/tot): 34/34, tx: \(id), lsn: 0/02, prev 0/01, desc: COMMIT 2026-11-21 08:09:10.000000 UTC",
            ]
        }
        let summary = self.summary(lines)
        #expect(summary.heartbeatCommits == 499 && summary.transactions?.map(\.id) == [400])
    }

    private func summary(_ lines: [String]) -> DivergedSummary {
        var scan = DivergedScan()
        for line in lines { scan.add(line) }
        var summary = DivergedSummary(
            node: self.node, savedAt: 0, term: Term(2), leader: self.node, systemIdentifier: 1, timeline: TimelineID(1),
            from: LSN(1), to: LSN(2))
        let names = [
            "1663/5/99": "postgres.pgha.heartbeat", "1663/5/9": "postgres.public.u",
            "1663/5/8": "postgres.public.t_pkey",
        ]
        summary.take(scan, names: lines.count == 8 ? names.merging(["1663/5/7": "postgres.public.t"]) { $1 } : names)
        return summary
    }
}
