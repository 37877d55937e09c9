/// Decides from the log of the clients alone whether a cluster kept its promises.
///
/// Sound rather than complete: everything that it names is wrong whatever the servers did, because all clients share one
/// clock and what became of an unknown outcome is left open. Three workloads see different things: a **set** of unique
/// ids sees loss; **lists** to which values are appended see loss, doubling, order and reads of the past; a **bank** sees
/// transactions that were applied in part.
///
/// A read must show what was acknowledged before it began, by the same term or an earlier one. Through the pooler it must
/// show what was acknowledged through the pooler by any term: the pooler promises the leader. A direct client that asks a
/// leader that was replaced a moment ago may read the past; nothing in `quorum` promises otherwise.
package struct Checker {
    let history: History
    let answered: [Operation]
    private(set) var anomalies: [Anomaly] = []

    package static func check(_ history: History) -> [Anomaly] {
        var checker = Checker(history)
        checker.checkSet()
        checker.checkLists()
        checker.checkBank()
        checker.checkTerms()
        return checker.anomalies
    }

    private init(_ history: History) {
        self.history = history
        self.answered = history.operations.filter { $0.outcome == .ok }
    }

    mutating func report(_ kind: Anomaly.Kind, _ subject: Int64, _ detail: String) {
        self.anomalies.append(Anomaly(kind, subject, detail))
    }

    /// A write of one id, and what the log says of it.
    struct Write {
        let id: Int64
        let operation: Operation
    }

    /// Whether a read must show what `write` was acknowledged for.
    static func mustShow(_ read: Operation, _ write: Operation) -> Bool {
        guard write.outcome == .ok, write.end < read.start else { return false }
        if read.route == .pooler, write.route == .pooler { return true }
        guard let seen = read.epoch, let written = write.epoch else { return false }
        return written <= seen
    }

    /// Lost, doubled, refused but there, from nowhere: of ids that were each written by one operation.
    mutating func checkPresence(of writes: [Write], in final: [Int64], _ what: String) {
        var counts: [Int64: Int] = [:]
        for id in final { counts[id, default: 0] += 1 }
        for write in writes {
            let count = counts.removeValue(forKey: write.id) ?? 0
            let by = write.operation.server ?? "nobody known"
            switch (write.operation.outcome, count) {
            case (.ok, 0): self.report(.lost, write.id, "\(what): acknowledged by \(by), not there")
            case (.failed, 1...): self.report(.refusedButThere, write.id, "\(what): refused, and there")
            default: break
            }
            if count > 1 { self.report(.doubled, write.id, "\(what): there \(count) times") }
        }
        for id in counts.keys.sorted() { self.report(.fromNowhere, id, "\(what): nobody wrote it") }
    }

    // MARK: - Set

    private mutating func checkSet() {
        let writes = self.history.operations.compactMap { operation in
            if case .add(let id) = operation.action { Write(id: id, operation: operation) } else { nil }
        }.sorted { $0.id < $1.id }
        self.checkPresence(of: writes, in: self.history.final.set, "set")
        let final = Set(self.history.final.set)
        var reported: Set<Int64> = []
        for read in self.answered {
            guard case .readSet(let from, let ids) = read.action else { continue }
            let seen = Set(ids)
            for id in seen.subtracting(final).subtracting(reported).sorted() {
                reported.insert(id)
                let index = Self.firstIndex(in: writes, from: id)
                let write = index < writes.count && writes[index].id == id ? writes[index] : nil
                self.reportMissing(id, write, read, "set")
            }
            // Ids are handed out in order, so few are as great as the window's first.
            for write in writes[Self.firstIndex(in: writes, from: from)...]
            where !seen.contains(write.id) && Self.mustShow(read, write.operation) {
                self.report(
                    .staleRead, write.id, "set: acknowledged \(read.start - write.operation.end) ns before the read")
            }
        }
    }

    /// `read` shows an id that is not there in the end.
    mutating func reportMissing(_ id: Int64, _ write: Write?, _ read: Operation, _ what: String) {
        let kind: Anomaly.Kind = write?.operation.outcome == .unknown ? .dirtyRead : .vanished
        self.report(kind, id, "\(what): client \(read.client) read it from \(read.server ?? "a server")")
    }

    private static func firstIndex(in writes: [Write], from id: Int64) -> Int {
        var low = 0
        var high = writes.count
        while low < high {
            let middle = (low + high) / 2
            if writes[middle].id < id { low = middle + 1 } else { high = middle }
        }
        return low
    }

    // MARK: - Bank

    private mutating func checkBank() {
        let writes = self.history.operations.compactMap { operation in
            if case .transfer(let id) = operation.action { Write(id: id, operation: operation) } else { nil }
        }
        let final = self.history.final
        self.checkPresence(of: writes, in: final.transfers, "ledger")
        for read in self.answered {
            guard case .readAccounts(let balances) = read.action else { continue }
            let sum = balances.reduce(0, +)
            if sum != self.history.total { self.report(.unbalanced, sum, "client \(read.client) read this total") }
        }
        for (account, pair) in zip(final.balances, final.balancesByLedger).enumerated() where pair.0 != pair.1 {
            self.report(.unbalanced, Int64(account), "balance \(pair.0), by the ledger \(pair.1)")
        }
    }

    // MARK: - Terms

    /// Two servers in one timeline; an acknowledgement of an older one that was asked for after a newer one's.
    private mutating func checkTerms() {
        let writes = self.answered.filter { $0.action.isWrite && $0.epoch != nil && $0.server != nil }
        var servers: [UInt32: Set<String>] = [:]
        for write in writes { servers[write.epoch ?? 0, default: []].insert(write.server ?? "") }
        for (epoch, names) in servers.sorted(by: { $0.key < $1.key }) where names.count > 1 {
            self.report(.splitBrain, Int64(epoch), "acknowledged by \(names.sorted().joined(separator: " and "))")
        }
        let byEnd = writes.sorted { $0.end < $1.end }
        var next = byEnd.startIndex
        var newest: UInt32 = 0
        var late: [UInt32: Int] = [:]
        for write in writes.sorted(by: { $0.start < $1.start }) {
            while next < byEnd.endIndex, byEnd[next].end < write.start {
                newest = max(newest, byEnd[next].epoch ?? 0)
                next += 1
            }
            if let epoch = write.epoch, epoch < newest { late[epoch, default: 0] += 1 }
        }
        for (epoch, count) in late.sorted(by: { $0.key < $1.key }) {
            self.report(.splitBrain, Int64(epoch), "\(count) commits acknowledged after the first of a later timeline")
        }
    }
}
