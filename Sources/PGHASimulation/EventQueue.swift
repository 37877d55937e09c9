/// Closures ordered by virtual time, then by insertion: one seed gives one order.
struct EventQueue {
    private struct Entry {
        let time: Int64
        let sequence: UInt64
        let run: () -> Void

        func isBefore(_ other: Entry) -> Bool {
            self.time != other.time ? self.time < other.time : self.sequence < other.sequence
        }
    }

    private var heap: [Entry] = []
    private var nextSequence: UInt64 = 0

    var isEmpty: Bool { self.heap.isEmpty }
    var nextTime: Int64? { self.heap.first?.time }

    mutating func push(at time: Int64, _ run: @escaping () -> Void) {
        let entry = Entry(time: time, sequence: self.nextSequence, run: run)
        self.nextSequence += 1
        var hole = self.heap.count
        self.heap.append(entry)
        while hole > 0 {
            let parent = (hole - 1) / 4
            guard entry.isBefore(self.heap[parent]) else { break }
            self.heap.swapAt(hole, parent)
            hole = parent
        }
    }

    mutating func pop() -> (time: Int64, run: () -> Void)? {
        guard let first = self.heap.first else { return nil }
        let last = self.heap.removeLast()
        if !self.heap.isEmpty { self.sink(last) }
        return (first.time, first.run)
    }

    /// Four children each: fewer levels than with two, and their times lie side by side.
    private mutating func sink(_ entry: Entry) {
        self.heap.withUnsafeMutableBufferPointer { heap in
            var hole = 0
            while true {
                let firstChild = 4 * hole + 1
                guard firstChild < heap.count else { break }
                var least = firstChild
                for child in (firstChild + 1)..<max(firstChild + 1, min(firstChild + 4, heap.count))
                where heap[child].isBefore(heap[least]) {
                    least = child
                }
                guard heap[least].isBefore(entry) else { break }
                heap.swapAt(hole, least)
                hole = least
            }
            heap[hole] = entry
        }
    }
}
