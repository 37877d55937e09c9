import PGHAWire
import Testing

@Suite("Statements are told apart by their text") struct StatementClassifierTests {
    static let classifier = StatementClassifier(
        volatileFunctions: ["app.enqueue"], readFunctions: ["app.total_of", "rate"])

    private func classify(_ text: String, _ strings: StringSyntax = .standard) -> StatementSummary {
        Array(text.utf8).withExactBytes { Self.classifier.classify($0, strings: strings) }
    }

    private static let readsMayRunOnAStandbyCases: [String] = [
        "SELECT 1", "select * from t where a = $1;", "(SELECT 1) UNION (SELECT 2)", "VALUES (1), (2)", "TABLE t",
        "WITH a AS (SELECT 1) SELECT * FROM a", "-- a\n /* b /* c */ d */ SELECT 1 ; ; ", "SELECT 'insert into'",
        "SELECT substring(a from 1 for 2) FROM t", "EXPLAIN SELECT 1", "explain (costs off) select 1",
        "SELECT $$ delete ; $$ , $a$ $$ ; $a$", "SELECT \"into\", \"update\" FROM t", "SELECT E'it\\'s; --' , 1",
        "SELECT nextval FROM t", "SELECT 'a''b;c'", "SELECT U&'\\0061;'", "SELECT a -- ; update\n FROM t",
        "SELECT random(), now()", "SELECT 1/2*3", "SELECT a FROM t ORDER BY temp", "SELECT n'x'",
        "SELECT E'a' -- ; \n 'b\\';c' FROM t",
    ]

    @Test(arguments: Self.readsMayRunOnAStandbyCases)
    func readsMayRunOnAStandby(_ text: String) {
        let summary = self.classify(text)
        #expect(summary.kind == .read)
        #expect(summary.count == 1)
        #expect(summary.effects == [])
    }

    private static let writesStayOnThePrimaryCases: [String] = [
        "INSERT INTO t VALUES (1)", "update t set a = 1", "DELETE FROM t", "MERGE INTO t USING s ON true",
        "TRUNCATE t", "SELECT * FROM t FOR UPDATE", "SELECT * FROM t FOR NO KEY UPDATE", "SELECT 1 FROM t FOR SHARE",
        "SELECT 1 FROM t FOR /* */ KEY SHARE", "SELECT 1FOR UPDATE", "SELECT * INTO n FROM t",
        "WITH d AS (DELETE FROM t RETURNING *) SELECT * FROM d", "SELECT nextval('s')", "SELECT NextVal ('s')",
        "SELECT \"nextval\"('s')", "SELECT pg_catalog.nextval('s')", "COPY t TO STDOUT", "COPY t FROM STDIN",
        "EXPLAIN ANALYZE SELECT 1", "EXPLAIN (VERBOSE, ANALYZE) SELECT 1", "explain verbose analyse select 1",
        "CALL p()", "DO $$ begin end $$", "CREATE TABLE t ()", "ALTER TABLE t ADD a int", "LOCK TABLE t",
        "REFRESH MATERIALIZED VIEW v", "NOTIFY c, 'x'", "SELECT app.enqueue(1)", "select ENQUEUE(1)",
        "SELECT pg_try_advisory_xact_lock(1)", "SELECT pg_is_in_recovery()", "SELECT 1 FROM \"pg_stat_activity\"",
        "SELECT * FROM pg_settings",
        "CREATE TABLE weather (temp int)", "INSERT INTO temp VALUES (1)", "FETCH 1 FROM c", "DROP TABLE pg_temp.t",
        "VACUUM", "COMMIT PREPARED 'a'",
    ]

    @Test(arguments: Self.writesStayOnThePrimaryCases)
    func writesStayOnThePrimary(_ text: String) {
        let summary = self.classify(text)
        #expect(summary.kind == .write)
        #expect(summary.count == 1)
        #expect(summary.effects.isDisjoint(with: .sessionBound))
    }

