internal import PGHAWire

/// A user that the pooler knows by its own files.
struct KnownUser: Sendable {
    let credential: RoleCredential
    /// In clear, where the file has it so: for logging in to servers.
    let password: Secret?
}

/// Lines `"user" "secret"`, as PgBouncer's userlist has them: quotes are compulsory and doubled inside, `;` and `#`
/// begin a comment, what follows the secret is ignored.
struct UsersFile {
    let users: [WireText: KnownUser]

    init(path: String, content: Secret, mockSecret: Secret) throws(PoolerFailure) {
        let (entries, badLine) = content.withBytes { Self.entries(in: $0) }
        if let badLine { throw .unusableFile(path, reason: "line \(badLine) is not \"user\" \"secret\"") }
        var users: [WireText: KnownUser] = [:]
        for (user, secret) in entries { users[user] = Self.user(user, secret, mockSecret) }
        self.users = users
    }

    private static func user(_ user: WireText, _ secret: Secret, _ mockSecret: Secret) -> KnownUser {
        if let stored = StoredPassword(secret) {
            return KnownUser(credential: RoleCredential(password: stored), password: nil)
        }
        guard secret.count > 0 else { return KnownUser(credential: RoleCredential(password: nil), password: nil) }
        // The salt that the user would have if it were unknown: the same after every start.
        let salt = SCRAMVerifier.mock(user: user, secret: mockSecret).salt
        let verifier = SCRAMVerifier(password: secret, salt: salt)
        return KnownUser(credential: RoleCredential(password: .scram(verifier)), password: secret)
    }

    /// The entries, or the number of the first line that is none.
    static func entries(in bytes: UnsafeRawBufferPointer) -> (entries: [(WireText, Secret)], badLine: Int?) {
        var entries: [(WireText, Secret)] = []
        for (index, line) in bytes.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false).enumerated() {
            var rest = line[...]
            Self.skipBlanks(&rest)
            guard let first = rest.first, first != UInt8(ascii: ";"), first != UInt8(ascii: "#") else { continue }
            guard let user = Self.quoted(&rest), !user.isEmpty else { return ([], index + 1) }
            Self.skipBlanks(&rest)
            guard let secret = Self.quoted(&rest) else { return ([], index + 1) }
            entries.append((WireText(user), Secret(secret)))
        }
        return (entries, nil)
    }

    private static func skipBlanks(_ rest: inout Slice<UnsafeRawBufferPointer>) {
        rest = rest.drop { $0 == 0x20 || $0 == 0x09 || $0 == 0x0D }
    }

    private static func quoted(_ rest: inout Slice<UnsafeRawBufferPointer>) -> [UInt8]? {
        let quote = UInt8(ascii: "\"")
        guard rest.popFirst() == quote else { return nil }
        var text: [UInt8] = []
        while let byte = rest.popFirst() {
            if byte == quote {
                guard rest.first == quote else { return text.contains(0) ? nil : text }
                rest.removeFirst()
            }
            text.append(byte)
        }
        return nil
    }
}
