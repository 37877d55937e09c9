import PGHAClient
import PGHACore

/// What the status page shows of the past: how far the servers were, and the last procedure's steps. Kept in memory,
/// since it helps whoever looks now; what must last is in the history.
struct RecentPast: Sendable {
    /// 15 minutes of samples: 180, some 200 bytes each.
    static let interval = Duration.seconds(5)
    static let limit = 180
    /// A procedure that goes to and fro for longer shows its last steps.
    static let stepLimit = 12

    private(set) var samples: [LagSample] = []
    /// Of samples that were ever taken.
    private(set) var count = 0
    private var sampledAt: Moment?
    private(set) var phase = (name: "none", since: Moment.origin)
    /// The steps of the procedure under way, or of the last one.
    private(set) var procedure: [WatchReport.Step] = []

    static func isResting(_ phase: String) -> Bool { ["none", "steady", "halted"].contains(phase) }

    func isDue(at now: Moment) -> Bool { self.sampledAt.map { now - $0 >= Self.interval } ?? true }

    mutating func add(_ sample: LagSample, at now: Moment) {
        self.samples = self.samples.suffix(Self.limit - 1) + [sample]
        self.sampledAt = now
        self.count += 1
    }

    /// - Returns: The phase of a procedure that has ended with this, and how long it took.
    mutating func note(phase name: String, at now: Moment) -> (name: String, took: Duration)? {
        let (last, since) = self.phase
        guard name != last else { return nil }
        self.phase = (name, now)
        if Self.isResting(last) {
            if !Self.isResting(name) { self.procedure = [] }
        } else if !self.procedure.isEmpty {
            self.procedure[self.procedure.count - 1].milliseconds = (now - since).milliseconds
        }
        if !Self.isResting(name) {
            self.procedure = self.procedure.suffix(Self.stepLimit - 1) + [.init(phase: name, milliseconds: nil)]
        }
        return Self.isResting(last) ? nil : (last, now - since)
    }
}
