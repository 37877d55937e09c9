/// What is longer than the rules allow and was there before them. Entries may only shrink or go.
enum Ratchet {
    /// Lines by file.
    static let files: [String: Int] = [:]

    /// Lines by file and function.
    static let functions: [String: Int] = [:]
}
