import PGHACore

/// What the value of a setting may be.
package enum SettingKind: Hashable, Sendable {
    case duration(ClosedRange<Duration>)
    case bytes(ClosedRange<UInt64>)
    case integer(ClosedRange<Int>)
    case boolean
    case choice([String])
    /// Letters, digits, `_`, `-` and `.`.
    case name
    case nodeName
    /// A name, an address, or the absolute directory of a Unix socket.
    case host
    /// `HOST:PORT`.
    case listenAddress
    /// `http://HOST:PORT` or `https://HOST:PORT`.
    case agentURL
    /// Several of these, separated by commas.
    case urls
    /// `HOST:PORT`, several separated by commas.
    case addresses
    /// Names of users or functions of a database, separated by commas.
    case names
    /// A path; a relative one is taken from where the program was started.
    case path
    /// Anything, of several lines if need be.
    case text

    /// Whether `text` is a value of this kind.
    package func accepts(_ text: String) -> Bool {
        switch self {
        case .duration(let range): DurationValue.parse(text).map(range.contains) ?? false
        case .bytes(let range): ByteValue.parse(text).map(range.contains) ?? false
        case .integer(let range): Int(text).map(range.contains) ?? false
        case .boolean: Self.boolean(text) != nil
        case .choice(let words): words.contains(text)
        case .name: !text.isEmpty && text.utf8.count <= 63 && text.utf8.allSatisfy(Self.isNameByte)
        case .nodeName: NodeName(text) != nil
        case .host: !text.isEmpty && !text.contains { $0.isWhitespace || $0 == "," }
        case .listenAddress: ListenAddress(text) != nil
        case .agentURL: Self.isAgentURL(text)
        case .urls: Self.items(text).allSatisfy(Self.isAgentURL)
        case .addresses: Self.items(text).allSatisfy { ListenAddress($0) != nil }
        case .names: Self.items(text).allSatisfy { !$0.isEmpty && $0.utf8.count <= 63 }
        case .path, .text: !text.isEmpty && !text.contains("\0")
        }
    }

    /// What a value must be, for errors: "a duration from 10ms to 1min, such as 250ms".
    package var expectation: String {
        switch self {
        case .duration(let range):
            "a duration with its unit (ms, s, min, h, d) from \(DurationValue.text(range.lowerBound))"
                + " to \(DurationValue.text(range.upperBound))"
        case .bytes(let range):
            "an amount with its unit (B, kB, MB, GB; KiB, MiB, GiB) from \(ByteValue.text(range.lowerBound))"
                + " to \(ByteValue.text(range.upperBound))"
        case .integer(let range) where range.upperBound == .max: "a whole number from \(range.lowerBound)"
        case .integer(let range): "a whole number from \(range.lowerBound) to \(range.upperBound)"
        case .boolean: "true or false"
        case .choice(let words): words.joined(separator: " or ")
        case .name: "a name of letters, digits, _, - and ., at most 63"
        case .nodeName: "a name of lower-case letters, digits and _, starting with a letter, at most 40"
        case .host: "a host name, an address, or the directory of a Unix socket"
        case .listenAddress: "HOST:PORT, an IPv6 address in brackets"
        case .agentURL: "http://HOST:PORT"
        case .urls: "http://HOST:PORT, several separated by commas"
        case .addresses: "HOST:PORT, several separated by commas"
        case .names: "names of at most 63 bytes, separated by commas"
        case .path: "a path"
        case .text: "text"
        }
    }

    /// The column "unit" of the reference page.
    package var unit: String {
        switch self {
        case .duration: "duration"
        case .bytes: "bytes"
        case .integer: "number"
        case .boolean: "true, false"
        case .choice(let words): words.joined(separator: ", ")
        case .name, .nodeName: "name"
        case .host: "host"
        case .listenAddress: "host:port"
        case .agentURL: "URL"
        case .urls: "URLs"
        case .addresses: "addresses"
        case .names: "names"
        case .path: "path"
        case .text: "text"
        }
    }

    static func boolean(_ text: String) -> Bool? {
        switch text {
        case "true", "on", "yes": true
        case "false", "off", "no": false
        default: nil
        }
    }

    /// What stands between commas, without the white space around it.
    static func items(_ text: String) -> [String] {
        text.split(separator: ",", omittingEmptySubsequences: false).map { item in
            String(item.drop { $0 == " " }.reversed().drop { $0 == " " }.reversed())
        }
    }

    private static func isNameByte(_ byte: UInt8) -> Bool {
        switch byte {
        case 0x30...0x39, 0x41...0x5A, 0x61...0x7A, 0x2D, 0x2E, 0x5F: true
        default: false
        }
    }

    private static func isAgentURL(_ text: String) -> Bool {
        guard let scheme = ["http://", "https://"].first(where: text.hasPrefix) else { return false }
        return ListenAddress(String(text.dropFirst(scheme.count))).map { $0.port > 0 } ?? false
    }
}
