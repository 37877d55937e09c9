extension Checker {
    mutating func checkLists() {
        var appends: [Int: [Write]] = [:]
        var reads: [Int: [(operation: Operation, values: [Int64])]] = [:]
        for operation in self.history.operations {
            switch operation.action {
            case .append(let key, let value): appends[key, default: []].append(Write(id: value, operation: operation))
            case .readList(let key, let values) where operation.outcome == .ok:
                reads[key, default: []].append((operation, values))
            default: break
            }
        }
        let keys = Set(appends.keys).union(reads.keys).union(self.history.final.lists.keys)
        for key in keys.sorted() {
            let final = self.history.final.lists[key] ?? []
            self.checkPresence(of: appends[key] ?? [], in: final, "list \(key)")
            self.checkOrder(of: appends[key] ?? [], in: final, key: key)
            for read in reads[key] ?? [] {
                self.check(read.operation, read.values, appends[key] ?? [], final, key: key)
            }
            self.checkProgress(reads[key] ?? [], key: key)
        }
    }

    /// What was acknowledged before another was begun stands before it.
    private mutating func checkOrder(of appends: [Write], in final: [Int64], key: Int) {
        let places = Dictionary(final.enumerated().map { ($1, $0) }, uniquingKeysWith: { first, _ in first })
        var lastPlace = -1
        var byEnd = appends.filter { $0.operation.outcome == .ok }.sorted { $0.operation.end < $1.operation.end }[...]
        for append in appends.sorted(by: { $0.operation.start < $1.operation.start }) {
            while let earlier = byEnd.first, earlier.operation.end < append.operation.start {
                lastPlace = max(lastPlace, places[earlier.id] ?? -1)
                byEnd.removeFirst()
            }
            guard let place = places[append.id], place < lastPlace else { continue }
            // An unknown one may have been done later than its client believed, never earlier.
            self.report(.disordered, append.id, "list \(key): before one that was acknowledged before it was begun")
        }
    }

    /// Every read is a beginning of the list as it was in the end, and shows what had been acknowledged.
    private mutating func check(
        _ read: Operation, _ values: [Int64], _ appends: [Write], _ final: [Int64], key: Int
    ) {
        let seen = Set(values)
        let missing = seen.subtracting(final)
        for id in missing.sorted() {
            self.reportMissing(id, appends.first { $0.id == id }, read, "list \(key)")
        }
        if missing.isEmpty, !final.starts(with: values) {
            self.report(.disordered, Int64(key), "client \(read.client) read \(values), in the end it is \(final)")
        }
        for append in appends where !seen.contains(append.id) && Self.mustShow(read, append.operation) {
            self.report(
                .staleRead, append.id,
                "list \(key): acknowledged \(read.start - append.operation.end) ns before the read")
        }
    }

    /// Through the pooler a list never becomes shorter.
    private mutating func checkProgress(_ reads: [(operation: Operation, values: [Int64])], key: Int) {
        let reads = reads.filter { $0.operation.route == .pooler }
        let byEnd = reads.sorted { $0.operation.end < $1.operation.end }
        var next = byEnd.startIndex
        var longest = 0
        for read in reads.sorted(by: { $0.operation.start < $1.operation.start }) {
            while next < byEnd.endIndex, byEnd[next].operation.end < read.operation.start {
                longest = max(longest, byEnd[next].values.count)
                next += 1
            }
            if read.values.count < longest {
                self.report(.staleRead, Int64(key), "a list of \(read.values.count) after one of \(longest) was read")
            }
        }
    }
}
