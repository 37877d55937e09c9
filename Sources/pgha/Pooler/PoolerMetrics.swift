import PGHAObservability
import PGHAPooler

/// The pooler's statistics as Prometheus reads them.
struct PoolerMetrics: Sendable {
    private static let labels = ["database", "user", "server"]
    private let metrics: Metrics
    private let certificates: CertificateMetrics
    private let process: ProcessMetrics

    init() {
        self.metrics = Metrics()
        self.certificates = CertificateMetrics(self.metrics)
        self.process = ProcessMetrics(self.metrics)
    }

    /// `certificates` of the HTTP interface; see ``CertificateMetrics/update(_:)``.
    func text(_ statistics: PoolerStatistics, certificates: [String: Int] = [:]) -> String {
        self.gauge("pgha_pooler_clients", "Client connections, those that log in included.", statistics.clients)
        self.gauge("pgha_pooler_servers", "Server connections.", statistics.servers)
        self.gauge("pgha_pooler_term", "The term of the leader that is followed.", Int(statistics.term))
        self.gauge("pgha_pooler_has_leader", "Whether transactions that write can begin.", statistics.hasLeader ? 1 : 0)
        self.setGauges(statistics.pools)
        self.setCounters(statistics.pools)
        self.setHistograms(statistics.pools)
        self.certificates.update(statistics.certificates.merging(certificates) { $1 })
        self.process.update()
        return self.metrics.text()
    }

    private func gauge(_ name: String, _ help: String, _ value: Int) {
        self.metrics.gauge(name, help).set(Double(value))
    }

    /// `leader`, or the standby's name.
    private static func values(_ pool: PoolerStatistics.Pool) -> [String] {
        [pool.key.database, pool.key.user, pool.key.standby ?? "leader"]
    }

    private func setGauges(_ pools: [PoolerStatistics.Pool]) {
        let states: [(String, (PoolerStatistics.Pool) -> Int)] = [
            ("active", \.clientsActive), ("waiting", \.clientsWaiting),
            ("idle", { $0.clients - $0.clientsActive - $0.clientsWaiting }),
        ]
        self.metrics.gauge(
            "pgha_pooler_pool_clients", "Clients by what they do: in a transaction, waiting for a server, or neither.",
            labels: Self.labels + ["state"]
        ).replace(pools.flatMap { pool in states.map { (Self.values(pool) + [$0.0], Double($0.1(pool))) } })
        let servers: [(String, (PoolerStatistics.Pool) -> Int)] = [
            ("active", \.serversActive), ("idle", \.serversIdle), ("connecting", \.serversConnecting),
        ]
        self.metrics.gauge(
            "pgha_pooler_pool_servers", "Server connections by what they do.", labels: Self.labels + ["state"]
        ).replace(pools.flatMap { pool in servers.map { (Self.values(pool) + [$0.0], Double($0.1(pool))) } })
        func gauge(_ name: String, _ help: String, _ value: (PoolerStatistics.Pool) -> Double) {
            self.metrics.gauge(name, help, labels: Self.labels).replace(pools.map { (Self.values($0), value($0)) })
        }
        gauge("pgha_pooler_pool_size", "Server connections that the pool may have.") { Double($0.limit) }
        gauge("pgha_pooler_pool_held", "Whether transactions are kept from beginning.") { $0.isHeld ? 1 : 0 }
        gauge("pgha_pooler_pool_longest_wait_seconds", "How long the first in the queue has waited.") {
            Double($0.longestWait) / 1e9
        }
    }

    private func setCounters(_ pools: [PoolerStatistics.Pool]) {
        func counter(_ name: String, _ help: String, _ value: (PoolerStatistics.Pool) -> UInt64) {
            self.metrics.counter(name, help, labels: Self.labels).replace(
                pools.map { (Self.values($0), Double(value($0))) })
        }
        counter("pgha_pooler_transactions_total", "Transactions that have ended.", \.transactions)
        counter("pgha_pooler_queries_total", "Statements that were passed on.", \.queries)
        counter("pgha_pooler_received_bytes_total", "Bytes from clients.", \.bytesReceived)
        counter("pgha_pooler_sent_bytes_total", "Bytes to clients.", \.bytesSent)
        counter(
            "pgha_pooler_reads_total",
            "Reads whose server the pooler chose; those on the leader found no standby that was fit.", \.reads)
        counter("pgha_pooler_reads_waited_total", "Reads that waited for a standby to catch up.", \.waitingReads)
        counter(
            "pgha_pooler_reads_refused_total", "Reads that the standby could not do, so that the leader did.",
            \.refusedReads)
        self.metrics.counter(
            "pgha_pooler_errors_total", "Errors that servers, or the pooler in place of a lost one, gave to clients.",
            labels: Self.labels + ["sqlstate"]
        ).replace(pools.flatMap { pool in pool.errors.map { (Self.values(pool) + [$0.key], Double($0.value)) } })
        counter(
            "pgha_pooler_retries_total", "Transactions that another server ran because the first had not.", \.retries)
        self.metrics.counter(
            "pgha_pooler_pins_total", "Clients that came to keep their server, by reason.",
            labels: Self.labels + ["reason"]
        ).replace(pools.flatMap { pool in pool.pins.map { (Self.values(pool) + [$0.key], Double($0.value)) } })
    }

    private func setHistograms(_ pools: [PoolerStatistics.Pool]) {
        func histogram(_ name: String, _ help: String, _ counts: (PoolerStatistics.Pool) -> DurationCounts) {
            self.metrics.histogram(name, help, labels: Self.labels, bounds: DurationCounts.bounds).replace(
                pools.map { pool in
                    let counts = counts(pool)
                    return (Self.values(pool), counts.buckets, Double(counts.sum) / 1e9)
                })
        }
        histogram("pgha_pooler_wait_seconds", "How long clients waited for a server, if they had to.", \.wait)
        histogram("pgha_pooler_transaction_seconds", "How long clients had a server.", \.transaction)
        histogram("pgha_pooler_query_seconds", "From a request to the end of its answer.", \.query)
    }
}
