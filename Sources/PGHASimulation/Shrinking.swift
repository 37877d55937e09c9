import PGHACore

/// Shortens a failing run: fewer faults, fewer servers, less time, as long as it still fails.
///
/// Delta debugging over the schedule: halves of the faults are left out, then quarters, down to single ones. A shorter
/// schedule draws other latencies, so each candidate is tried with a few seeds of the world. Source of the method:
/// Zeller, Hildebrandt, "Simplifying and Isolating Failure-Inducing Input" (2002).
package struct Shrinker {
    /// Worlds tried for each candidate.
    package var worlds: UInt64 = 3
    /// Whether a report still shows what is looked for.
    package var fails: (Simulation.Report) -> Bool
    /// Runs that may still be made.
    package var budget: Int

    private var best: Scenario

    /// `scenario` fails.
    package init(_ scenario: Scenario, budget: Int = 600, fails: @escaping (Simulation.Report) -> Bool) {
        self.best = scenario
        self.budget = budget
        self.fails = fails
    }

    package mutating func shrink() -> Scenario {
        self.dropFlags()
        self.endEarly()
        var size = max(1, self.best.schedule.faults.count / 2)
        while self.budget > 0 {
            let before = self.best.schedule.faults.count
            self.dropRuns(of: size)
            if size == 1 && self.best.schedule.faults.count == before { break }
            size = max(1, size / 2)
        }
        self.endEarly()
        return self.best
    }

    /// The first world in which the candidate fails; it becomes the best.
    private mutating func tries(_ candidate: Scenario) -> Bool {
        for world in 0..<self.worlds where self.budget > 0 {
            self.budget -= 1
            var scenario = candidate
            scenario.seed = self.best.seed &+ world
            if self.fails(Simulation.run(scenario.options(wrong: true))) {
                self.best = scenario
                return true
            }
        }
        return false
    }

    private mutating func dropFlags() {
        for change: (inout Schedule) -> Void in [
            { $0.lastRound = false }, { $0.withoutAgent = false }, { $0.startsEarly = false }, { $0.controllers = 1 },
            { $0.controllers = min(2, $0.controllers) }, { $0.standbyLoss = nil }, { $0.poolers = 0 },
            { $0.poolers = min(1, $0.poolers) },
        ] {
            var candidate = self.best
            change(&candidate.schedule)
            if candidate.schedule != self.best.schedule { _ = self.tries(candidate) }
        }
    }

    /// The faults that had not happened by then are not needed, nor is the time.
    private mutating func endEarly() {
        let report = Simulation.run(self.best.options(wrong: true))
        let end = Int(report.simulatedSeconds) + 1
        var candidate = self.best
        candidate.schedule.faults.removeAll { $0.time > Int64(end) * 1_000_000 }
        if candidate != self.best { _ = self.tries(candidate) }
        guard let last = self.best.schedule.faults.map({ $0.time + $0.length }).max() else { return }
        candidate = self.best
        candidate.faultSeconds = min(candidate.faultSeconds, Int(last / 1_000_000) + 20)
        if candidate != self.best { _ = self.tries(candidate) }
    }

    private mutating func dropRuns(of size: Int) {
        var start = 0
        while start < self.best.schedule.faults.count, self.budget > 0 {
            var candidate = self.best
            candidate.schedule.faults.removeSubrange(start..<min(start + size, candidate.schedule.faults.count))
            if !self.tries(candidate) { start += size }
        }
    }
}

extension Scenario {
    /// The seed's own run, if it breaks a promise, in the shortest form that was found.
    package static func shortest(failing options: Simulation.Options, budget: Int = 600) -> Scenario? {
        let report = Simulation.run(options)
        guard report.violation != nil else { return nil }
        let schedule = options.schedule ?? Schedule(seed: options.seed, seconds: options.faultSeconds)
        var scenario = Scenario(
            seed: options.seed, faultSeconds: options.faultSeconds, schedule: schedule, variant: options.variant)
        scenario.comment = ["seed \(options.seed): \(report.violation ?? "")"]
        let isVariant = options.variant != nil
        var shrinker = Shrinker(scenario, budget: budget) { shorter in
            options.variant?.isShown(by: shorter) ?? (shorter.violation != nil && shorter.isUnsafe == report.isUnsafe)
        }
        var result = shrinker.shrink()
        if isVariant { result.comment = ["found with seed \(options.seed)"] }
        let final = Simulation.run(result.options(wrong: true))
        result.comment.append(final.violation ?? "")
        result.outcome = isVariant ? result.replay().outcome : final.outcome
        return result
    }
}
