import Dispatch
import PGHACore
import Synchronization

/// The pledge outside the data directory, durable before anyone is told of it.
///
/// `pg_rewind`, `pg_basebackup` and a restored backup replace what is in the data directory; this survives them.
final class PledgeFile: Sendable {
    private let path: String
    private let current: Mutex<Pledge?>
    /// One writer at a time; readers never wait for the disk.
    private let writer = DispatchQueue(label: "pgha.agent.pledge")

    /// A file that does not parse is an error: guessing a pledge would be worse than not starting. Blocks.
    init(path: String) throws {
        self.path = path
        let text = try DurableFile.read(path)
        let pledge = try text.map { text throws -> Pledge in
            guard let pledge = Pledge(text.filter { !$0.isWhitespace }) else { throw PledgeFileError(path: path) }
            return pledge
        }
        self.current = Mutex(pledge)
    }

    var pledge: Pledge? { self.current.withLock { $0 } }

    /// Whether a request under `asked` may go on; see ``Pledge/mayBecome(_:)``.
    func allows(_ asked: Pledge) -> Bool { self.pledge?.mayBecome(asked) ?? true }

    /// Makes `asked` the pledge, durably.
    ///
    /// - Throws: ``AgentFailure`` with both pledges when a newer one is held, ``SystemError``.
    func accept(_ asked: Pledge) async throws {
        try await withCheckedThrowingContinuation { (continuation: CheckedContinuation<Void, any Error>) in
            self.writer.async { continuation.resume(with: Result { try self.write(asked) }) }
        }
    }

    private func write(_ asked: Pledge) throws {
        if let held = self.pledge {
            guard held.mayBecome(asked) else { throw Refusal.olderPledge(holding: held, asked: asked) }
            if held == asked { return }
        }
        try DurableFile.write("\(asked)\n", to: self.path)
        self.current.withLock { $0 = asked }
    }
}

/// The pledge file holds something else.
struct PledgeFileError: Error, CustomStringConvertible {
    var path: String
    var description: String {
        "\(self.path) does not hold a pledge. It was damaged: compare with pgha.term in the data directory's "
            + "postgresql.auto.conf and the other servers before repairing it by hand."
    }
}
