/// Which names of the system (of certificates, of peers) may log in as which users: the language of `pg_ident.conf`.
///
/// Lines are `map system-name database-user`. A system name that begins with a slash is an expression, of a small
/// subset that runs in linear time: `/^text(.*)text$` with at most one group, whose content `\1` in the user's name
/// stands for. `^` and `$` are compulsory, because what is forgotten there lets strangers in. A user `all` (unquoted)
/// is everybody.
package struct IdentityMap: Equatable, Sendable {
    enum SystemName: Hashable, Sendable {
        case exact(String)
        /// What the group holds lies between them.
        case around(prefix: String, suffix: String)
    }

    struct Entry: Hashable, Sendable {
        let map: String
        let system: SystemName
        let user: String
        let isEverybody: Bool
    }

    private let entries: [Entry]

    package init(_ text: String) throws(RuleError) {
        var entries: [Entry] = []
        for line in try RuleText.lines(of: text) { entries.append(try Self.entry(line)) }
        self.entries = entries
    }

    private static func entry(_ line: RuleText.Line) throws(RuleError) -> Entry {
        let names = ["map", "system name", "database user"]
        for (index, name) in names.enumerated() {
            guard index < line.fields.count else { throw RuleError(line: line.number, .missing(name)) }
            guard line.fields[index].count == 1 else { throw RuleError(line: line.number, .tooManyWords(name)) }
        }
        guard line.fields.count == names.count else {
            throw RuleError(line: line.number, .tooManyWords("database user"))
        }
        let (map, system, user) = (line.fields[0][0], line.fields[1][0], line.fields[2][0])
        if map.text.hasPrefix("include") { throw RuleError(line: line.number, .inclusion(map.text)) }
        if !user.isQuoted, user.text.hasPrefix("+") { throw RuleError(line: line.number, .membership(user.text)) }
        if !user.isQuoted, user.text.hasPrefix("/") { throw RuleError(line: line.number, .expression(user.text)) }
        var name = SystemName.exact(system.text)
        if system.text.hasPrefix("/") {
            guard let expression = Self.expression(system.text.dropFirst()) else {
                throw RuleError(line: line.number, .unsupportedExpression(system.text))
            }
            name = expression
        }
        if user.text.contains("\\1") {
            guard case .around = name else { throw RuleError(line: line.number, .unsupportedExpression(system.text)) }
        }
        return Entry(map: map.text, system: name, user: user.text, isEverybody: user.isKeyword("all"))
    }

    /// Without its slash; nil outside of the subset.
    private static func expression(_ text: Substring) -> SystemName? {
        guard text.hasPrefix("^"), text.hasSuffix("$") else { return nil }
        var parts = [""]
        var rest = text.dropFirst().dropLast()
        while let character = rest.popFirst() {
            if rest.hasPrefix(".*)"), character == "(" {
                rest = rest.dropFirst(3)
                parts.append("")
            } else if character == "\\" {
                // `\d` and its like are more than an escaped mark.
                guard let mark = rest.popFirst(), !mark.isLetter, !mark.isNumber else { return nil }
                parts[parts.count - 1].append(mark)
            } else {
                guard !".[]{}()*+?|^$".contains(character) else { return nil }
                parts[parts.count - 1].append(character)
            }
        }
        switch parts.count {
        case 1: return .exact(parts[0])
        case 2: return .around(prefix: parts[0], suffix: parts[1])
        default: return nil
        }
    }

    /// Whether `system`, a name from a certificate or a socket, may be `user`. Without a map the names must be equal.
    package static func allows(system: String, as user: WireText, by map: String?, in maps: IdentityMap?) -> Bool {
        guard let map else { return WireText(system) == user }
        return maps?.entries.contains { $0.map == map && $0.allows(system, as: user) } ?? false
    }
}

extension IdentityMap.Entry {
    fileprivate func allows(_ system: String, as user: WireText) -> Bool {
        let bytes = Array(system.utf8)
        let group: [UInt8]
        switch self.system {
        case .exact(let name):
            guard bytes == Array(name.utf8) else { return false }
            group = []
        case .around(let prefix, let suffix):
            let (prefix, suffix) = (Array(prefix.utf8), Array(suffix.utf8))
            guard bytes.count >= prefix.count + suffix.count, bytes.starts(with: prefix),
                bytes.suffix(suffix.count).elementsEqual(suffix)
            else { return false }
            group = Array(bytes[prefix.count..<bytes.count - suffix.count])
        }
        return self.isEverybody || Self.fill(Array(self.user.utf8), with: group) == user.bytes
    }

    /// Every `\1` becomes the group.
    private static func fill(_ name: [UInt8], with group: [UInt8]) -> [UInt8] {
        var result: [UInt8] = []
        var index = 0
        while index < name.count {
            if name[index...].starts(with: "\\1".utf8) {
                result += group
                index += 2
            } else {
                result.append(name[index])
                index += 1
            }
        }
        return result
    }
}
