import ArgumentParser
import AsyncHTTPClient
import FoundationEssentials
import PGHAClient
import PGHACommand
import PGHACore
import PGHAPostgres
import PGHASchema
import PGHATLS

/// `pgha check`.
struct CheckCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "check", abstract: "Look for what would stand in the way, before or while a cluster runs.",
        discussion: """
            Asks every server and every agent, of a specification with --file, otherwise of the running cluster: \
            connectivity, versions, settings, rights, disk, clocks, roles and databases that weaken commits. \
            Changes nothing. The exit code is 1 when something fails; warnings are shown and are no failure.
            """)

    @Option(
        name: .shortAndLong,
        help: ArgumentHelp("A specification, checked before 'pgha init'; '-' for standard input.", valueName: "path"))
    var file: String?

    @Option(help: ArgumentHelp("The role to ask as.", valueName: "role"))
    var user = "pgha_control"

    @Option(
        help: ArgumentHelp("A file in .pgpass format with its password; libpq's own by default.", valueName: "path"))
    var passfile: String?

    @Option(help: ArgumentHelp("libpq's sslmode.", valueName: "mode"))
    var sslmode = "prefer"

    @OptionGroup var options: ControllerOptions

    func validate() throws {
        guard ConnectionParameters.SSLMode(rawValue: self.sslmode) != nil else {
            let known = ConnectionParameters.SSLMode.allCases.map(\.rawValue).joined(separator: ", ")
            throw ValidationError("--sslmode takes one of \(known).")
        }
    }

    func run() async throws {
        let spec = try await self.spec()
        let token = try self.options.token()
        let tls = try self.options.tls()
        let surveys = await withTaskGroup(of: NodeSurvey.self) { group in
            for node in spec.nodes { group.addTask { await self.survey(node, token, tls) } }
            return await group.reduce(into: [NodeSurvey]()) { $0.append($1) }
        }.sorted { $0.node.name < $1.node.name }
        let report = CheckReport(
            CheckJudgement.findings(surveys, spec: spec, scripts: PGHASchema.scripts.map { ($0.number, $0.name) }))
        try self.options.show(report, CheckView.lines(report))
        if !report.ok { throw ExitCode(CommandError.Exit.failed.rawValue) }
    }

    private func spec() async throws -> ClusterSpec {
        if let file = self.file { return try SpecFile.read(file) }
        let client = try self.options.client()
        let nodes = try await client.nodes().nodes.map { try $0.spec() }
        let durability = try await client.config().durability.applied(to: Durability())
        return ClusterSpec(name: "", nodes: nodes, durability: durability)
    }

    private func survey(_ node: NodeSpec, _ token: BearerToken?, _ tls: TLSIdentity?) async -> NodeSurvey {
        let agent = await self.agent(of: node, token, tls)
        if case .answers(let facts) = agent, facts.postmaster == .absent {
            return NodeSurvey(node: node, server: .notMadeYet, agent: agent)
        }
        let parameters = ConnectionParameters(
            host: node.host, port: node.port, user: self.user, passfile: self.passfile,
            sslMode: ConnectionParameters.SSLMode(rawValue: self.sslmode) ?? .prefer, applicationName: "pgha check",
            connectTimeout: .seconds(3))
        return NodeSurvey(
            node: node, server: await ServerSurveyor(node: node.name, parameters: parameters).survey(), agent: agent)
    }

    private func agent(
        of node: NodeSpec, _ token: BearerToken?, _ tls: TLSIdentity?
    ) async -> NodeSurvey.Agent {
        guard let url = node.agent else { return .none }
        let client = AgentClient(
            baseURL: url, token: WireSecret(token?.value ?? ""), tls: tls, httpClient: .failingFast)
        do {
            return .answers(try await client.facts(timeout: .seconds(3)))
        } catch let failure as AgentFailure {
            return .silent(url: url, reason: failure.message)
        } catch AgentClientError.unexpectedStatus(let status) {
            return .silent(url: url, reason: "HTTP status \(status), so it is no agent")
        } catch {
            return .silent(
                url: url, reason: await ControllerClient.reason(error, url: client.baseURL, timeout: .seconds(3)))
        }
    }
}
