/// PostgreSQL's MD5 authentication, for servers and roles that have nothing better.
package enum MD5Password {
    private static let prefix = Array("md5".utf8)

    /// What `pg_authid` keeps: `md5` and 32 digits. nil where the system forbids MD5.
    package static func stored(password: Secret, user: WireText) -> Secret? {
        Self.hash(password, user.bytes)
    }

    /// What a client answers; `stored` is what `pg_authid` has.
    package static func answer(stored: Secret, salt: UInt32) -> Secret? {
        guard Self.isStored(stored) else { return nil }
        let digits = stored.withBytes { Secret(UnsafeRawBufferPointer(rebasing: $0[3...])) }
        return Self.hash(digits, (0..<4).map { UInt8(truncatingIfNeeded: salt >> (24 - 8 * UInt32($0))) })
    }

    package static func isRight(_ answer: UnsafeRawBufferPointer, stored: Secret, salt: UInt32) -> Bool {
        Self.answer(stored: stored, salt: salt)?.isEqual(to: answer) ?? false
    }

    /// Whether the text is `md5` and 32 small hexadecimal digits.
    package static func isStored(_ text: Secret) -> Bool {
        text.withBytes { bytes in
            bytes.count == 35 && bytes.starts(with: Self.prefix)
                && bytes[3...].allSatisfy { $0 &- 0x30 < 10 || $0 &- 0x61 < 6 }
        }
    }

    private static func hash(_ first: Secret, _ second: [UInt8]) -> Secret? {
        let text = Secret(count: first.count + second.count) { output in
            first.withBytes { output.copyMemory(from: $0) }
            for (index, byte) in second.enumerated() { output[first.count + index] = byte }
        }
        guard let digits = Hashing.md5Hex(text) else { return nil }
        return Secret(count: 35) { output in
            output.copyBytes(from: Self.prefix)
            digits.withBytes { UnsafeMutableRawBufferPointer(rebasing: output[3...]).copyMemory(from: $0) }
        }
    }
}
