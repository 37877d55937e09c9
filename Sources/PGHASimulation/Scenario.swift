import PGHACore

/// A run that is kept: what happens, `----`, and what must come of it.
///
/// A failing seed becomes one when it was shortened; the tests replay all of them. The part after the line is exact:
/// every rule that the store confirmed, in order, and the verdict.
package struct Scenario: Hashable, Sendable {
    /// What it shows, for people; lines that begin with `#`.
    package var comment: [String] = []
    package var seed: UInt64
    package var faultSeconds: Int
    package var schedule: Schedule
    /// The wrong variant that it catches; the right one passes.
    package var variant: Variant?
    /// Lines after the `----`.
    package var outcome: [String] = []

    package init(seed: UInt64, faultSeconds: Int, schedule: Schedule, variant: Variant? = nil) {
        self.seed = seed
        self.faultSeconds = faultSeconds
        self.schedule = schedule
        self.variant = variant
    }

    /// What to run; `wrong` with its variant.
    package func options(wrong: Bool, tracing: Bool = false) -> Simulation.Options {
        .init(
            seed: self.seed, faultSeconds: self.faultSeconds, variant: wrong ? self.variant : nil, tracing: tracing,
            schedule: self.schedule)
    }

    package func replay() -> Simulation.Report { Simulation.run(self.options(wrong: false)) }
}

extension Simulation.Report {
    /// The exact effects that a scenario keeps.
    package var outcome: [String] {
        self.rules + ["\(self.failovers) failovers, \(self.acknowledged) commits acknowledged"]
            + [self.violation.map { "violated: \($0)" } ?? "nothing violated"]
    }
}

// MARK: - Text

extension Scenario {
    package var text: String {
        var lines = self.comment.map { "# \($0)" }
        lines.append("seed \(self.seed)")
        lines.append("seconds \(self.faultSeconds)")
        lines.append("nodes \(self.schedule.nodes)")
        lines.append("copies \(self.schedule.copies)")
        if let loss = self.schedule.standbyLoss { lines.append("standby_loss \(loss.rawValue)") }
        lines.append("controllers \(self.schedule.controllers)")
        if let async = self.schedule.async { lines.append("async lease \(async.lease) max_lag \(async.maxLag)") }
        if self.schedule.poolers > 0 { lines.append("poolers \(self.schedule.poolers)") }
        if self.schedule.withoutAgent { lines.append("without_agent") }
        if self.schedule.startsEarly { lines.append("starts_early") }
        if self.schedule.lastRound { lines.append("last_round") }
        if let variant = self.variant { lines.append("variant \(variant.rawValue)") }
        lines += self.schedule.faults.map { "fault \($0)" }
        return (lines + ["----"] + self.outcome).joined(separator: "\n") + "\n"
    }

    /// Nil, with the line that is not understood, for anything that ``text`` does not make.
    package static func parse(_ text: String) -> Result<Scenario, ParseError> {
        var scenario = Scenario(seed: 0, faultSeconds: 120, schedule: Schedule())
        var isOutcome = false
        for line in text.split(separator: "\n").map(String.init) {
            if isOutcome {
                scenario.outcome.append(line)
            } else if line == "----" {
                isOutcome = true
            } else if line.hasPrefix("#") {
                scenario.comment.append(String(line.drop { $0 == "#" || $0 == " " }))
            } else if !scenario.take(line) {
                return .failure(ParseError(line: line))
            }
        }
        return .success(scenario)
    }

    package struct ParseError: Error, CustomStringConvertible {
        package var line: String
        package var description: String { "not a line of a scenario: \(self.line)" }
    }

    private mutating func take(_ line: String) -> Bool {
        let words = line.split(separator: " ", maxSplits: 1).map(String.init)
        guard let key = words.first else { return false }
        let value = words.count > 1 ? words[1] : ""
        switch key {
        case "seed": return Self.set(&self.seed, UInt64(value))
        case "seconds": return Self.set(&self.faultSeconds, Int(value))
        case "nodes":
            return Self.set(&self.schedule.nodes, Int(value).flatMap { (2...Place.nodeLimit).contains($0) ? $0 : nil })
        case "copies": return Self.set(&self.schedule.copies, Int(value).flatMap { $0 > 1 ? $0 : nil })
        case "controllers":
            return Self.set(
                &self.schedule.controllers, Int(value).flatMap { (1...Place.controllerLimit).contains($0) ? $0 : nil })
        case "poolers":
            return Self.set(
                &self.schedule.poolers, Int(value).flatMap { (0...Place.poolerLimit).contains($0) ? $0 : nil })
        case "standby_loss":
            self.schedule.standbyLoss = Durability.StandbyLoss(rawValue: value)
            return self.schedule.standbyLoss != nil
        case "async":
            let parts = value.split(separator: " ")
            guard parts.count == 4, parts[0] == "lease", parts[2] == "max_lag", let lease = Int(parts[1]),
                let maxLag = Int(parts[3]), lease > 0, maxLag >= 0
            else { return false }
            self.schedule.async = .init(lease: lease, maxLag: maxLag)
        case "without_agent": self.schedule.withoutAgent = true
        case "starts_early": self.schedule.startsEarly = true
        case "last_round": self.schedule.lastRound = true
        case "variant":
            self.variant = Variant(rawValue: value)
            return self.variant != nil
        case "fault":
            guard let fault = Fault(value) else { return false }
            self.schedule.faults.append(fault)
        default: return false
        }
        return true
    }

    private static func set<T>(_ target: inout T, _ value: T?) -> Bool {
        guard let value else { return false }
        target = value
        return true
    }
}