    private static let transactionControlIsKnownCases: [(String, StatementEffects)] = [
        ("BEGIN", .begins), ("begin transaction isolation level serializable", .begins),
        ("START TRANSACTION READ ONLY", [.begins, .beginsReadOnly]), ("BEGIN READ WRITE", .begins),
        ("COMMIT", .commits), ("END WORK", .commits), ("ROLLBACK", .rollsBack), ("ABORT AND CHAIN", .rollsBack),
        ("ROLLBACK TO a", []), ("rollback work to savepoint a", []), ("SAVEPOINT a", []), ("RELEASE a", []),
        ("PREPARE TRANSACTION 'x'", .twoPhase), ("SET TRANSACTION READ ONLY", []),
        ("SET CONSTRAINTS ALL DEFERRED", []), ("SET LOCAL work_mem = '1MB'", .setsLocally),
    ]

    @Test(arguments: Self.transactionControlIsKnownCases)
    func transactionControlIsKnown(_ text: String, _ effects: StatementEffects) {
        let summary = self.classify(text)
        #expect(summary.kind == .transactionControl)
        #expect(summary.effects == effects)
    }

    private static let sessionStateIsKnownCases: [(String, StatementEffects)] = [
        ("SET a = 1", .sets), ("SET SESSION a TO b", .sets), ("RESET a", .resets), ("SET a TO DEFAULT", .resets),
        ("RESET ALL", .resetsAll), ("DISCARD ALL", .discardsAll), ("DISCARD TEMP", .discardsSome),
        ("PREPARE p AS SELECT 1", .prepares), ("EXECUTE p(1)", .executes), ("DEALLOCATE p", .deallocates),
        ("DEALLOCATE PREPARE ALL", .deallocatesAll), ("DEALLOCATE \"all\"", .deallocates), ("LISTEN c", .listens),
        ("UNLISTEN *", .unlistens), ("CREATE TEMP TABLE t (a int)", .createsTemporary),
        ("create or replace temporary view v as select 1", .createsTemporary),
        ("CREATE LOCAL TEMPORARY SEQUENCE s", .createsTemporary), ("CREATE TABLE pg_temp.t ()", .createsTemporary),
        ("SELECT 1 INTO TEMP t", .createsTemporary), ("SELECT 1 INTO LOCAL TEMP t", .createsTemporary),
        ("SELECT 1 INTO pg_temp.t", .createsTemporary), ("SET search_path = pg_temp, a", [.sets, .createsTemporary]),
        ("DECLARE c CURSOR WITH HOLD FOR SELECT 1", .declaresHoldCursor), ("LOAD 'x'", .loads),
        ("SELECT pg_advisory_lock(1)", .takesSessionLock), ("SELECT pg_try_advisory_lock(1)", .takesSessionLock),
        ("SELECT pg_advisory_unlock_all()", .releasesSessionLock),
        ("SELECT set_config('a', 'b', false)", .callsSetConfig),
        ("SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY", .sets), ("SET ROLE x", .sets),
        ("SET SESSION AUTHORIZATION x", .sets), ("RESET SESSION AUTHORIZATION", .resets), ("RESET ROLE", .resets),
        ("EXPLAIN ANALYZE CREATE TEMP TABLE t AS SELECT 1", .createsTemporary),
    ]

    @Test(arguments: Self.sessionStateIsKnownCases)
    func sessionStateIsKnown(_ text: String, _ effects: StatementEffects) {
        let summary = self.classify(text)
        #expect(summary.kind == .sessionState || text.hasPrefix("EXPLAIN"))
        #expect(summary.effects == effects)
    }

    @Test func aCursorWithoutHoldIsTheTransactions() {
        #expect(self.classify("DECLARE c CURSOR WITHOUT HOLD FOR SELECT 1").kind == .write)
    }

