import HTTPTypes
import Hummingbird
import PGHACore

/// `GET /metrics` in Prometheus' text format, from the cached facts: a scrape costs no query.
enum MetricsRoute {
    static func add(to router: Router<AgentRoutes.Context>, _ agent: Agent) {
        router.get("/metrics") { _, _ in
            let facts = await agent.currentFacts()
            return Response(
                status: .ok, headers: [.contentType: "text/plain; version=0.0.4; charset=utf-8"],
                body: .init(byteBuffer: .init(string: self.text(facts))))
        }
    }

    static func text(_ facts: AgentFacts) -> String {
        var lines: [String] = []
        func gauge(_ name: String, _ help: String, _ value: String?) {
            guard let value else { return }
            lines += ["# HELP \(name) \(help)", "# TYPE \(name) gauge", "\(name){node=\"\(facts.node)\"} \(value)"]
        }
        var isRunning = false
        if case .running = facts.postmaster { isRunning = true }
        gauge("pgha_agent_postmaster_up", "Whether the postmaster runs.", isRunning ? "1" : "0")
        gauge("pgha_agent_standby_signal", "Whether standby.signal stands.", facts.standbySignal ? "1" : "0")
        gauge("pgha_agent_pledge_term", "The term this node is pledged to.", facts.pledge.map { "\($0.number.term)" })
        gauge("pgha_agent_data_free_bytes", "Free bytes where the data is.", facts.dataFreeBytes.map { "\($0)" })
        gauge("pgha_agent_wal_free_bytes", "Free bytes where the WAL is.", facts.walFreeBytes.map { "\($0)" })
        gauge("pgha_agent_busy", "Whether long-running work is under way.", facts.activity == nil ? "0" : "1")
        gauge("pgha_agent_problem", "Whether the last work failed.", facts.problem == nil ? "0" : "1")
        return lines.joined(separator: "\n") + "\n"
    }
}
