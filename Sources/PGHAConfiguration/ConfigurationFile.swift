import Foundation

/// Reads configuration files whole.
package enum ConfigurationFile {
    /// Larger files are refused: a specification of 100 nodes has about 20 kB. Bytes.
    private static let largest = 1 << 20

    /// The text of a file. Blocks for as long as the disk does; called at start only.
    package static func read(_ path: String) throws(ConfigurationError) -> String {
        let data: Data
        do {
            let handle = try FileHandle(forReadingFrom: URL(filePath: path))
            defer { try? handle.close() }
            data = try handle.read(upToCount: self.largest + 1) ?? Data()
        } catch {
            let reason = (error as? CocoaError)?.underlying?.localizedDescription ?? error.localizedDescription
            throw ConfigurationError(.file(path, line: nil), .unreadable(reason))
        }
        guard data.count <= self.largest else {
            throw ConfigurationError(.file(path, line: nil), .unreadable("it is larger than \(self.largest) bytes"))
        }
        guard let text = String(bytes: data, encoding: .utf8) else {
            throw ConfigurationError(.file(path, line: nil), .unreadable("it is not UTF-8"))
        }
        return text
    }
}
