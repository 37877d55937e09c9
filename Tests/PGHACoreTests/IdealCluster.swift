import PGHACore
import Testing

/// A coordinator among servers that do at once what they are asked, and a store that takes every write.
///
/// Each write is kept, so that another coordinator can be started from it: that is what a killed controller leaves.
struct IdealCluster {
    var coordinator: Coordinator
    var now: Int64 = 0
    private(set) var writes: [ClusterState] = []
    private(set) var orders: [String] = []
    /// Servers that do not answer.
    var down: Set<NodeName> = []
    private var primary: NodeName?
    private var names: [NodeName: ReplicationName] = [:]
    private var pledges: [NodeName: Pledge] = [:]
    private var list = SyncList.fence
    private var timeline: UInt32 = 1
    private var forks: [(UInt32, UInt64)] = []
    private var end: UInt64 = 100
    private var ticks = 0
    private var queue: [Coordinator.Event] = []

    /// As a controller that starts from `state`. `primary` runs as one.
    init(_ state: ClusterState?, primary: String?, seed: UInt64 = 1) {
        self.coordinator = Coordinator(seed: seed, at: at(0))
        self.primary = primary.map { node($0) }
        self.names = state?.replicationNames ?? [:]
        if let rule = state?.rule { self.list = SyncList(rule, names: self.names) }
        self.perform(self.coordinator.handle(.loaded(state), at: at(0)))
    }

    /// As the next controller: `state` is what the store holds, the servers are as they are.
    mutating func restart(from state: ClusterState) {
        self.coordinator = Coordinator(seed: UInt64(self.now) + 7, at: at(self.now))
        self.queue = []
        self.perform(self.coordinator.handle(.loaded(state), at: at(self.now)))
    }

    mutating func request(_ request: OperatorRequest) throws {
        self.perform(try self.coordinator.request(request, at: at(self.now)).get())
    }

    /// What the store may hold now: a write that is under way has reached it, or not.
    var possibleStates: [ClusterState] { self.writes.suffix(self.queue.contains(.stored) ? 2 : 1) }

    /// Runs until the store holds a rule, no procedure is left, and `condition` holds; false after `seconds`.
    mutating func run(seconds: Int64 = 60, until condition: (ClusterState) -> Bool = { _ in true }) -> Bool {
        let limit = self.now + seconds * 1000
        while self.now < limit {
            self.step()
            if self.queue.isEmpty, let state = self.coordinator.state, state.rule != nil, state.procedure == nil,
                self.coordinator.status(at: at(self.now)).phase == "steady", condition(state)
            {
                return true
            }
        }
        return false
    }

    /// One event, which takes a millisecond, or 50 ms without any.
    mutating func step() {
        if !self.queue.isEmpty {
            self.now += 1
        } else {
            self.now += 50
            self.ticks += 1
            self.queue = [.tick] + (self.ticks % 5 == 0 ? self.probes() : [])
        }
        self.perform(self.coordinator.handle(self.queue.removeFirst(), at: at(self.now)))
    }

    private mutating func perform(_ effects: Effects) {
        if let persist = effects.persist {
            self.writes.append(persist.state)
            self.queue.append(.stored)
        }
        for order in effects.send {
            self.orders.append("\(order.command.label) \(order.node)")
            let outcome =
                self.down.contains(order.node) ? .failed(.unreachable("down")) : self.obey(order.node, order.command)
            self.queue.append(.answered(order.node, order.command, outcome))
        }
    }

    private var position: WALPosition { PGHACoreTests.position(self.forks, on: self.timeline, end: self.end) }

    private func probes() -> [Coordinator.Event] {
        self.coordinator.nodes.keys.sorted().map { name in
            guard !self.down.contains(name) else { return .probed(name, .failure(.refused), began: at(self.now)) }
            var seen =
                name == self.primary
                ? PGHACoreTests.primary(at: self.end, senders: self.senders, list: self.list.setting)
                : standby(at: self.end, message: self.now, pledge: nil)
            seen.pledge = self.pledges[name]
            seen.timeline = TimelineID(self.timeline)
            return .probed(name, .success(seen), began: at(self.now))
        }
    }

    private var senders: [SenderObservation] {
        self.names.filter { $0.key != self.primary && !self.down.contains($0.key) }.sorted { $0.key < $1.key }.map {
            let priority =
                switch self.list {
                case .fence, .none: 0
                case .any(_, let names): names.contains($0.value) ? 1 : 0
                case .marked(_, let names): names.contains($0.value) ? 2 : 0
                }
            return sender($0.value, flushed: self.end, priority: priority)
        }
    }

    // MARK: - Orders

    private mutating func obey(_ name: NodeName, _ command: NodeCommand) -> NodeOutcome {
        if let pledge = command.pledge {
            if let held = self.pledges[name], !held.mayBecome(pledge) { return .failed(.refused(holding: held)) }
            self.pledges[name] = pledge
        }
        let leads = self.primary == name
        switch command {
        case .seal: return leads ? .failed(.isPrimary) : .sealed(self.position)
        case .readPosition: return .sealed(self.position)
        case .reclaim, .startLeader:
            if !leads, case .reclaim = command { return .failed(.isStandby) }
            (self.primary, self.list) = (name, .fence)
            return .reclaimed(self.position)
        case .promote:
            if !leads {
                self.forks.append((self.timeline, self.end))
                (self.primary, self.timeline, self.end, self.list) = (name, self.timeline + 1, self.end + 10, .fence)
            }
            return .promoted(self.position)
        case .follow(_, _, let own), .rejoin(_, _, let own, _):
            self.names[name] = own
            return .done
        case .writeTermRow:
            self.end += 10
            return .wrote(LSN(self.end))
        case .readSenders: return .senders(self.senders)
        case .setSyncList(_, let list):
            self.list = list
            return .done
        case .fence:
            if leads { self.primary = nil }
            return .fenced(self.position)
        case .startStandby, .checkpoint, .lease: return .done
        case .initialize:
            self.primary = name
            return .initialized(systemIdentifier: 1, self.position)
        }
    }
}

extension NodeCommand {
    /// Nil where none is asked for.
    fileprivate var pledge: Pledge? {
        switch self {
        case .seal(let pledge), .reclaim(let pledge), .readPosition(let pledge), .promote(let pledge),
            .follow(let pledge, _, _), .readSenders(let pledge), .setSyncList(let pledge, _), .fence(let pledge, _),
            .startLeader(let pledge), .startStandby(let pledge), .rejoin(let pledge, _, _, _), .initialize(let pledge),
            .lease(let pledge, _):
            pledge
        case .writeTermRow(let rule, _, _): rule.pledge
        case .checkpoint: nil
        }
    }
}
