/// A block of lines at the bottom of a terminal that is drawn again in place, with a log that scrolls above it.
///
/// One frame is one write: the cursor goes to the block's first line, new log lines and the block are written over
/// what is there, each line cleared to its end, and what is left below is cleared. Nothing is blank in between, so
/// nothing flickers. Limits: lines are cut to the terminal's width and the block to its height, because a cursor
/// cannot go up beyond the screen.
package struct LiveBlock: Sendable {
    private var height = 0
    private let colour: Bool

    package init(colour: Bool) { self.colour = colour }

    /// What to write for the next frame.
    package mutating func frame(log: [Line] = [], block: [Line], columns: Int, rows: Int) -> String {
        let shown = block.prefix(max(1, rows - 1))
        let back = self.height > 0 ? "\u{1B}[\(self.height)A\r" : ""
        let text = (log + shown).map { $0.rendered(colour: self.colour, width: columns) + "\u{1B}[K\n" }.joined()
        self.height = shown.count
        return back + text + "\u{1B}[J"
    }

    /// Takes the block away and leaves the log.
    package mutating func clear() -> String {
        defer { self.height = 0 }
        return self.height > 0 ? "\u{1B}[\(self.height)A\r\u{1B}[J" : ""
    }
}
