import ArgumentParser
import PGHAClient
import PGHACommand
import PGHACore

/// `pgha node`.
struct NodeCommandLine: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "node", abstract: "Add, remove, change and list nodes.",
        subcommands: [Add.self, Remove.self, Set.self, List.self])
}

/// What may be changed on a node at any time.
struct NodeTraits: ParsableArguments {
    @Option(help: "Among candidates with equal positions the greatest is chosen; 100 for a new node.")
    var priority: Int?

    @Option(help: "Where the node is; '' for nowhere.")
    var zone: String?

    @Option(help: ArgumentHelp("true: never promoted.", valueName: "bool"))
    var nofailover: Bool?

    @Option(help: ArgumentHelp("true: its acknowledgement never counts.", valueName: "bool"))
    var nosync: Bool?

    @Option(help: ArgumentHelp("true: the pooler sends it no reads.", valueName: "bool"))
    var noread: Bool?

    var patch: NodePatch {
        NodePatch(
            priority: self.priority, zone: self.zone, nofailover: self.nofailover, nosync: self.nosync,
            noread: self.noread)
    }
}

extension NodeCommandLine {
    struct Add: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Add a node: an agent with an empty directory, or a running standby.",
            discussion: "The controller copies the leader's data to it and attaches it; 'pgha status' shows how far.")

        @Argument(help: "Its name: lower-case letters, digits and '_', a letter first.")
        var name: NodeName

        @Option(help: "The host on which PostgreSQL listens, as clients and the other nodes reach it.")
        var host: String

        @Option(help: "PostgreSQL's port.")
        var port = 5432

        @Option(
            help: ArgumentHelp(
                "The agent's address, http://host:8433. Without one it is only watched.",
                valueName: "url"))
        var agent: String?

        @OptionGroup var traits: NodeTraits
        @OptionGroup var wait: WaitOptions
        @OptionGroup var options: ControllerOptions

        func run() async throws {
            let client = try self.options.client()
            let node = NodeSpec(name: self.name, host: self.host, port: self.port, agent: self.agent)
            let accepted = try await client.addNode(NodeDocument(self.traits.patch.applied(to: node)))
            try await self.wait.finish(
                accepted, .streaming(node: self.name.text), timeout: .seconds(3600), self.options, client: client)
        }
    }

    struct Remove: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Take a node out of the cluster. Its server and its data stay as they are.")

        @Argument(help: "The node to remove; not the leader.")
        var name: NodeName

        @OptionGroup var options: ControllerOptions

        func run() async throws {
            let accepted = try await self.options.client().removeNode(self.name)
            try self.options.show(accepted, [[Styled(accepted.message)]])
        }
    }

    struct Set: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Change what a node may do, or where its agent is.")

        @Argument(help: "The node to change.")
        var name: NodeName

        @OptionGroup var traits: NodeTraits

        @Option(
            help: ArgumentHelp(
                "Where the node's agent is now, http://host:8433. It must answer there, with the directory that it had.",
                valueName: "url"))
        var agent: String?

        @OptionGroup var options: ControllerOptions

        private var patch: NodePatch {
            var patch = self.traits.patch
            patch.agent = self.agent
            return patch
        }

        func validate() throws {
            guard self.patch != NodePatch() else {
                throw ValidationError(
                    "Nothing to change: give --priority, --zone, --nofailover, --nosync, --noread or --agent.")
            }
        }

        func run() async throws {
            let accepted = try await self.options.client().setNode(self.name, self.patch)
            try self.options.show(accepted, [[Styled(accepted.message)]])
        }
    }

    struct List: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "List the nodes of the spec.")

        @OptionGroup var options: ControllerOptions

        func run() async throws {
            let report = try await self.options.client().nodes()
            try self.options.show(report, NodesView.lines(report))
        }
    }
}
