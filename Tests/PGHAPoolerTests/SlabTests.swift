import Testing

@testable import PGHAPooler

@Suite("Connections keep their places") struct SlabTests {
    @Test func placesAreReusedAndLimited() {
        var slab = Slab<Int>(limit: 256)
        let first = slab.take()
        #expect(first == 0)
        for expected in 1..<256 as Range<UInt32> { #expect(slab.take() == expected) }
        #expect(slab.take() == nil)
        slab.release(7)
        #expect(slab.take() == nil)
        slab.reclaim()
        #expect(slab.take() == 7)
        #expect(slab.count == 256)
    }
}
