/// What is wrong with a file of rules, and where.
package struct RuleError: Error, Equatable, Sendable, CustomStringConvertible {
    package enum Problem: Equatable, Sendable {
        case unterminatedQuote
        /// `nearest` is what was probably meant.
        case unknownType(String, nearest: String?)
        case unknownMethod(String, nearest: String?)
        /// A method of PostgreSQL that the pooler does not speak.
        case unsupportedMethod(String)
        case unknownOption(String, nearest: String?)
        case invalidOption(name: String, value: String, nearest: String?)
        /// The line ends before this field.
        case missing(String)
        case tooManyWords(String)
        case invalidAddress(String, nearest: String?)
        /// A host name, `samehost` or `samenet`.
        case unsupportedAddress(String)
        case invalidMask(String)
        /// `+role`, `samerole`: the pooler cannot see who is a member.
        case membership(String)
        /// `@file`, `include`.
        case inclusion(String)
        /// `/expression` in a list of databases or users.
        case expression(String)
        /// `cert` on a line that is not `hostssl`, `peer` on one that is not `local`.
        case methodNeedsType(String, String)
        case unsupportedExpression(String)
    }

    /// From 1.
    package let line: Int
    package let problem: Problem

    init(line: Int, _ problem: Problem) {
        self.line = line
        self.problem = problem
    }

    package var description: String { "line \(self.line): \(self.problem.text)" }
}

extension RuleError.Problem {
    var text: String {
        switch self {
        case .unterminatedQuote: "a quoted word has no end"
        case .unknownType(let word, let nearest):
            "unknown connection type \"\(word)\"" + Self.hint(nearest, "local, host, hostssl or hostnossl")
        case .unknownMethod(let word, let nearest):
            "unknown method \"\(word)\"" + Self.hint(nearest, HBARule.Method.list)
        case .unsupportedMethod(let word):
            "the pooler does not speak method \"\(word)\": use one of \(HBARule.Method.list)"
        case .unknownOption(let word, let nearest):
            "unknown option \"\(word)\"" + Self.hint(nearest, "map=, clientcert= or clientname=")
        case .invalidOption(let name, let value, let nearest):
            "option \(name) cannot be \"\(value)\"" + (nearest.map { ": did you mean \($0)?" } ?? "")
        case .missing(let field): "the line ends before its \(field)"
        case .tooManyWords(let field): "there can be only one \(field)"
        case .invalidAddress(let word, let nearest):
            "\"\(word)\" is no address" + Self.hint(nearest, "all, 192.0.2.0/24 or 2001:db8::/32")
        case .unsupportedAddress(let word):
            "\"\(word)\" is not looked up: write all, or addresses such as 192.0.2.0/24"
        case .invalidMask(let word): "\"\(word)\" is no mask for this address"
        case .membership(let word): "\"\(word)\" means members of a role, whom the pooler cannot see: name the users"
        case .inclusion(let word): "\"\(word)\": other files are not read"
        case .expression(let word): "\"\(word)\": expressions are not supported here: list the names"
        case .methodNeedsType(let method, let type): "method \(method) needs a line of type \(type)"
        case .unsupportedExpression(let word):
            "expression \"\(word)\": only /^text(.*)text$ with at most one group is supported; a mark that is meant "
                + "as text needs a backslash"
        }
    }

    private static func hint(_ nearest: String?, _ all: String) -> String {
        nearest.map { ": did you mean \($0)?" } ?? ": expected \(all)"
    }
}

/// Finds the keyword that was probably meant.
enum NearestWord {
    /// The candidate that takes the fewest insertions, deletions and substitutions, at most two; nil when none is that
    /// near.
    static func of(_ word: String, among candidates: [String]) -> String? {
        let letters = Array(word.lowercased())
        let ranked = candidates.map { (word: $0, edits: Self.edits(letters, Array($0))) }
        return ranked.min { $0.edits < $1.edits }.flatMap { $0.edits <= min(2, $0.word.count - 1) ? $0.word : nil }
    }

    private static func edits(_ a: [Character], _ b: [Character]) -> Int {
        var last = Array(0...b.count)
        for i in a.indices {
            var row = [i + 1]
            for j in b.indices { row.append(min(last[j] + (a[i] == b[j] ? 0 : 1), last[j + 1] + 1, row[j] + 1)) }
            last = row
        }
        return last[b.count]
    }
}
