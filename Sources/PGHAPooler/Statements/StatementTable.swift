/// All prepared statements of a loop, by text and parameter types.
struct StatementTable: ~Copyable {
    private var buckets: UnsafeMutablePointer<StatementPointer?>
    private var mask = 255
    private(set) var count = 0
    private var nextNumber: UInt64 = 1
    let seed = UInt64.random(in: 0...UInt64.max)
    /// Without users since this turn began: spans on their way out may still lie in them.
    private var unused: [StatementPointer] = []

    init() {
        self.buckets = .allocate(capacity: 256)
        self.buckets.initialize(repeating: nil, count: 256)
    }

    deinit {
        for index in 0...self.mask {
            while let statement = self.buckets[index] {
                self.buckets[index] = statement.pointee.next
                statement.pointee.deallocate()
                statement.deallocate()
            }
        }
        self.buckets.deallocate()
    }

    /// The statement with this body of a Parse (behind the name), with one user more.
    mutating func retain(_ body: UnsafeRawBufferPointer) -> StatementPointer {
        let hash = hashBytes(body, seed: self.seed)
        var link = self.buckets[Int(truncatingIfNeeded: hash) & self.mask]
        while let statement = link {
            if statement.pointee.hash == hash, sameBytes(statement.pointee.body, body) {
                statement.pointee.users += 1
                return statement
            }
            link = statement.pointee.next
        }
        if self.count > self.mask { self.grow() }
        let statement = StatementPointer.allocate(capacity: 1)
        statement.initialize(to: Statement(hash: hash, number: self.nextNumber, body: body))
        self.nextNumber += 1
        statement.pointee.users = 1
        self.insert(statement)
        self.count += 1
        return statement
    }

    /// Which statements are reads is decided anew.
    func forgetJudgements() {
        for index in 0...self.mask {
            var link = self.buckets[index]
            while let statement = link {
                statement.pointee.isRead = nil
                link = statement.pointee.next
            }
        }
    }

    /// One user less. The memory stays until `reclaim`.
    mutating func release(_ statement: StatementPointer?) {
        guard let statement else { return }
        statement.pointee.users -= 1
        if statement.pointee.users == 0 { self.unused.append(statement) }
    }

    /// The turn is over: frees what nobody refers to.
    @inline(__always) mutating func reclaim() {
        if !self.unused.isEmpty { self.freeUnused() }
    }

    private mutating func freeUnused() {
        // Statements without a name come and go with their transactions: a while of grace lets them be recognized.
        guard self.unused.count > Self.grace else { return }
        for statement in self.unused where statement.pointee.users == 0 {
            // It may be in the list twice; the first visit takes it out of the table and marks it.
            statement.pointee.users = -1
        }
        var freed: Set<StatementPointer> = []
        for statement in self.unused where statement.pointee.users < 0 { freed.insert(statement) }
        for statement in freed { self.remove(statement) }
        self.unused.removeAll(keepingCapacity: true)
    }

    /// Statements that may lie unused.
    private static let grace = 512

    private mutating func remove(_ statement: StatementPointer) {
        let index = Int(truncatingIfNeeded: statement.pointee.hash) & self.mask
        var link = self.buckets[index]
        if link == statement {
            self.buckets[index] = statement.pointee.next
        } else {
            while let current = link, current.pointee.next != statement { link = current.pointee.next }
            link?.pointee.next = statement.pointee.next
        }
        self.count -= 1
        statement.pointee.deallocate()
        statement.deallocate()
    }

    private mutating func insert(_ statement: StatementPointer) {
        let index = Int(truncatingIfNeeded: statement.pointee.hash) & self.mask
        statement.pointee.next = self.buckets[index]
        self.buckets[index] = statement
    }

    private mutating func grow() {
        let (old, oldCount) = (self.buckets, self.mask + 1)
        self.mask = oldCount * 2 - 1
        self.buckets = .allocate(capacity: oldCount * 2)
        self.buckets.initialize(repeating: nil, count: oldCount * 2)
        for index in 0..<oldCount {
            var link = old[index]
            while let statement = link {
                link = statement.pointee.next
                self.insert(statement)
            }
        }
        old.deallocate()
    }
}
