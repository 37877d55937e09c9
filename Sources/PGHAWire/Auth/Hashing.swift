import COpenSSL

/// The hashes of PostgreSQL's authentication, by OpenSSL.
enum Hashing {
    /// Bytes of SHA-256, and of every key of SCRAM-SHA-256.
    static let keyLength = 32

    static func sha256(_ data: Secret) -> Secret {
        Secret(count: Self.keyLength) { output in
            data.withBytes { Self.check(EVP_Digest($0.baseAddress, $0.count, output.bytes, nil, EVP_sha256(), nil)) }
        }
    }

    static func hmac(_ key: Secret, _ data: [UInt8]) -> Secret {
        Secret(count: Self.keyLength) { output in
            key.withBytes { key in
                let result = HMAC(
                    EVP_sha256(), key.baseAddress, Int32(key.count), data, data.count, output.bytes, nil)
                Self.check(result == nil ? 0 : 1)
            }
        }
    }

    /// About 0.25 µs per iteration: 1 ms with PostgreSQL's default of 4,096.
    static func pbkdf2(_ password: Secret, salt: [UInt8], iterations: Int) -> Secret {
        Secret(count: Self.keyLength) { output in
            password.withBytes { password in
                // OpenSSL takes an address for an empty password, too.
                let text = password.baseAddress?.assumingMemoryBound(to: CChar.self)
                Self.check(
                    PKCS5_PBKDF2_HMAC(
                        text, Int32(password.count), salt, Int32(salt.count), Int32(iterations), EVP_sha256(),
                        Int32(Self.keyLength), output.bytes))
            }
        }
    }

    /// 32 hexadecimal digits; nil where the system's policy forbids MD5.
    static func md5Hex(_ data: Secret) -> Secret? {
        var digest = [UInt8](repeating: 0, count: 16)
        let result = data.withBytes { EVP_Digest($0.baseAddress, $0.count, &digest, nil, EVP_md5(), nil) }
        guard result == 1 else { return nil }
        defer { digest.withUnsafeMutableBytes { OPENSSL_cleanse($0.baseAddress, $0.count) } }
        return Secret(count: 32) { output in
            for (index, byte) in digest.enumerated() {
                output[index * 2] = Self.digits[Int(byte >> 4)]
                output[index * 2 + 1] = Self.digits[Int(byte & 15)]
            }
        }
    }

    private static let digits = Array("0123456789abcdef".utf8)

    /// SHA-256 fails only where memory is out or OpenSSL is broken.
    private static func check(_ result: Int32) { precondition(result == 1, "OpenSSL cannot compute SHA-256") }
}

extension UnsafeMutableRawBufferPointer {
    fileprivate var bytes: UnsafeMutablePointer<UInt8>? { self.baseAddress?.assumingMemoryBound(to: UInt8.self) }
}
