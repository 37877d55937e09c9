import PGHAConfiguration
import PGHACore
import Testing

@Suite struct ProcessConfigurationTests {
    static let file = """
        controller:
          listen: 0.0.0.0:8432
          token_file: /etc/pgha/token
          passfile: /etc/pgha/passfile
        agent:
          node: a
          dir: /var/lib/pgha/a
          token_file: /etc/pgha/token
        """

    private static func controller(
        _ file: String? = Self.file, _ environment: [String: String] = [:], _ flags: [String: String] = [:]
    ) -> Result<ControllerConfiguration, ConfigurationError> {
        Result { () throws(ConfigurationError) in
            try ControllerConfiguration(
                file: file.map { (path: "pgha.yaml", text: $0) }, environment: environment, flags: flags)
        }
    }

    private static func refusal(
        _ file: String? = Self.file, _ environment: [String: String] = [:], _ flags: [String: String] = [:]
    ) -> ConfigurationError? {
        if case .failure(let error) = Self.controller(file, environment, flags) { error } else { nil }
    }

    @Test func flagsGoOverTheEnvironmentAndThatOverTheFileAndThatOverTheDefaults() throws {
        let fromFile = try Self.controller().get()
        #expect(fromFile.listen == ListenAddress("0.0.0.0:8432"))
        #expect(fromFile.storePath == "/var/lib/pgha/controller/store.db")
        #expect(fromFile.sslMode == "prefer")
        #expect(fromFile.sslRootCert == nil)
        #expect(fromFile.log.level == "info")
        #expect(fromFile.log.format == .logfmt)
        let environment = ["PGHA_CONTROLLER_LISTEN": "[::1]:1", "PGHA_CONTROLLER_TOKEN_FILE": "/env"]
        let fromEnvironment = try Self.controller(Self.file, environment).get()
        #expect(fromEnvironment.listen == ListenAddress("[::1]:1"))
        #expect(fromEnvironment.tokenFile == "/env")
        #expect(fromEnvironment.passfile == "/etc/pgha/passfile")
        let fromFlags = try Self.controller(Self.file, environment, ["token_file": "/flag", "log_format": "json"]).get()
        #expect(fromFlags.tokenFile == "/flag")
        #expect(fromFlags.listen == ListenAddress("[::1]:1"))
        #expect(fromFlags.log.format == .json)
    }

    @Test func theAgentReadsItsOwnSection() throws {
        let agent = try AgentConfiguration(
            file: (path: "pgha.yaml", text: Self.file), environment: ["PGHA_AGENT_PG_BINDIR": "/pg/bin"])
        #expect(agent.node == NodeName("a"))
        #expect(agent.directory == "/var/lib/pgha/a")
        #expect(agent.listen == ListenAddress("127.0.0.1:8433"))
        #expect(agent.binaryDirectory == "/pg/bin")
    }

    @Test func everySettingCanComeFromTheEnvironmentAlone() throws {
        let controller = try Self.controller(
            nil, ["PGHA_CONTROLLER_TOKEN_FILE": "/t", "PGHA_CONTROLLER_PASSFILE": "/p"]
        ).get()
        #expect(controller.passfile == "/p")
        for setting in SettingTable.settings(of: .controller) {
            let error = Self.refusal(Self.file, [setting.environmentVariable ?? "": ""])
            #expect(error?.source == .environment(variable: setting.environmentVariable ?? ""), "\(setting.key)")
        }
    }

    @Test func anErrorNamesTheLayerThatItComesFrom() {
        let expected = SettingKind.listenAddress.expectation
        #expect(
            Self.refusal("controller:\n  listen: here")
                == ConfigurationError(
                    .file("pgha.yaml", line: 2),
                    .wrongValue(key: "controller.listen", value: "here", expected: expected)))
        #expect(
            Self.refusal(Self.file, ["PGHA_CONTROLLER_LISTEN": "here"])
                == ConfigurationError(
                    .environment(variable: "PGHA_CONTROLLER_LISTEN"),
                    .wrongValue(key: "controller.listen", value: "here", expected: expected)))
        #expect(
            Self.refusal(Self.file, [:], ["token_file": ""])
                == ConfigurationError(
                    .flag("--token-file"),
                    .wrongValue(key: "controller.token_file", value: "", expected: SettingKind.path.expectation)))
    }

    @Test func aMissingSettingSaysHowToGiveIt() {
        #expect(
            Self.refusal(nil)?.description
                == "'controller.token_file' is not set; give --token-file, PGHA_CONTROLLER_TOKEN_FILE or 'token_file' "
                + "under 'controller' in the configuration file")
    }

    @Test func theOtherSectionsKeysAreCheckedToo() {
        #expect(
            Self.refusal("agent:\n  nod: a")
                == ConfigurationError(.file("pgha.yaml", line: 2), .unknownKey("agent.nod", nearest: "agent.node")))
        #expect(
            Self.refusal("listen: 1.2.3.4:5")
                == ConfigurationError(
                    .file("pgha.yaml", line: 1), .unknownKey("listen", nearest: "controller.listen")))
    }

    @Test func aMistypedVariableIsAnError() {
        for name in ["PGHA_CONTROLLER_LISEN", "PGHA_CONTROLER_LISTEN"] {
            #expect(
                Self.refusal(Self.file, [name: "x"])
                    == ConfigurationError(
                        .environment(variable: name), .unknownKey(name, nearest: "PGHA_CONTROLLER_LISTEN")))
        }
    }

    @Test(arguments: [
        "PGHA_CONTROLLER_SERVICE_HOST", "PGHA_CONTROLLER_SERVICE_PORT_HTTP", "PGHA_CONTROLLER_PORT",
        "PGHA_CONTROLLER_PORT_8432_TCP_ADDR", "PGHA_TOKEN_FILE", "PGHA_SCRATCH", "PATH",
    ])
    func variablesThatAreNotOursAreLeftAlone(_ name: String) {
        #expect(Self.refusal(Self.file, [name: "x"]) == nil)
    }
}
