// SHOW STATS and its relatives. PgBouncer has renamed and added columns over the years, and exporters insist on those
// of their time: each number is there under all its names. Sources: PgBouncer 1.7, 1.18 (`SHOW …` of Debian 12's) and
// its manual of 1.25, "Admin console".
extension ConsoleTable {
    /// `total`: behind `total_`; `average`: behind `avg_`; `short`: in SHOW STATS_TOTALS and STATS_AVERAGES.
    private struct Figure {
        let total: String
        let average: String
        let short: String

        init(_ name: String, average: String? = nil, short: String? = nil) {
            self.total = name
            self.average = average ?? name
            self.short = short ?? name
        }
    }

    /// In the order of ``PoolPeriod/numbers(_:)``.
    private static let figures = [
        Figure("xact_count"), Figure("query_count"), Figure("received", average: "recv", short: "bytes_received"),
        Figure("sent", short: "bytes_sent"), Figure("xact_time"), Figure("query_time"), Figure("wait_time"),
        Figure("client_parse_count"), Figure("server_parse_count"), Figure("bind_count"),
    ]

    /// Names that stand for another figure: in transaction mode each transaction is an assignment.
    private static let aliases: [(total: String, average: String, of: Int)] = [
        ("server_assignment_count", "server_assignment_count", 0), ("requests", "req", 1), ("", "query", 5),
    ]

    private static func byDatabase(_ statistics: PoolerStatistics) -> [(database: String, sums: DatabaseSums)] {
        var sums: [String: DatabaseSums] = [:]
        for pool in statistics.pools { sums[pool.key.database, default: DatabaseSums()].add(pool) }
        return sums.sorted { $0.key < $1.key }.map { ($0.key, $0.value) }
    }

    static func stats(_ statistics: PoolerStatistics) -> ConsoleTable {
        let totals = Self.aliases.filter { !$0.total.isEmpty }
        return ConsoleTable(
            ["database"] + Self.figures.map { "total_\($0.total)" } + Self.figures.map { "avg_\($0.average)" }
                + totals.map { "total_\($0.total)" } + Self.aliases.map { "avg_\($0.average)" },
            Self.byDatabase(statistics).map { database, sums in
                [database] + sums.totals + sums.averages + totals.map { sums.totals[$0.of] }
                    + Self.aliases.map { sums.averages[$0.of] }
            })
    }

    /// STATS_TOTALS and STATS_AVERAGES.
    static func shortStats(_ statistics: PoolerStatistics, averages: Bool) -> ConsoleTable {
        ConsoleTable(
            ["database"] + Self.figures.map(\.short) + ["server_assignment_count"],
            Self.byDatabase(statistics).map { database, sums in
                let values = averages ? sums.averages : sums.totals
                return [database] + values + [values[0]]
            })
    }

    /// Over all databases, a row for each figure.
    static func totals(_ statistics: PoolerStatistics) -> ConsoleTable {
        var all = DatabaseSums()
        for pool in statistics.pools { all.add(pool) }
        let names =
            Self.figures.map { "total_\($0.total)" } + ["total_server_assignment_count"]
            + Self.figures.map { "avg_\($0.average)" } + ["avg_server_assignment_count"]
        let values = all.totals + [all.totals[0]] + all.averages + [all.averages[0]]
        return ConsoleTable(["name", "value"], zip(names, values).map { [$0, $1] })
    }
}

/// The sums of one database's pools, in PgBouncer's units: microseconds.
struct DatabaseSums {
    private var now = [UInt64](repeating: 0, count: PoolPeriod.count)
    /// In the last whole period, per second; times per transaction, statement and second.
    private var period = [UInt64](repeating: 0, count: PoolPeriod.count)
    private static let seconds = PoolPeriod.length / 1_000_000_000
    /// Those of the numbers that are times.
    private static let times = 4..<7

    mutating func add(_ pool: PoolerStatistics.Pool) {
        let totals = PoolPeriod.numbers(pool)
        for index in self.now.indices {
            self.now[index] += totals[index]
            self.period[index] += pool.lastPeriod[index]
        }
    }

    var totals: [String?] {
        self.now.indices.map { "\(Self.times.contains($0) ? self.now[$0] / 1000 : self.now[$0])" }
    }

    var averages: [String?] {
        let p = self.period
        let divisors = [4: max(p[0], 1), 5: max(p[1], 1)]
        return p.indices.map { index in
            let value = p[index] / (divisors[index] ?? Self.seconds)
            return "\(Self.times.contains(index) ? value / 1000 : value)"
        }
    }
}
