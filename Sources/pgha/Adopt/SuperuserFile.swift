import Foundation
import PGHAPostgres

/// A superuser's connection string in a file that only its owner may read, so that no password stands in a command
/// line or in the environment.
struct SuperuserFile: Sendable {
    private static let keywords: Set<String> = ["user", "password", "dbname", "passfile", "sslmode", "sslrootcert"]

    private let values: [String: Secret]

    static func read(_ path: String) throws -> SuperuserFile {
        let attributes = try? FileManager.default.attributesOfItem(atPath: path)
        guard let attributes, let text = try? String(contentsOfFile: path, encoding: .utf8) else {
            throw CommandError(.failed, "\(path) cannot be read", hint: "Give a file with --superuser-file.")
        }
        let mode = (attributes[.posixPermissions] as? NSNumber)?.uint16Value ?? 0
        guard mode & 0o077 == 0 else {
            throw CommandError(
                .failed, "\(path) has mode \(String(mode, radix: 8)): others could read it",
                hint: "Run 'chmod 600 \(path)'.")
        }
        return try SuperuserFile(text, path: path)
    }

    /// `keyword=value` pairs as libpq writes them. Errors never hold a value.
    init(_ text: String, path: String) throws {
        var values: [String: Secret] = [:]
        for match in text.matches(of: #/(\w+)\s*=\s*(?:'((?:[^'\\]|\\.)*)'|([^\s']\S*))/#) {
            let keyword = String(match.output.1)
            guard Self.keywords.contains(keyword) else {
                throw CommandError(
                    .failed, "\(path): '\(keyword)' is not understood here",
                    hint: "Use \(Self.keywords.sorted().joined(separator: ", ")); addresses are in the specification.")
            }
            values[keyword] = Secret(
                String(match.output.2 ?? match.output.3 ?? "").replacing(#/\\(.)/#) { $0.output.1 })
        }
        guard values["user"] != nil else {
            throw CommandError(.failed, "\(path) names no user", hint: "Write 'user=postgres password=…'.")
        }
        if let mode = values["sslmode"], ConnectionParameters.SSLMode(rawValue: mode.revealed) == nil {
            throw CommandError(.failed, "\(path): sslmode is not one of libpq's", hint: "Use prefer, require, …")
        }
        self.values = values
    }

    func parameters(host: String, port: Int) -> ConnectionParameters {
        func text(_ keyword: String) -> String? { self.values[keyword]?.revealed }
        var parameters = ConnectionParameters(
            host: host, port: port, user: text("user") ?? "postgres", database: text("dbname") ?? "postgres",
            passfile: text("passfile"), password: self.values["password"],
            sslMode: text("sslmode").flatMap { ConnectionParameters.SSLMode(rawValue: $0) } ?? .prefer,
            sslRootCert: text("sslrootcert"), applicationName: "pgha init", connectTimeout: .seconds(5))
        // The servers' own settings must neither hold this up nor write a password into a log.
        parameters.settings = [
            "synchronous_commit": "local", "search_path": "pg_catalog", "statement_timeout": "60000",
            "lock_timeout": "10000", "log_statement": "none", "log_min_duration_statement": "-1",
            "log_min_error_statement": "panic", "password_encryption": "scram-sha-256",
        ]
        return parameters
    }
}
