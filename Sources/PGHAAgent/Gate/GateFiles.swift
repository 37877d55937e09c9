import FoundationEssentials
import Glibc

/// One permission to start the server, written by the agent and used up by a gate.
struct StartTicket: Hashable, Sendable, Codable {
    /// Random: an answer is to this ticket and to no other.
    var number: UInt64
    /// The data directory, as both name it.
    var data: String
    /// Whether `standby.signal` stood when the ticket was written.
    var standby: Bool
}

/// What a gate made of a ticket.
struct GateAnswer: Hashable, Sendable, Codable {
    var number: UInt64
    /// The process that was started; nil when it was refused.
    var pid: Int32?
    /// When it started, seconds since 1970: with the number it names one process.
    var startSeconds: Int64?
    /// Of the gate; where the agent's is another, the number of the process means nothing to it.
    var processNamespace: String?
    var refusal: String?
}

/// How agent and gate talk: by files in the agent's state directory.
///
/// Intuition: PostgreSQL runs in a container of its own, unmodified, whose command is `pgha agent gate -- COMMAND`. The
/// gate starts nothing of its own accord. Each start needs a ticket, which the agent alone writes, and only where it
/// would have started its own child: the directory is as it should be, `standby.signal` stands or the term is known.
///
/// Algorithm: the agent writes `ticket`. A gate renames it to `taken` (of several one wins), looks at the data, starts
/// the command and writes `running`. The agent takes a ticket back by removing it. Where it is gone the start has begun:
/// then the agent waits for the answer, so that it can end what it did not want.
///
/// Limits: both have the volume under the same path, the same user, and one process namespace.
struct GateFiles: Hashable, Sendable {
    /// `gate` in the state directory.
    let root: String

    private var ticket: String { self.root + "/ticket" }
    private var taken: String { self.root + "/taken" }
    private var running: String { self.root + "/running" }
    var lockFile: String { self.root + "/lock" }

    static func processNamespace() -> String? { DurableFile.linkTarget("/proc/self/ns/pid") }

    // MARK: - The agent's side. Everything blocks.

    func issue(_ ticket: StartTicket) throws {
        try DurableFile.makeDirectory(self.root)
        try DurableFile.write(Self.text(ticket), to: self.ticket)
    }

    /// True when no gate will start anything any more, for want of a ticket.
    func withdraw() -> Bool { unlink(self.ticket) == 0 }

    func answer(to number: UInt64) -> GateAnswer? { self.lastAnswer.flatMap { $0.number == number ? $0 : nil } }

    /// For what a cancelled task must know all the same.
    func answer(to number: UInt64, within limit: Duration) -> GateAnswer? {
        let deadline = ContinuousClock.now + limit
        while ContinuousClock.now < deadline {
            if let answer = self.answer(to: number) { return answer }
            usleep(5_000)
        }
        return nil
    }

    var lastAnswer: GateAnswer? {
        guard let text = try? DurableFile.read(self.running) else { return nil }
        return try? JSONDecoder().decode(GateAnswer.self, from: Data(text.utf8))
    }

    // MARK: - The gate's side. Everything blocks.

    /// Nil when there is none.
    func take() throws -> StartTicket? {
        guard rename(self.ticket, self.taken) == 0 else {
            guard errno == ENOENT else { throw SystemError("rename \(self.ticket)") }
            return nil
        }
        guard let text = try DurableFile.read(self.taken) else { return nil }
        return try JSONDecoder().decode(StartTicket.self, from: Data(text.utf8))
    }

    func reply(_ answer: GateAnswer) throws { try DurableFile.write(Self.text(answer), to: self.running) }

    private static func text(_ value: some Encodable) throws -> String {
        String(decoding: try JSONEncoder().encode(value), as: UTF8.self)
    }
}
