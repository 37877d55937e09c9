import PGHACore
import Testing

/// Every state of every procedure with every event. A change of policy shows as a diff of the committed tables.
@Suite struct MachineTableTests {
    private static let newer = rule("b", ["b"], copies: 1, term: 9, nonce: 3).pledge
    private static let older = rule("b", ["b"], copies: 1, term: 1, nonce: 3).pledge

    private static let outcomes: [(String, NodeOutcome)] = [
        ("done", .done),
        ("sealed at 100", .sealed(position(end: 100))),
        ("sealed at 130", .sealed(position(end: 130))),
        ("reclaimed at 200", .reclaimed(position(end: 200))),
        ("promoted at 110", .promoted(position([(1, 100)], on: 2, end: 110))),
        ("wrote 120", .wrote(LSN(120))),
        ("no walsenders", .senders([])),
        ("fenced, position unknown", .fenced(nil)),
        ("fenced at 300", .fenced(position(end: 300))),
        ("initialized", .initialized(systemIdentifier: 7, position(end: 50))),
        ("unreachable", .failed(.unreachable("gone"))),
        ("refused for a newer pledge", .failed(.refused(holding: newer))),
        ("refused for an older pledge", .failed(.refused(holding: older))),
        ("its lock is held", .failed(.locked)),
        ("it is a primary", .failed(.isPrimary)),
        ("it is a standby", .failed(.isStandby)),
        ("a receiver remains", .failed(.receiverRemains)),
        ("foreign", .failed(.foreignCluster(4))),
        ("failed", .failed(.other("no"))),
    ]

    // MARK: - Failover

    private func failover(_ kind: Failover.Kind, _ state: ClusterState = steady(["a", "b", "c"])) -> Walk<Failover> {
        Walk(Failover(claiming: state, kind: kind, reason: "test", nonce: 5, at: at(0)))
    }

    /// What every walsender of the plan would show, having flushed up to `end`.
    private func senders(_ walk: Walk<Failover>, flushed end: UInt64) -> NodeOutcome {
        .senders((walk.machine.plan?.names ?? [:]).sorted { $0.key < $1.key }.map { sender($0.value, flushed: end) })
    }

    @Test func failover() throws {
        var table = MachineTable<Failover>(
            "A failover of a, b, c (two copies), where a led term 1. What a line does not name stays as it is.",
            outcomes: Self.outcomes)
        var walk = self.failover(.automatic)
        table.add("automatic", walk)
        walk.stored()
        table.add("all are asked", walk)
        var fenced = walk
        fenced.answer("a", .failed(.unreachable("gone")))
        fenced.wait(100)
        table.add("a did not answer, its agent is asked", fenced)
        walk.answer("b", .sealed(position(end: 100)))
        table.add("b is sealed", walk)
        walk.answer("c", .sealed(position(end: 90)))
        table.add("b and c are sealed", walk)
        walk.answer("b", .sealed(position(end: 100)))
        table.add("c is to be read again", walk)
        walk.answer("c", .sealed(position(end: 90)))
        table.add("b is to lead, with c", walk)
        walk.stored()
        table.add("recorded", walk)
        walk.answer("b", .promoted(position([(1, 100)], on: 2, end: 110)))
        table.add("promoted, the timeline is being written", walk)
        walk.stored()
        table.add("the row is being written", walk)
        walk.answer("b", .wrote(LSN(120)))
        table.add("the row is to be flushed by c", walk)
        walk.answer("b", self.senders(walk, flushed: 120))
        table.add("flushed", walk)
        walk.answer("b", .done)
        table.add("the list stands", walk)
        walk.stored()
        table.add("over", walk)
        try expectTable("failover", table.text)
    }

    @Test func switchover() throws {
        var table = MachineTable<Failover>(
            "A switchover from a to b among a, b, c (two copies).", outcomes: Self.outcomes)
        var walk = self.failover(.planned(candidate: node("b")))
        table.add("planned", walk)
        walk.stored()
        table.add("a is being stopped", walk)
        walk.answer("a", .fenced(position(end: 100)))
        table.add("a has stopped", walk)
        walk.answer("c", .sealed(position(end: 100)))
        table.add("c is sealed, b is not", walk)
        walk.answer("b", .sealed(position(end: 100)))
        table.add("both are sealed", walk)
        try expectTable("switchover", table.text)
    }

