/// The reference of all settings as Markdown.
package enum ReferencePage {
    package static var markdown: String {
        var parts = [
            """
            # Settings

            Generated from the table in `PGHAConfiguration`; a test keeps this page and the table the same.

            Durations have a unit: `us`, `ms`, `s`, `min` (or `m`), `h`, `d`. Amounts of bytes have one too: `B`, `kB`, \
            `MB`, `GB`, `TB` as in PostgreSQL (powers of 1024), or `KiB`, `MiB`, `GiB`, `TiB`. Unknown keys, units and \
            values are errors; nothing starts.
            """
        ]
        parts.append(
            self.section(
                "The cluster", .cluster,
                "In the specification that `pgha init -f FILE` sends. Settings of PostgreSQL itself stand under "
                    + "`postgresql.settings`."))
        parts.append(self.section("Each node", .node, "In the items of `nodes` in the specification."))
        parts.append(
            self.section(
                "The controller", .controller,
                "Under `controller` in the configuration file, over it `PGHA_CONTROLLER_…` in the environment, over both "
                    + "the flags of `pgha controller`."))
        parts.append(
            self.section(
                "The agent", .agent,
                "Under `agent` in the configuration file, over it `PGHA_AGENT_…` in the environment, over both the flags "
                    + "of `pgha agent`."))
        parts.append(
            self.section(
                "The pooler", .pooler,
                "Under `pooler` in the configuration file, over it `PGHA_POOLER_…` in the environment, over both the flags "
                    + "of `pgha pooler`. SIGHUP reads all of it again."))
        return parts.joined(separator: "\n\n") + "\n"
    }

    private static func section(_ title: String, _ place: Setting.Place, _ words: String) -> String {
        let hasFlags = ProcessFile.places.contains(place)
        var lines = ["## \(title)", "", words, ""]
        lines.append("| setting | unit | default |\(hasFlags ? " environment, flag |" : "") why |")
        lines.append("|---|---|---|\(hasFlags ? "---|" : "")---|")
        for setting in SettingTable.settings(of: place) {
            let ways = "`\(setting.environmentVariable ?? "")`, `\(setting.flag ?? "")`"
            lines.append(
                "| `\(setting.key)` | \(setting.kind.unit) | \(self.fallback(setting)) |\(hasFlags ? " \(ways) |" : "") "
                    + "\(setting.reason) |")
        }
        return lines.joined(separator: "\n")
    }

    private static func fallback(_ setting: Setting) -> String {
        switch setting.fallback {
        case .value(let text): "`\(text)`"
        case .unset(let meaning): meaning
        case .required: "required"
        }
    }
}
