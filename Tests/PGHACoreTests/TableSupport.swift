import Foundation
import PGHACore
import Testing

/// A procedure's machine, as the tables need it.
protocol TabledMachine {
    var phaseInWords: String { get }
    var progress: ProcedureProgress { get }
    mutating func begin(at now: Moment) -> Effects
    mutating func handle(_ event: ProcedureEvent, at now: Moment) -> Effects
}

extension Failover: TabledMachine {
    var phaseInWords: String {
        switch self.phase {
        case .claiming: "claiming"
        case .draining: "draining"
        case .handingOver: "handing over"
        case .sealing: "sealing"
        case .rereading(let rest): "rereading \(rest.sorted().map(\.text).joined(separator: " "))"
        case .recording: "recording"
        case .promoting: "promoting"
        case .attaching: "attaching"
        case .opening: "opening"
        case .closing: "closing"
        case .finished: "finished"
        }
    }
}

extension RuleChange: TabledMachine {
    var phaseInWords: String {
        switch self.phase {
        case .recording: "recording"
        case .leasing: "leasing"
        case .fencing: "fencing"
        case .marking: "marking"
        case .markerSeen: "marker seen"
        case .listing: "listing"
        case .listSeen: "list seen"
        case .writing: "writing"
        case .confirming(let end): "confirming \(end)"
        case .closing: "closing"
        case .finished: "finished"
        }
    }
}

extension Bootstrap: TabledMachine {
    var phaseInWords: String {
        switch self.phase {
        case .recording: "recording"
        case .initializing: "initializing"
        case .identifying: "identifying"
        case .cloning: "cloning"
        case .finished: "finished"
        }
    }
}

/// A machine on its way, with the orders that it waits for.
struct Walk<Machine: TabledMachine> {
    var machine: Machine
    var now = at(0)
    private(set) var outstanding: [Effects.Order] = []
    /// The changes of phase on the way.
    private(set) var edges: Set<String> = []

    init(_ machine: Machine) {
        self.machine = machine
        self.remember(self.machine.begin(at: self.now))
    }

    private static func kind(_ phase: String) -> String {
        phase.hasPrefix("rereading") || phase.hasPrefix("confirming") ? String(phase.prefix { $0 != " " }) : phase
    }

    private mutating func remember(_ effects: Effects) { self.outstanding += effects.send }

    @discardableResult mutating func stored() -> Effects { self.apply(.stored) }

    @discardableResult mutating func wait(_ milliseconds: Int64) -> Effects {
        self.now = self.now + .milliseconds(milliseconds)
        return self.apply(.tick)
    }

    /// Answers the order to `node` that is under way.
    @discardableResult mutating func answer(_ name: String, _ outcome: NodeOutcome) -> Effects {
        guard let order = self.outstanding.first(where: { $0.node == node(name) }) else {
            Issue.record("\(name) was asked nothing in phase \(self.machine.phaseInWords)")
            return Effects()
        }
        return self.answer(order, outcome)
    }

    @discardableResult mutating func answer(_ order: Effects.Order, _ outcome: NodeOutcome) -> Effects {
        self.now = self.now + .milliseconds(1)
        self.outstanding.removeAll { $0 == order }
        return self.apply(.answered(order.node, order.command, outcome))
    }

    private mutating func apply(_ event: ProcedureEvent) -> Effects {
        let before = Self.kind(self.machine.phaseInWords)
        let effects = self.machine.handle(event, at: self.now)
        let after = Self.kind(self.machine.phaseInWords)
        if before != after { self.edges.insert("\(before) -> \(after)") }
        self.remember(effects)
        return effects
    }
}

/// Rows of one table: every state with every event, and what comes of it.
struct MachineTable<Machine: TabledMachine> {
    var title: String
    var outcomes: [(String, NodeOutcome)]
    private(set) var lines: [String] = []
    private var edges: Set<String> = []

    init(_ title: String, outcomes: [(String, NodeOutcome)]) {
        self.title = title
        self.outcomes = outcomes
    }

    mutating func add(_ name: String, _ state: Walk<Machine>) {
        self.lines.append("\n[\(state.machine.phaseInWords)] \(name)")
        self.row("stored", state) { $0.stored() }
        self.row("tick", state) { $0.wait(0) }
        self.row("tick 4 s later", state) { $0.wait(4000) }
        self.row("tick 70 s later", state) { $0.wait(70_000) }
        var seen: Set<String> = []
        for order in state.outstanding where seen.insert(order.command.label).inserted {
            for (words, outcome) in self.outcomes {
                self.row("\(order.command.label) \(order.node): \(words)", state) { $0.answer(order, outcome) }
            }
        }
        let foreign = Effects.Order(node("b"), .checkpoint)
        self.row("an answer to another order", state) { $0.answer(foreign, .done) }
    }

    private mutating func row(_ event: String, _ state: Walk<Machine>, _ apply: (inout Walk<Machine>) -> Effects) {
        var next = state
        let effects = apply(&next)
        let before = state.machine.phaseInWords
        let after = next.machine.phaseInWords
        var words: [String] = []
        if after != before { words.append("-> \(after)") }
        self.edges.formUnion(next.edges)
        if let persist = effects.persist { words.append("write \(Self.words(persist))") }
        if !effects.send.isEmpty { words.append(effects.orders.joined(separator: ", ")) }
        switch next.machine.progress {
        case .running, .finished: break
        case .failed(let reason, let exclude):
            words.append("FAILED \(reason)\(exclude.map { ", without \($0)" } ?? "")")
        case .storeIsOlder: words.append("STORE IS OLDER")
        }
        let padded = event.padding(toLength: max(44, event.count), withPad: " ", startingAt: 0)
        self.lines.append("  \(padded) \(words.isEmpty ? "." : words.joined(separator: "; "))")
    }

    private static func words(_ persist: Effects.Persist) -> String {
        let rules = persist.state.openRules.map { "\($0.number)" }.joined(separator: " ")
        return "\(persist.state.procedure?.phase ?? "steady")\(rules.isEmpty ? "" : " with \(rules)")"
    }

    var text: String {
        ([self.title, "", "Ways:"] + self.edges.sorted().map { "  \($0)" } + self.lines).joined(separator: "\n") + "\n"
    }
}

/// Compares with the committed file, or writes it where `PGHA_WRITE_TABLES` is set.
func expectTable(_ name: String, _ text: String, at location: SourceLocation = #_sourceLocation) throws {
    let file = URL(filePath: #filePath).deletingLastPathComponent().appending(path: "Tables/\(name).txt")
    if ProcessInfo.processInfo.environment["PGHA_WRITE_TABLES"] != nil {
        try Data(text.utf8).write(to: file)
        return
    }
    let committed = (try? String(contentsOf: file, encoding: .utf8)) ?? ""
    guard committed != text else { return }
    let old = committed.split(separator: "\n", omittingEmptySubsequences: false)
    let new = text.split(separator: "\n", omittingEmptySubsequences: false)
    let first =
        zip(old, new).first { $0 != $1 }.map { "was:  \($0)\nnow:  \($1)" } ?? "\(old.count) lines, now \(new.count)"
    Issue.record(
        "Tables/\(name).txt is not what the machine does; first difference:\n\(first)\nIf that is meant, run with PGHA_WRITE_TABLES=1 and review the diff.",
        sourceLocation: location)
}