    @Test func forcedFailover() throws {
        var table = MachineTable<Failover>(
            "A failover of a, b, c (two copies) for which data loss was accepted.", outcomes: Self.outcomes)
        var walk = self.failover(.requested(target: nil, force: true))
        table.add("forced", walk)
        walk.stored()
        table.add("all are asked", walk)
        walk.answer("c", .sealed(position(end: 90)))
        table.add("c is sealed", walk)
        try expectTable("forced-failover", table.text)
    }

    // MARK: - The others

    @Test func changeOfRule() throws {
        var table = MachineTable<RuleChange>(
            "c leaves the rule of a, b, c (two copies).", outcomes: Self.outcomes)
        let b = ReplicationName(node: node("b"), suffix: 1)
        let c = ReplicationName(node: node("c"), suffix: 1)
        var walk = Walk(
            RuleChange(
                steady(["a", "b", "c"]), cohort: [node("a"), node("b")], copies: 2, reason: "c left", at: at(0)))
        table.outcomes += [
            ("all show the old list", .senders([sender(b, flushed: 10), sender(c, flushed: 10)])),
            (
                "b shows the marker",
                .senders([sender(b, flushed: 10, priority: 2), sender(c, flushed: 10, priority: 0)])
            ),
            ("b shows the list", .senders([sender(b, flushed: 10), sender(c, flushed: 200, priority: 0)])),
            ("b has flushed 200", .senders([sender(b, flushed: 200), sender(c, flushed: 10, priority: 0)])),
        ]
        table.add("begun", walk)
        walk.stored()
        table.add("the marker is being set", walk)
        walk.answer("a", .done)
        table.add("the marker is to be seen", walk)
        walk.answer("a", .senders([sender(b, flushed: 10, priority: 2)]))
        walk.wait(10)
        table.add("the list is being set", walk)
        walk.answer("a", .done)
        table.add("the list is to be seen", walk)
        walk.answer("a", .senders([sender(b, flushed: 10)]))
        walk.wait(10)
        table.add("the row is being written", walk)
        walk.answer("a", .wrote(LSN(120)))
        table.add("b is to flush the row", walk)
        walk.answer("a", .senders([sender(b, flushed: 120)]))
        table.add("confirmed", walk)
        walk.stored()
        table.add("over", walk)
        self.copies(&table)
        try expectTable("rule-change", table.text)
    }

    /// To one copy and back.
    private func copies(_ table: inout MachineTable<RuleChange>) {
        var down = Walk(RuleChange(steady(["a", "b"]), cohort: [node("a")], copies: 1, reason: "b left", at: at(0)))
        down.stored()
        table.add("to one copy: recorded", down)
        var alone = steady(["a", "b"])
        let one = rule("a", ["a"], copies: 1, version: 3)
        alone.rule = one
        alone.openRules = [one]
        var up = Walk(RuleChange(alone, cohort: [node("a"), node("b")], copies: 2, reason: "b joined", at: at(0)))
        up.stored()
        table.add("from one copy: recorded", up)
    }

    @Test func bootstrap() throws {
        var table = MachineTable<Bootstrap>("The first servers of a, b, c (two copies).", outcomes: Self.outcomes)
        var walk = Walk(Bootstrap(ClusterState(spec: spec(["a", "b", "c"])), nonce: 5))
        table.add("asked for", walk)
        walk.stored()
        table.add("a is being made", walk)
        walk.answer("a", .initialized(systemIdentifier: 7, position(end: 50)))
        table.add("its identifier is being written", walk)
        walk.stored()
        table.add("b and c are being cloned", walk)
        walk.answer("b", .done)
        table.add("b follows", walk)
        walk.answer("c", .done)
        table.add("over", walk)
        try expectTable("bootstrap", table.text)
    }
}
