/// Cuts files in the language of `pg_hba.conf` and `pg_ident.conf` into lines, fields and words.
///
/// A field is one or more words with commas between them. Double quotes make one word of blanks, commas and marks, and
/// take a keyword's meaning away; a doubled quote is a quote. `#` begins a comment, a backslash at its end continues a
/// line.
struct RuleText {
    struct Word: Hashable, Sendable {
        let text: String
        /// Whether it began with a quote: then it is no keyword.
        let isQuoted: Bool

        func isKeyword(_ keyword: String) -> Bool { !self.isQuoted && self.text == keyword }
    }

    struct Line: Sendable {
        /// From 1; of a continued line the first.
        let number: Int
        let fields: [[Word]]
    }

    /// Lines that hold something.
    static func lines(of text: String) throws(RuleError) -> [Line] {
        var lines: [Line] = []
        var pending = ""
        var start = 1
        // `\r\n` is one Character, so both kinds of line ends are found by `isNewline`.
        for (index, part) in text.split(omittingEmptySubsequences: false, whereSeparator: \.isNewline).enumerated() {
            if pending.isEmpty { start = index + 1 }
            if part.hasSuffix("\\") {
                pending += part.dropLast()
                continue
            }
            try Self.append(pending + part, start, to: &lines)
            pending = ""
        }
        if !pending.isEmpty { try Self.append(pending, start, to: &lines) }
        return lines
    }

    private static func append(_ text: String, _ number: Int, to lines: inout [Line]) throws(RuleError) {
        var cutter = Cutter(text: Array(text.unicodeScalars), number: number)
        let fields = try cutter.fields()
        if !fields.isEmpty { lines.append(Line(number: number, fields: fields)) }
    }

    /// The pass over one line.
    private struct Cutter {
        let text: [Unicode.Scalar]
        let number: Int
        var position = 0

        private var current: Unicode.Scalar? { self.position < self.text.count ? self.text[self.position] : nil }

        mutating func fields() throws(RuleError) -> [[Word]] {
            var fields: [[Word]] = []
            while true {
                var field: [Word] = []
                var isContinued = true
                while isContinued, let (word, comma) = try self.word() {
                    field.append(word)
                    isContinued = comma
                }
                if field.isEmpty { return fields }
                fields.append(field)
            }
        }

        /// The next word, and whether a comma follows it.
        private mutating func word() throws(RuleError) -> (Word, Bool)? {
            while let scalar = self.current, Self.isBlank(scalar) || scalar == "," { self.position += 1 }
            guard let first = self.current, first != "#" else {
                self.position = self.text.count
                return nil
            }
            var word = String.UnicodeScalarView()
            var isInside = false
            var wasQuote = false
            while let scalar = self.current, isInside || !(Self.isBlank(scalar) || scalar == "," || scalar == "#") {
                self.position += 1
                if scalar == "\"" {
                    // The second of a pair inside of quotes stands for one.
                    if !isInside, wasQuote { word.append(scalar) }
                    isInside.toggle()
                    wasQuote = !isInside
                } else {
                    word.append(scalar)
                    wasQuote = false
                }
            }
            guard !isInside else { throw RuleError(line: self.number, .unterminatedQuote) }
            let comma = self.current == ","
            if comma { self.position += 1 }
            return (Word(text: String(word), isQuoted: first == "\""), comma)
        }

        private static func isBlank(_ scalar: Unicode.Scalar) -> Bool {
            scalar == " " || scalar == "\t" || scalar == "\r"
        }
    }
}
