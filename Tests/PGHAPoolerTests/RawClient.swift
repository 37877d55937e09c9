import Glibc
import PGHAWire

/// A client that sends exactly what a test says and shows exactly what comes back.
///
/// Blocking, with a deadline on every read: a test that waits for what never comes fails.
final class RawClient {
    /// A message as it came: its type and its body.
    struct Message: Equatable, CustomStringConvertible {
        let type: Character
        let body: [UInt8]
        /// The body's printable bytes.
        var text: String { String(decoding: self.body.filter { $0 >= 0x20 && $0 < 0x7F }, as: UTF8.self) }
        var description: String { "\(self.type)(\(self.text))" }
    }

    struct Failure: Error { let description: String }

    private let descriptor: Int32
    private var input: [UInt8] = []
    private(set) var parameters: [String: String] = [:]
    private(set) var processID: UInt32 = 0
    private(set) var key: [UInt8] = []

    init(port: UInt16) throws {
        self.descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = port.bigEndian
        address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        self.wait(upTo: 10)
        let result = withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                connect(self.descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
            }
        }
        guard result == 0 else { throw Failure(description: "connect: \(String(cString: strerror(errno)))") }
    }

    deinit { close(self.descriptor) }

    /// How many seconds a read waits for the next byte before it fails.
    func wait(upTo seconds: Int) {
        var limit = timeval(tv_sec: seconds, tv_usec: 0)
        setsockopt(self.descriptor, SOL_SOCKET, SO_RCVTIMEO, &limit, socklen_t(MemoryLayout<timeval>.size))
    }

    /// Logged in, ready for its first query.
    static func logIn(
        port: UInt16, user: String = "postgres", database: String = "postgres", _ settings: [(String, String)] = [],
        version: ProtocolVersion = .original
    ) throws -> RawClient {
        let client = try RawClient(port: port)
        client.sendStartup(user: user, database: database, settings, version: version)
        let messages = try client.readToReady()
        if let error = messages.first(where: { $0.type == "E" }) { throw Failure(description: error.text) }
        return client
    }

    // MARK: - Sending

    func sendStartup(
        user: String, database: String, _ settings: [(String, String)] = [], version: ProtocolVersion = .original
    ) {
        var buffer = WireBuffer()
        let parameters = ([("user", user), ("database", database)] + settings).map {
            StartupMessage.Parameter(WireText($0.0), WireText($0.1))
        }
        buffer.startupMessage(version: version, parameters: parameters)
        self.send(buffer.array)
    }

    /// Returns how many of `bytes` were taken.
    @discardableResult func send(_ bytes: [UInt8]) -> Int {
        var sent = 0
        while sent < bytes.count {
            let count = bytes.withUnsafeBytes { bytes in
                Glibc.send(self.descriptor, bytes.baseAddress! + sent, bytes.count - sent, Int32(MSG_NOSIGNAL))
            }
            guard count > 0 else { break }
            sent += count
        }
        return sent
    }

    /// How many of `bytes` were taken before nothing was for a second.
    func sendUntilBlocked(_ bytes: [UInt8]) -> Int {
        self.limitSending(seconds: 1)
        defer { self.limitSending(seconds: 0) }
        return self.send(bytes)
    }

    /// 0: no limit.
    private func limitSending(seconds: Int) {
        var limit = timeval(tv_sec: seconds, tv_usec: 0)
        setsockopt(self.descriptor, SOL_SOCKET, SO_SNDTIMEO, &limit, socklen_t(MemoryLayout<timeval>.size))
    }

    func send(_ build: (inout WireBuffer) -> Void) {
        var buffer = WireBuffer()
        build(&buffer)
        self.send(buffer.array)
    }

    /// No more will be sent; answers can still be read.
    func finishSending() { shutdown(self.descriptor, Int32(SHUT_WR)) }

    /// Its end will be a reset, as after a crash of its host.
    func resetOnClose() {
        var option = linger(l_onoff: 1, l_linger: 0)
        setsockopt(self.descriptor, SOL_SOCKET, SO_LINGER, &option, socklen_t(MemoryLayout<linger>.size))
    }

    // MARK: - Receiving

    /// The next message; nil when the pooler has closed the connection.
    func read() throws -> Message? {
        while true {
            if self.input.count >= 5 {
                let length = self.input[1..<5].reduce(0) { $0 << 8 | Int($1) }
                if self.input.count > length {
                    let body = Array(self.input[5..<length + 1])
                    let message = Message(type: Character(UnicodeScalar(self.input[0])), body: body)
                    self.input.removeFirst(length + 1)
                    self.note(message)
                    return message
                }
            }
            var bytes = [UInt8](repeating: 0, count: 65536)
            let count = recv(self.descriptor, &bytes, bytes.count, 0)
            if count == 0 { return nil }
            guard count > 0 else { throw Failure(description: "recv: \(String(cString: strerror(errno)))") }
            self.input += bytes[..<count]
        }
    }

    /// One byte that is no message: the answer to a request for encryption.
    func readByte() throws -> UInt8? {
        var byte: UInt8 = 0
        let count = recv(self.descriptor, &byte, 1, 0)
        guard count >= 0 else { throw Failure(description: "recv: \(String(cString: strerror(errno)))") }
        return count == 1 ? byte : nil
    }

    private func note(_ message: Message) {
        if message.type == "S" {
            let parts = message.body.split(separator: 0, omittingEmptySubsequences: false)
            self.parameters[String(decoding: parts[0], as: UTF8.self)] = String(decoding: parts[1], as: UTF8.self)
        } else if message.type == "K" {
            self.processID = message.body[..<4].reduce(0) { $0 << 8 | UInt32($1) }
            self.key = Array(message.body[4...])
        }
    }

    /// Everything up to ReadyForQuery, or to the end of the connection.
    func readToReady() throws -> [Message] {
        var messages: [Message] = []
        while let message = try self.read() {
            messages.append(message)
            if message.type == "Z" { break }
        }
        return messages
    }

    /// A simple query's answer in short: types of the messages, with the values of rows and tags.
    @discardableResult
    func query(_ text: String) throws -> [String] {
        self.send { $0.message(FrontendMessage.query) { $0.appendString(text) } }
        return try self.readToReady().map(Self.summary)
    }

    /// The first value of the first row.
    func value(_ text: String) throws -> String? {
        try self.query(text).first { $0.hasPrefix("D:") }.map { String($0.dropFirst(2)) }
    }

    /// `D:1` for a row, `C:SELECT 1` for a tag, `E:42601` for an error, `Z:I`, otherwise the type alone.
    static func summary(_ message: Message) -> String {
        switch message.type {
        case "D":
            let length = message.body[2..<6].reduce(0) { $0 << 8 | Int($1) }
            return "D:" + String(decoding: message.body[6..<6 + length], as: UTF8.self)
        case "C", "Z": return "\(message.type):\(message.text)"
        case "E":
            let code = message.body.split(separator: 0).first { $0.first == UInt8(ascii: "C") } ?? []
            return "E:" + String(decoding: code.dropFirst(), as: UTF8.self)
        default: return String(message.type)
        }
    }

    /// What comes up to `count` ReadyForQuery messages, in short.
    func answers(ready count: Int = 1) throws -> [String] {
        var answers: [String] = []
        for _ in 0..<count { answers += try self.readToReady().map(Self.summary) }
        return answers
    }
}

