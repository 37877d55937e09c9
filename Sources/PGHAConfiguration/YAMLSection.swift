import Yams

/// A mapping of a YAML file, read key by key; every error names the file and the line.
///
/// Values are read as their text, whatever type YAML would give them: `port: 5432` and `port: "5432"` are the same,
/// and `on` stays `on`.
struct YAMLSection {
    /// A scalar and where it stands.
    struct Text {
        let text: String
        let line: Int?
    }

    let file: String
    /// `timings`, `nodes[2]`; empty for the whole file.
    let key: String
    let line: Int?
    private let entries: [(name: Text, value: Node)]

    /// The whole file. An empty file is an empty section.
    init(file: String, content: String) throws(ConfigurationError) {
        let root: Node?
        do {
            root = try Yams.compose(yaml: content)
        } catch {
            throw Self.syntaxError(file, error)
        }
        try self.init(file: file, key: "", root)
    }

    private init(file: String, key: String, _ node: Node?) throws(ConfigurationError) {
        self.file = file
        self.key = key
        self.line = node?.mark?.line
        switch node {
        case nil: self.entries = []
        case .scalar(let scalar) where scalar.string.isEmpty && scalar.style == .plain: self.entries = []
        case .mapping(let mapping):
            var entries: [(Text, Node)] = []
            for (name, value) in mapping {
                guard case .scalar(let scalar) = name else {
                    throw ConfigurationError(
                        .file(file, line: name.mark?.line),
                        .wrongShape(key: key.isEmpty ? "the file" : key, expected: "a mapping with plain keys"))
                }
                entries.append((Text(text: scalar.string, line: scalar.mark?.line), value))
            }
            self.entries = entries
        case .scalar, .sequence, .alias:
            throw ConfigurationError(
                .file(file, line: node?.mark?.line),
                .wrongShape(key: key.isEmpty ? "the file" : key, expected: "a mapping of keys and values"))
        }
    }

    /// The keys as they stand, in the order of the file.
    var names: [Text] { self.entries.map(\.name) }

    /// Refuses every key that is not among `known`. `elsewhere` holds full keys of other sections, for the hint.
    func refuseUnknown(known: [String], elsewhere: [String] = []) throws(ConfigurationError) {
        for name in self.names where !known.contains(name.text) {
            let moved = elsewhere.first { $0.split(separator: ".").last.map(String.init) == name.text }
            let nearest = NearestKey.of(name.text, among: known).map(self.path) ?? moved
            throw ConfigurationError(
                .file(self.file, line: name.line), .unknownKey(self.path(name.text), nearest: nearest))
        }
    }

    /// A scalar; nil when the key is not there.
    func text(_ name: String) throws(ConfigurationError) -> Text? {
        guard let (key, node) = self.entries.first(where: { $0.name.text == name }) else { return nil }
        guard case .scalar(let scalar) = node, !(scalar.string.isEmpty && scalar.style == .plain) else {
            throw ConfigurationError(
                .file(self.file, line: key.line), .wrongShape(key: self.path(name), expected: "a single value"))
        }
        return Text(text: scalar.string, line: scalar.mark?.line ?? key.line)
    }

    /// A scalar that is a value of the setting.
    func value(_ name: String, of setting: Setting) throws(ConfigurationError) -> Text? {
        guard let text = try self.text(name) else { return nil }
        guard setting.kind.accepts(text.text) else {
            throw ConfigurationError(
                .file(self.file, line: text.line),
                .wrongValue(key: self.path(name), value: text.text, expected: setting.kind.expectation))
        }
        return text
    }

    /// A mapping below this one; an empty section when the key is not there.
    func section(_ name: String) throws(ConfigurationError) -> YAMLSection {
        let node = self.entries.first { $0.name.text == name }?.value
        return try YAMLSection(file: self.file, key: self.path(name), node)
    }

    /// The mappings of a list; empty when the key is not there.
    func list(_ name: String) throws(ConfigurationError) -> [YAMLSection] {
        guard let (key, node) = self.entries.first(where: { $0.name.text == name }) else { return [] }
        guard case .sequence(let sequence) = node else {
            throw ConfigurationError(
                .file(self.file, line: key.line), .wrongShape(key: self.path(name), expected: "a list"))
        }
        var sections: [YAMLSection] = []
        for (index, item) in sequence.enumerated() {
            sections.append(try YAMLSection(file: self.file, key: "\(self.path(name))[\(index + 1)]", item))
        }
        return sections
    }

    func path(_ name: String) -> String { self.key.isEmpty ? name : "\(self.key).\(name)" }

    private static func syntaxError(_ file: String, _ error: any Error) -> ConfigurationError {
        switch error {
        case YamlError.scanner(_, let problem, let mark, _), YamlError.parser(_, let problem, let mark, _),
            YamlError.composer(_, let problem, let mark, _):
            ConfigurationError(.file(file, line: mark.line), .syntax(problem))
        case YamlError.duplicatedKeysInMapping(let duplicates, let context):
            ConfigurationError(
                .file(file, line: context.mark.line), .syntax("the key '\(duplicates.first ?? "")' stands twice"))
        case YamlError.reader(let problem, _, _, _): ConfigurationError(.file(file, line: nil), .syntax(problem))
        default: ConfigurationError(.file(file, line: nil), .syntax("\(error)"))
        }
    }
}
