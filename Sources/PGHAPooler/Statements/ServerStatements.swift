/// What a server connection has prepared, least recently used last. Allocated with the first.
struct ServerStatements: BitwiseCopyable {
    struct Entry: BitwiseCopyable {
        let statement: StatementPointer
        /// Its Parse, in case that fails.
        let sequence: UInt32
        /// Its plan does not fit the tables any more: closed and prepared again before the next use.
        var isStale = false
        fileprivate var next: EntryPointer?
        fileprivate var newer: EntryPointer?
        fileprivate var older: EntryPointer?
    }
    typealias EntryPointer = UnsafeMutablePointer<Entry>

    private var buckets: UnsafeMutablePointer<EntryPointer?>
    private let mask: Int
    private(set) var count = 0
    private var newest: EntryPointer?
    private var oldest: EntryPointer?
    /// What the server has without a name.
    private(set) var unnamed: StatementPointer?
    private var unnamedSequence: UInt32 = 0

    static func make(limit: Int) -> UnsafeMutablePointer<ServerStatements> {
        let pointer = UnsafeMutablePointer<ServerStatements>.allocate(capacity: 1)
        pointer.initialize(to: ServerStatements(limit: limit))
        return pointer
    }

    private init(limit: Int) {
        var size = 16
        while size < limit { size *= 2 }
        self.mask = size - 1
        self.buckets = .allocate(capacity: size)
        self.buckets.initialize(repeating: nil, count: size)
    }

    mutating func deallocate(_ table: inout StatementTable) {
        self.removeAll(&table)
        self.buckets.deallocate()
    }

    /// Marks it as the most recently used.
    @inline(__always) mutating func use(_ statement: StatementPointer) -> EntryPointer? {
        var link = self.buckets[self.bucket(statement)]
        while let entry = link {
            if entry.pointee.statement == statement {
                if entry != self.newest {
                    self.unlink(entry)
                    self.linkNewest(entry)
                }
                return entry
            }
            link = entry.pointee.next
        }
        return nil
    }

    private func bucket(_ statement: StatementPointer) -> Int {
        Int(truncatingIfNeeded: statement.pointee.hash) & self.mask
    }

    /// Adds a use of `statement`, which must not be there.
    mutating func insert(_ statement: StatementPointer, sequence: UInt32) {
        statement.pointee.users += 1
        let entry = EntryPointer.allocate(capacity: 1)
        entry.initialize(to: Entry(statement: statement, sequence: sequence))
        entry.pointee.next = self.buckets[self.bucket(statement)]
        self.buckets[self.bucket(statement)] = entry
        self.linkNewest(entry)
        self.count += 1
    }

    /// Newest first.
    var all: [StatementPointer] {
        var all: [StatementPointer] = []
        var link = self.newest
        while let entry = link {
            all.append(entry.pointee.statement)
            link = entry.pointee.older
        }
        return all
    }

    /// Which of them the server has is not known any more.
    mutating func doubtAll(_ table: inout StatementTable) {
        self.setUnnamed(nil, sequence: 0, &table)
        var link = self.newest
        while let entry = link {
            entry.pointee.isStale = true
            link = entry.pointee.older
        }
    }

    /// The one to close when there are too many.
    var leastRecentlyUsed: StatementPointer? { self.oldest?.pointee.statement }

    mutating func remove(_ statement: StatementPointer, _ table: inout StatementTable) {
        let index = self.bucket(statement)
        var previous: EntryPointer?
        var link = self.buckets[index]
        while let entry = link, entry.pointee.statement != statement {
            previous = entry
            link = entry.pointee.next
        }
        guard let entry = link else { return }
        if let previous { previous.pointee.next = entry.pointee.next } else { self.buckets[index] = entry.pointee.next }
        self.unlink(entry)
        entry.deallocate()
        self.count -= 1
        table.release(statement)
    }

    mutating func setUnnamed(_ statement: StatementPointer?, sequence: UInt32, _ table: inout StatementTable) {
        statement?.pointee.users += 1
        table.release(self.unnamed)
        self.unnamed = statement
        self.unnamedSequence = sequence
    }

    mutating func removeFailed(_ failed: ClosedRange<UInt32>, _ table: inout StatementTable) {
        if failed.contains(self.unnamedSequence) { self.setUnnamed(nil, sequence: 0, &table) }
        var link = self.newest
        while let entry = link {
            link = entry.pointee.older
            if failed.contains(entry.pointee.sequence) { self.remove(entry.pointee.statement, &table) }
        }
    }

    mutating func removeAll(_ table: inout StatementTable) {
        self.setUnnamed(nil, sequence: 0, &table)
        while let entry = self.newest { self.remove(entry.pointee.statement, &table) }
    }

    private mutating func linkNewest(_ entry: EntryPointer) {
        entry.pointee.newer = nil
        entry.pointee.older = self.newest
        if let newest = self.newest { newest.pointee.newer = entry } else { self.oldest = entry }
        self.newest = entry
    }

    private mutating func unlink(_ entry: EntryPointer) {
        let (newer, older) = (entry.pointee.newer, entry.pointee.older)
        if let newer { newer.pointee.older = older } else { self.newest = older }
        if let older { older.pointee.newer = newer } else { self.oldest = newer }
    }
}
