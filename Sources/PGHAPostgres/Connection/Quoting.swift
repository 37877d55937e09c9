/// An identifier for SQL text, always in double quotes.
package func quoteIdentifier(_ name: String) -> String { "\"\(doubling("\"", in: name))\"" }

/// A string constant for SQL text, safe whatever `standard_conforming_strings` says.
///
/// A backslash forces the `E''` form in which it is doubled. A NUL byte cannot be in a PostgreSQL string; it is
/// dropped, since libpq would end the statement there.
package func quoteLiteral(_ text: String) -> String {
    let clean = String(String.UnicodeScalarView(text.unicodeScalars.filter { $0 != "\0" }))
    let quoted = "'\(doubling("'", in: clean))'"
    guard clean.unicodeScalars.contains("\\") else { return quoted }
    return "E\(doubling("\\", in: quoted))"
}

/// A libpq connection string, as `primary_conninfo` wants it. Empty values are kept (`password=''`).
/// Source: PostgreSQL manual, "Keyword/Value Connection Strings".
package func conninfo(_ pairs: [(keyword: String, value: String)]) -> String {
    pairs.map { keyword, value in
        let plain = !value.isEmpty && value.utf8.allSatisfy(isPlainInConninfo)
        return plain ? "\(keyword)=\(value)" : "\(keyword)='\(escapedForConninfo(value))'"
    }.joined(separator: " ")
}

private func isPlainInConninfo(_ byte: UInt8) -> Bool {
    switch byte {
    case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"): true
    case UInt8(ascii: "0")...UInt8(ascii: "9"): true
    case UInt8(ascii: "_"), UInt8(ascii: "."), UInt8(ascii: "-"), UInt8(ascii: "/"), UInt8(ascii: ":"): true
    default: false
    }
}

private func escapedForConninfo(_ value: String) -> String { escaping("'", "\\", with: "\\", in: value) }

private func doubling(_ mark: Unicode.Scalar, in text: String) -> String { escaping(mark, with: mark, in: text) }

/// Puts `prefix` before each of `marks`. By scalars: a quote followed by a combining mark is one `Character`,
/// and would be missed.
func escaping(_ marks: Unicode.Scalar..., with prefix: Unicode.Scalar, in text: String) -> String {
    var result = String.UnicodeScalarView()
    for scalar in text.unicodeScalars {
        if marks.contains(scalar) { result.append(prefix) }
        result.append(scalar)
    }
    return String(result)
}