    private static let whatIsNotUnderstoodIsDoubtfulCases: [String] = [
        "", " ; -- nothing", "SHOW a", "SELECT 1; SELECT 2", "FROBNICATE", "SELECT 'a", "SELECT /* a", "SELECT \"a",
        "SELECT $a$ b $$", "SELECT (1", "SELECT 1)", "SELECT U&\"a\"", "SELECT E'a\\'",
        "EXPLAIN INSERT INTO t VALUES (1)", "EXPLAIN EXPLAIN SELECT 1", "EXECUTE", "12 34", "explain (", "SELECT E'\\",
    ]

    @Test(arguments: Self.whatIsNotUnderstoodIsDoubtfulCases)
    func whatIsNotUnderstoodIsDoubtful(_ text: String) {
        let kind = self.classify(text).kind
        #expect(kind == .doubtful || text == "EXECUTE")
    }

    @Test func aBackslashInAPlainStringIsReadAsTheSessionReadsIt() {
        let text = #"SELECT 'a\'; SET synchronous_commit = off; --'"#
        #expect(self.classify(text, .standard).count == 2)
        #expect(self.classify(text, .standard).effects.contains(.lowersDurability))
        #expect(self.classify(text, .escaping).kind == .read)
        let unknown = self.classify(text, .unknown)
        #expect(unknown.kind == .doubtful)
        #expect(unknown.effects.contains([.lowersDurability, .hidesWarnings, .callsSetConfig]))
    }

    // MARK: Several statements

    @Test func statementsAreCountedWhereTheyEnd() {
        #expect(self.classify("SELECT 1; SELECT 2;").count == 2)
        #expect(self.classify(";;SELECT 1;;").count == 1)
        #expect(self.classify("").count == 0)
        #expect(self.classify("CREATE RULE r AS ON INSERT TO t DO ALSO (SELECT 1; SELECT 2)").count == 1)
        let body = "CREATE FUNCTION f() BEGIN ATOMIC SELECT CASE WHEN true THEN 1 END; SELECT 2; END; SELECT 1"
        #expect(self.classify(body).count == 2)
    }

    @Test func effectsOfAllStatementsAreCollected() {
        let summary = self.classify("BEGIN; SET a = 1; LISTEN b; COMMIT")
        #expect(summary.kind == .doubtful)
        #expect(summary.count == 4)
        #expect(summary.effects == [.begins, .sets, .listens, .commits])
    }

    @Test func statementsCanBeTakenOneByOne() {
        let text = bytes("SET a = 1; SELECT 2")
        text.withExactBytes { text in
            let first = Self.classifier.statement(in: text, from: 0)
            #expect(first.summary.effects == .sets)
            #expect(first.end == 10)
            let second = Self.classifier.statement(in: text, from: first.end)
            #expect(second.summary.kind == .read)
            #expect(second.end == text.count)
        }
    }

    // MARK: Names and values

    private static let namesAndValuesAreFoundCases: [(String, String, String)] = [
        ("SET Work_Mem = '1MB'", "work_mem", "'1MB'"), ("SET \"A\"\"b\" TO 1 , 2 ;", "A\"b", "1 , 2"),
        ("SET my.Thing = on", "my.thing", "on"), ("SET TIME ZONE 'UTC'", "timezone", "'UTC'"),
        ("SET NAMES 'UTF8'", "client_encoding", "'UTF8'"), ("SET SCHEMA 'a'", "search_path", "'a'"),
        ("SET ROLE none", "role", "none"), ("SET SESSION AUTHORIZATION x", "session_authorization", "x"),
        ("SET role TO x", "role", "x"), ("SET a = -1.5", "a", "-1.5"), ("PREPARE P AS SELECT 1", "p", ""),
        ("DEALLOCATE \"P\"", "P", ""), ("LISTEN Chan", "chan", ""), ("RESET TIME ZONE", "timezone", ""),
    ]

    @Test(arguments: Self.namesAndValuesAreFoundCases)
    func namesAndValuesAreFound(_ text: String, _ name: String, _ value: String) {
        let summary = self.classify(text)
        #expect(bytes(text).withExactBytes { summary.name(in: $0)?.description } == name)
        #expect(String(decoding: bytes(text)[summary.value], as: UTF8.self) == value)
    }

