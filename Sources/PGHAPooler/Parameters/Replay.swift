internal import PGHAWire

/// Brings a server's session settings to a client's: one query whose only row says how the server spells them.
final class Replay {
    let names: [WireText]
    private(set) var values: [WireText]?
    let target: [SessionSetting]

    /// `text` is nil when the sets do not differ in anything that can be set.
    init(from old: [SessionSetting], to new: [SessionSetting]) {
        self.target = new
        self.names = new.filter { setting in !old.contains(setting) }.map(\.name)
        let leftOver = old.filter { setting in !new.contains { $0.name == setting.name } }
        self.resets = leftOver.map(\.name)
    }

    /// Settings that the last client had and this one has not.
    private let resets: [WireText]

    /// One simple query: an implicit transaction, so that all of it happens or nothing.
    var text: [UInt8] {
        var text: [UInt8] = []
        for name in self.resets {
            text += Array("RESET \"".utf8) + name.bytes.filter { $0 != 0x22 } + Array("\";".utf8)
        }
        guard !self.names.isEmpty else { return text }
        text += Array("SELECT ".utf8)
        for (index, name) in self.names.enumerated() {
            if index > 0 { text += Array(",".utf8) }
            let value = self.target.first { $0.name == name }?.value.bytes ?? []
            text += Array("pg_catalog.set_config(".utf8) + Self.literal(name.bytes) + Array(",".utf8)
            text += Self.literal(value) + Array(",false)".utf8)
        }
        return text
    }

    /// A literal that reads the same whatever `standard_conforming_strings` says; what is not plain ASCII is written
    /// as octal numbers, so that no encoding can turn a byte of it into a quote.
    static func literal(_ bytes: [UInt8]) -> [UInt8] {
        var text = Array("E'".utf8)
        for byte in bytes {
            if byte >= 0x20, byte < 0x7F, byte != 0x27, byte != 0x5C {
                text.append(byte)
            } else {
                text.append(UInt8(ascii: "\\"))
                for shift in [6, 3, 0] as [UInt8] { text.append(0x30 + (byte >> shift & 7)) }
            }
        }
        return text + Array("'".utf8)
    }

    /// The row with the values as the server spells them.
    func take(_ row: UnsafeRawBufferPointer) {
        var reader = ByteReader(row)
        guard let count = reader.integer(UInt16.self), Int(count) == self.names.count else { return }
        var values: [WireText] = []
        for _ in 0..<count {
            guard let length = reader.integer(Int32.self), let bytes = reader.bytes(Int(max(length, 0))) else { return }
            values.append(WireText(bytes))
        }
        self.values = values
    }

    /// The settings as they are on the server now; nil when it did not say.
    var result: [SessionSetting]? {
        if self.names.isEmpty { return self.target }
        guard let values = self.values else { return nil }
        let confirmed = zip(self.names, values).map { SessionSetting(name: $0, value: $1) }
        return self.target.filter { !self.names.contains($0.name) } + confirmed
    }
}
