import Foundation
import PGHAClient
import PGHACore
import Testing

@testable import pgha

func decoded<Value: Decodable>(_: Value.Type, from json: String) throws -> Value {
    try JSONDecoder().decode(Value.self, from: Data(json.utf8))
}

@Suite struct WireTests {
    @Test func aSpecSurvivesTheWire() throws {
        var node = try Sample.node("b", 15_433)
        (node.zone, node.nosync, node.priority) = ("north", true, 5)
        var timings = Timings()
        timings.probeInterval = .milliseconds(333)
        timings.maxLagBytes = 7
        let spec = ClusterSpec(
            name: "demo", nodes: [try Sample.node("a"), node],
            durability: Durability(copies: 1, onStandbyLoss: .block), timings: timings, postgres: ["work_mem": "8MB"])
        #expect(try decoded(SpecDocument.self, from: try JSONText.line(SpecDocument(spec))).spec() == spec)
    }

    @Test func aSpecNeedsNoMoreThanNamesAndAddresses() throws {
        let text = #"{"name": "demo", "nodes": [{"name": "a", "host": "h", "port": 5432}]}"#
        let spec = try decoded(SpecDocument.self, from: text).spec()
        #expect(spec == ClusterSpec(name: "demo", nodes: [NodeSpec(name: try Sample.name("a"), host: "h", port: 5432)]))
    }

    @Test(arguments: [
        #"{"name": "A b", "host": "h", "port": 1}"#, #"{"name": "a", "host": "", "port": 1}"#,
        #"{"name": "a", "host": "h", "port": 65536}"#,
    ])
    func aNodeThatCannotBeIsInvalid(json: String) throws {
        let document = try decoded(NodeDocument.self, from: json)
        let refusal = #expect(throws: ControllerRefusal.self) { try document.spec() }
        #expect(refusal?.code == "invalid")
    }

    @Test func aCommandMayLeaveOutItsFlags() throws {
        #expect(try decoded(FailoverCommand.self, from: "{}") == FailoverCommand())
        #expect(try decoded(RejoinCommand.self, from: #"{"node": "a"}"#) == RejoinCommand(node: "a"))
    }

    @Test func aPatchChangesWhatItNamesAndNothingElse() throws {
        var node = try Sample.node("a")
        node.zone = "north"
        let changed = NodePatch(priority: 7, zone: "").applied(to: node)
        #expect(changed.priority == 7)
        #expect(changed.zone == nil)
        #expect(changed.nofailover == node.nofailover)
    }

    @Test func aTokenIsReadFromAFileAndNeverPrinted() throws {
        let file = FileManager.default.temporaryDirectory.appending(path: "pgha-token-\(UUID())")
        defer { try? FileManager.default.removeItem(at: file) }
        try Data("  s3cret-s3cret-s3cret\n".utf8).write(to: file)
        let token = try BearerToken.read(path: file.path)
        #expect(token.value == "s3cret-s3cret-s3cret")
        #expect(!"\(token) \(String(reflecting: token))".contains("s3cret"))
        try Data("two words".utf8).write(to: file)
        #expect(throws: ControllerFailure.tokenFile(path: file.path, reason: "it holds more than one word")) {
            try BearerToken.read(path: file.path)
        }
    }

    @Test func aControllerThatIsNotThereIsUnreachable() async throws {
        // Port 1 of the loopback: nothing listens there.
        let client = ControllerClient(baseURL: "http://127.0.0.1:1", token: nil)
        await #expect(throws: ControllerFailure.unreachable(url: "http://127.0.0.1:1", reason: "connection refused")) {
            try await client.status()
        }
    }

    @Test func exitCodesTellWhoSaidNo() {
        let refusal = ControllerRefusal(code: "busy", message: "m", hint: "h")
        #expect(CommandError(.unreachable(url: "u", reason: "r")).exit == .unreachable)
        #expect(CommandError(.refused(refusal)).exit == .refused)
        #expect(CommandError(.failed(refusal)).exit == .failed)
        #expect(CommandError(.unauthorised(url: "u", hasToken: false)).exit == .refused)
        #expect(CommandError(.undecodable(url: "u", reason: "r")).exit == .failed)
    }
}
