import Foundation
import Logging
import PGHAClient
import PGHAConfiguration
import PGHACore
import PGHAPooler
import ServiceLifecycle
import Synchronization

/// Tells the pooler who leads, as the controllers say. While none answers, the last word counts.
final class TopologyFollower: Service {
    private let controllers: [ControllerClient]
    /// Names this process to the controller: a switchover waits for the report of every pooler that follows.
    private let name = "\(ProcessInfo.processInfo.hostName)-\(ProcessInfo.processInfo.processIdentifier)"
    private let pooler: Pooler
    private let logger: Logger
    private let state: Mutex<State>

    private struct State {
        /// Directories with Unix sockets of servers on this host.
        var sockets: [String]
        var lastReport: TopologyReport?
        var lastApplied: PoolTopology?
    }

    /// Between two attempts, doubled up to the second while none succeeds.
    private static let pauses = (first: Duration.milliseconds(50), longest: Duration.seconds(1))

    init(_ settings: PoolerSettingValues, pooler: Pooler, logger: Logger) throws {
        let token = try settings.text("token_file").map { try BearerToken.read(path: $0) }
        self.controllers = settings.items("controller").map { ControllerClient(baseURL: $0, token: token) }
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

    private static func sockets(_ settings: PoolerSettingValues) -> [String] {
        (settings.text("server_sockets") ?? "").split(separator: ":").map(String.init)
    }

    func run() async throws {
        try? await cancelWhenGracefulShutdown {
            try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask { try await self.follow() }
                group.addTask { for await claim in self.pooler.drained { await self.reportDrained(claim) } }
                defer { group.cancelAll() }
                try await group.next()
            }
        }
    }

    /// To every controller: the one that leads waits for it.
    private func reportDrained(_ claim: Term) async {
        for controller in self.controllers {
            do {
                try await controller.reportDrained(pooler: self.name, claim: claim)
            } catch {
                self.logger.warning(
                    "not told that transactions are over",
                    metadata: ["controller": "\(controller.baseURL)", "claim": "\(claim.number)", "error": "\(error.message)"])
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
        let topology = await PoolTopology(report, at: ServerPlaces(sockets: sockets))
        let (isNew, isFirst) = self.state.withLock { state in
            defer { state.lastApplied = topology }
            state.lastReport = report
            return (state.lastApplied != topology, state.lastApplied == nil)
        }
        guard isNew else { return }
        self.pooler.apply(topology)
        self.logger.log(
            level: isFirst ? .notice : .info, "following the cluster",
            metadata: [
                "term": "\(topology.term.number)", "leader": "\(topology.leader.map { "\($0.name)" } ?? "none")",
                "at": "\(topology.leader.map { "\($0.host):\($0.port)" } ?? "")",
                "standbys": "\(topology.standbys.map(\.name.text).joined(separator: ","))",
            ])
    }
}

extension PoolTopology {
    init(_ report: TopologyReport, at places: ServerPlaces) async {
        var standbys: [Node] = []
        for server in report.standbys where !server.noread {
            if let node = await places.node(server) { standbys.append(node) }
        }
        var leader: Node?
        if let server = report.leader { leader = await places.node(server) }
        self.init(
            term: Term(report.term), leader: leader, standbys: standbys, claim: report.claim.map { Term($0) },
            successor: report.successor.flatMap { NodeName($0) })
    }
}
