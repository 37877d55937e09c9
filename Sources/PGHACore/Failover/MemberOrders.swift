/// Keeps one order per node under way and says when a failed one may be sent again.
package struct MemberOrders: Hashable, Sendable {
    /// First wait after a failure; doubles up to ``slowest``.
    package static let fastest = Duration.milliseconds(50)
    package static let slowest = Duration.seconds(2)

    private var outstanding: [NodeName: NodeCommand] = [:]
    private var failures: [NodeName: Int] = [:]
    private var notBefore: [NodeName: Moment] = [:]

    package init() {}

    package func isBusy(_ node: NodeName) -> Bool { self.outstanding[node] != nil }
    package func failureCount(_ node: NodeName) -> Int { self.failures[node] ?? 0 }

    /// Adds the order to `effects`, or a wake-up when it is too early for it. Nothing when the node is busy.
    package mutating func send(_ command: NodeCommand, to node: NodeName, at now: Moment, _ effects: inout Effects) {
        guard self.outstanding[node] == nil else { return }
        if let moment = self.notBefore[node], moment > now {
            effects.wake(at: moment)
            return
        }
        self.outstanding[node] = command
        effects.send.append(.init(node, command))
    }

    /// Whether the answer belongs to the order under way; an answer to anything else is old.
    package mutating func accept(_ node: NodeName, _ command: NodeCommand) -> Bool {
        guard self.outstanding[node] == command else { return false }
        self.outstanding[node] = nil
        return true
    }

    package mutating func succeeded(_ node: NodeName) {
        self.failures[node] = nil
        self.notBefore[node] = nil
    }

    /// The next order to `node` waits: 50 ms, 100 ms, … 2 s.
    package mutating func failed(_ node: NodeName, at now: Moment) {
        let count = (self.failures[node] ?? 0) + 1
        self.failures[node] = count
        self.notBefore[node] = now + min(Self.slowest, Self.fastest * (1 << min(count - 1, 6)))
    }

    package mutating func wait(_ node: NodeName, until moment: Moment) { self.notBefore[node] = moment }
}
