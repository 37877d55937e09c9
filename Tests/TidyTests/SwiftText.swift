/// Swift source without what is not code: comments and the text of string literals become spaces, line feeds stay.
///
/// Intuition: braces, keywords and words can then be counted without a parser. Limits: code inside of an
/// interpolation is blanked too, and a bare regex literal is taken for code.
struct SwiftText {
    private let source: [UInt8]
    private var position = 0
    private var result: [UInt8] = []

    /// Line by line.
    static func code(_ text: String) -> [String] {
        var reader = SwiftText(source: Array(text.utf8))
        reader.run()
        return String(decoding: reader.result, as: UTF8.self)
            .split(separator: "\n", omittingEmptySubsequences: false).map(String.init)
    }

    private init(source: [UInt8]) { self.source = source }

    private mutating func run() {
        while self.position < self.source.count {
            if self.starts("//") {
                self.blank { $0.starts("\n") }
            } else if self.starts("/*") {
                self.blockComment()
            } else if let hashes = self.hashesBeforeLiteral() {
                self.literal(hashes: hashes)
            } else {
                self.keep()
            }
        }
    }

    private func starts(_ text: String, at offset: Int = 0) -> Bool {
        self.source[min(self.position + offset, self.source.count)...].starts(with: text.utf8)
    }

    private mutating func keep() {
        self.result.append(self.source[self.position])
        self.position += 1
    }

    private mutating func blank(_ count: Int = 1) {
        for _ in 0..<count where self.position < self.source.count {
            let byte = self.source[self.position]
            self.result.append(byte == 0x0A ? byte : 0x20)
            self.position += 1
        }
    }

    private mutating func blank(until isEnd: (SwiftText) -> Bool) {
        while self.position < self.source.count, !isEnd(self) { self.blank() }
    }

    /// Comments nest in Swift.
    private mutating func blockComment() {
        var depth = 0
        repeat {
            if self.starts("/*") {
                depth += 1
                self.blank(2)
            } else if self.starts("*/") {
                depth -= 1
                self.blank(2)
            } else {
                self.blank()
            }
        } while depth > 0 && self.position < self.source.count
    }

    /// The number of `#` before the quote or regex delimiter that starts here; nil when no literal does.
    private func hashesBeforeLiteral() -> Int? {
        var hashes = 0
        while self.starts("#", at: hashes) { hashes += 1 }
        if self.starts("\"", at: hashes) { return hashes }
        return hashes > 0 && self.starts("/", at: hashes) ? hashes : nil
    }

    private mutating func literal(hashes: Int) {
        let marks = String(repeating: "#", count: hashes)
        let isRegex = self.starts("/", at: hashes)
        let quote = isRegex ? "/" : self.starts("\"\"\"", at: hashes) ? "\"\"\"" : "\""
        self.blank(hashes + quote.utf8.count)
        while self.position < self.source.count {
            if self.starts(quote + marks) { return self.blank(quote.utf8.count + hashes) }
            if !isRegex, self.starts("\\\(marks)(") {
                self.blank(2 + hashes)
                self.interpolation()
            } else {
                self.blank(self.starts("\\\(marks)") ? 2 + hashes : 1)
            }
        }
    }

    /// Up to the closing parenthesis; literals inside may hold parentheses of their own.
    private mutating func interpolation() {
        var depth = 1
        while depth > 0, self.position < self.source.count {
            if let hashes = self.hashesBeforeLiteral() {
                self.literal(hashes: hashes)
                continue
            }
            if self.starts("(") { depth += 1 }
            if self.starts(")") { depth -= 1 }
            self.blank()
        }
    }
}
