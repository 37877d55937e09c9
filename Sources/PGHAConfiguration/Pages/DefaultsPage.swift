/// What `pgha config --print-defaults` prints: both files with every setting, its default and reason.
///
/// Settings without a default stand as comments; otherwise the text is a file as it could be used.
package enum DefaultsPage {
    /// Longest line of a comment.
    private static let width = 100

    /// The cluster's specification.
    package static var clusterFile: String {
        var lines: [String] = []
        var section = ""
        for setting in SettingTable.settings(of: .cluster) {
            let parts = setting.key.split(separator: ".").map(String.init)
            if parts.count == 2, parts[0] != section {
                section = parts[0]
                lines.append("\(section):")
            }
            lines += self.lines(setting, name: parts[parts.count - 1], indent: parts.count == 2 ? 2 : 0)
        }
        lines += ["# Settings of PostgreSQL that every server gets.", "postgresql:", "  settings:"]
        lines += [
            "# Who may connect, as in pg_hba.conf; the first rule that fits decides. Without it: everybody with a password.",
            "#access:", "#  - type: host", "#    database: all", "#    user: all", "#    address: all",
            "#    method: scram-sha-256",
        ]
        lines += ["nodes:", "  # For each node:"]
        for setting in SettingTable.settings(of: .node) {
            // A node has no defaults that a file could be used with: all of it is commented out.
            lines += self.lines(setting, name: setting.key, indent: 4).map { line in
                line.hasPrefix("    #") ? line : "    #" + line.dropFirst(4)
            }
        }
        return lines.joined(separator: "\n") + "\n"
    }

    /// The configuration file of the processes.
    package static var processFile: String {
        var lines: [String] = []
        for place in ProcessFile.places {
            lines.append("\(place.rawValue):")
            for setting in SettingTable.settings(of: place) {
                lines += self.lines(setting, name: setting.key, indent: 2)
            }
        }
        return lines.joined(separator: "\n") + "\n"
    }

    private static func lines(_ setting: Setting, name: String, indent: Int) -> [String] {
        let margin = String(repeating: " ", count: indent)
        let words = "\(setting.reason) (\(setting.kind.unit))"
        let comment = Wrap.lines(words, width: self.width - indent - 2).map { "\(margin)# \($0)" }
        switch setting.fallback {
        case .value(let text): return comment + ["\(margin)\(name): \(text)"]
        case .unset(let meaning): return comment + ["\(margin)# Without it: \(meaning).", "\(margin)#\(name):"]
        case .required: return comment + ["\(margin)# Required.", "\(margin)#\(name):"]
        }
    }
}

/// Breaks text into lines at spaces.
enum Wrap {
    static func lines(_ text: String, width: Int) -> [String] {
        var lines: [String] = []
        var line = ""
        for word in text.split(separator: " ") {
            if !line.isEmpty, line.count + 1 + word.count > width {
                lines.append(line)
                line = ""
            }
            line += (line.isEmpty ? "" : " ") + word
        }
        return line.isEmpty ? lines : lines + [line]
    }
}
