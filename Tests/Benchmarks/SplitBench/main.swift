import Glibc
import PGHACore
import PGHAWire

// `make bench-split`: what splitting costs for each statement: telling reads from the rest, and choosing a standby.
// Prints the median of several rounds; nothing is asserted, because the machine decides too.

let statements: [(String, String)] = [
    ("pgbench -S", "SELECT abalance FROM pgbench_accounts WHERE aid = 4711;"),
    ("pgbench update", "UPDATE pgbench_accounts SET abalance = abalance + 17 WHERE aid = 4711;"),
    ("BEGIN", "BEGIN"),
    (
        "ORM, 330 bytes",
        """
        SELECT "orders"."id", "orders"."customer_id", "orders"."created_at", "orders"."total", "customers"."name", \
        count("items"."id") AS "items" FROM "orders" INNER JOIN "customers" ON "customers"."id" = \
        "orders"."customer_id" LEFT JOIN "items" ON "items"."order_id" = "orders"."id" WHERE "orders"."state" = $1 \
        GROUP BY 1, 2, 3, 4, 5 ORDER BY lower("customers"."name") LIMIT $2
        """
    ),
    ("2 kB", "SELECT " + (0..<160).map { "column_\($0) c" }.joined(separator: ", ") + " FROM t"),
]

/// Processor time of this thread, so that a busy machine counts less; the median of several rounds.
func median(of rounds: Int = 15, _ count: Int, _ body: () -> Void) -> Double {
    func now() -> Double {
        var time = timespec()
        clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time)
        return Double(time.tv_sec) * 1e9 + Double(time.tv_nsec)
    }
    let times = (0..<rounds).map { _ in
        let start = now()
        for _ in 0..<count { body() }
        return (now() - start) / Double(count)
    }
    return times.sorted()[rounds / 2]
}

func report(_ name: String, _ nanoseconds: Double) {
    let padded = name + String(repeating: " ", count: max(1, 40 - name.count))
    print("\(padded)\(Int(nanoseconds.rounded())) ns")
}

let classifier = StatementClassifier()
var reads = 0
for (name, text) in statements {
    let bytes = Array(text.utf8)
    bytes.withUnsafeBytes { bytes in
        report(
            "classify: \(name)",
            median(20_000) { if classifier.mayReadElsewhere(bytes, strings: .standard) { reads += 1 } })
    }
}

let nodes = ["a", "b", "c"].compactMap { NodeName($0) }.map {
    PoolTopology.Node(name: $0, host: "127.0.0.1", port: 5432, lagBytes: 100, lagSeconds: 0)
}
let topology = PoolTopology(term: Term(1), leader: nodes[0], standbys: Array(nodes[1...]))
let balancer = ReadBalancer()
var book = ReplayBook()
book.begin(Term(1))
book.answered(book.ask(), LSN(1))
for node in nodes { book.replayed(node.name, LSN(2)) }
var session = CausalSession()
session.wrote(book)
book.answered(book.ask(), LSN(2))
for (name, hasWritten) in [("choose a standby", false), ("choose one that has replayed a write", true)] {
    var random: UInt64 = 1
    report(
        name,
        median(20_000) {
            random = random &* 0x9E37_79B9_7F4A_7C15 &+ 1
            let need = hasWritten ? session.need(book) : .nothing
            let plan = balancer.plan(
                need, book, waited: .zero, usesLeader: true, topology, at: .origin, random: random, load: { $0 })
            if case .go(.standby) = plan { reads += 1 }
        })
}
precondition(reads > 0)
