import ArgumentParser
import Foundation
import PGHASimulation

/// `pgha simulate`: made-up clusters with the decisions that this executable ships.
struct SimulateCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "simulate", abstract: "Run whole clusters in simulated time and check every promise.",
        discussion: """
            Each seed makes a cluster, two minutes of faults and the recovery from them, in a fraction of a second. \
            Nothing on this machine is touched. A seed that breaks a promise is shortened and printed as a scenario, \
            which can be kept, replayed and sent in. The same seed gives the same trace on every machine.
            """)

    @Option(name: .long, help: ArgumentHelp("How many seeds.", valueName: "count"))
    var seeds: UInt64 = 1000

    @Option(name: .long, help: ArgumentHelp("The first of them.", valueName: "seed"))
    var first: UInt64 = 1

    @Option(name: .long, help: ArgumentHelp("Seconds of faults in each.", valueName: "seconds"))
    var seconds = 120

    @Option(
        name: .long,
        help: ArgumentHelp("Seeds that run at the same time; default: one for each core.", valueName: "count"))
    var jobs = ProcessInfo.processInfo.activeProcessorCount

    @Option(
        name: .long,
        help: ArgumentHelp("A deliberately wrong variant (debug builds only), or 'all'.", valueName: "name"))
    var variant: String?

    @Option(name: .long, help: ArgumentHelp("Replay this scenario instead.", valueName: "file"))
    var scenario: String?

    @Option(name: .long, help: ArgumentHelp("Keep the scenarios of failing seeds here.", valueName: "directory"))
    var keep: String?

    @Flag(name: .long, help: "Print all that happens.")
    var transcript = false

    func validate() throws {
        guard (1...3600).contains(self.seconds) else { throw ValidationError("--seconds takes 1 to 3600.") }
        guard (1...1024).contains(self.jobs) else { throw ValidationError("--jobs takes 1 to 1024.") }
        guard self.seeds > 0 else { throw ValidationError("--seeds takes 1 or more.") }
        if let variant = self.variant, !Variant.available.contains(where: { $0.rawValue == variant }), variant != "all"
        {
            let names = Variant.available.map(\.rawValue).joined(separator: ", ")
            throw ValidationError(
                names.isEmpty ? "This is a release build: it has no wrong variants." : "The variants are: \(names).")
        }
        if self.variant == "all", Variant.available.isEmpty {
            throw ValidationError("This is a release build: it has no wrong variants.")
        }
    }

    func run() async throws {
        if let file = self.scenario { return try self.replay(file) }
        if self.variant == "all" {
            for variant in Variant.available { try await self.search(variant) }
        } else if let name = self.variant, let variant = Variant(rawValue: name) {
            try await self.search(variant)
        } else {
            try await self.check()
        }
    }

    // MARK: - The right one

    private func check() async throws {
        let started = ContinuousClock.now
        var total = SimulationTotal()
        for await report in self.reports(variant: nil) {
            total.add(report)
            if report.violation != nil { try self.show(report) }
            if Terminal.standardError.isTerminal, total.seeds % 100 == 0 {
                Terminal.standardError.write("\r\(total.seeds) of \(self.seeds) seeds, \(total.failing) failing ")
            }
        }
        if Terminal.standardError.isTerminal { Terminal.standardError.write("\r\u{1B}[K") }
        Terminal.standardOutput.write(total.line(took: ContinuousClock.now - started) + "\n")
        if total.failing > 0 { throw ExitCode(1) }
    }

    private func show(_ report: Simulation.Report) throws {
        Terminal.standardOutput.write("seed \(report.seed): \(report.violation ?? "")\n")
        let options = Simulation.Options(seed: report.seed, faultSeconds: self.seconds)
        guard let scenario = Scenario.shortest(failing: options) else { return }
        Terminal.standardOutput.write(scenario.text)
        if self.transcript { self.write(Simulation.run(scenario.options(wrong: true, tracing: true)).transcript) }
        if let directory = self.keep {
            let file = URL(filePath: directory).appending(path: "seed-\(report.seed).txt")
            try Data(scenario.text.utf8).write(to: file)
        }
    }

    private func write(_ lines: [String]) {
        Terminal.standardOutput.write(lines.joined(separator: "\n") + "\n")
    }

    /// As they come; `jobs` at a time.
    private func reports(variant: Variant?) -> AsyncStream<Simulation.Report> {
        let (first, count, seconds) = (self.first, self.seeds, self.seconds)
        let transcript = self.transcript && count == 1
        let jobs = UInt64(self.jobs)
        return AsyncStream { continuation in
            let work = Task.detached {
                await withTaskGroup(of: Void.self) { group in
                    for job in 0..<min(jobs, count) {
                        group.addTask {
                            var seed = first + job
                            while seed < first + count, !Task.isCancelled {
                                if variant?.needsLeases == true, !Schedule.isAsync(seed) {
                                    seed += jobs
                                    continue
                                }
                                let options = Simulation.Options(
                                    seed: seed, faultSeconds: seconds, variant: variant, tracing: transcript)
                                let report = Simulation.run(options)
                                if transcript {
                                    Terminal.standardOutput.write(report.transcript.joined(separator: "\n") + "\n")
                                }
                                continuation.yield(report)
                                seed += jobs
                            }
                        }
                    }
                }
                continuation.finish()
            }
            continuation.onTermination = { _ in work.cancel() }
        }
    }

    // MARK: - The wrong ones

    /// The first seed that catches the variant, shortened.
    private func search(_ variant: Variant) async throws {
        var caught: Simulation.Report?
        for await report in self.reports(variant: variant) where variant.isShown(by: report) {
            caught = report
            break
        }
        guard let caught else {
            Terminal.standardOutput.write("\(variant.rawValue): not caught in \(self.seeds) seeds\n")
            return
        }
        Terminal.standardOutput.write("\(variant.rawValue): seed \(caught.seed): \(caught.violation ?? "")\n")
        guard let directory = self.keep else { return }
        let options = Simulation.Options(seed: caught.seed, faultSeconds: self.seconds, variant: variant)
        guard let scenario = Scenario.shortest(failing: options) else { return }
        try Data(scenario.text.utf8).write(to: URL(filePath: directory).appending(path: "\(variant.rawValue).txt"))
    }

    // MARK: - A scenario

    private func replay(_ file: String) throws {
        guard let text = try? String(contentsOf: URL(filePath: file), encoding: .utf8) else {
            throw CommandError(
                .failed, "\(file) cannot be read", hint: "Scenarios are under Tests/SimulationTests/Scenarios.")
        }
        let scenario: Scenario
        switch Scenario.parse(text) {
        case .success(let parsed): scenario = parsed
        case .failure(let error):
            throw CommandError(.failed, "\(file): \(error)", hint: "See a file that 'pgha simulate --keep' wrote.")
        }
        let isWrong = scenario.variant.map { Variant.available.contains($0) } ?? false
        let report = Simulation.run(scenario.options(wrong: isWrong, tracing: self.transcript))
        self.write(report.transcript + report.outcome)
        if report.violation != nil { throw ExitCode(1) }
    }
}

/// What many seeds came to.
struct SimulationTotal: Hashable {
    var seeds = 0
    var failing = 0
    var failovers = 0
    var acknowledged = 0
    var simulatedSeconds = 0.0

    mutating func add(_ report: Simulation.Report) {
        self.seeds += 1
        self.failing += report.violation == nil ? 0 : 1
        self.failovers += report.failovers
        self.acknowledged += report.acknowledged
        self.simulatedSeconds += report.simulatedSeconds
    }

    /// One line for people.
    func line(took: Duration) -> String {
        let hours = (self.simulatedSeconds / 360).rounded() / 10
        let seconds = Double(took.components.seconds) + Double(took.components.attoseconds) / 1e18
        let speed = seconds > 0 ? Int(self.simulatedSeconds / seconds) : 0
        return "\(self.seeds) seeds, \(self.failing) failing: \(hours) simulated hours, \(self.failovers) failovers, "
            + "\(self.acknowledged) commits acknowledged; \(Int(seconds.rounded())) s, \(speed) simulated seconds per second"
    }
}
