/// Finds functions and initialisers with a body, and how many lines each takes.
enum FunctionLengths {
    struct Function: Hashable {
        /// `handle`, `init`.
        let name: String
        /// From 1.
        let line: Int
        /// From the line of its name to that of its closing brace.
        let length: Int
    }

    /// `lines` are code: see ``SwiftText``.
    static func functions(in lines: [String]) -> [Function] {
        lines.indices.compactMap { index in
            guard let name = self.name(declaredIn: lines[index]),
                let length = self.length(lines[index...])
            else { return nil }
            return Function(name: name, line: index + 1, length: length)
        }
    }

    private static func name(declaredIn line: String) -> String? {
        // Regexes are slow in a debug build.
        guard line.contains("func") || line.contains("init") else { return nil }
        let declaration =
            #/^\s*(?:@\S+\s+)*(?:[a-z]+(?:\([a-z]+\))?\s+)*(?:func\s+(\S+?)\s*[(<]|(init|deinit)\b(?![.:]))/#
        guard let match = try? declaration.prefixMatch(in: line) else { return nil }
        return (match.1 ?? match.2).map(String.init)
    }

    /// Lines up to the brace that closes the first one opened outside parentheses; nil for a requirement of a
    /// protocol, which has no body: the enclosing brace closes, or a line begins anew, before one opens.
    private static func length(_ lines: ArraySlice<String>) -> Int? {
        var braces = 0
        var parentheses = 0
        for (offset, line) in lines.enumerated() {
            if offset > 0, braces == 0, parentheses == 0, !self.continues(line) { return nil }
            for character in line.utf8 {
                switch character {
                case UInt8(ascii: "("), UInt8(ascii: "["): parentheses += 1
                case UInt8(ascii: ")"), UInt8(ascii: "]"): parentheses -= 1
                case UInt8(ascii: "{") where parentheses == 0: braces += 1
                case UInt8(ascii: "}") where parentheses == 0:
                    braces -= 1
                    if braces <= 0 { return braces == 0 ? offset + 1 : nil }
                default: break
                }
            }
        }
        return nil
    }

    /// Whether a line can belong to a signature begun above it.
    private static func continues(_ line: String) -> Bool {
        let text = line.drop { $0 == " " }
        return ["{", ")", "->", "throws", "async", "where", "rethrows"].contains { text.hasPrefix($0) }
    }
}
