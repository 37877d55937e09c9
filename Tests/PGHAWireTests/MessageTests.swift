import PGHAWire
import Testing

@Suite("Messages are built and read byte by byte") struct MessageTests {
    // MARK: Building

    @Test func errorsCarryBothSeveritiesAndTheCode() {
        let error = WireError(.fatal, .cannotConnectNow, "wait", detail: "why", hint: "how")
        let body = bytes("SFATAL\0VFATAL\0C57P03\0Mwait\0Dwhy\0Hhow\0\0")
        #expect(built { $0.errorResponse(error) } == bytes("E") + [0, 0, 0, UInt8(body.count + 4)] + body)
        #expect(built { $0.noticeResponse(WireError(.notice, .successfulCompletion, "m")) }.first == UInt8(ascii: "N"))
    }

    @Test func zerosInsideOfTextCannotForgeAField() throws {
        let message = built { $0.errorResponse(WireError(.error, .internalError, "a\0Hforged\0\0")) }
        try Array(message[5...]).withUnsafeBytes { body in
            let view = try #require(ErrorView(body))
            #expect(view.hint == nil)
            #expect(view.message.map { String(decoding: $0, as: UTF8.self) } == "aHforged")
        }
    }

    @Test func logInMessagesHaveTheirCodes() {
        #expect(built { $0.authenticationOk() } == bytes("R") + [0, 0, 0, 8, 0, 0, 0, 0])
        #expect(built { $0.authenticationCleartextPassword() } == bytes("R") + [0, 0, 0, 8, 0, 0, 0, 3])
        #expect(
            built { $0.authenticationMD5Password(salt: 0x0102_0304) } == bytes("R") + [
                0, 0, 0, 12, 0, 0, 0, 5, 1, 2, 3, 4,
            ])
        #expect(
            built { $0.authenticationSASL(mechanisms: [.scramSHA256Plus, .scramSHA256]) }
                == bytes("R") + [0, 0, 0, 42, 0, 0, 0, 10] + bytes("SCRAM-SHA-256-PLUS\0SCRAM-SHA-256\0\0"))
        #expect(built { $0.authenticationSASLContinue([7]) } == bytes("R") + [0, 0, 0, 9, 0, 0, 0, 11, 7])
        #expect(built { $0.authenticationSASLFinal([7]) } == bytes("R") + [0, 0, 0, 9, 0, 0, 0, 12, 7])
        #expect(built { $0.parameterStatus("a", "b") } == bytes("S") + [0, 0, 0, 8] + bytes("a\0b\0"))
        #expect(
            built { $0.backendKeyData(processID: 1, key: [9, 8, 7, 6]) }
                == bytes("K") + [0, 0, 0, 12, 0, 0, 0, 1, 9, 8, 7, 6])
        #expect(built { $0.readyForQuery(.failed) } == bytes("Z") + [0, 0, 0, 5] + bytes("E"))
        #expect(
            built { $0.negotiateProtocolVersion(ProtocolNegotiation(newestMinor: 2, unknownOptions: ["_pq_.x"])) }
                == bytes("v") + [0, 0, 0, 19, 0, 3, 0, 2, 0, 0, 0, 1] + bytes("_pq_.x\0"))
    }

    @Test func resultsOfTheConsoleAreText() {
        #expect(
            built { $0.rowDescription(columns: ["a"]) }
                == bytes("T") + [0, 0, 0, 26, 0, 1] + bytes("a\0") + [0, 0, 0, 0, 0, 0, 0, 0, 0, 25, 255, 255]
                + [255, 255, 255, 255, 0, 0])
        #expect(
            built { $0.dataRow(["xy", nil]) }
                == bytes("D") + [0, 0, 0, 16, 0, 2, 0, 0, 0, 2] + bytes("xy") + [255, 255, 255, 255])
        #expect(built { $0.commandComplete("SHOW") } == bytes("C") + [0, 0, 0, 9] + bytes("SHOW\0"))
    }

    @Test func clientMessagesHaveTheirLayout() {
        #expect(built { $0.query("a") } == bytes("Q") + [0, 0, 0, 6] + bytes("a\0"))
        #expect(built { $0.parse(name: "s", text: "q") } == bytes("P") + [0, 0, 0, 10] + bytes("s\0q\0") + [0, 0])
        #expect(
            built { $0.bind(statement: "s", values: ["v", nil]) }
                == bytes("B") + [0, 0, 0, 22] + bytes("\0s\0") + [0, 0, 0, 2, 0, 0, 0, 1] + bytes("v")
                + [255, 255, 255, 255, 0, 0])
        #expect(built { $0.execute(limit: 5) } == bytes("E") + [0, 0, 0, 9, 0, 0, 0, 0, 5])
        #expect(built { $0.sync() } == bytes("S") + [0, 0, 0, 4])
        #expect(built { $0.terminate() } == bytes("X") + [0, 0, 0, 4])
        #expect(built { $0.passwordMessage([1]) } == bytes("p") + [0, 0, 0, 6, 1, 0])
        #expect(
            built { $0.saslInitialResponse(.scramSHA256, [7]) }
                == bytes("p") + [0, 0, 0, 23] + bytes("SCRAM-SHA-256\0") + [0, 0, 0, 1, 7])
        bytes("n").withUnsafeBytes { name in
            #expect(built { $0.close(.statement, name: name) } == bytes("C") + [0, 0, 0, 7] + bytes("Sn\0"))
            #expect(built { $0.describe(.portal, name: name) } == bytes("D") + [0, 0, 0, 7] + bytes("Pn\0"))
        }
    }

    // MARK: Reading

    @Test func errorsAreReadInTheServersWords() {
        bytes("SFATAL\0C57P01\0Mgone\0Wx\0\0").withExactBytes { body in
            let view = ErrorView(body)
            #expect(view?.state == .adminShutdown)
            #expect(view?.isFatal == true)
            #expect(view?.detail == nil)
        }
        bytes("SERREUR\0VERROR\0\0").withExactBytes { body in
            #expect(ErrorView(body)?.severity.map { String(decoding: $0, as: UTF8.self) } == "ERROR")
            #expect(ErrorView(body)?.state == nil)
        }
        bytes("Cabc\0\0").withExactBytes { #expect(ErrorView($0).map { $0.state == nil } == true) }
    }

    @Test func parseGivesNameTextAndTypes() throws {
        let body = bytes("s\0SELECT $1\0") + [0, 2, 0, 0, 0, 23, 0, 0, 0, 0]
        try body.withUnsafeBytes { body in
            let view = try #require(ParseView(body))
            #expect(view.name.elementsEqual("s".utf8))
            #expect(view.text.elementsEqual("SELECT $1".utf8))
            #expect((0..<view.parameterTypes.count).map { view.parameterTypes[$0] } == [23, 0])
            #expect(
                built { $0.parse(name: view.name, text: view.text, parameterTypes: view.parameterTypes) }
                    == bytes("P") + [0, 0, 0, UInt8(body.count + 4)] + Array(body))
            #expect(ParseView.content(of: body)?.count == body.count - 2)
        }
    }

    @Test func authenticationRequestsAreKnownByCode() throws {
        let sasl = built { $0.authenticationSASL(mechanisms: [.scramSHA256]) }[5...]
        try (Array(sasl.dropLast()) + bytes("OTHER\0\0")).withUnsafeBytes { body in
            guard case .sasl(let mechanisms) = try #require(AuthenticationRequest(body)) else {
                Issue.record("no SASL")
                return
            }
            #expect(mechanisms == [.scramSHA256])
        }
        try ([0, 0, 0, 7] as [UInt8]).withUnsafeBytes { body in
            guard case .unsupported(7) = try #require(AuthenticationRequest(body)) else {
                Issue.record("known")
                return
            }
        }
    }

    /// Bodies that are read to their end, and whether the reader takes them.
    private static let readers: [(name: String, body: [UInt8], accepts: @Sendable (UnsafeRawBufferPointer) -> Bool)] = [
        ("error", bytes("SERROR\0C57P01\0Mx\0\0"), { ErrorView($0) != nil }),
        ("parameter", bytes("a\0b\0"), { ParameterStatusView($0) != nil }),
        ("key", [0, 0, 0, 1, 1, 2, 3, 4], { BackendKeyDataView($0) != nil }),
        ("negotiation", [0, 3, 0, 2, 0, 0, 0, 1] + bytes("ab\0"), { NegotiationView($0) != nil }),
        ("notification", [0, 0, 0, 1] + bytes("c\0p\0"), { NotificationView($0) != nil }),
        ("row", [0, 2, 0, 0, 0, 1, 7, 255, 255, 255, 255], { DataRowView($0) != nil }),
        ("md5", [0, 0, 0, 5, 1, 2, 3, 4], { AuthenticationRequest($0) != nil }),
        ("sasl", [0, 0, 0, 10] + bytes("SCRAM-SHA-256\0\0"), { AuthenticationRequest($0) != nil }),
        ("query", bytes("SELECT 1\0"), { QueryView($0) != nil }),
        ("parse", bytes("s\0q\0") + [0, 1, 0, 0, 0, 23], { ParseView($0) != nil }),
        ("describe", bytes("Sname\0"), { DescribeView($0) != nil }),
        ("execute", bytes("p\0") + [0, 0, 0, 0], { ExecuteView($0) != nil }),
        ("password", bytes("secret\0"), { PasswordView($0) != nil }),
        ("initial", bytes("SCRAM-SHA-256\0") + [0, 0, 0, 2, 1, 2], { SASLInitialResponseView($0) != nil }),
    ]

    @Test func everyTruncationAndEveryExtensionIsRefused() {
        for reader in Self.readers {
            #expect(reader.body.withExactBytes(reader.accepts), "\(reader.name)")
            for count in 0..<reader.body.count where !(reader.name == "md5" && count == 0) {
                let isCut = Array(reader.body[..<count]).withExactBytes(reader.accepts)
                #expect(!isCut, "\(reader.name), \(count) bytes")
            }
            // A cancel key may be longer.
            let isLonger = (reader.body + [1]).withExactBytes(reader.accepts)
            #expect(isLonger == (reader.name == "key"), "\(reader.name)")
        }
    }

    @Test func countsThatLieAreRefused() {
        #expect(([0, 3, 0, 2] + [255, 255, 255, 255]).withExactBytes { NegotiationView($0) == nil })
        #expect([255, 255].withExactBytes { DataRowView($0) == nil })
        #expect([0, 1, 128, 0, 0, 0].withExactBytes { DataRowView($0) == nil })
        #expect((bytes("s\0q\0") + [255, 255]).withExactBytes { ParseView($0) == nil })
        let initial = bytes("SCRAM-SHA-256\0") + [255, 255, 255, 255]
        #expect(initial.withExactBytes { SASLInitialResponseView($0) == nil })
    }

    @Test(arguments: UInt64(0)..<100) func randomBodiesNeverReachBeyondTheirEnd(seed: UInt64) {
        var generator = SeededGenerator(seed: seed)
        for reader in Self.readers {
            var body = reader.body
            for _ in 0..<3 {
                body[Int.random(in: 0..<body.count, using: &generator)] = UInt8(truncatingIfNeeded: generator.next())
            }
            _ = body.withExactBytes(reader.accepts)
            _ = body.withExactBytes { BindView($0) != nil }
        }
    }

    // MARK: SQLSTATE

    @Test func codesAreFiveCharacters() {
        #expect(bytes("57P01").withUnsafeBytes { SQLState($0) } == .adminShutdown)
        #expect(SQLState.adminShutdown.description == "57P01")
        for text in ["", "57p01", "57P0", "57P011", "57P0\0"] {
            #expect(bytes(text).withUnsafeBytes { SQLState($0) } == nil)
        }
    }
}
