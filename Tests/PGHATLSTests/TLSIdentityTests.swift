import Foundation
import PGHATLS
import PGHATesting
import Testing

/// Files that cannot be used are refused, each for a reason of its own, before anything listens or connects.
@Suite struct TLSIdentityTests {
    private func failure(_ certificate: String?, _ key: String?, _ authority: String?) -> TLSFailure? {
        do throws(TLSFailure) {
            guard let files = try TLSFiles(certificate: certificate, key: key, authority: authority) else { return nil }
            _ = try TLSIdentity(files)
            return nil
        } catch {
            return error
        }
    }

    private func setMode(_ mode: Int, _ path: String) throws {
        try FileManager.default.setAttributes([.posixPermissions: mode], ofItemAtPath: path)
    }

    @Test func eachUnusableFileIsNamed() async throws {
        let made = try await ScratchCertificates()
        for name in ["a", "b"] { try await made.issue(name, names: "DNS:localhost", isOurs: true) }
        let (certificate, key) = (made.path("a.crt"), made.path("a.key"))
        #expect(self.failure(nil, nil, nil) == nil)
        #expect(self.failure(certificate, key, made.authority) == nil)
        #expect(self.failure(nil, nil, made.authority) == nil)
        #expect(self.failure(certificate, nil, nil) == .incomplete(missing: "http_tls_key_file"))
        #expect(self.failure(nil, key, made.authority) == .incomplete(missing: "http_tls_cert_file"))
        let other = made.path("b.key")
        #expect(
            self.failure(certificate, other, nil) == .keyOfAnotherCertificate(key: other, certificate: certificate))
        #expect(self.failure(key, key, nil) == .noCertificate(key))
        #expect(self.failure(certificate, certificate, nil) != nil)
        #expect(self.failure(certificate, key, key) == .noCertificate(key))
        let missing = made.path("none")
        #expect(self.failure(missing, key, nil) == .unreadable(missing, reason: "No such file or directory"))
        #expect(self.failure(certificate, missing, nil) == .unreadable(missing, reason: "No such file or directory"))
        #expect(self.failure(certificate, key, missing) == .unreadable(missing, reason: "No such file or directory"))
    }

    @Test func aKeyThatOthersMayReadIsRefused() async throws {
        let made = try await ScratchCertificates()
        try await made.issue("a", names: "DNS:localhost", isOurs: true)
        let (certificate, key) = (made.path("a.crt"), made.path("a.key"))
        try self.setMode(0o644, key)
        #expect(self.failure(certificate, key, nil) == .keyOpenToOthers(key))
        try self.setMode(0o600, key)
        #expect(self.failure(certificate, key, nil) == nil)
        try FileManager.default.removeItem(atPath: key)
        try FileManager.default.createDirectory(atPath: key, withIntermediateDirectories: false)
        #expect(self.failure(certificate, key, nil) == .unreadable(key, reason: "not a regular file"))
    }

    @Test func renewedFilesAreReadAgainAndBadOnesAreNot() async throws {
        let made = try await ScratchCertificates()
        try await made.issue("a", names: "DNS:localhost", days: 2, isOurs: true)
        let files = try #require(
            try TLSFiles(certificate: made.path("a.crt"), key: made.path("a.key"), authority: made.authority))
        let identity = try TLSIdentity(files)
        let first = try #require(identity.expires)
        let authority = try #require(identity.expiries["http_tls_ca_file"])
        #expect(identity.expiries == ["http_tls_cert_file": first, "http_tls_ca_file": authority])
        #expect(abs(Double(authority) - Date.now.timeIntervalSince1970 - 2 * 86_400) < 3600)
        #expect(identity.reload() == .unchanged)
        try await made.issue("a", names: "DNS:localhost", days: 20, isOurs: true)
        #expect(identity.reload() == .read)
        #expect(try #require(identity.expires) - first > 17 * 86_400)
        #expect(identity.expiries["http_tls_cert_file"] == identity.expires)
        try self.setMode(0o644, made.path("a.key"))
        #expect(identity.reload() == .failed(.keyOpenToOthers(made.path("a.key"))))
        #expect(identity.reload() == .unchanged)
        #expect(try #require(identity.expires) - first > 17 * 86_400)
        // What was wrong was the mode alone.
        try self.setMode(0o600, made.path("a.key"))
        #expect(identity.reload() == .read)
    }

    @Test func withAnIdentityNothingGoesInTheClear() async throws {
        let made = try await ScratchCertificates()
        let files = try #require(try TLSFiles(certificate: nil, key: nil, authority: made.authority))
        let identity = try TLSIdentity(files)
        #expect(TLSIdentity.address("http://a:1", identity) == "https://a:1")
        #expect(TLSIdentity.address("HTTP://a:1", identity) == "https://a:1")
        #expect(TLSIdentity.address("https://a:1", identity) == "https://a:1")
        #expect(TLSIdentity.address("http://a:1", nil) == "http://a:1")
        #expect(throws: TLSFailure.incomplete(missing: "http_tls_cert_file")) { try files.requireCertificate() }
    }
}
