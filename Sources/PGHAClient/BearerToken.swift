import FoundationEssentials

/// The cluster's token; never printed.
package struct BearerToken: Hashable, Sendable, CustomStringConvertible, CustomDebugStringConvertible, CustomReflectable
{
    package let value: String

    package init(_ value: String) { self.value = value }

    package var description: String { "***" }
    package var debugDescription: String { "***" }
    package var customMirror: Mirror { Mirror(self, children: []) }

    /// Reads a file that holds the token and nothing else; white space around it is ignored.
    package static func read(path: String) throws(ControllerFailure) -> BearerToken {
        let text: String
        do {
            text = try String(contentsOf: URL(filePath: path), encoding: .utf8)
        } catch {
            let exists = FileManager.default.fileExists(atPath: path)
            throw .tokenFile(path: path, reason: exists ? "it cannot be read" : "there is no such file")
        }
        let token = text.split(whereSeparator: \.isWhitespace)
        guard token.count == 1, let value = token.first, value.utf8.allSatisfy({ (0x21...0x7E).contains($0) }) else {
            throw .tokenFile(path: path, reason: token.isEmpty ? "it is empty" : "it holds more than one word")
        }
        return BearerToken(String(value))
    }
}
