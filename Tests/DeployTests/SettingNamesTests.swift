import Foundation
import PGHAConfiguration
import PGHACore
import Testing

/// What is written under `deploy/` names only settings that there are.
@Suite struct SettingNamesTests {
    /// Variables of the command line, of the build, and of the compose file itself.
    static let others: Set<String> = [
        "PGHA_CONTROLLER", "PGHA_TOKEN_FILE", "PGHA_HTTP_TLS_CERT_FILE", "PGHA_HTTP_TLS_KEY_FILE",
        "PGHA_HTTP_TLS_CA_FILE", "PGHA_PACKAGE", "PGHA_EXECUTABLE", "PGHA_TAG", "PGHA_VERSION",
        "PGHA_IMAGE", "PGHA_POSTGRES_IMAGE", "PGHA_BIND", "PGHA_WRITE_PORT", "PGHA_READ_PORT", "PGHA_PROMETHEUS_PORT",
        "PGHA_GRAFANA_PORT", "PGHA_SUBNET",
    ]

    @Test(arguments: Deploy.all)
    func everyVariableIsOneOfASetting(path: String) throws {
        let known = Set(SettingTable.all.compactMap(\.environmentVariable)).union(Self.others)
        let words = try Deploy.text(path).utf8.split { !(0x41...0x5A).contains($0) && $0 != 0x5F }.compactMap {
            String($0)
        }
        // PGHA_AGENT_… in a comment stands for many.
        for word in words where word.hasPrefix("PGHA_") && !word.hasSuffix("_") {
            let isKnown = known.contains(word)
            #expect(isKnown, "\(path) has \(word)")
        }
    }

    @Test func theConfigurationOfThePackageIsUnderstood() throws {
        let path = "deploy/systemd/pgha.yaml"
        let file = (path: path, text: try Deploy.text(path))
        let controller = try ControllerConfiguration(file: file, environment: [:])
        let agent = try AgentConfiguration(file: file, environment: [:])
        let pooler = try PoolerSettingValues(file: file, environment: [:])
        // The directories that the units make and let be written to.
        #expect(controller.storePath.hasPrefix("/var/lib/pgha-controller/"))
        #expect(agent.directory.hasPrefix("/var/lib/pgha/"))
        #expect(!agent.stopsServer)
        #expect(controller.tokenFile == agent.tokenFile && pooler.text("token_file") == agent.tokenFile)
    }

    @Test(arguments: ["deploy/cluster.yaml", "deploy/compose/cluster.yaml", "deploy/kubernetes/base/cluster.yaml"])
    func everySpecificationIsUnderstood(path: String) throws {
        let spec = try ClusterSpecFile.parse(text: try Deploy.text(path), path: path)
        #expect(spec.nodes.count == 3)
        #expect(spec.durability.copies == 2)
        #expect(spec.nodes.allSatisfy { $0.agent != nil })
    }

    @Test(arguments: Deploy.all.filter { $0.hasSuffix(".yaml") })
    func everyYAMLFileCanBeRead(path: String) throws {
        #expect(!(try Deploy.yaml(path)).isEmpty)
    }

    @Test(arguments: Deploy.all.filter { $0.hasSuffix(".json") })
    func everyJSONFileCanBeRead(path: String) throws {
        #expect(try Deploy.json(path).isThere)
    }
}
