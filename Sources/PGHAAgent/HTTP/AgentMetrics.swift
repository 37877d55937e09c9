package import PGHACore
import PGHAObservability

/// What the agent's `GET /metrics` shows: the cached facts, what it has done, and itself. A scrape costs no query.
package struct AgentMetrics: Sendable {
    private let metrics = Metrics()
    private let works: Counter
    private let durations: Histogram
    private let certificates: CertificateMetrics
    private let process: ProcessMetrics

    package init() {
        self.works = self.metrics.counter(
            "pgha_agent_works_total", "Pieces of work that have ended.", labels: ["work", "outcome"])
        self.durations = self.metrics.histogram(
            "pgha_agent_work_duration_seconds", "How long work took that was done.", labels: ["work"],
            bounds: [0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 900, 3600, 14_400])
        self.certificates = CertificateMetrics(self.metrics)
        self.process = ProcessMetrics(self.metrics)
    }

    /// `outcome` is `done` or the code of a failure.
    func ended(_ work: String, outcome: String, took: Duration) {
        self.works.increment([work, outcome])
        if outcome == "done" { self.durations.observe(Double(took.milliseconds) / 1000, [work]) }
    }

    /// Nothing that is unknown is shown. `certificates`: see ``CertificateMetrics/update(_:)``.
    package func text(_ facts: AgentFacts, saved: SavedWAL?, certificates: [String: Int] = [:]) -> String {
        var isRunning = false
        if case .running = facts.postmaster { isRunning = true }
        let name = facts.node.text
        func gauge(_ metric: String, _ help: String, _ value: Double?) {
            self.metrics.gauge(metric, help, labels: ["node"]).replace(
                value.map { [(labelValues: [name], value: $0)] } ?? [])
        }
        gauge("pgha_agent_postmaster_up", "Whether the postmaster runs.", isRunning ? 1 : 0)
        gauge("pgha_agent_standby_signal", "Whether standby.signal stands.", facts.standbySignal ? 1 : 0)
        gauge(
            "pgha_agent_pledge_term", "The term this node is pledged to.",
            facts.pledge.map { Double($0.number.term.number) })
        gauge("pgha_agent_data_free_bytes", "Free bytes where the data is.", facts.dataFreeBytes.map { Double($0) })
        gauge("pgha_agent_wal_free_bytes", "Free bytes where the WAL is.", facts.walFreeBytes.map { Double($0) })
        gauge("pgha_agent_busy", "Whether long-running work is under way.", facts.activity == nil ? 0 : 1)
        gauge(
            "pgha_agent_work_progress_ratio", "How far a base backup or a rewind is.",
            facts.activity.flatMap(Self.progress))
        gauge("pgha_agent_problem", "Whether the last work failed.", facts.problem == nil ? 0 : 1)
        gauge(
            "pgha_agent_diverged_saved", "Times that WAL of a former leader was saved and is kept.",
            saved.map { Double($0.count) })
        gauge("pgha_agent_diverged_bytes", "The size of that.", saved.map { Double($0.bytes) })
        self.certificates.update(certificates)
        self.process.update()
        return self.metrics.text()
    }

    /// `clone from a: 45 %`, and pg_rewind's `rewind: 1024/2048 kB (50%) copied`.
    static func progress(_ activity: String) -> Double? {
        guard let percent = activity.firstMatch(of: #/([0-9]+) ?%/#), let value = Double(percent.1) else { return nil }
        return min(value / 100, 1)
    }
}

/// WAL of former leaders that is kept under `diverged`.
package struct SavedWAL: Hashable, Sendable {
    /// Times.
    package var count: Int
    package var bytes: UInt64

    package init(count: Int, bytes: UInt64) {
        self.count = count
        self.bytes = bytes
    }
}
