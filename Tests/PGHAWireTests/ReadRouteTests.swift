import PGHAWire
import Testing

@Suite("Only what certainly reads goes to a standby") struct ReadRouteTests {
    private static let classifier = StatementClassifier(
        volatileFunctions: ["app.enqueue", "total_now"], readFunctions: ["app.total_of", "rate", "total_now"])

    private func reads(_ text: String, _ strings: StringSyntax = .standard) -> Bool {
        Array(text.utf8).withExactBytes { Self.classifier.mayReadElsewhere($0, strings: strings) }
    }

    private static let pure = [
        "SELECT 1", "select abalance from pgbench_accounts where aid = 1;", "SELECT count(*) FROM t",
        "SELECT lower(a), coalesce(b, 0), sum(c) FILTER (WHERE d) OVER (PARTITION BY e) FROM t GROUP BY (a)",
        "SELECT a::numeric(10, 2), CAST(b AS varchar(3)), extract(epoch FROM c) FROM t WHERE d IN (1, 2)",
        "SELECT * FROM generate_series(1, 3) AS g(i)", "SELECT * FROM generate_series(1, 3) g(i)",
        "WITH a(x) AS (SELECT 1) SELECT * FROM a JOIN b USING (x)", "WITH RECURSIVE a(x) AS (VALUES (1)) TABLE a",
        "WITH a AS MATERIALIZED (SELECT 1) SELECT * FROM a WHERE EXISTS (SELECT 2) AND (b = ANY (c))",
        "SELECT pg_catalog.lower('A')", "SELECT app.total_of(1), Rate(2)", "SELECT now(), random(), replace(a, b, c)",
        "SELECT a FROM t ORDER BY (b), array[1, 2], row(1, 2), (3)",
        "SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY a)",
        "SELECT json_agg(t) FROM t TABLESAMPLE bernoulli (1)", "SELECT a AT TIME ZONE (b) FROM t",
        "SELECT CASE WHEN (a) THEN (b) ELSE (c) END FROM t", "EXPLAIN (COSTS off) SELECT count(*) FROM t",
    ]

    @Test(arguments: Self.pure) func pureReadsDo(_ text: String) { #expect(self.reads(text)) }

    private static let doubtful = [
        "SELECT frobnicate(1)", "SELECT app.lower('A')", "SELECT \"lower\"('A')", "SELECT app . count (*) FROM t",
        "SELECT nextval('s')", "SELECT pg_catalog.nextval('s')", "SELECT total_now()", "SELECT app.enqueue()",
        "SELECT * FROM frobnicate()", "SELECT * FROM t WHERE a = f(1)", "SELECT lower(f(1))", "SELECT 1, f /* */ (2)",
        "SELECT 1; SELECT 2", "", ";", "SELECT * FROM t FOR UPDATE", "SELECT 1 INTO t", "INSERT INTO t VALUES (1)",
        "WITH a AS (INSERT INTO t VALUES (1) RETURNING 1) SELECT * FROM a", "SHOW a", "BEGIN", "SET a = 1",
        "SELECT pg_advisory_lock(1)", "SELECT set_config('a', 'b', false)", "CALL p()", "COPY t TO STDOUT",
        "SELECT current_setting('a')", "SELECT * FROM pg_stat_activity", "DECLARE c CURSOR FOR SELECT 1",
        "SELECT (1", "SELECT load(1)", "SELECT notify(1)", "SELECT pg_temp.f()", "EXPLAIN ANALYZE SELECT 1",
    ]

    @Test(arguments: Self.doubtful) func theRestDoesNot(_ text: String) { #expect(!self.reads(text)) }

    @Test func aBackslashIsJudgedAsTheSessionReadsIt() {
        let text = #"SELECT 'a\' FROM t"#
        #expect(self.reads(text, .standard))
        #expect(!self.reads(text, .unknown))
        #expect(!self.reads(text, .escaping))
    }

    @Test func hintsDecideWhatIsOneStatementWithoutEffects() {
        #expect(!self.reads("/*pgha:primary*/ SELECT 1"))
        #expect(self.reads("/*pgha:standby*/ SELECT frobnicate(1)"))
        #expect(self.reads("SELECT current_setting('port') /* pgha:standby */"))
        #expect(!self.reads("/*pgha:standby*/ /*pgha:primary*/ SELECT 1"))
        for text in ["BEGIN", "SET a = 1", "SELECT 1; SELECT 2", "LISTEN c", "COPY t TO STDOUT", "CALL p()"] {
            #expect(!self.reads("/*pgha:standby*/ " + text))
        }
    }

    /// Nothing behind a word that writes makes a read of the text again.
    @Test func whatWritesStaysAWrite() {
        let text = "WITH a AS (SELECT lower('x;y')) INSERT INTO t SELECT * FROM a; SELECT f(1) -- b"
        let bytes = Array(text.utf8)
        for end in "WITH a AS (SELECT lower('x;y')) INSERT".utf8.count...bytes.count {
            let isRead = bytes[..<end].withUnsafeBytes { Array($0) }.withExactBytes {
                Self.classifier.mayReadElsewhere($0, strings: .standard)
            }
            #expect(!isRead, "\(text.prefix(end))")
        }
    }

    @Test func everyWordInFrontOfEveryReadCallIsJudgedAlone() {
        for name in PureFunctions.builtIn {
            #expect(self.reads("SELECT \(name)(1)"), "\(name)")
            #expect(self.reads("SELECT 1, pg_catalog.\(name.uppercased()) (1)"), "\(name)")
            #expect(!self.reads("SELECT x.\(name)(1)"), "\(name)")
            #expect(!self.reads("SELECT \(name)x(1)"), "\(name)")
        }
        for name in VolatileFunctions.onPrimary { #expect(!self.reads("SELECT \(name)(1)"), "\(name)") }
    }
}

@Suite("Statements about positions are understood") struct PositionStatementTests {
    private static let classifier = StatementClassifier()

    private func position(_ text: String) -> PositionStatement {
        Array(text.utf8).withExactBytes { Self.classifier.positionStatement($0) }
    }

    @Test func inEverySpelling() {
        #expect(self.position("SHOW pgha.last_lsn") == .showLast)
        #expect(self.position(" show /* a */ PGHA.Last_LSN ; ;") == .showLast)
        #expect(self.position("SET pgha.min_lsn = '0/1A'") == .setMinimum("0/1A"))
        #expect(self.position("set session pgha.min_lsn to '0/1A';") == .setMinimum("0/1A"))
        #expect(self.position("SET pgha.min_lsn TO DEFAULT") == .setMinimum(nil))
        #expect(self.position("RESET pgha.min_lsn") == .setMinimum(nil))
        #expect(self.position("SET pgha.min_lsn = ''") == .setMinimum(""))
    }

    @Test func andNothingElseIsOne() {
        for text in [
            "", "SHOW last_lsn", "SHOW pgha.last_lsnx", "SHOW pgha.last_lsn x", "SELECT 'SHOW pgha.last_lsn'",
            "SET pgha.min_lsn", "SET pgha.min_lsn = 0", "SET LOCAL pgha.min_lsn = '0/1'", "SET pgha.other = '0/1'",
            "SET pgha.min_lsn = '0/1'; SELECT 1", "SELECT set_config('pgha.min_lsn', '0/1', false)", "pgha.",
            "SET pgha",
        ] { #expect(self.position(text) == .none, "\(text)") }
    }
}
