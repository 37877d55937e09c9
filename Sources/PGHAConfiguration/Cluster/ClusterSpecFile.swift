package import PGHACore

/// A cluster's specification as a YAML file: what `pgha init -f` takes.
///
/// ```yaml
/// cluster: demo
/// durability:
///   copies: 2
/// nodes:
///   - name: a
///     host: 10.0.0.1
///     agent: http://10.0.0.1:8433
/// ```
package enum ClusterSpecFile {
    private static let sections = ["cluster", "durability", "timings", "postgresql", "access", "nodes"]

    /// Reads a specification; throws the first error. `path` serves errors only.
    package static func parse(text: String, path: String) throws(ConfigurationError) -> ClusterSpec {
        let root = try YAMLSection(file: path, content: text)
        let inner = SettingTable.settings(of: .cluster).map(\.key).filter { $0.contains(".") }
        try root.refuseUnknown(known: Self.sections, elsewhere: inner)
        var lines = Lines()
        let name = try Self.required("cluster", .cluster, in: root)
        lines["cluster"] = name.line
        lines["nodes"] = root.names.first { $0.text == "nodes" }?.line
        let spec = ClusterSpec(
            name: name.text, nodes: try Self.nodes(root, &lines),
            durability: try Self.durability(root.section("durability"), &lines),
            timings: try Self.timings(root.section("timings"), &lines),
            postgres: try Self.settings(root.section("postgresql"), &lines), access: try Self.access(root))
        if let problem = SpecCheck.problem(in: spec) {
            throw ConfigurationError(.file(path, line: lines[problem.key]), .specification(problem))
        }
        return spec
    }

    /// Line by key, for problems that are found after reading.
    private typealias Lines = [String: Int]

    private static func required(
        _ key: String, _ place: Setting.Place, in section: YAMLSection
    ) throws(ConfigurationError) -> YAMLSection.Text {
        let setting = SettingTable.setting(key, of: place)
        if let setting, let text = try section.value(key, of: setting) { return text }
        throw ConfigurationError(
            .file(section.file, line: section.line), .missing(section.path(key), ways: "give it in the file"))
    }

    private static func durability(
        _ section: YAMLSection, _ lines: inout Lines
    ) throws(ConfigurationError) -> Durability {
        var result = Durability()
        try Self.refuseUnknown(section, "durability")
        for name in section.names {
            guard let setting = SettingTable.setting("durability.\(name.text)", of: .cluster),
                let value = try section.value(name.text, of: setting)
            else { continue }
            lines[setting.key] = value.line
            switch name.text {
            case "mode": if let mode = Durability.Mode(rawValue: value.text) { result.mode = mode }
            case "copies": if let copies = Int(value.text) { result.copies = copies }
            default: result.onStandbyLoss = Durability.StandbyLoss(rawValue: value.text)
            }
        }
        return result
    }

    private static func timings(_ section: YAMLSection, _ lines: inout Lines) throws(ConfigurationError) -> Timings {
        var result = Timings()
        try Self.refuseUnknown(section, "timings")
        for timing in TimingSetting.all {
            guard let value = try section.value(timing.name, of: timing.setting) else { continue }
            lines["timings.\(timing.name)"] = value.line
            timing.set(&result, to: value.text)
        }
        return result
    }

    private static func settings(
        _ section: YAMLSection, _ lines: inout Lines
    ) throws(ConfigurationError) -> [String: String] {
        try section.refuseUnknown(known: ["settings"])
        let settings = try section.section("settings")
        var result: [String: String] = [:]
        for name in settings.names {
            guard let value = try settings.text(name.text) else { continue }
            lines["postgresql.settings.\(name.text)"] = value.line
            result[name.text] = value.text
        }
        return result
    }

    private static func nodes(_ root: YAMLSection, _ lines: inout Lines) throws(ConfigurationError) -> [NodeSpec] {
        var result: [NodeSpec] = []
        for section in try root.list("nodes") {
            try section.refuseUnknown(known: SettingTable.settings(of: .node).map(\.key))
            let node = try Self.node(section)
            lines["nodes/\(node.name)"] = section.line
            result.append(node)
        }
        return result
    }

    private static func node(_ section: YAMLSection) throws(ConfigurationError) -> NodeSpec {
        let nameText = try Self.required("name", .node, in: section)
        guard let name = NodeName(nameText.text) else {
            throw ConfigurationError(
                .file(section.file, line: nameText.line),
                .wrongValue(
                    key: section.path("name"), value: nameText.text, expected: SettingKind.nodeName.expectation))
        }
        var node = NodeSpec(name: name, host: try Self.required("host", .node, in: section).text, port: 5432)
        for setting in SettingTable.settings(of: .node) {
            guard let value = try section.value(setting.key, of: setting)?.text else { continue }
            switch setting.key {
            case "port": if let port = Int(value) { node.port = port }
            case "agent": node.agent = value
            case "priority": if let priority = Int(value) { node.priority = priority }
            case "zone": node.zone = value
            case "nofailover": node.nofailover = SettingKind.boolean(value) ?? false
            case "nosync": node.nosync = SettingKind.boolean(value) ?? false
            case "noread": node.noread = SettingKind.boolean(value) ?? false
            default: break
            }
        }
        return node
    }

    /// Refuses keys of `name`'s section that the table lacks.
    private static func refuseUnknown(_ section: YAMLSection, _ name: String) throws(ConfigurationError) {
        let keys = SettingTable.settings(of: .cluster).map(\.key)
        let known = keys.filter { $0.hasPrefix("\(name).") }.map { String($0.dropFirst(name.count + 1)) }
        try section.refuseUnknown(known: known, elsewhere: keys)
    }
}
