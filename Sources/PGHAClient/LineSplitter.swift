/// Cuts a stream of bytes into lines. The newline is not part of a line.
struct LineSplitter {
    private var rest: [UInt8] = []

    /// The lines that `bytes` completes.
    mutating func add(_ bytes: some Sequence<UInt8>) -> [ArraySlice<UInt8>] {
        self.rest.append(contentsOf: bytes)
        guard let last = self.rest.lastIndex(of: 0x0A) else { return [] }
        let complete = self.rest[..<last]
        self.rest = Array(self.rest[(last + 1)...])
        return complete.split(separator: 0x0A, omittingEmptySubsequences: true)
    }
}
