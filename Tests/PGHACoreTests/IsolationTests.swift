import PGHACore
import Testing

/// a answers and streams to nobody; b and c answer and receive nothing.
@Suite("A leader that nobody can follow gives way") struct IsolationTests {
    private let state: ClusterState

    init() {
        var state = steady(["a", "b", "c"])
        state.spec.timings.standbyTimeout = .seconds(3)
        self.state = state
    }

    /// Twenty seconds of it; what was noted, and when the failover began (milliseconds).
    private func watched(
        _ state: ClusterState? = nil, receiving: Bool = false, streaming: Bool = false, silent: Set<String> = []
    ) -> (Coordinator, notes: [String], began: Int64?) {
        let state = state ?? self.state
        var coordinator = Coordinator(seed: 1, at: .origin)
        _ = coordinator.handle(.loaded(state), at: .origin)
        let senders = streaming ? state.replicationNames.values.map { sender($0, flushed: 100) } : []
        let list = SyncList(state.openRules[0], names: state.replicationNames).setting
        let pledge = state.openRules[0].pledge
        var notes: [String] = []
        for step in Int64(1)...80 {
            let now = at(step * 250)
            var seen = primary(at: 100, senders: senders, list: list)
            seen.pledge = pledge
            notes += coordinator.handle(.probed(node("a"), .success(seen), began: now), at: now).notes
            for name in ["b", "c"] where !silent.contains(name) {
                let standby = standby(at: 100, receiving: receiving, message: step, pledge: pledge)
                notes += coordinator.handle(.probed(node(name), .success(standby), began: now), at: now).notes
            }
            if notes.contains(where: { $0.contains("failover begins") }) { return (coordinator, notes, step * 250) }
        }
        return (coordinator, notes, nil)
    }

    @Test func theOthersDoWithoutIt() {
        let (_, notes, began) = self.watched()
        #expect(notes.contains { $0.contains("failover begins") && $0.contains("no standby has streamed from a") })
        // Twice the standby time-out.
        #expect(began.map { (6000...7000).contains($0) } == true)
    }

    @Test func oneStandbyIsTooFew() {
        let (coordinator, _, began) = self.watched(silent: ["c"])
        #expect(began == nil)
        let waiting = coordinator.status(at: at(20_000)).waitingFor
        #expect(waiting?.contains("too few others answer") == true, "\(waiting ?? "nothing")")
    }

    @Test func whoStillReceivesIsNotAlone() { #expect(self.watched(receiving: true).began == nil) }

    @Test func withFollowersNothingHappens() { #expect(self.watched(receiving: true, streaming: true).began == nil) }

    @Test func aPausedClusterSaysWhatItWouldDo() {
        var paused = self.state
        paused.paused = true
        let (coordinator, _, began) = self.watched(paused)
        #expect(began == nil)
        #expect(coordinator.status(at: at(20_000)).waitingFor?.contains("the cluster is paused") == true)
    }

    @Test func whoMayGoOnAloneDoes() {
        var state = steady(["a", "b", "c"], onLoss: .degrade)
        state.spec.timings.standbyTimeout = .seconds(3)
        #expect(self.watched(state).began == nil)
    }
}