extension WireBuffer {
    mutating func parse(_ name: String, _ text: String, types: [UInt32] = []) {
        self.message(FrontendMessage.parse) { buffer in
            buffer.appendString(name)
            buffer.appendString(text)
            buffer.append(UInt16(types.count))
            for type in types { buffer.append(type) }
        }
    }

    mutating func bind(_ statement: String, _ values: [String] = []) {
        self.message(FrontendMessage.bind) { buffer in
            buffer.appendString("")
            buffer.appendString(statement)
            buffer.append(UInt16(0))
            buffer.append(UInt16(values.count))
            for value in values {
                buffer.append(UInt32(value.utf8.count))
                buffer.append(value)
            }
            buffer.append(UInt16(0))
        }
    }

    mutating func execute() {
        self.message(FrontendMessage.execute) { buffer in
            buffer.appendString("")
            buffer.append(UInt32(0))
        }
    }

    mutating func describe(_ statement: String) {
        self.message(FrontendMessage.describe) { buffer in
            buffer.append(UInt8(ascii: "S"))
            buffer.appendString(statement)
        }
    }

    mutating func closeStatement(_ statement: String) {
        self.message(FrontendMessage.close) { buffer in
            buffer.append(UInt8(ascii: "S"))
            buffer.appendString(statement)
        }
    }

    mutating func sync() { self.emptyMessage(FrontendMessage.sync) }
    mutating func flush() { self.emptyMessage(FrontendMessage.flush) }
    mutating func query(_ text: String) { self.message(FrontendMessage.query) { $0.appendString(text) } }
}
