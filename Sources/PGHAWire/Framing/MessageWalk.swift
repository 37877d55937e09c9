/// One message as far as it lies in the bytes at hand.
public struct MessageView {
    /// The type byte.
    public let type: UInt8
    /// Header and body as the header announces them: 1 + length word, at least 5.
    public let totalCount: Int
    /// Where the type byte is.
    public let start: UnsafeRawPointer
    /// How many of `totalCount` bytes are at hand.
    public let presentCount: Int

    @inlinable public var isComplete: Bool { self.presentCount == self.totalCount }

    /// The body as far as it is at hand.
    @inlinable public var body: UnsafeRawBufferPointer {
        UnsafeRawBufferPointer(start: self.start + 5, count: self.presentCount - 5)
    }

    @inlinable @inline(__always) init(type: UInt8, totalCount: Int, start: UnsafeRawPointer, presentCount: Int) {
        self.type = type
        self.totalCount = totalCount
        self.start = start
        self.presentCount = presentCount
    }
}

/// Walks over the messages in a run of bytes: headers only, bodies are skipped unread.
///
/// Intuition: a pooler forwards nearly everything, so the walk says where messages start and nothing else. A
/// message longer than the run is reported once, with what is there; the caller remembers how much is missing
/// and skips it in the next run (`MessageWalk(bytes, skipping:)`), so that rows of any size need no memory.
public struct MessageWalk: ~Copyable {
    @usableFromInline var position: UnsafeRawPointer
    @usableFromInline let end: UnsafeRawPointer

    public enum Step {
        case message(MessageView)
        /// The run ends here, in front of a message; 0 bytes are left over.
        case done
        /// Fewer than five bytes are left: keep them and put them in front of the next run.
        case partialHeader(count: Int)
        /// The length word is below 4 or above `limit`: the stream is not PostgreSQL's.
        case malformed
    }

    /// PostgreSQL's own limit of a message: 1 GiB - 1 (`PQ_LARGE_MESSAGE_LIMIT`, `MaxAllocSize`).
    public static let limit = 0x3FFF_FFFF

    @inlinable @inline(__always) public init(_ bytes: UnsafeRawBufferPointer) {
        // An empty run may have no address.
        self.position = bytes.baseAddress ?? UnsafeRawPointer(bitPattern: 1).unsafelyUnwrapped
        self.end = self.position + bytes.count
    }

    /// What is left of the run, starting where the walk is.
    @inlinable public var rest: UnsafeRawBufferPointer {
        UnsafeRawBufferPointer(start: self.position, count: self.end - self.position)
    }

    /// What is left of the run from a message on that the walk has passed.
    @inlinable public func rest(from start: UnsafeRawPointer) -> UnsafeRawBufferPointer {
        UnsafeRawBufferPointer(start: start, count: self.end - start)
    }

    /// Passes over what a Query is answered with, as long as it says nothing about the session: whole rows, their
    /// descriptions, and tags that do not matter.
    @inlinable @inline(__always) public mutating func skipPlainAnswers() {
        while self.end - self.position > 5 {
            let length = Int(UInt32(bigEndian: (self.position + 1).loadUnaligned(as: UInt32.self)))
            guard length >= 4, length < self.end - self.position else { return }
            switch self.position.load(as: UInt8.self) {
            case BackendMessage.dataRow, BackendMessage.rowDescription: break
            case BackendMessage.commandComplete:
                if CommandTag.mayMatter(UnsafeRawBufferPointer(start: self.position + 5, count: length - 4)) { return }
            default: return
            }
            self.position += length + 1
        }
    }

    @inlinable @inline(__always) public mutating func next() -> Step {
        let left = self.end - self.position
        guard left >= 5 else { return left == 0 ? .done : .partialHeader(count: left) }
        let start = self.position
        let length = Int(UInt32(bigEndian: (start + 1).loadUnaligned(as: UInt32.self)))
        guard length >= 4, length <= Self.limit else { return .malformed }
        let present = min(length + 1, left)
        self.position = start + present
        return .message(
            MessageView(
                type: start.load(as: UInt8.self), totalCount: length + 1, start: start, presentCount: present))
    }
}
