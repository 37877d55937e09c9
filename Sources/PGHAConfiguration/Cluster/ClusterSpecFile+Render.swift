package import PGHACore

extension ClusterSpecFile {
    /// The specification as a file that ``parse(text:path:)`` reads back to the same; what has its default is left
    /// out, except for the durability, which nobody should have to guess.
    package static func render(_ spec: ClusterSpec) -> String {
        var lines = ["cluster: \(YAMLText.scalar(spec.name))", "durability:"]
        lines += ["  mode: \(spec.durability.mode.rawValue)", "  copies: \(spec.durability.copies)"]
        if let loss = spec.durability.onStandbyLoss { lines.append("  on_standby_loss: \(loss.rawValue)") }
        let changed = TimingSetting.all.filter { $0.text(of: spec.timings) != $0.text(of: Timings()) }
        if !changed.isEmpty { lines.append("timings:") }
        lines += changed.map { "  \($0.name): \($0.text(of: spec.timings))" }
        if !spec.postgres.isEmpty { lines += ["postgresql:", "  settings:"] }
        lines += spec.postgres.sorted { $0.key < $1.key }.map { name, value in
            "    \(YAMLText.scalar(name)): \(YAMLText.quoted(value))"
        }
        if let access = spec.access { lines += Self.accessLines(access) }
        lines.append("nodes:")
        for node in spec.nodes { lines += Self.lines(of: node) }
        return lines.joined(separator: "\n") + "\n"
    }

    private static func lines(of node: NodeSpec) -> [String] {
        var lines = ["name: \(YAMLText.scalar(node.name.text))", "host: \(YAMLText.scalar(node.host))"]
        lines.append("port: \(node.port)")
        if let agent = node.agent { lines.append("agent: \(YAMLText.scalar(agent))") }
        if node.priority != 100 { lines.append("priority: \(node.priority)") }
        if let zone = node.zone { lines.append("zone: \(YAMLText.scalar(zone))") }
        if node.nofailover { lines.append("nofailover: true") }
        if node.nosync { lines.append("nosync: true") }
        if node.noread { lines.append("noread: true") }
        return lines.enumerated().map { $0.offset == 0 ? "  - \($0.element)" : "    \($0.element)" }
    }
}

/// Texts as YAML scalars.
enum YAMLText {
    /// Plain where every YAML reader takes it for the same text, quoted otherwise.
    static func scalar(_ text: String) -> String {
        let isPlain =
            text.utf8.first.map { (0x61...0x7A).contains($0) || $0 == 0x2F } ?? false
            && text.utf8.allSatisfy(self.isPlainByte)
        let looksTyped = ["true", "false", "yes", "no", "on", "off", "null", "y", "n"].contains(text.lowercased())
        // "b: c" would be a mapping, "a:" at the end too.
        return isPlain && !looksTyped && !text.hasSuffix(":") ? text : self.quoted(text)
    }

    /// In double quotes, escaped as YAML 1.2 says (section 5.7).
    static func quoted(_ text: String) -> String {
        var result = "\""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\"": result += "\\\""
            case "\\": result += "\\\\"
            case "\n": result += "\\n"
            case "\t": result += "\\t"
            case "\r": result += "\\r"
            case _ where scalar.value < 0x20 || scalar.value == 0x7F:
                let digits = String(scalar.value, radix: 16)
                result += "\\x" + (digits.count < 2 ? "0" : "") + digits
            default: result.unicodeScalars.append(scalar)
            }
        }
        return result + "\""
    }

    /// Letters, digits and `_ . / : -`.
    private static func isPlainByte(_ byte: UInt8) -> Bool {
        switch byte {
        case 0x30...0x39, 0x41...0x5A, 0x61...0x7A, 0x5F, 0x2E, 0x2F, 0x3A, 0x2D: true
        default: false
        }
    }
}