    // MARK: What the cluster does not allow

    private static let loweredPromisesAreFoundCases: [(String, StatementEffects)] = [
        ("SET synchronous_commit = off", .lowersDurability),
        ("SET LOCAL Synchronous_Commit TO 'local'", .lowersDurability),
        ("SET \"synchronous_commit\" = remote_write", .lowersDurability),
        ("SET synchronous_commit = 'of'\n'f'", .lowersDurability),
        ("SET synchronous_commit = E'off'", .lowersDurability),
        ("SET synchronous_commit = $$off$$", .lowersDurability), ("SET synchronous_commit = on", []),
        ("SET synchronous_commit = 'ON'", []), ("SET synchronous_commit TO DEFAULT", []),
        ("SET synchronous_commit = remote_apply", []), ("RESET synchronous_commit", []),
        ("SET client_min_messages = error", .hidesWarnings), ("SET client_min_messages TO 'PANIC'", .hidesWarnings),
        ("SET client_min_messages = warning", []), ("SELECT 1; SET client_min_messages = fatal", .hidesWarnings),
        ("SELECT set_config('synchronous_commit', 'off', false)", .lowersDurability),
        ("SELECT set_config('synchronous_commit', 'on', false)", []),
        ("SELECT set_config('application_name', $1, false)", []),
        ("SELECT set_config('synchronous_commit', 'o' || 'ff', false)", .lowersDurability),
        ("SELECT set_config('client_min_messages', $1, true)", .hidesWarnings),
        // Bind says.
        ("SELECT set_config($1, 'off', false)", []),
        ("SELECT set_config($1 || 'x', 'off', false)", [.lowersDurability, .hidesWarnings]),
        ("SELECT set_config('synchronous' || '_commit', 'off', false)", [.lowersDurability, .hidesWarnings]),
        ("UPDATE pg_catalog.pg_settings SET setting = 'off'", [.lowersDurability, .hidesWarnings]),
        ("SELECT U&\"set\\005fconfig\"('synchronous_commit', 'off', false)", [.lowersDurability, .hidesWarnings]),
        ("SET U&\"synchronous_commi\\0074\" = off", [.lowersDurability, .hidesWarnings]),
        ("ALTER ROLE a SET synchronous_commit = off", []), ("SELECT 'SET synchronous_commit = off'", []),
    ]

    @Test(arguments: Self.loweredPromisesAreFoundCases)
    func loweredPromisesAreFound(_ text: String, _ risks: StatementEffects) {
        let both: StatementEffects = [.lowersDurability, .hidesWarnings]
        #expect(self.classify(text).effects.intersection(both) == risks)
    }

    @Test func startupParametersAndOptionsAreLookedAt() {
        var message = StartupMessage(user: "a", database: "a")
        #expect(SettingRisk.of(message) == [])
        message.optionSettings = [.init("synchronous_commit", "off")]
        message.parameters = [.init("Client_Min_Messages", "error"), .init("application_name", "off")]
        #expect(SettingRisk.of(message) == [.lowersDurability, .hidesWarnings])
    }

    // MARK: Hints

    private static let hintsAreFoundInCommentsCases: [(String, StatementSummary.Hint)] = [
        ("/*pgha:primary*/ SELECT 1", .primary), ("SELECT 1 /* pgha:standby */", .standby),
        ("/*pgha:standby*/ SELECT 1 /*pgha:primary*/", .primary), ("/*pgha:primary_only*/ SELECT 1", .none),
        ("SELECT '/*pgha:primary*/'", .none), ("-- pgha:primary\nSELECT 1", .none), ("/*pgha:standby", .none),
        ("/*pgha:standby*/ SELECT 1; SELECT 2", .standby), ("/*pgha:standby*/; SELECT 2", .standby),
    ]

