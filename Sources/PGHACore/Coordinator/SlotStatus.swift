/// A physical replication slot of a node, for metrics.
package struct SlotStatus: Hashable, Sendable {
    package var node: NodeName
    package var slot: String
    package var active: Bool
    /// Given up, because its follower was away for longer than WAL is kept.
    package var lost: Bool
    /// Bytes of WAL that the node keeps for it; nil when nothing is reserved.
    package var retainedBytes: UInt64?

    package init(node: NodeName, slot: String, active: Bool, lost: Bool, retainedBytes: UInt64?) {
        self.node = node
        self.slot = slot
        self.active = active
        self.lost = lost
        self.retainedBytes = retainedBytes
    }
}

extension Coordinator {
    /// The slots of all nodes that were seen within the freshness limit.
    package func slots(at now: Moment) -> [SlotStatus] {
        guard let spec = self.state?.spec else { return [] }
        return spec.nodes.flatMap { node -> [SlotStatus] in
            guard let seen = self.nodes[node.name]?.fresh(spec.timings.freshness, at: now) else { return [] }
            return seen.slots.map { slot in
                SlotStatus(
                    node: node.name, slot: slot.name, active: slot.active, lost: slot.walStatus == "lost",
                    retainedBytes: slot.restartLSN.map { seen.position.bytesAhead(of: $0) })
            }
        }
    }
}
