import PGHACore
import Testing

@Suite struct SpecChangeTests {
    /// The second and the third come while the first is being written, and know the specification from before only
    /// through what was accepted.
    @Test func changesThatFollowEachOtherQuicklyAllStay() throws {
        var coordinator = Coordinator(seed: 1, at: .origin)
        _ = coordinator.handle(.loaded(steady(["a", "b", "c"])), at: .origin)
        for (name, moment) in [("b", Int64(1)), ("c", 2)] {
            var changed = try #require(coordinator.latestSpec?[node(name)])
            changed.nofailover = true
            _ = try coordinator.request(.setNode(changed), at: at(moment)).get()
        }
        var settings = try #require(coordinator.latestSpec)
        settings.timings.freshness = .seconds(7)
        _ = try coordinator.request(.setSpec(settings), at: at(3)).get()
        let accepted = coordinator.latestSpec
        #expect(coordinator.state?.spec[node("b")]?.nofailover == false)

        for moment in [Int64(4), 5] { _ = coordinator.handle(.stored, at: at(moment)) }
        let stored = try #require(coordinator.state?.spec)
        #expect(stored == accepted)
        #expect(stored.nodes.filter(\.nofailover).map(\.name) == [node("b"), node("c")])
        #expect(stored.timings.freshness == .seconds(7))
    }
}
