import Glibc
import PGHAClient
import PGHATesting

/// What a run does to its cluster, chosen by the seed. Each fault is over when ``Faults/heal()`` has returned.
enum Fault: String, CaseIterable {
    case killPrimary = "kill the primary's postmaster"
    case killStandby = "kill a standby's postmaster"
    case killHost = "kill every process of the primary's host"
    case killAgent = "kill the primary's agent"
    case freezeHost = "freeze the primary's host"
    case freezeStandby = "freeze a standby's host"
    case unplug = "take the primary's link down"
    case unplugStandby = "take a standby's link down"
    case loseSent = "lose what the primary sends to the controller"
    case loseReceived = "lose what the controller sends to the primary"
    case cutController = "cut the controller from the primary"
    case cutStandby = "cut a standby from the primary"
    case cutStandbys = "cut both standbys from the primary"
    case cutPooler = "cut the pooler from the primary"
    case killController = "kill the controller"
    case killControllerAndPrimary = "kill the controller and the primary"
    case killTwo = "kill the primary's host and a standby's"
    case powerLoss = "kill everything"
    case switchover = "switch over"
    case switchoverAndKill = "kill the old primary's host during a switchover"

    /// Longest time for which it lasts. Seconds.
    var longest: Double {
        switch self {
        case .switchover, .switchoverAndKill: 1
        case .freezeHost, .unplug, .cutController, .loseSent, .loseReceived: 20
        default: 8
        }
    }
}

/// Does faults to a cluster, and remembers what must be healed.
struct Faults {
    let cluster: ScratchCluster
    private var frozen: [ScratchCluster.Node] = []

    init(_ cluster: ScratchCluster) { self.cluster = cluster }

    mutating func begin(_ fault: Fault, using random: inout some RandomNumberGenerator) async throws {
        let leader = try await self.cluster.leader()
        let standbys = self.cluster.nodes.filter { $0.name != leader.name }
        let standby = standbys.randomElement(using: &random) ?? leader
        switch fault {
        case .killPrimary: self.cluster.killPostmaster(leader)
        case .killStandby: self.cluster.killPostmaster(standby)
        case .killHost: self.cluster.killHost(leader)
        case .killAgent: self.cluster.killAgent(leader)
        case .freezeHost: self.freeze(leader)
        case .freezeStandby: self.freeze(standby)
        case .unplug: try await self.cluster.setLink(leader, up: false)
        case .unplugStandby: try await self.cluster.setLink(standby, up: false)
        case .loseSent: try await self.cluster.loseEverything(from: .node(leader), to: .controller)
        case .loseReceived: try await self.cluster.loseEverything(from: .controller, to: .node(leader))
        case .cutController: try await self.cluster.cut(.controller, from: .node(leader))
        case .cutStandby: try await self.cluster.cut(.node(standby), from: .node(leader))
        case .cutStandbys:
            for standby in standbys { try await self.cluster.cut(.node(standby), from: .node(leader)) }
        case .cutPooler: try await self.cluster.cut(.pooler, from: .node(leader))
        default: try await self.beginSeveral(fault, leader, standby)
        }
    }

    private func beginSeveral(
        _ fault: Fault, _ leader: ScratchCluster.Node, _ standby: ScratchCluster.Node
    ) async throws {
        switch fault {
        case .killController: self.cluster.killController()
        case .killControllerAndPrimary:
            self.cluster.killController()
            self.cluster.killHost(leader)
        case .killTwo:
            self.cluster.killHost(leader)
            self.cluster.killHost(standby)
        case .powerLoss:
            self.cluster.killController()
            for node in self.cluster.nodes { self.cluster.killHost(node) }
        // Refused while something else is under way, which is as good.
        case .switchover: _ = try? await self.cluster.client.switchover(SwitchoverCommand())
        case .switchoverAndKill:
            _ = try? await self.cluster.client.switchover(SwitchoverCommand())
            self.cluster.killHost(leader)
        default: break
        }
    }

    private mutating func freeze(_ node: ScratchCluster.Node) {
        self.frozen.append(node)
        self.cluster.signalHost(node, SIGSTOP)
    }

    /// Everything runs and everybody reaches everybody. What was killed comes back in an order of the seed.
    mutating func heal(using random: inout some RandomNumberGenerator) async throws {
        for node in self.frozen { self.cluster.signalHost(node, SIGCONT) }
        self.frozen = []
        try await self.cluster.mendNetwork()
        for node in self.cluster.nodes.shuffled(using: &random) where self.cluster.agentPID(node) == nil {
            try self.cluster.startAgent(node)
        }
        if self.cluster.controllerPID == nil { try self.cluster.startController() }
    }
}

/// SplitMix64: the same seed, the same faults. Source: Steele, Lea, Flood, "Fast Splittable Pseudorandom Number
/// Generators", 2014.
struct SeededGenerator: RandomNumberGenerator {
    private var state: UInt64

    init(seed: UInt64) { self.state = seed }

    mutating func next() -> UInt64 {
        self.state &+= 0x9E37_79B9_7F4A_7C15
        var mixed = self.state
        mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
        return mixed ^ (mixed >> 31)
    }
}
