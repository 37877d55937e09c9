import Glibc
import Logging
import PGHAObservability
import Testing

/// The two ends of a pipe, closed with the object.
final class Pipe: Sendable {
    let readEnd: Int32
    let writeEnd: Int32

    init() {
        var ends: [Int32] = [0, 0]
        precondition(pipe(&ends) == 0)
        (self.readEnd, self.writeEnd) = (ends[0], ends[1])
    }

    deinit {
        close(self.readEnd)
        close(self.writeEnd)
    }

    /// What can be read now.
    func read() -> String {
        var text: [UInt8] = []
        var poll = pollfd(fd: self.readEnd, events: Int16(POLLIN), revents: 0)
        while Glibc.poll(&poll, 1, 0) == 1 {
            var bytes = [UInt8](repeating: 0, count: 65_536)
            let count = Glibc.read(self.readEnd, &bytes, bytes.count)
            if count <= 0 { break }
            text += bytes[..<count]
        }
        return String(decoding: text, as: UTF8.self)
    }
}

struct Opaque: CustomStringConvertible {
    var description: String { "opaque value" }
}

@Suite struct LogTests {
    /// 2026-02-28T23:59:59.999999Z.
    static let time: Int64 = 1_772_323_199_999_999

    private static func lines(_ format: StructuredLogHandler.Format, _ log: (inout Logger) -> Void) -> String {
        let pipe = Pipe()
        let output = LineOutput(descriptor: pipe.writeEnd)
        var logger = Logger(label: "pgha.test") { label in
            StructuredLogHandler(label: label, format: format, output: output, now: { Self.time })
        }
        log(&logger)
        output.flush()
        return pipe.read()
    }

    @Test func logfmtQuotesOnlyWhatItMust() {
        let text = Self.lines(.logfmt) { logger in
            logger[metadataKey: "node"] = "a"
            logger.info(
                "failover started",
                metadata: [
                    "term": "4", "why": "said \"no\"\nand left", "empty": "", "list": ["x", "y z"], "a b": "c=d",
                    "opaque": .stringConvertible(Opaque()), "level": "own",
                ])
        }
        #expect(
            text == """
                time=2026-02-28T23:59:59.999Z level=info logger=pgha.test msg="failover started" a_b="c=d" empty="" \
                meta_level=own list="[\\"x\\",\\"y z\\"]" node=a opaque="opaque value" term=4 \
                why="said \\"no\\"\\nand left"

                """)
    }

    @Test func jsonIsOneObjectOnALine() {
        let text = Self.lines(.json) { logger in
            logger.warning("node is slow", metadata: ["lag": ["bytes": "5", "of": ["a", "b"]], "bell": "\u{7}"])
        }
        #expect(
            text == """
                {"time":"2026-02-28T23:59:59.999Z","level":"warning","logger":"pgha.test","msg":"node is slow",\
                "bell":"\\u0007","lag":{"bytes":"5","of":["a","b"]}}

                """)
    }

    @Test(arguments: StructuredLogHandler.Format.allCases)
    func secretsAreNotWritten(_ format: StructuredLogHandler.Format) {
        let text = Self.lines(format) { logger in
            logger.error(
                "connection failed",
                metadata: [
                    "password": "hunter2", "Bearer-Token": "hunter2", "nested": ["pgpassword": "hunter2"],
                    "primary_conninfo": "host=a password=hunter2",
                    "why": "bad: host=a password = 'hunter2 it\\'s hunter2' port=1", "also": "password=hunter2",
                ])
        }
        #expect(!text.contains("hunter2"))
        #expect(text.contains("port=1"))
    }

    @Test func messagesBelowTheLevelAreNotWritten() {
        let text = Self.lines(.logfmt) { logger in
            logger.debug("hidden")
            logger.logLevel = .debug
            logger.debug("shown")
        }
        #expect(text == "time=2026-02-28T23:59:59.999Z level=debug logger=pgha.test msg=shown\n")
    }

    @Test(arguments: [
        (Int64(0), "1970-01-01T00:00:00.000Z"), (951_782_400_000_000, "2000-02-29T00:00:00.000Z"),
        (-1, "1969-12-31T23:59:59.999Z"), (4_102_444_800_123_000, "2100-01-01T00:00:00.123Z"),
    ])
    func timesAreWrittenInUTC(_ microseconds: Int64, _ text: String) {
        #expect(WallClockText.text(microseconds) == text)
    }

    @Test func aStalledReaderHoldsUpNobodyAndLosesOnlyTheRest() {
        let pipe = Pipe()
        let output = LineOutput(descriptor: pipe.writeEnd, limit: 100_000)
        let line = String(repeating: "x", count: 999)
        // The pipe takes 64 KiB, the queue 100 kB; the writer must come through all the same.
        let written = 400
        for _ in 0..<written { output.write(line) }
        var text = ""
        var kept = 0
        var dropped = 0
        let deadline = ContinuousClock.now + .seconds(30)
        while kept + dropped < written, ContinuousClock.now < deadline {
            text += pipe.read()
            let lines = text.hasSuffix("\n") ? text.split(separator: "\n") : []
            kept = lines.count { $0 == line }
            // How many were dropped is said in the next free moment, perhaps more than once.
            let notes = lines.filter { $0.hasPrefix("level=warning msg=\"log lines dropped\" lines=") }
            dropped = notes.compactMap { $0.split(separator: "=").last.flatMap { Int($0) } }.reduce(0, +)
        }
        #expect(kept + dropped == written)
        #expect(kept > 64)
        #expect(dropped > 0)
        output.write("after")
        output.flush()
        #expect(pipe.read() == "after\n")
    }
}
