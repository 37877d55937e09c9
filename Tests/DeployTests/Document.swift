import Foundation
import Yams

/// A value of a YAML or JSON document; what is not there is a value too, so that a test can ask deep questions.
struct Document {
    let value: Any?

    subscript(key: String) -> Document { Document(value: (self.value as? [AnyHashable: Any])?[key]) }
    subscript(index: Int) -> Document {
        let list = self.list
        return list.indices.contains(index) ? list[index] : Document(value: nil)
    }

    var isThere: Bool { self.value != nil && !(self.value is NSNull) }
    var text: String? { self.value as? String }
    var number: Int? { self.value as? Int }
    var truth: Bool? { self.value as? Bool }
    var list: [Document] { (self.value as? [Any])?.map { Document(value: $0) } ?? [] }
    var texts: [String] { self.list.compactMap(\.text) }
    var keys: [String] { (self.value as? [AnyHashable: Any])?.keys.compactMap { $0 as? String }.sorted() ?? [] }
    var map: [String: Document] { Dictionary(uniqueKeysWithValues: self.keys.map { ($0, self[$0]) }) }
    var labels: [String: String] { self.map.compactMapValues(\.text) }

    /// Every text within, keys left out.
    var allTexts: [String] {
        if let text = self.text { return [text] }
        return self.list.flatMap(\.allTexts) + self.keys.flatMap { self[$0].allTexts }
    }
}

/// The files under test.
enum Deploy {
    static let root = URL(filePath: #filePath).deletingLastPathComponent().appending(path: "../..").standardized

    static func exists(_ path: String) -> Bool {
        FileManager.default.fileExists(atPath: Self.root.appending(path: path).path)
    }

    static func text(_ path: String) throws -> String {
        try String(contentsOf: Self.root.appending(path: path), encoding: .utf8)
    }

    /// Merge keys (`<<`) are resolved.
    static func yaml(_ path: String) throws -> [Document] {
        try Yams.load_all(yaml: try Self.text(path)).map { Document(value: $0) }.filter(\.isThere)
    }

    static func json(_ path: String) throws -> Document {
        Document(value: try JSONSerialization.jsonObject(with: Data(try Self.text(path).utf8)))
    }

    /// Paths from the top of the checkout, in order.
    static func files(below folder: String) -> [String] {
        let names = FileManager.default.enumerator(atPath: Self.root.appending(path: folder).path)
        return (names?.compactMap { $0 as? String } ?? []).map { "\(folder)/\($0)" }.filter {
            var isDirectory: ObjCBool = false
            return FileManager.default.fileExists(atPath: Self.root.appending(path: $0).path, isDirectory: &isDirectory)
                && !isDirectory.boolValue
        }.sorted()
    }

    static let all = Self.files(below: "deploy") + Self.files(below: ".devcontainer") + Self.files(below: ".github")
}

/// A program of this machine, run to its end.
enum Tool {
    static func path(_ name: String) -> String? {
        ["/usr/bin", "/bin", "/usr/local/bin"].map { "\($0)/\(name)" }
            .first { FileManager.default.isExecutableFile(atPath: $0) }
    }

    /// - Returns: What it wrote to both streams, and its status.
    static func run(_ program: String, _ arguments: [String], input: Data = Data()) throws -> (String, Int32) {
        let process = Process()
        process.executableURL = URL(filePath: program)
        process.arguments = arguments
        let given = try Scratch.file(input)
        let output = try Scratch.file(Data())
        defer { for file in [given, output] { try? FileManager.default.removeItem(at: file) } }
        process.standardInput = try FileHandle(forReadingFrom: given)
        let sink = try FileHandle(forWritingTo: output)
        process.standardOutput = sink
        process.standardError = sink
        try process.run()
        process.waitUntilExit()
        return (String(decoding: try Data(contentsOf: output), as: UTF8.self), process.terminationStatus)
    }
}

enum Scratch {
    /// Files in place of pipes: nobody has to read while the program runs.
    static func file(_ data: Data) throws -> URL {
        let url = FileManager.default.temporaryDirectory.appending(path: "pgha-deploy-\(UUID().uuidString)")
        try data.write(to: url)
        return url
    }
}
