internal import PGHAWire

/// One setting of a session.
struct SessionSetting: Hashable {
    /// In small letters, as PostgreSQL compares them.
    let name: WireText
    let value: WireText
}

/// The settings in which sessions may differ, interned: equal sets are one object, so that a client and a server are
/// compared by address.
final class ParameterSet {
    /// By name.
    let settings: [SessionSetting]
    /// Connections that refer to it.
    fileprivate(set) var users = 0

    /// What a backslash in a string does.
    let strings: StringSyntax
    /// Texts of such a session cannot be judged, or standbys run none of them.
    let isLeaderOnly: Bool

    fileprivate init(_ settings: [SessionSetting]) {
        func value(_ name: WireText) -> WireText? { settings.first { $0.name == name }?.value }
        self.settings = settings
        self.strings = value("standard_conforming_strings") == "on" ? .standard : .unknown
        let hidesText = value("client_encoding")?.bytes.withUnsafeBytes { ClientEncoding.hidesASCII($0) } ?? true
        // "cannot use serializable mode in a hot standby": not even the pooler's own queries would work.
        self.isLeaderOnly = hidesText || value("default_transaction_isolation") == "serializable"
    }

    func value(of name: WireText) -> WireText? { self.settings.first { $0.name == name }?.value }

    /// The settings with one of them replaced or added.
    func settings(replacing name: WireText, by value: WireText) -> [SessionSetting] {
        self.settings.filter { $0.name != name } + [SessionSetting(name: name, value: value)]
    }
}

/// All parameter sets in use in a loop.
struct ParameterTable {
    private var sets: [[SessionSetting]: ParameterSet] = [:]

    /// The set of `settings`, in any order, with one user more.
    mutating func retain(_ settings: [SessionSetting]) -> Unmanaged<ParameterSet> {
        let sorted = settings.sorted { $0.name.bytes.lexicographicallyPrecedes($1.name.bytes) }
        if let known = self.sets[sorted] { return Self.retain(known) }
        let new = ParameterSet(sorted)
        self.sets[sorted] = new
        return Self.retain(new)
    }

    static func retain(_ set: ParameterSet) -> Unmanaged<ParameterSet> {
        set.users += 1
        return Unmanaged.passUnretained(set)
    }

    mutating func release(_ set: Unmanaged<ParameterSet>?) {
        guard let set = set?.takeUnretainedValue() else { return }
        set.users -= 1
        if set.users == 0 { self.sets[set.settings] = nil }
    }

    var count: Int { self.sets.count }
    /// Of all sets, with all uses of each.
    var users: Int { self.sets.values.reduce(0) { $0 + $1.users } }
}
