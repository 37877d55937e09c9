import PGHAClient
import PGHACore

/// What poolers last said of themselves.
struct PoolerBoard: Sendable {
    /// Two reports that did not come.
    static let freshness = Duration.seconds(12)

    private var figures: [String: (figures: PoolerFigures, at: Moment)] = [:]

    mutating func note(_ figures: PoolerFigures, of name: String, at now: Moment) {
        self.figures[name] = (figures, now)
    }

    mutating func forget(allBut names: [String]) { self.figures = self.figures.filter { names.contains($0.key) } }

    func reports(of names: [String], at now: Moment) -> [WatchReport.Pooler] {
        names.map { name in
            let known = self.figures[name]
            return .init(
                name: name, figures: known?.figures, ageMilliseconds: known.map { (now - $0.at).milliseconds })
        }
    }

    /// Of all poolers together, for each second; nil when none has said anything of late.
    func transactions(at now: Moment) -> Double? {
        let fresh = self.figures.values.filter { now - $0.at < Self.freshness }
        return fresh.isEmpty ? nil : fresh.reduce(0) { $0 + $1.figures.transactions }
    }
}
