import Foundation
import PGHACore
import Testing

/// The judgement of the leader: every kind of evidence after every kind of evidence.
@Suite struct HealthTableTests {
    private struct Judge {
        var health = LeaderHealth(timings: Timings(), at: at(0))
        var now: Int64 = 0
        var position: UInt64 = 100
        var message: Int64 = 1

        mutating func wait(_ milliseconds: Int64) {
            // In steps, as the controller does: a longer gap would be its own.
            for _ in 0..<max(1, milliseconds / 100) {
                self.now += min(100, milliseconds)
                self.health.tick(at: at(self.now))
            }
        }

        mutating func leader(_ result: Result<ServerObservation, ProbeFailure>) {
            self.wait(100)
            self.health.leaderAnswered(result, began: at(self.now - 1), ended: at(self.now))
        }

        mutating func standby(moves: Bool, receiving: Bool = true) {
            self.wait(100)
            if moves { (self.position, self.message) = (self.position + 10, self.message + 1) }
            self.health.standbyAnswered(
                node("b"), PGHACoreTests.standby(at: self.position, receiving: receiving, message: self.message),
                began: at(self.now - 1), ended: at(self.now))
        }

        var verdict: String {
            switch self.health.verdict(at: at(self.now)) {
            case .healthy: "healthy"
            case .suspect(let why): "suspect: \(why)"
            case .inconclusive(let why): "inconclusive: \(why)"
            case .replace(let cause): "REPLACE: \(cause.words)"
            }
        }
    }

    private typealias Step = (words: String, apply: @Sendable (inout Judge) -> Void)

    private static let events: [Step] = [
        ("the leader answers", { $0.leader(.success(primary(at: 100))) }),
        ("it answers as a standby", { $0.leader(.success(PGHACoreTests.standby(at: 100))) }),
        ("refused", { $0.leader(.failure(.refused)) }),
        ("reset", { $0.leader(.failure(.reset)) }),
        ("timed out", { $0.leader(.failure(.timedOut)) }),
        ("starting up", { $0.leader(.failure(.startingUp)) }),
        ("too many clients", { $0.leader(.failure(.aliveBut(code: "53300", message: "too many"))) }),
        ("undecodable", { $0.leader(.failure(.undecodable("?"))) }),
        ("its agent: it runs", { $0.health.agentReported(running: true, at: at($0.now)) }),
        ("its agent: it exited", { $0.health.agentReported(running: false, at: at($0.now)) }),
        ("a standby receives more", { $0.standby(moves: true) }),
        ("a standby receives nothing new", { $0.standby(moves: false) }),
        ("a standby has lost its receiver", { $0.standby(moves: false, receiving: false) }),
        ("0.5 s pass", { $0.wait(500) }),
        ("11 s pass", { $0.wait(11_000) }),
        (
            "the controller was stopped for 5 s",
            {
                $0.now += 5000
                $0.health.tick(at: at($0.now))
            }
        ),
    ]

    private static let states: [(String, [String])] = [
        ("never asked", []),
        ("healthy", ["the leader answers"]),
        ("a probe failed", ["the leader answers", "timed out"]),
        ("two probes failed", ["the leader answers", "timed out", "timed out"]),
        ("silent for 1 s", ["the leader answers", "timed out", "0.5 s pass", "0.5 s pass", "timed out"]),
        (
            "silent for 1 s, a standby receives",
            [
                "the leader answers", "a standby receives nothing new", "timed out", "0.5 s pass", "0.5 s pass",
                "timed out",
                "a standby receives nothing new", "a standby receives more",
            ]
        ),
        (
            "silent for 12 s, a standby receives",
            [
                "the leader answers", "a standby receives nothing new", "timed out", "11 s pass", "timed out",
                "a standby receives nothing new", "a standby receives more",
            ]
        ),
        (
            "silent for 1 s, a standby receives nothing",
            [
                "the leader answers", "a standby receives nothing new", "timed out", "0.5 s pass", "0.5 s pass",
                "timed out",
                "a standby receives nothing new", "a standby receives nothing new",
            ]
        ),
        ("refused twice", ["the leader answers", "refused", "refused"]),
        (
            "refused twice, no receiver",
            ["the leader answers", "refused", "a standby has lost its receiver", "refused"]
        ),
        ("refused twice, a receiver", ["the leader answers", "refused", "a standby receives more", "refused"]),
        ("starting up", ["the leader answers", "starting up"]),
        ("starting up for 11 s", ["the leader answers", "starting up", "11 s pass", "starting up"]),
        ("too many clients", ["the leader answers", "too many clients"]),
        ("exited", ["the leader answers", "its agent: it exited"]),
        ("exited, then answers", ["its agent: it exited", "0.5 s pass", "the leader answers"]),
        ("demoted", ["it answers as a standby"]),
    ]

    @Test func everyEvidenceInEveryState() throws {
        var lines = ["The judgement of the leader at default settings. Each answer comes 0.1 s after what was before."]
        for (name, way) in Self.states {
            var judge = Judge()
            for words in way { Self.events.first { $0.words == words }?.apply(&judge) }
            lines.append("\n[\(judge.verdict)] \(name)")
            for event in Self.events {
                var next = judge
                event.apply(&next)
                let padded = event.words.padding(toLength: 36, withPad: " ", startingAt: 0)
                lines.append("  \(padded) \(next.verdict == judge.verdict ? "." : next.verdict)")
            }
        }
        try expectTable("leader-health", lines.joined(separator: "\n") + "\n")
    }
}
