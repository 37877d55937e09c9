import Foundation

/// A file in `.pgpass` format (PostgreSQL manual, "The Password File"), read to hand passwords to those who need
/// them: libpq itself is given the file's path.
package struct Passfile: Sendable {
    private struct Line: Sendable {
        var user: String
        var password: Secret
    }

    private let lines: [Line]

    /// Throws ``PassfileError`` when the file cannot be read, or others than its owner may.
    package static func read(path: String) throws(PassfileError) -> Passfile {
        let attributes = try? FileManager.default.attributesOfItem(atPath: path)
        guard let attributes, let text = try? String(contentsOfFile: path, encoding: .utf8) else {
            throw .unreadable(path)
        }
        let mode = (attributes[.posixPermissions] as? NSNumber)?.uint16Value ?? 0
        guard mode & 0o077 == 0 else { throw .tooOpen(path, mode: mode) }
        return Passfile(text)
    }

    package init(_ text: String) {
        self.lines = text.split(whereSeparator: \.isNewline).compactMap { line in
            guard !line.hasPrefix("#") else { return nil }
            let fields = Self.fields(line)
            guard fields.count >= 5 else { return nil }
            return Line(user: fields[3], password: Secret(fields[4...].joined(separator: ":")))
        }
    }

    /// The first password for `user`, whatever the server; nil when there is none.
    package func password(user: String) -> Secret? {
        self.lines.first { $0.user == user || $0.user == "*" }?.password
    }

    /// Split at `:`; `\:` and `\\` are literal.
    private static func fields(_ line: Substring) -> [String] {
        var fields = [""], escaped = false
        for character in line {
            if escaped {
                fields[fields.count - 1].append(character)
                escaped = false
            } else if character == "\\" {
                escaped = true
            } else if character == ":" {
                fields.append("")
            } else {
                fields[fields.count - 1].append(character)
            }
        }
        return fields
    }
}

/// Why a password file is not used.
package enum PassfileError: Error, Hashable, Sendable, CustomStringConvertible {
    case unreadable(String)
    case tooOpen(String, mode: UInt16)

    package var description: String {
        switch self {
        case .unreadable(let path): "the password file \(path) cannot be read; give one with --passfile"
        case .tooOpen(let path, let mode):
            "the password file \(path) has mode \(String(mode, radix: 8)); run 'chmod 600 \(path)'"
        }
    }
}
