import Foundation
import GRDB
import PGHAStore
import PGHATesting
import Testing

@Suite struct SQLiteStoreTests {
    @Test func whatWasWrittenIsThereAfterReopening() async throws {
        try await StoreFile.with { path in
            let first = try await SQLiteStore.open(at: path)
            _ = try await first.compareAndSet(
                StoreContract.rich, expecting: nil, history: [StoreContract.entry(1), StoreContract.entry(3)])
            await first.close()
            let second = try await SQLiteStore.open(at: path)
            #expect(try await second.load() == VersionedState(revision: 1, state: StoreContract.rich))
            #expect(try await second.history(limit: 5) == [StoreContract.entry(1), StoreContract.entry(3)])
            await second.close()
        }
    }

    @Test func aSecondControllerOnTheSameFileIsRefusedByTheFirstOnesProcessID() async throws {
        try await StoreFile.with { path in
            let first = try await SQLiteStore.open(at: path)
            await #expect(throws: StoreError.lockedByAnotherController(pid: getpid(), path: path + ".lock")) {
                try await SQLiteStore.open(at: path)
            }
            await first.close()
            await #expect(throws: StoreError.self) { try await first.load() }
            let second = try await SQLiteStore.open(at: path)
            await second.close()
        }
    }

    @Test func aCommitIsOnDiskWhenItReturns() async throws {
        try await StoreFile.with { path in
            let store = try await SQLiteStore.open(at: path)
            #expect(try await store.synchronousLevel() == 2)
            await store.close()
        }
    }

    @Test func onlyTheOwnerMayReadTheFiles() async throws {
        try await StoreFile.with { path in
            // As an operator's copy of a backup might be.
            #expect(FileManager.default.createFile(atPath: path, contents: nil, attributes: [.posixPermissions: 0o644]))
            let store = try await SQLiteStore.open(at: path)
            _ = try await store.compareAndSet(StoreContract.poor, expecting: nil)
            for suffix in ["", "-wal", "-shm", ".lock"] {
                let mode = try FileManager.default.attributesOfItem(atPath: path + suffix)[.posixPermissions] as? Int
                #expect(mode == 0o600, "\(suffix)")
            }
            await store.close()
        }
    }

    @Test func aStoreOfANewerPghaIsRefusedUnchanged() async throws {
        try await StoreFile.with { path in
            try await Self.prepare(path) { try $0.execute(sql: "INSERT INTO grdb_migrations VALUES ('v9')") }
            let before = try Data(contentsOf: URL(filePath: path))
            await #expect(throws: StoreError.newerSchema(found: "v9", supported: "v1")) {
                try await SQLiteStore.open(at: path)
            }
            #expect(try Data(contentsOf: URL(filePath: path)) == before)
        }
    }

    @Test func aFileThatIsNoDatabaseIsRefused() async throws {
        try await StoreFile.with { path in
            try Data(repeating: 0x41, count: 8192).write(to: URL(filePath: path))
            await Self.expectDamaged(path)
        }
    }

    @Test func aDatabaseOfAnotherProgramIsRefused() async throws {
        try await StoreFile.with { path in
            try await DatabaseQueue(path: path).write { try $0.execute(sql: "CREATE TABLE other (x)") }
            await Self.expectDamaged(path)
        }
    }

    @Test func aDamagedPageIsFoundAtOpen() async throws {
        try await StoreFile.with { path in
            try await Self.prepare(path) { _ in }
            var bytes = try Data(contentsOf: URL(filePath: path))
            // Page 3 and the following hold tables and their rows.
            bytes.replaceSubrange(2 * 4096..<min(bytes.count, 4 * 4096), with: Data(repeating: 0xFF, count: 2 * 4096))
            try bytes.write(to: URL(filePath: path))
            await Self.expectDamaged(path)
        }
    }

    @Test func aStateThatCannotBeReadIsAnErrorAndNeverAnEmptyStore() async throws {
        try await StoreFile.with { path in
            try await Self.prepare(path) { try $0.execute(sql: "UPDATE state SET document = '{}'") }
            let store = try await SQLiteStore.open(at: path)
            await #expect {
                try await store.load()
            } throws: {
                if case .damaged = $0 as? StoreError { true } else { false }
            }
            await store.close()
        }
    }

    @Test func aWriterThatIsHeldUpByAnotherProgramSaysThatNothingChanged() async throws {
        try await StoreFile.with { path in
            let store = try await SQLiteStore.open(at: path)
            var configuration = Configuration()
            configuration.allowsUnsafeTransactions = true
            let intruder = try DatabaseQueue(path: path, configuration: configuration)
            try await intruder.writeWithoutTransaction { try $0.beginTransaction(.immediate) }
            await #expect {
                try await store.compareAndSet(StoreContract.poor, expecting: nil)
            } throws: {
                if case .unavailable = $0 as? StoreError { true } else { false }
            }
            try await intruder.writeWithoutTransaction { try $0.rollback() }
            #expect(try await store.compareAndSet(StoreContract.poor, expecting: nil) == 1)
            await store.close()
        }
    }

    @Test func aCancelledTaskStillGetsItsAnswer() async throws {
        try await StoreFile.with { path in
            let store = try await SQLiteStore.open(at: path)
            let write = Task {
                withUnsafeCurrentTask { $0?.cancel() }
                return try await store.compareAndSet(StoreContract.rich, expecting: nil)
            }
            #expect(try await write.value == 1)
            await store.close()
        }
    }

    @Test func theLogIsFoldedIntoTheFileAndReused() async throws {
        try await StoreFile.with { path in
            let store = try await SQLiteStore.open(at: path)
            for revision in Int64(0)..<300 {
                _ = try await store.compareAndSet(StoreContract.rich, expecting: revision == 0 ? nil : revision)
            }
            let size = try FileManager.default.attributesOfItem(atPath: path + "-wal")[.size] as? Int ?? .max
            // 100 commits of about three pages of 4 KiB.
            #expect(size < 2 << 20)
            await store.close()
        }
    }

    /// A store with one revision, changed behind pgha's back.
    private static func prepare(_ path: String, _ change: @escaping @Sendable (Database) throws -> Void) async throws {
        let store = try await SQLiteStore.open(at: path)
        _ = try await store.compareAndSet(StoreContract.rich, expecting: nil)
        await store.close()
        let queue = try DatabaseQueue(path: path)
        try await queue.write(change)
        try queue.close()
    }

    private static func expectDamaged(_ path: String) async {
        await #expect {
            try await SQLiteStore.open(at: path)
        } throws: {
            if case .damaged = $0 as? StoreError { true } else { false }
        }
    }
}
