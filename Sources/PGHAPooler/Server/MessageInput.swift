internal import PGHAWire

/// What a server has sent to a session of the pooler's own, until its messages are whole. Not for clients' traffic, which
/// is passed on from where it was received.
struct MessageInput: ~Copyable {
    private var buffer = WireBuffer()

    var count: Int { self.buffer.count }

    mutating func append(_ base: UnsafeMutableRawPointer, _ count: Int) {
        self.buffer.append(UnsafeRawBufferPointer(start: base, count: count))
    }

    /// Hands the whole messages to `take`, each once, until that comes to an end with one. `more`: it did not.
    mutating func walk<Outcome>(more: Outcome, malformed: Outcome, _ take: (MessageView) -> Outcome?) -> Outcome {
        var used = 0
        defer { self.buffer.removeFirst(used) }
        var walk = MessageWalk(self.buffer.bytes)
        while true {
            switch walk.next() {
            case .message(let message):
                guard message.isComplete else { return more }
                used += message.totalCount
                if let outcome = take(message) { return outcome }
            case .done, .partialHeader: return more
            case .malformed: return malformed
            }
        }
    }
}
