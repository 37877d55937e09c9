/// Names and literals as PostgreSQL understands them.
enum SQLName {
    /// A name's text: small letters where it is not quoted. Parts of a dotted name are joined by dots.
    static func folded(_ name: UnsafeRawBufferPointer) -> WireText {
        var bytes: [UInt8] = []
        var index = 0
        while index < name.count {
            if name[index] == UInt8(ascii: "\"") {
                index += 1
                while index < name.count {
                    if name[index] == UInt8(ascii: "\"") {
                        // Doubled, or the end.
                        guard index + 1 < name.count, name[index + 1] == UInt8(ascii: "\"") else { break }
                        index += 1
                    }
                    bytes.append(name[index])
                    index += 1
                }
            } else if !name[index].isSpace {
                bytes.append(name[index].asciiLowercased)
            }
            index += 1
        }
        return WireText(bytes)
    }

    /// What a plain literal or a bare word stands for: `'off'`, `off`, `"off"`; no escapes inside.
    static func plainValue(_ text: UnsafeRawBufferPointer) -> UnsafeRawBufferPointer {
        guard text.count >= 2, let first = text.first, first == text[text.count - 1],
            first == UInt8(ascii: "'") || first == UInt8(ascii: "\"")
        else { return text }
        return UnsafeRawBufferPointer(rebasing: text[1..<text.count - 1])
    }
}

/// Encodings of clients whose bytes cannot be read as ASCII's superset.
package enum ClientEncoding {
    /// Whether a backslash, a quote or a letter may be the second half of a character: then nothing that the lexer
    /// says about a text can be relied on, and it must be taken for doubtful. Source: PostgreSQL manual, "Supported
    /// Character Sets", the rows without "Server?".
    package static func hidesASCII(_ name: UnsafeRawBufferPointer) -> Bool {
        let plain = name.filter { $0 != UInt8(ascii: "_") && $0 != UInt8(ascii: "-") }.map(\.asciiLowercased)
        return plain.withUnsafeBytes { text in
            Self.names.contains { text.equals($0) }
        }
    }

    private static let names: [StaticString] = [
        "big5", "gb18030", "gbk", "johab", "sjis", "shiftjis", "mskanji", "shiftjis2004", "uhc", "win936", "win949",
        "win950", "win932", "windows936", "windows949", "windows950", "windows932",
    ]
}
