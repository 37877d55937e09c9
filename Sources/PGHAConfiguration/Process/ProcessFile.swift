/// The configuration file of pgha's processes: sections `controller`, `agent` and `pooler`, all checked whoever reads it.
struct ProcessFile {
    static let places: [Setting.Place] = [.controller, .agent, .pooler]

    /// By full key: `controller.listen`.
    private(set) var values: [String: YAMLSection.Text] = [:]

    init(text: String, path: String) throws(ConfigurationError) {
        let root = try YAMLSection(file: path, content: text)
        let keys = Self.places.flatMap(SettingTable.settings).map(\.fullKey)
        try root.refuseUnknown(known: Self.places.map(\.rawValue), elsewhere: keys)
        for place in Self.places {
            let settings = SettingTable.settings(of: place)
            let section = try root.section(place.rawValue)
            try section.refuseUnknown(known: settings.map(\.key))
            for setting in settings {
                if let value = try section.value(setting.key, of: setting) { self.values[setting.fullKey] = value }
            }
        }
    }
}
