import ArgumentParser
import Glibc
import PGHAClient
import PGHACommand

/// `pgha diverged`.
struct DivergedCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "diverged", abstract: "Look at, and drop, the WAL that only a former leader held.",
        discussion: """
            Before a server that has diverged is rewound or copied anew, its agent saves what no other server has, with a \
            summary. It stays on that host for keep_diverged; the newest of each node stays until it is dropped here.
            """,
        subcommands: [List.self, Show.self, Drop.self])

    struct List: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "List what is kept on every node, the oldest first, in local time.")

        @OptionGroup var options: ControllerOptions

        func run() async throws {
            let report = try await self.options.client().diverged()
            try self.options.show(report, DivergedView.list(report, offset: Terminal.offsetFromUTC(at: time(nil))))
        }
    }

    struct Show: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Show what was in it: commits, and the rows that they changed.",
            discussion: """
                WAL tells which rows were changed and not always what was in them. The path that is shown has the \
                files, for pg_waldump.
                """)

        @Argument(help: "A whole name out of 'pgha diverged list'.")
        var name: DivergedName

        @OptionGroup var options: ControllerOptions

        func run() async throws {
            let entry = try await self.options.client().diverged(self.name)
            try self.options.show(entry, DivergedView.details(entry, offset: Terminal.offsetFromUTC(at: time(nil))))
        }
    }

    struct Drop: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Remove it for good.",
            discussion: """
                What these commits held is lost then. Without --yes it is only shown, and nothing is changed. Every \
                name is given in full; the history notes what was dropped.
                """)

        @Argument(help: "Whole names out of 'pgha diverged list'.")
        var names: [DivergedName]

        @Flag(help: "Really remove it.")
        var yes = false

        @OptionGroup var options: ControllerOptions

        func run() async throws {
            let client = try self.options.client()
            // All are there, or none is dropped.
            var entries: [DivergedEntry] = []
            for name in self.names { entries.append(try await client.diverged(name).brief) }
            guard self.yes else {
                let table = DivergedView.table(entries, offset: Terminal.offsetFromUTC(at: time(nil)))
                try self.options.show(DivergedList(entries: entries), table.lines)
                throw CommandError(
                    .refused, "nothing was dropped",
                    hint: "Add --yes to remove \(entries.count == 1 ? "it" : "them") for good.")
            }
            for name in self.names {
                let entry = try await client.dropDiverged(name)
                try self.options.show(entry, [[Styled("dropped", .warning), Styled(" \(entry.name)")]])
            }
        }
    }
}

/// A name of something kept, on the command line.
extension DivergedName: ExpressibleByArgument {
    package init?(argument: String) { self.init(argument) }
}
