package import PGHACore
package import PGHAStore

/// What every ``ClusterStore`` does, as checks that throw when it does not.
///
/// A test suite runs each of ``all`` against an empty store of its own.
package struct StoreContract: Sendable, CustomStringConvertible {
    package let name: String
    /// Throws ``Violation``, or what the store threw.
    package let check: @Sendable (any ClusterStore) async throws -> Void

    package var description: String { self.name }

    package struct Violation: Error, CustomStringConvertible {
        package let description: String
    }

    package static let all: [StoreContract] = [
        StoreContract("an empty store has no state and no history") { store in
            try await Self.equal(store.load(), nil)
            try await Self.equal(store.history(limit: 10), [])
        },
        StoreContract("the first write expects an empty store and is revision 1") { store in
            try await Self.equal(store.compareAndSet(Self.rich, expecting: nil), 1)
            try await Self.equal(store.load(), VersionedState(revision: 1, state: Self.rich))
        },
        StoreContract("every write gets the next revision") { store in
            for revision in Int64(0)..<5 {
                let next = try await store.compareAndSet(Self.poor, expecting: revision == 0 ? nil : revision)
                try Self.equal(next, revision + 1)
            }
        },
        StoreContract("a writer that read an older revision conflicts and changes nothing") { store in
            _ = try await store.compareAndSet(Self.poor, expecting: nil)
            _ = try await store.compareAndSet(Self.rich, expecting: 1)
            for stale in [nil, 1, 3] as [Int64?] {
                try await Self.conflict(actual: 2) {
                    try await store.compareAndSet(Self.poor, expecting: stale, history: [Self.entry(1)])
                }
            }
            try await Self.equal(store.load(), VersionedState(revision: 2, state: Self.rich))
            try await Self.equal(store.history(limit: 10), [])
        },
        StoreContract("a writer that expects a state conflicts with an empty store") { store in
            try await Self.conflict(actual: nil) { try await store.compareAndSet(Self.poor, expecting: 1) }
            try await Self.equal(store.load(), nil)
        },
        StoreContract("history is written together with the state it belongs to") { store in
            _ = try await store.compareAndSet(Self.poor, expecting: nil, history: [Self.entry(1), Self.entry(2)])
            try await Self.equal(store.history(limit: 10), [Self.entry(1), Self.entry(2)])
        },
        StoreContract("the newest entries are given in the order of writing") { store in
            for number in Int64(1)...5 { try await store.appendHistory([Self.entry(number)]) }
            try await Self.equal(store.history(limit: 2), [Self.entry(4), Self.entry(5)])
            try await Self.equal(store.history(limit: 0), [])
            try await store.appendHistory([])
            try await Self.equal(store.history(limit: 9).count, 5)
        },
        StoreContract("entries without a change of state leave the revision alone") { store in
            _ = try await store.compareAndSet(Self.poor, expecting: nil)
            try await store.appendHistory([Self.entry(1)])
            try await Self.equal(store.compareAndSet(Self.rich, expecting: 1), 2)
        },
        StoreContract("of many writers at once exactly one wins") { store in
            let wins = try await withThrowingTaskGroup(of: Bool.self) { group in
                for _ in 0..<16 {
                    group.addTask {
                        do {
                            _ = try await store.compareAndSet(Self.poor, expecting: nil)
                            return true
                        } catch StoreError.conflict {
                            return false
                        }
                    }
                }
                return try await group.reduce(into: 0) { $0 += $1 ? 1 : 0 }
            }
            try Self.equal(wins, 1)
        },
    ]

    init(_ name: String, check: @escaping @Sendable (any ClusterStore) async throws -> Void) {
        self.name = name
        self.check = check
    }

    // MARK: Samples

    /// A state with nothing optional.
    package static let poor = ClusterState(spec: ClusterSpec(name: "poor", nodes: []))

    /// A state with every field set, numbers at their limits.
    package static let rich: ClusterState = {
        let a = NodeName("a")!
        let b = NodeName("b")!
        var timings = Timings()
        timings.probeInterval = .microseconds(1)
        let spec = ClusterSpec(
            name: "rich",
            nodes: [
                NodeSpec(name: b, host: "10.0.0.2", port: 5432, agent: "http://10.0.0.2:8433", zone: "süd \"1\""),
                NodeSpec(name: a, host: "::1", port: 65535, priority: -1, nofailover: true, nosync: true, noread: true),
            ], durability: Durability(copies: 2, onStandbyLoss: .block), timings: timings,
            postgres: ["work_mem": "4MB", "log_line_prefix": "%m [%p] 'x' / \\"])
        let number = RuleNumber(term: Term(UInt64(Int64.max)), version: .max)
        let rule = Rule(number: number, nonce: .max, leader: a, cohort: [b], copies: 2)
        var state = ClusterState(spec: spec)
        state.systemIdentifier = .max
        state.term = Term(UInt64(Int64.max))
        state.rule = rule
        state.openRules = [rule]
        state.replicationNames = [b: ReplicationName(node: b, suffix: .max)]
        state.timelines = [
            RecordedTimeline(term: Term(1), timeline: TimelineID(1), fork: nil),
            RecordedTimeline(term: Term(2), timeline: TimelineID(.max), fork: LSN(.max)),
        ]
        state.procedure = .sealing(claim: rule.claim, reason: "a test", planned: b, forced: true)
        state.paused = true
        return state
    }()

    /// The entry of this number; every third has neither leader nor length.
    package static func entry(_ number: Int64) -> HistoryEntry {
        HistoryEntry(
            unixMicroseconds: number, kind: "note", term: Term(UInt64(number)),
            leader: number % 3 == 0 ? nil : NodeName("a"), detail: "entry \(number)",
            milliseconds: number % 3 == 0 ? nil : number)
    }

    private static func equal<Value: Equatable>(_ a: Value, _ b: Value) throws {
        if a != b { throw Violation(description: "\(a) is not \(b)") }
    }

    private static func conflict(actual: Int64?, _ write: @Sendable () async throws -> Int64) async throws {
        let revision: Int64
        do {
            revision = try await write()
        } catch let error as StoreError {
            return try Self.equal(error, .conflict(actual: actual))
        }
        throw Violation(description: "written as revision \(revision), a conflict was expected")
    }
}
