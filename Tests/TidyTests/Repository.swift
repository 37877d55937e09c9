import Foundation

/// A file of this checkout.
struct RepositoryFile: Sendable {
    /// From the top: `Sources/PGHACore/Model/LSN.swift`.
    let path: String
    let text: String
    /// Of Swift files: the lines without comments and text.
    let code: [String]

    init(path: String, text: String) {
        self.path = path
        self.text = text
        self.code = path.hasSuffix(".swift") ? SwiftText.code(text) : []
    }

    var lineCount: Int { self.text.split(separator: "\n", omittingEmptySubsequences: false).count }
}

/// The files of this checkout that are ours, build products left out.
enum Repository {
    static let root = URL(filePath: #filePath).deletingLastPathComponent().appending(path: "../..").standardized

    static let swiftFiles = Self.textFiles.filter { $0.path.hasSuffix(".swift") }

    /// Everything that people write and read as text.
    static let textFiles = Self.files(in: ["Sources", "Tests", "sql", "deploy", ".ci"]) { path in
        let name = path.split(separator: "/").last ?? ""
        let endings = ["swift", "c", "h", "sql", "md", "yaml", "yml", "sh", "modulemap"]
        return !name.contains(".") || endings.contains { name.hasSuffix(".\($0)") }
    }

    private static func files(in folders: [String], where isWanted: (String) -> Bool) -> [RepositoryFile] {
        folders.flatMap { folder in
            let paths =
                FileManager.default.enumerator(atPath: self.root.appending(path: folder).path)?
                .compactMap { $0 as? String } ?? []
            return paths.filter(isWanted).filter { !$0.contains(".build/") }.compactMap { path in
                let url = self.root.appending(path: "\(folder)/\(path)")
                return (try? String(contentsOf: url, encoding: .utf8))
                    .map { RepositoryFile(path: "\(folder)/\(path)", text: $0) }
            }
        }.sorted { $0.path < $1.path }
    }
}
