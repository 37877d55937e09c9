import PGHACore

/// A linearizable store: compare-and-set on a revision and on the writer's leadership, with a lease for the latter.
struct SimStore {
    private(set) var state: ClusterState?
    private(set) var revision = 0
    /// Every state that had a rule, oldest first.
    private var past: [ClusterState] = []
    /// Grows with every new leadership; writes of an older one conflict.
    private(set) var epoch = 0
    private var holder: Int?
    private var leaseEnds: Int64 = 0

    static let lease = Int64.s(3)

    struct Copy {
        var state: ClusterState?
        var revision: Int
        var epoch: Int
    }

    var copy: Copy { Copy(state: self.state, revision: self.revision, epoch: self.epoch) }

    /// Leadership for a controller that has none; nil while another holds it.
    mutating func acquire(_ controller: Int, at now: Int64) -> Copy? {
        guard self.holder == nil || self.holder == controller || now > self.leaseEnds else { return nil }
        self.holder = controller
        self.leaseEnds = now + Self.lease
        self.epoch += 1
        return self.copy
    }

    mutating func renew(_ epoch: Int, at now: Int64) -> Bool {
        guard epoch == self.epoch else { return false }
        self.leaseEnds = now + Self.lease
        return true
    }

    /// Reads, and makes every write that is still on its way conflict: a write of unknown outcome may otherwise be
    /// applied after it was read that it was not.
    mutating func settle(_ epoch: Int) -> Copy {
        if epoch == self.epoch { self.revision += 1 }
        return self.copy
    }

    mutating func write(_ state: ClusterState, expecting revision: Int, epoch: Int) -> Bool {
        guard epoch == self.epoch, revision == self.revision else { return false }
        self.state = state
        if state.rule != nil { self.past.append(state) }
        self.revision += 1
        return true
    }

    func hasPast(_ steps: Int) -> Bool { self.past.count > steps }

    /// Puts back what it held `steps` writes ago; whether that is not the same.
    mutating func restore(_ steps: Int) -> Bool {
        self.past.removeLast(steps)
        let newest = self.state
        self.state = self.past.last
        self.revision += 1
        self.epoch += 1
        self.holder = nil
        return newest != self.state
    }
}
