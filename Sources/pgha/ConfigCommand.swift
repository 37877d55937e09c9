import ArgumentParser
import PGHAClient
import PGHACommand
import PGHAConfiguration

/// `pgha config`.
struct ConfigCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "config", abstract: "Show and change the settings of the cluster.",
        subcommands: [Get.self, Set.self])

    @Flag(help: "Print both configuration files with every setting, its default and the reason for it.")
    var printDefaults = false

    func run() async throws {
        guard self.printDefaults else { throw CleanExit.helpRequest(self) }
        Terminal.standardOutput.write(
            """
            # ---- The cluster, for 'pgha init -f FILE' ----
            \(DefaultsPage.clusterFile)
            # ---- The processes, for 'pgha controller' and 'pgha agent' ----
            \(DefaultsPage.processFile)
            """)
    }
}

extension ConfigCommand {
    struct Get: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Show the settings in force, and which servers still need a restart for theirs.")

        @Argument(help: "One setting, or the first part of several: 'timings', 'postgresql.work_mem'.")
        var key: String?

        @OptionGroup var options: ControllerOptions

        func run() async throws {
            let report = try await self.options.client().config()
            let keys = ConfigKeys.settings(report).map(\.key)
            if let key = self.key, !keys.contains(where: { $0 == key || $0.hasPrefix("\(key).") }) {
                let nearest = NearestKey.of(key, among: keys).map { "Did you mean '\($0)'? " } ?? ""
                throw CommandError(
                    .failed, "there is no setting '\(key)'", hint: "\(nearest)'pgha config get' lists them.")
            }
            try self.options.show(report, ConfigView.lines(report, only: self.key))
        }
    }

    struct Set: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Change settings: KEY=VALUE, such as timings.probe_interval=500ms or postgresql.work_mem=8MB.",
            discussion: """
                'postgresql.NAME=' takes a setting of PostgreSQL out again. 'access=RULE; RULE' sets who may connect, as \
                lines of pg_hba.conf: 'host all app 10.0.0.0/8 scram-sha-256'. All of them change, or none.
                """)

        @Argument(help: ArgumentHelp("What to change.", valueName: "key=value"))
        var changes: [String]

        @OptionGroup var options: ControllerOptions

        func run() async throws {
            let patch: ConfigPatch
            do {
                patch = try ConfigKeys.patch(self.changes)
            } catch {
                throw CommandError(.failed, error.message, hint: error.hint)
            }
            let report = try await self.options.client().setConfig(patch)
            try self.options.show(report, [[Styled("changed", .good)]] + ConfigView.pendingLines(report))
        }
    }
}
