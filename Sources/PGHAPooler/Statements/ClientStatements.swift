/// A client's prepared statements by name. Allocated with the first.
struct ClientStatements: BitwiseCopyable {
    private struct Entry: BitwiseCopyable {
        let hash: UInt64
        var next: UnsafeMutablePointer<Entry>?
        let name: UnsafeMutableRawPointer
        let nameCount: Int
        let statement: StatementPointer
        /// Its Parse, in case that fails.
        let sequence: UInt32
    }

    private var buckets: UnsafeMutablePointer<UnsafeMutablePointer<Entry>?>
    private var mask: Int
    private(set) var count = 0
    /// The one without a name; the next Parse without a name replaces it.
    private(set) var unnamed: StatementPointer?
    private var unnamedSequence: UInt32 = 0
    /// The Parse behind those that have given them to the server by their own names; 0: that was not done.
    var ownNamesSince: UInt32 = 0

    static func make() -> UnsafeMutablePointer<ClientStatements> {
        let pointer = UnsafeMutablePointer<ClientStatements>.allocate(capacity: 1)
        pointer.initialize(to: ClientStatements())
        return pointer
    }

    private init() {
        self.mask = 3
        self.buckets = .allocate(capacity: 4)
        self.buckets.initialize(repeating: nil, count: 4)
    }

    /// Gives everything back. The value must not be used any more.
    mutating func deallocate(_ table: inout StatementTable) {
        self.removeAll(&table)
        self.buckets.deallocate()
    }

    /// What a name stands for, and the number of the Parse that has said so.
    struct Definition {
        let statement: StatementPointer
        let sequence: UInt32
    }

    func find(_ name: UnsafeRawBufferPointer, _ table: borrowing StatementTable) -> StatementPointer? {
        self.definition(name, table)?.statement
    }

    func definition(_ name: UnsafeRawBufferPointer, _ table: borrowing StatementTable) -> Definition? {
        if name.isEmpty {
            return self.unnamed.map { Definition(statement: $0, sequence: self.unnamedSequence) }
        }
        let hash = hashBytes(name, seed: table.seed)
        var link = self.buckets[Int(truncatingIfNeeded: hash) & self.mask]
        while let entry = link {
            if entry.pointee.hash == hash, sameBytes(Self.name(entry), name) {
                return Definition(statement: entry.pointee.statement, sequence: entry.pointee.sequence)
            }
            link = entry.pointee.next
        }
        return nil
    }

    /// All that have names, oldest first.
    var named: [(name: [UInt8], statement: StatementPointer)] {
        var entries: [UnsafeMutablePointer<Entry>] = []
        for index in 0...self.mask {
            var link = self.buckets[index]
            while let entry = link {
                entries.append(entry)
                link = entry.pointee.next
            }
        }
        entries.sort { Int32(bitPattern: $0.pointee.sequence &- $1.pointee.sequence) < 0 }
        return entries.map { (Array(Self.name($0)), $0.pointee.statement) }
    }

    private static func name(_ entry: UnsafeMutablePointer<Entry>) -> UnsafeRawBufferPointer {
        UnsafeRawBufferPointer(start: entry.pointee.name, count: entry.pointee.nameCount)
    }

    /// Takes over the caller's use of `statement`. The name must be free.
    mutating func insert(
        _ name: UnsafeRawBufferPointer, _ statement: StatementPointer, sequence: UInt32, _ table: inout StatementTable
    ) {
        guard let start = name.baseAddress, !name.isEmpty else {
            table.release(self.unnamed)
            self.unnamed = statement
            self.unnamedSequence = sequence
            return
        }
        if self.count > self.mask { self.grow() }
        let copy = UnsafeMutableRawPointer.allocate(byteCount: name.count, alignment: 1)
        copy.copyMemory(from: start, byteCount: name.count)
        let entry = UnsafeMutablePointer<Entry>.allocate(capacity: 1)
        let hash = hashBytes(name, seed: table.seed)
        entry.initialize(
            to: Entry(
                hash: hash, next: nil, name: copy, nameCount: name.count, statement: statement, sequence: sequence))
        self.link(entry)
        self.count += 1
    }

    private func link(_ entry: UnsafeMutablePointer<Entry>) {
        let index = Int(truncatingIfNeeded: entry.pointee.hash) & self.mask
        entry.pointee.next = self.buckets[index]
        self.buckets[index] = entry
    }

    /// Forgets a name that may not be there.
    mutating func remove(_ name: UnsafeRawBufferPointer, _ table: inout StatementTable) {
        if name.isEmpty {
            table.release(self.unnamed)
            self.unnamed = nil
        } else {
            self.removeEntries(&table) { sameBytes($0, name) && $1 >= 0 }
        }
    }

    /// Forgets what the Parses of these sequence numbers would have defined.
    mutating func removeFailed(_ failed: ClosedRange<UInt32>, _ table: inout StatementTable) {
        if failed.contains(self.unnamedSequence) {
            table.release(self.unnamed)
            self.unnamed = nil
        }
        self.removeEntries(&table) { failed.contains($1) && $0.count > 0 }
    }

    mutating func removeAll(_ table: inout StatementTable) {
        table.release(self.unnamed)
        self.unnamed = nil
        self.removeEntries(&table) { _, _ in true }
    }

    private mutating func removeEntries(
        _ table: inout StatementTable, _ isMeant: (UnsafeRawBufferPointer, UInt32) -> Bool
    ) {
        for index in 0...self.mask {
            var kept: UnsafeMutablePointer<Entry>?
            var link = self.buckets[index]
            while let entry = link {
                link = entry.pointee.next
                if isMeant(Self.name(entry), entry.pointee.sequence) {
                    table.release(entry.pointee.statement)
                    entry.pointee.name.deallocate()
                    entry.deallocate()
                    self.count -= 1
                } else {
                    entry.pointee.next = kept
                    kept = entry
                }
            }
            self.buckets[index] = kept
        }
    }

    private mutating func grow() {
        let (old, oldCount) = (self.buckets, self.mask + 1)
        self.mask = oldCount * 2 - 1
        self.buckets = .allocate(capacity: oldCount * 2)
        self.buckets.initialize(repeating: nil, count: oldCount * 2)
        for index in 0..<oldCount {
            var chain = old[index]
            while let entry = chain {
                chain = entry.pointee.next
                self.link(entry)
            }
        }
        old.deallocate()
    }
}
