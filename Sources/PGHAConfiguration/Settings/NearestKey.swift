/// Finds the key that was probably meant.
package enum NearestKey {
    /// The candidate with the fewest edits: at most two, or a third of its length; nil when none is that near.
    package static func of(_ word: String, among candidates: some Sequence<String>) -> String? {
        let letters = Array(word.lowercased())
        let ranked = candidates.map { (word: $0, edits: self.edits(letters, Array($0.lowercased()))) }
        guard let best = ranked.min(by: { ($0.edits, $0.word) < ($1.edits, $1.word) }),
            best.edits <= max(2, best.word.count / 3), best.edits < best.word.count
        else { return nil }
        return best.word
    }

    /// Insertions, deletions, substitutions and swaps of neighbours that turn `a` into `b` (optimal string
    /// alignment distance).
    static func edits(_ a: [Character], _ b: [Character]) -> Int {
        var beforeLast: [Int] = []
        var last = Array(0...b.count)
        for i in a.indices {
            var row = [i + 1]
            for j in b.indices {
                var best = min(last[j] + (a[i] == b[j] ? 0 : 1), last[j + 1] + 1, row[j] + 1)
                if i > 0, j > 0, a[i] == b[j - 1], a[i - 1] == b[j] { best = min(best, beforeLast[j - 1] + 1) }
                row.append(best)
            }
            (beforeLast, last) = (last, row)
        }
        return last[b.count]
    }
}
