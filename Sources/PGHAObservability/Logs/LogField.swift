/// A value of a log line.
enum LogField: Hashable, Sendable {
    case text(String)
    case list([LogField])
    case object([String: LogField])

    // MARK: logfmt

    /// `key=value key="value with spaces"`.
    static func logfmt(_ fields: [(String, LogField)]) -> String {
        fields.map { "\(self.plainKey($0))=\(self.logfmtValue($1))" }.joined(separator: " ")
    }

    private static func plainKey(_ key: String) -> String {
        String(key.map { $0.isLetter || $0.isNumber || "_.-".contains($0) ? $0 : "_" })
    }

    private static func logfmtValue(_ field: LogField) -> String {
        let text: String
        if case .text(let plain) = field { text = plain } else { text = field.jsonText }
        let needsQuotes = text.unicodeScalars.contains { $0.value <= 0x20 || $0 == "\"" || $0 == "=" || $0 == "\\" }
        return text.isEmpty || needsQuotes ? self.quoted(text) : text
    }

    // MARK: JSON

    static func json(_ fields: [(String, LogField)]) -> String {
        "{" + fields.map { "\(self.quoted($0)):\($1.jsonText)" }.joined(separator: ",") + "}"
    }

    private var jsonText: String {
        switch self {
        case .text(let text): Self.quoted(text)
        case .list(let items): "[" + items.map(\.jsonText).joined(separator: ",") + "]"
        case .object(let fields): Self.json(fields.sorted { $0.key < $1.key })
        }
    }

    /// As RFC 8259 section 7 asks; what logfmt needs is the same.
    private static func quoted(_ text: String) -> String {
        var result = "\""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\"": result += "\\\""
            case "\\": result += "\\\\"
            case "\n": result += "\\n"
            case "\r": result += "\\r"
            case "\t": result += "\\t"
            case _ where scalar.value < 0x20 || scalar.value == 0x7F:
                let digits = String(scalar.value, radix: 16)
                result += "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
            default: result.unicodeScalars.append(scalar)
            }
        }
        return result + "\""
    }
}
