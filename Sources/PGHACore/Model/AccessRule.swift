/// A line of `pg_hba.conf` for the cluster's users. Source: PostgreSQL manual, "The pg_hba.conf File".
package struct AccessRule: Hashable, Sendable, Codable {
    /// `local`, `host`, `hostssl`, `hostnossl`, `hostgssenc`, `hostnogssenc`.
    package var type: String
    package var database: String
    package var user: String
    /// A network, a host name, `samehost`, `samenet`, `all`; nil with `local` only.
    package var address: String?
    /// `scram-sha-256`, `cert`, `reject`, …
    package var method: String

    package init(type: String, database: String, user: String, address: String?, method: String) {
        self.type = type
        self.database = database
        self.user = user
        self.address = address
        self.method = method
    }

    /// What a spec without rules of its own gets: everybody, from everywhere, with a password.
    package static let anyoneWithPassword = AccessRule(
        type: "host", database: "all", user: "all", address: "all", method: "scram-sha-256")

    private static let types = ["local", "host", "hostssl", "hostnossl", "hostgssenc", "hostnogssenc"]

    /// The first field that no server would accept, and what it should be; nil when the rule is well formed. A field
    /// is one word, since a space or a line end would begin another.
    package var problem: (field: String, value: String, expected: String)? {
        guard Self.types.contains(self.type) else {
            return ("type", self.type, "one of \(Self.types.joined(separator: ", "))")
        }
        if self.type == "local", let address = self.address { return ("address", address, "none with type local") }
        if self.type != "local", self.address == nil { return ("address", "", "a network, samehost, samenet or all") }
        for (field, value) in [
            ("database", self.database), ("user", self.user), ("address", self.address ?? "all"),
            ("method", self.method),
        ] where !Self.isWord(value) {
            return (field, value, "one word")
        }
        return nil
    }

    /// As a line of `pg_hba.conf`.
    package var line: String {
        [self.type, self.database, self.user, self.address, self.method].compactMap(\.self).joined(separator: " ")
    }

    /// A line of `pg_hba.conf` without options and with the network in one word; nil when it has another number of words.
    package init?(line: String) {
        let words = line.split(whereSeparator: \.isWhitespace).map(String.init)
        let isLocal = words.first == "local"
        guard words.count == (isLocal ? 4 : 5) else { return nil }
        self.init(
            type: words[0], database: words[1], user: words[2], address: isLocal ? nil : words[3],
            method: words[words.count - 1])
    }

    private static func isWord(_ text: String) -> Bool {
        let forbidden = "\"#'\\".unicodeScalars
        return !text.isEmpty
            && text.unicodeScalars.allSatisfy { $0.value > 0x20 && $0.value != 0x7F && !forbidden.contains($0) }
    }
}
