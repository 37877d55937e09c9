extension Line {
    /// Cut between words into lines of at most `width` columns, all but the first behind `indent` blanks. A word that
    /// is wider stays whole; nil: one line.
    package func wrapped(to width: Int?, indent: Int) -> [Line] {
        guard let width, self.width > width, width > indent else { return [self] }
        let blanks = Line([Styled(String(repeating: " ", count: indent))])
        var lines: [Line] = []
        var line = Line([])
        for word in self.pieces.flatMap(\.words) {
            let begins = line.width == (lines.isEmpty ? 0 : indent)
            // Where two pieces meet within a word nothing is cut.
            if !begins, line.pieces.last?.text.last == " ", line.width + word.withoutTrailingBlanks.width > width {
                lines.append(line.withoutTrailingBlanks)
                line = blanks
            }
            line.add(word)
        }
        return lines + [line.withoutTrailingBlanks]
    }

    private mutating func add(_ piece: Styled) {
        if let last = self.pieces.last, last.emphasis == piece.emphasis {
            self.pieces[self.pieces.count - 1].text += piece.text
        } else {
            self.pieces.append(piece)
        }
    }

    private var withoutTrailingBlanks: Line {
        Line(self.pieces.dropLast() + [self.pieces.last?.withoutTrailingBlanks].compactMap { $0 })
    }
}

extension Styled {
    /// Its words, each with the blanks behind it.
    fileprivate var words: [Styled] {
        var words: [String] = []
        for character in self.text {
            if let last = words.last, character == " " || last.last != " " {
                words[words.count - 1].append(character)
            } else {
                words.append(String(character))
            }
        }
        return words.map { Styled($0, self.emphasis) }
    }

    fileprivate var withoutTrailingBlanks: Styled {
        Styled(String(self.text.reversed().drop { $0 == " " }.reversed()), self.emphasis)
    }
}
