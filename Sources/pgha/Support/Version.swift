import CPGHABuild

/// What `pgha --version` says. A tag `v1.2.3` makes a version; a build from any other commit, or one that was not told
/// its commit, is "dev" and says no more than it knows.
enum Version {
    static var text: String { self.text(source: String(cString: pgha_build_source())) }

    /// `source` as `git describe --tags --always --dirty` prints it: `v1.2.3`, `v1.2.3-4-g0123abc`, `0123abc-dirty`.
    static func text(source: String) -> String {
        guard !source.isEmpty else { return "dev" }
        if let number = source.wholeMatch(of: #/v(\d+\.\d+\.\d+)/#)?.output.1 { return String(number) }
        return "dev (\(source))"
    }
}
