import PGHACore

/// One thing that goes wrong, or that an operator does, at a time after the cluster was made.
///
/// A schedule is made from the seed before the run, so that a failing one can be shortened, written to a file and run
/// again. Its text is one line: `12.345 when promoting power candidate for 8000`.
package struct Fault: Hashable, Sendable {
    package enum Kind: String, CaseIterable, Sendable {
        // Servers and hosts.
        case crash, restart, power, freeze, agent, receiver, reload, clients, disk, handmade
        // The network: both ways between two, one way, one from all others, everything slow.
        case cut, oneway, isolate, slow
        // The store: unreachable, slow, its answers lost, an old copy put back.
        case outage, lag, forget, restore
        // Controllers: killed, killed after some effects, stopped for a while.
        case controller, fuse, stall
        // Operators.
        case switchover, failover, force, pause, membership
        /// From `async` to `quorum` and back: only where the cluster began with `async`.
        case mode

        /// Those that are drawn for any cluster.
        static let drawn = Self.allCases.filter { $0 != .mode }
    }

    /// Who it happens to: by number, or by its part when it happens.
    package enum Target: Hashable, Sendable {
        case node(Int)
        case controller(Int)
        case store
        /// The leader of the rule in force.
        case leader
        /// The leader of the newest open rule.
        case candidate
        /// The first follower of the newest open rule.
        case follower
        /// The first node that the newest open rule does not count.
        case outsider
        /// The controller that leads.
        case leading
    }

    /// A change of the store's state that an armed fault waits for.
    package enum Trigger: String, CaseIterable, Sendable { case sealing, promoting, changing, steady }

    /// Microseconds after the schedule began.
    package var time: Int64
    /// It happens when the store next changes to this, not before `time`; nil: at `time`.
    package var trigger: Trigger?
    package var kind: Kind
    package var targets: [Target] = []
    /// Microseconds; zero for what has no length.
    package var length: Int64 = 0
    /// What the kind needs besides: a factor, a count, a delay in microseconds.
    package var amount: Int64 = 0

    package init(
        at time: Int64, when trigger: Trigger? = nil, _ kind: Kind, _ targets: [Target] = [], length: Int64 = 0,
        amount: Int64 = 0
    ) {
        self.time = time
        self.trigger = trigger
        self.kind = kind
        self.targets = targets
        self.length = length
        self.amount = amount
    }
}

// MARK: - Text

extension Fault.Target: CustomStringConvertible {
    package var description: String {
        switch self {
        case .node(let index): "n\(index)"
        case .controller(let index): "c\(index)"
        case .store: "store"
        case .leader: "leader"
        case .candidate: "candidate"
        case .follower: "follower"
        case .outsider: "outsider"
        case .leading: "leading"
        }
    }

    package init?(_ text: some StringProtocol) {
        switch text {
        case "store": self = .store
        case "leader": self = .leader
        case "candidate": self = .candidate
        case "follower": self = .follower
        case "outsider": self = .outsider
        case "leading": self = .leading
        default:
            guard let index = Int(text.dropFirst()), index >= 0 else { return nil }
            switch text.first {
            case "n" where index < Place.nodeLimit: self = .node(index)
            case "c" where index < Place.controllerLimit: self = .controller(index)
            default: return nil
            }
        }
    }
}

extension Fault: CustomStringConvertible {
    package var description: String {
        var words = [Self.seconds(self.time)]
        if let trigger = self.trigger { words += ["when", trigger.rawValue] }
        words.append(self.kind.rawValue)
        words += self.targets.map(\.description)
        if self.length > 0 { words += ["for", Self.seconds(self.length)] }
        if self.amount > 0 { words += ["amount", "\(self.amount)"] }
        return words.joined(separator: " ")
    }

    /// Nil for anything that ``description`` does not make.
    package init?(_ text: some StringProtocol) {
        var words = ArraySlice(String(text).split(separator: " ").map { String($0) })
        guard let time = words.popFirst().flatMap({ Self.microseconds($0) }) else { return nil }
        var trigger: Trigger?
        if words.first == "when" {
            trigger = words.dropFirst().first.flatMap(Trigger.init(rawValue:))
            guard trigger != nil else { return nil }
            words = words.dropFirst(2)
        }
        guard let kind = words.popFirst().flatMap(Kind.init(rawValue:)) else { return nil }
        self.init(at: time, when: trigger, kind)
        while let word = words.popFirst() {
            switch word {
            case "for":
                guard let length = words.popFirst().flatMap({ Self.microseconds($0) }) else { return nil }
                self.length = length
            case "amount":
                guard let amount = words.popFirst().flatMap({ Int64($0) }) else { return nil }
                self.amount = amount
            default:
                guard let target = Target(word) else { return nil }
                self.targets.append(target)
            }
        }
    }

    /// As `12.345678`.
    static func seconds(_ microseconds: Int64) -> String {
        let fraction = String(microseconds % 1_000_000)
        return "\(microseconds / 1_000_000)." + String(repeating: "0", count: 6 - fraction.count) + fraction
    }

    private static func microseconds(_ text: String) -> Int64? {
        let parts = text.split(separator: ".", omittingEmptySubsequences: false)
        guard parts.count == 2, parts[1].count == 6, let whole = Int64(parts[0]), let fraction = Int64(parts[1]),
            whole >= 0, whole < 1_000_000, fraction >= 0
        else { return nil }
        return whole * 1_000_000 + fraction
    }
}
