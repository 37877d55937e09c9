import Configuration
import PGHACore

/// The settings of one process: flags over the environment over the file over the defaults.
///
/// Built on the providers of swift-configuration, asked one by one: a `ConfigReader` says what a value is, but not
/// whose it is, and an error must name the line, the variable or the flag.
struct SettingLayers {
    private let place: Setting.Place
    private let layers: [(provider: any ConfigProvider, source: (Setting) -> ConfigurationError.Source)]

    /// `file` is its path and text. `flags` go by the setting's key: `token_file`.
    init(
        _ place: Setting.Place, file: (path: String, text: String)?, environment: [String: String],
        flags: [String: String]
    ) throws(ConfigurationError) {
        self.place = place
        let parsed: ProcessFile? =
            if let file { try ProcessFile(text: file.text, path: file.path) } else { nil }
        try Self.refuseUnknown(environment)
        let values = parsed?.values ?? [:]
        self.layers = [
            (
                Self.provider("flags", flags.map { ("\(place.rawValue).\($0.key)", $0.value) }),
                { .flag($0.flag ?? $0.key) }
            ),
            (
                EnvironmentVariablesProvider(environmentVariables: environment),
                { .environment(variable: $0.environmentVariable ?? $0.key) }
            ),
            (
                Self.provider("file", values.map { ($0.key, $0.value.text) }),
                { .file(file?.path ?? "", line: values[$0.fullKey]?.line) }
            ),
        ]
    }

    /// The value of the uppermost layer that has one, else the default; nil for a setting that may be absent.
    func text(_ key: String) throws(ConfigurationError) -> String? {
        guard let setting = SettingTable.setting(key, of: self.place) else { return nil }
        for (provider, source) in self.layers {
            guard let text = Self.look(provider, setting) else { continue }
            guard setting.kind.accepts(text) else {
                throw ConfigurationError(
                    source(setting),
                    .wrongValue(key: setting.fullKey, value: text, expected: setting.kind.expectation))
            }
            return text
        }
        switch setting.fallback {
        case .value(let text): return text
        case .unset: return nil
        case .required: throw ConfigurationError(.nowhere, .missing(setting.fullKey, ways: Self.ways(setting)))
        }
    }

    /// A setting that is required or has a default.
    func required(_ key: String) throws(ConfigurationError) -> String {
        guard let text = try self.text(key) else {
            throw ConfigurationError(.nowhere, .missing("\(self.place.rawValue).\(key)", ways: "set it"))
        }
        return text
    }

    private static func ways(_ setting: Setting) -> String {
        "give \(setting.flag ?? ""), \(setting.environmentVariable ?? "") or '\(setting.key)' under "
            + "'\(setting.place.rawValue)' in the configuration file"
    }

    private static func key(_ fullKey: String) -> AbsoluteConfigKey {
        // "pgha" becomes the environment's prefix PGHA_.
        AbsoluteConfigKey(["pgha"] + fullKey.split(separator: ".").map(String.init))
    }

    private static func provider(_ name: String, _ values: [(String, String)]) -> InMemoryProvider {
        InMemoryProvider(
            name: name,
            values: Dictionary(
                values.map { (self.key($0.0), ConfigValue(.string($0.1), isSecret: false)) }, uniquingKeysWith: { $1 }))
    }

    /// Every value is kept as a string, so that none is of the wrong type: no provider throws.
    private static func look(_ provider: any ConfigProvider, _ setting: Setting) -> String? {
        guard let found = try? provider.value(forKey: self.key(setting.fullKey), type: .string),
            case .string(let text) = found.value?.content
        else { return nil }
        return text
    }

    // MARK: The environment's names

    /// Refuses a variable that was meant for pgha and that no setting has.
    ///
    /// Variables of other parts (`PGHA_TOKEN_FILE` of the command line) are left alone, and so are those that
    /// container engines make up for a service called `pgha-controller`: `PGHA_CONTROLLER_PORT_8432_TCP`.
    private static func refuseUnknown(_ environment: [String: String]) throws(ConfigurationError) {
        let known = SettingTable.all.compactMap(\.environmentVariable)
        for name in environment.keys.sorted() where name.hasPrefix("PGHA_") && !known.contains(name) {
            let nearest = NearestKey.of(name, among: known)
            let isOurs = ["CONTROLLER", "AGENT", "POOLER"].contains { name.hasPrefix("PGHA_\($0)_") }
            let edits = nearest.map { NearestKey.edits(Array(name), Array($0)) } ?? .max
            if self.isServiceLink(name) || (!isOurs && edits > 2) { continue }
            throw ConfigurationError(.environment(variable: name), .unknownKey(name, nearest: nearest))
        }
    }

    private static func isServiceLink(_ name: String) -> Bool {
        name.hasSuffix("_SERVICE_HOST") || name.contains("_SERVICE_PORT") || name.hasSuffix("_PORT")
            || name.contains(#/_PORT_[0-9]+_(TCP|UDP|SCTP)/#)
    }
}
