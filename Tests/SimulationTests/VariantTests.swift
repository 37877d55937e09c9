import PGHASimulation
import Testing

@Suite struct VariantTests {
    /// The simulator would see each of these mistakes; the seeds are those that show them soonest.
    @Test(arguments: [Variant.emptyListOnStandbys, .promoteBeforeRecord])
    func aWrongVariantIsCaught(variant: Variant) {
        let caught = (UInt64(1)...200).first {
            Simulation.run(.init(seed: $0, faultSeconds: 60, variant: variant)).isUnsafe
        }
        #expect(caught != nil, "\(variant) was not caught in 200 seeds")
    }
}
