import Logging

/// Keeps what looks like a secret out of the log.
enum LogRedaction {
    private static let hidden = "***"
    private static let endings = ["password", "passwd", "secret", "token", "authorization", "conninfo"]

    static func field(_ value: Logger.Metadata.Value, under key: String) -> LogField {
        let name = key.lowercased()
        if self.endings.contains(where: name.hasSuffix) { return .text(self.hidden) }
        switch value {
        case .string(let text): return .text(self.withoutPasswords(text))
        case .stringConvertible(let value): return .text(self.withoutPasswords(value.description))
        case .array(let items): return .list(items.map { self.field($0, under: key) })
        case .dictionary(let fields):
            return .object(Dictionary(uniqueKeysWithValues: fields.map { ($0, self.field($1, under: $0)) }))
        }
    }

    /// Hides the value of `password=…` in a connection string, quoted or not.
    static func withoutPasswords(_ text: String) -> String {
        guard text.contains("password") else { return text }
        return text.replacing(#/password\s*=\s*('(?:[^'\\]|\\.)*'|\S+)/#) { _ in "password=\(self.hidden)" }
    }
}
