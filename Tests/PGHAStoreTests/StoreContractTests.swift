import PGHAStore
import PGHATesting
import Testing

@Suite struct StoreContractTests {
    @Test(arguments: StoreContract.all)
    func theMemoryStoreKeepsTheContract(_ clause: StoreContract) async throws {
        try await clause.check(MemoryStore())
    }

    @Test(arguments: StoreContract.all)
    func theSQLiteStoreKeepsTheContract(_ clause: StoreContract) async throws {
        try await StoreFile.with { path in
            let store = try await SQLiteStore.open(at: path)
            try await clause.check(store)
            await store.close()
        }
    }

    @Test func theMemoryStoreFailsAsItIsTold() async throws {
        let store = MemoryStore(StoreContract.poor)
        store.failNextWrite(.unknownBeforeWrite)
        store.failNextWrite(.unknownAfterWrite)
        store.failNextWrite(.conflict)
        await #expect(throws: StoreError.unknownOutcome("made up, before the write")) {
            try await store.compareAndSet(StoreContract.rich, expecting: 1)
        }
        #expect(store.current == VersionedState(revision: 1, state: StoreContract.poor))
        await #expect(throws: StoreError.unknownOutcome("made up, after the write")) {
            try await store.compareAndSet(StoreContract.rich, expecting: 1)
        }
        #expect(store.current == VersionedState(revision: 2, state: StoreContract.rich))
        await #expect(throws: StoreError.conflict(actual: 3)) {
            try await store.compareAndSet(StoreContract.rich, expecting: 2)
        }
        store.isUnavailable = true
        await #expect(throws: StoreError.unavailable("switched off by the test")) { try await store.load() }
        store.isUnavailable = false
        #expect(try await store.compareAndSet(StoreContract.rich, expecting: 3) == 4)
    }
}
