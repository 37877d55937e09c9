/// What a piece of text means; becomes a colour on a terminal and nothing elsewhere.
package enum Emphasis: Hashable, Sendable {
    case plain, strong, faint, good, warning, bad

    /// The SGR parameters; nil for plain text. Source: ECMA-48, section 8.3.117.
    var parameters: String? {
        switch self {
        case .plain: nil
        case .strong: "1"
        case .faint: "2"
        case .good: "32"
        case .warning: "33"
        case .bad: "31;1"
        }
    }
}

/// Text with a meaning. Widths count the text alone.
package struct Styled: Hashable, Sendable, ExpressibleByStringInterpolation {
    package var text: String
    package var emphasis: Emphasis

    package init(_ text: String, _ emphasis: Emphasis = .plain) {
        self.text = text
        self.emphasis = emphasis
    }

    package init(stringLiteral value: String) { self.init(value) }

    /// Columns on a terminal: what we print has one column per character.
    var width: Int { self.text.count }

    func rendered(colour: Bool) -> String {
        guard colour, let parameters = self.emphasis.parameters, !self.text.isEmpty else { return self.text }
        return "\u{1B}[\(parameters)m\(self.text)\u{1B}[0m"
    }
}

/// One line made of pieces.
package struct Line: Hashable, Sendable, ExpressibleByArrayLiteral, ExpressibleByStringLiteral {
    package var pieces: [Styled]

    package init(_ pieces: [Styled]) { self.pieces = pieces }
    package init(arrayLiteral elements: Styled...) { self.pieces = elements }
    package init(stringLiteral value: String) { self.pieces = [Styled(value)] }

    package var width: Int { self.pieces.reduce(0) { $0 + $1.width } }

    /// Cut to `width` columns when given: a line that wraps cannot be redrawn in place.
    package func rendered(colour: Bool, width: Int? = nil) -> String {
        guard let width, self.width > width else { return self.pieces.map { $0.rendered(colour: colour) }.joined() }
        var left = max(0, width - 1)
        var result = ""
        for piece in self.pieces where left > 0 {
            result += Styled(String(piece.text.prefix(left)), piece.emphasis).rendered(colour: colour)
            left -= min(left, piece.width)
        }
        return result + "…"
    }
}

extension [Line] {
    /// The lines as text, each ended by a newline.
    package func rendered(colour: Bool) -> String {
        self.map { $0.rendered(colour: colour) + "\n" }.joined()
    }
}