    @Test(arguments: Self.hintsAreFoundInCommentsCases)
    func hintsAreFoundInComments(_ text: String, _ hint: StatementSummary.Hint) {
        #expect(self.classify(text).hint == hint)
    }

    // MARK: Properties

    @Test func longTextsTakeNoLongerThanTheyAreLong() {
        // Each of these would take very long if any byte were looked at again and again.
        let pieces = [
            ";", "; ", "(", "$a ", "$a$", "E'' ", "/*", "/* ", "'' ", "U&\"", "-- ", "set_config(", "explain ", "\\",
        ]
        for piece in pieces {
            let text = "SELECT 1 " + String(repeating: piece, count: 200_000 / piece.utf8.count)
            _ = self.classify(text)
            _ = bytes(text).withExactBytes { AttentionTest.needsAttention($0) }
        }
    }

    @Test(arguments: UInt64(0)..<60) func whateverCouldChangeASessionGetsAttention(seed: UInt64) {
        let pieces = [
            "select", "SELECT 1", "with", "begin", "commit", "insert into t", "set", " a = 1",
            "set_config('a','b',true)",
            "pg_advisory_lock(1)", ";", " ", "\n", "/* c */", "--x\n", "'", "\"", "$$", "temp", "into", "create", "(",
            ")",
            "pg_temp", "listen x", "U&\"a\"", "update pg_settings", "pg_prepared_statements",
            "declare c cursor with hold", "end", "values (1)",
            "\\", "a_long_name_of_a_column", "an_even_longer_name_of_another_column",
        ]
        var generator = SeededGenerator(seed: seed)
        for _ in 0..<200 {
            let text = (0..<Int.random(in: 1...8, using: &generator)).map { _ in
                pieces.randomElement(using: &generator) ?? ""
            }.joined(separator: Bool.random(using: &generator) ? " " : "")
            let summary = self.classify(text)
            let matters = !summary.effects.isDisjoint(with: .sessionBound.union([.lowersDurability, .hidesWarnings]))
            if matters {
                let needsAttention = bytes(text).withExactBytes { AttentionTest.needsAttention($0) }
                #expect(needsAttention, "\(text)")
            }
        }
    }

    private static let whatMatters = [
        "; set a = 1", "U&\"a\"", "pg_advisory_lock(1)", "Set_Config('a','b',true)", "pg_settings", "TEMP t",
        "pg_prepared_Statements",
    ]

    @Test(arguments: Self.whatMatters) func whatMattersIsFoundWhereverItStands(_ piece: String) {
        for before in 0..<70 {
            for after in [0, 1, 2, 3, 15, 16, 17, 40] {
                let text =
                    "select " + String(repeating: "_", count: before) + piece + String(repeating: "m", count: after)
                #expect(bytes(text).withExactBytes { AttentionTest.needsAttention($0) }, "\(text)")
            }
        }
    }

    private static let theHotPathIsLeftAloneCases: [String] = [
        "SELECT abalance FROM pgbench_accounts WHERE aid = 1;", "UPDATE pgbench_tellers SET a = 1", "BEGIN", "END",
        "INSERT INTO pgbench_history (tid, bid, mtime) VALUES (1, 2, CURRENT_TIMESTAMP);", "SELECT example_m FROM m",
        "end;", "COMMIT", "  INSERT INTO t VALUES (1) ; ", "WITH a AS (SELECT 1) SELECT 1", "",
    ]

    @Test(arguments: Self.theHotPathIsLeftAloneCases)
    func theHotPathIsLeftAlone(_ text: String) {
        #expect(bytes(text).withExactBytes { !AttentionTest.needsAttention($0) })
    }

    @Test(arguments: ["big5", "SHIFT_JIS_2004", "GB18030", "Windows-932"])
    func encodingsThatHideLettersAreKnown(_ name: String) {
        #expect(bytes(name).withExactBytes { ClientEncoding.hidesASCII($0) })
        #expect(bytes("UTF-8").withExactBytes { !ClientEncoding.hidesASCII($0) })
    }
}
