import Foundation
import Logging
import PGHAClient
import PGHAConfiguration
import PGHACore
import PGHAPooler
import PGHATLS
import ServiceLifecycle
import Synchronization

/// Tells the pooler who leads, as the controllers say. While none answers, the last word counts.
final class TopologyFollower: Service {
    let controllers: [ControllerClient]
    /// Names this process to the controller: a switchover waits for the report of every pooler that follows by name.
    /// Nil without the token, which a report needs.
    let name: String?
    let pooler: Pooler
    let logger: Logger
    private let state: Mutex<State>

    private struct State {
        /// Directories with Unix sockets of servers on this host; nil: as agents say.
        var sockets: [String]?
        var lastReport: TopologyReport?
        var shown: View?
    }

    /// Between two attempts, doubled up to the second while none succeeds.
    private static let pauses = (first: Duration.milliseconds(50), longest: Duration.seconds(1))

    init(_ settings: PoolerSettingValues, tls: TLSIdentity?, pooler: Pooler, logger: Logger) throws {
        let token = try settings.text("token_file").map { try BearerToken.read(path: $0) }
        let process = ProcessInfo.processInfo
        self.name = token == nil ? nil : "\(process.hostName)-\(process.processIdentifier)"
        self.controllers = settings.items("controller").map { ControllerClient(baseURL: $0, token: token, tls: tls) }
        self.pooler = pooler
        self.logger = logger
        self.state = Mutex(State(sockets: Self.sockets(settings)))
    }

    /// Takes the settings over that may change while it runs.
    func reload(_ settings: PoolerSettingValues) async {
        let sockets = Self.sockets(settings)
        let report = self.state.withLock { state in
            state.sockets = sockets
            return state.lastReport
        }
        if let report { await self.take(report) }
    }

    private static func sockets(_ settings: PoolerSettingValues) -> [String]? {
        settings.text("server_sockets")?.split(separator: ":").map(String.init)
    }

    func run() async throws {
        try? await cancelWhenGracefulShutdown {
            try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask { try await self.follow() }
                group.addTask { try await self.reportFigures() }
                group.addTask { for await claim in self.pooler.drained { await self.reportDrained(claim) } }
                defer { group.cancelAll() }
                // The stream of drains ends with the pooler; this service may not, before it is asked to.
                try await group.waitForAll()
            }
        }
    }

    /// To every controller: the one that leads waits for it.
    private func reportDrained(_ claim: Term) async {
        guard let name = self.name else { return }
        for controller in self.controllers {
            do {
                try await controller.reportDrained(pooler: name, claim: claim)
            } catch {
                self.logger.warning(
                    "not told that transactions are over",
                    metadata: [
                        "controller": "\(controller.baseURL)", "claim": "\(claim.number)", "error": "\(error.message)",
                    ])
            }
        }
    }

    private func follow() async throws {
        var pause = Self.pauses.first
        var index = 0
        while !Task.isCancelled {
            let controller = self.controllers[index % self.controllers.count]
            let started = ContinuousClock.now
            do {
                try await controller.followTopology(pooler: self.name) { await self.take($0) }
            } catch let failure as ControllerFailure {
                let wasThere = ContinuousClock.now - started > .seconds(2)
                if wasThere { pause = Self.pauses.first }
                self.logger.log(
                    level: wasThere || pause == Self.pauses.first ? .warning : .debug,
                    "no word from the controller; going on with the servers known",
                    metadata: ["controller": "\(controller.baseURL)", "error": "\(failure.message)"])
            }
            index += 1
            try await Task.sleep(for: pause)
            pause = min(pause * 2, Self.pauses.longest)
        }
    }

    // MARK: - What a report means

    private func take(_ report: TopologyReport) async {
        let sockets = self.state.withLock { $0.sockets }
        let topology = await PoolTopology(report, at: ServerPlaces(sockets: sockets, report))
        self.pooler.apply(topology)
        let view = View(topology)
        let isNews = self.state.withLock { state in
            defer { state.shown = view }
            state.lastReport = report
            return state.shown != view
        }
        guard isNews else { return }
        self.logger.notice(
            "following the cluster",
            metadata: [
                "term": "\(view.term)", "leader": "\(view.leader)", "at": "\(view.address)",
                "standbys": "\(view.standbys)", "held_for_term": "\(view.claim)",
            ])
    }

    /// What a line of the log is worth: not every position that a standby has reached.
    private struct View: Equatable {
        let term: UInt64
        let leader: String
        let address: String
        let standbys: String
        /// Of the change of leader that is under way.
        let claim: String

        init(_ topology: PoolTopology) {
            self.term = topology.term.number
            self.leader = topology.leader.map { "\($0.name)" } ?? "none"
            self.address = topology.leader.map { "\($0.socket ?? $0.host):\($0.port)" } ?? ""
            self.standbys = topology.standbys.map(\.name.text).joined(separator: ",")
            self.claim = topology.claim.map { "\($0.number)" } ?? ""
        }
    }
}

extension PoolTopology {
    /// With names of hosts turned into numbers, and servers of this host reached by their sockets.
    init(_ report: TopologyReport, at places: ServerPlaces) async {
        var standbys: [Node] = []
        for server in report.standbys {
            if let node = await places.node(server) { standbys.append(node) }
        }
        var leader: Node?
        if let server = report.leader { leader = await places.node(server) }
        self.init(
            term: Term(report.term), leader: leader, standbys: standbys, claim: report.claim.map { Term($0) },
            successor: report.successor.flatMap { NodeName($0) }, terms: report.termStarts)
    }
}
