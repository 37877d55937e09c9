import Foundation
import PGHAWire

/// Lines `"user" "secret"`.
enum UsersFile {
    static func passwords(_ path: String) throws(CommandError) -> [WireText: Secret] {
        guard let text = try? String(contentsOfFile: path, encoding: .utf8) else {
            throw CommandError(.failed, "users file \(path) cannot be read", hint: "See pooler.users_file.")
        }
        var passwords: [WireText: Secret] = [:]
        for (index, line) in text.split(separator: "\n", omittingEmptySubsequences: false).enumerated() {
            if line.allSatisfy(\.isWhitespace) || line.hasPrefix("#") { continue }
            let parts = line.split(separator: "\"", omittingEmptySubsequences: false)
            guard parts.count == 5 else {
                throw CommandError(
                    .failed, "\(path):\(index + 1): not two words in quotes", hint: "Write \"user\" \"password\".")
            }
            passwords[WireText(String(parts[1]))] = Secret(Array(parts[3].utf8))
        }
        return passwords
    }
}
