/// Columns of text, as wide as their widest cell, two spaces apart.
package struct TextTable: Sendable {
    package enum Alignment: Hashable, Sendable { case left, right }

    package var columns: [(title: String, alignment: Alignment)]
    package var rows: [[Styled]] = []

    package init(_ columns: [(title: String, alignment: Alignment)]) { self.columns = columns }

    /// The table without as many of the columns of these titles, in this order, as make it at most `width` wide.
    func fitting(_ width: Int, without titles: [String]) -> TextTable {
        var table = self
        for title in titles where (table.lines.map(\.width).max() ?? 0) > width {
            guard let index = table.columns.firstIndex(where: { $0.title == title }) else { continue }
            table.columns.remove(at: index)
            for row in table.rows.indices { table.rows[row].remove(at: index) }
        }
        return table
    }

    /// The title line and one line per row; nothing follows the last cell of a line.
    package var lines: [Line] {
        let widths = self.columns.indices.map { index in
            max(self.columns[index].title.count, self.rows.map { $0[index].width }.max() ?? 0)
        }
        let titles = self.columns.map { Styled($0.title, .faint) }
        return ([titles] + self.rows).map { self.line($0, widths: widths) }
    }

    private func line(_ cells: [Styled], widths: [Int]) -> Line {
        var pieces: [Styled] = []
        for (index, cell) in cells.enumerated() {
            let padding = Styled(String(repeating: " ", count: widths[index] - cell.width))
            let isLast = index == cells.count - 1
            switch self.columns[index].alignment {
            case .left: pieces += isLast ? [cell] : [cell, padding]
            case .right: pieces += [padding, cell]
            }
            if !isLast { pieces.append("  ") }
        }
        return Line(pieces)
    }
}
