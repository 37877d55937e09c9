/// The settings of `pgha pooler`, each by its key.
///
/// Not a field for each: the pooler's own configuration has those, and the console shows all of them by name.
package struct PoolerSettingValues: Hashable, Sendable {
    package struct Value: Hashable, Sendable {
        package let key: String
        /// Nil: not set, and without a default.
        package let text: String?
        /// Nil: there is none.
        package let fallback: String?
    }

    /// In the order of the table.
    package let values: [Value]
    package let tls: HTTPTLSConfiguration
    package let log: LogConfiguration
    private let texts: [String: String]

    /// Flags over `environment` over `file` (path and text) over the defaults. `flags` go by key: `pool_size`.
    package init(
        file: (path: String, text: String)?, environment: [String: String], flags: [String: String] = [:]
    ) throws(ConfigurationError) {
        let layers = try SettingLayers(.pooler, file: file, environment: environment, flags: flags)
        var values: [Value] = []
        for setting in SettingTable.settings(of: .pooler) {
            var fallback: String?
            if case .value(let text) = setting.fallback { fallback = text }
            values.append(Value(key: setting.key, text: try layers.text(setting.key), fallback: fallback))
        }
        self.values = values
        self.texts = Dictionary(
            values.compactMap { value in value.text.map { (value.key, $0) } }, uniquingKeysWith: { $1 })
        self.tls = try HTTPTLSConfiguration(layers)
        self.log = try LogConfiguration(layers)
    }

    /// The value as it was given. The key is ours: one that the table does not have is a mistake in the program.
    package func text(_ key: String) -> String? {
        precondition(SettingTable.setting(key, of: .pooler) != nil, "there is no setting pooler.\(key)")
        return self.texts[key]
    }

    package func integer(_ key: String) -> Int { self.parsed(key, Int.init) }
    package func boolean(_ key: String) -> Bool { self.parsed(key, SettingKind.boolean) }
    package func duration(_ key: String) -> Duration { self.parsed(key, DurationValue.parse) }
    package func bytes(_ key: String) -> UInt64 { self.parsed(key, ByteValue.parse) }
    package func address(_ key: String) -> ListenAddress { self.parsed(key, ListenAddress.init) }

    /// What is separated by commas; empty when nothing is set.
    package func items(_ key: String) -> [String] { self.text(key).map(SettingKind.items) ?? [] }

    /// The layers have checked the value against its kind, and settings read this way have a default.
    private func parsed<Parsed>(_ key: String, _ parse: (String) -> Parsed?) -> Parsed {
        guard let text = self.text(key), let value = parse(text) else {
            preconditionFailure("pooler.\(key) is of another kind, or has no default")
        }
        return value
    }
}
