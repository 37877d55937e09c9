import PGHAWire
import Testing

@Suite("What can commit is told from a glance") struct CommitTestTests {
    private func mayCommit(_ text: String) -> Bool { Array(text.utf8).withUnsafeBytes { CommitTest.mayCommit($0) } }
    private func isPlain(_ text: String) -> Bool { Array(text.utf8).withUnsafeBytes { CommitTest.isPlain($0) } }
    private func onlyBegins(_ text: String) -> Bool { Array(text.utf8).withUnsafeBytes { CommitTest.onlyBegins($0) } }
    private func exit(_ text: String) -> CommitTest.Exit { Array(text.utf8).withUnsafeBytes { CommitTest.exit($0) } }

    @Test(arguments: [
        "SELECT 1", "  insert into t values (1);", "UPDATE t SET a = 1 ; ; ", "delete from t\u{0}", "ROLLBACK",
        "savepoint x", "WITH a AS (SELECT 1) SELECT * FROM a", "BEGIN",
    ])
    func singleStatementsInABlockCannotCommit(text: String) {
        #expect(!self.mayCommit(text))
    }

    @Test(arguments: [
        "COMMIT", "end;", "PREPARE TRANSACTION 'x'", "SELECT 1; COMMIT", "/* x */ SELECT 1", "",
        "ROLLBACK; INSERT INTO t VALUES (1)",
    ])
    func everythingElseMay(text: String) {
        #expect(self.mayCommit(text))
        #expect(!self.isPlain(text))
    }

    @Test func codeMayCommitOutsideOfABlockOnly() {
        for text in ["CALL p()", "DO $$$$"] {
            #expect(!self.mayCommit(text))
            #expect(!self.isPlain(text))
        }
        #expect(self.isPlain("INSERT INTO t VALUES (1);"))
        #expect(!self.isPlain("selecta"))
    }

    @Test func beginIsHarmlessAlone() {
        #expect(self.onlyBegins("BEGIN;"))
        #expect(self.onlyBegins("start transaction isolation level serializable"))
        #expect(!self.onlyBegins("BEGIN; SELECT 1"))
        #expect(!self.onlyBegins("SELECT 1"))
        #expect(!self.onlyBegins("BEGINS"))
    }

    @Test func blocksAreLeftByTheirOwnWordsOnly() {
        #expect(self.exit("ROLLBACK") == .rollback)
        #expect(self.exit("abort work;") == .rollback)
        #expect(self.exit("Commit Transaction") == .commit)
        #expect(self.exit("END;\u{0}") == .commit)
        #expect(self.exit("ROLLBACK TO s") == .none)
        #expect(self.exit("ROLLBACK AND CHAIN") == .none)
        #expect(self.exit("COMMIT PREPARED 'x'") == .none)
        #expect(self.exit("ROLLBACK; SELECT 1") == .none)
        #expect(self.exit("SELECT 1") == .none)
    }
}
