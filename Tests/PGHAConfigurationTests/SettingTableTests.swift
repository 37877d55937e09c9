import Foundation
import PGHAConfiguration
import PGHACore
import Testing

@Suite struct SettingTableTests {
    static let root = URL(filePath: #filePath).deletingLastPathComponent().appending(path: "../..").standardized

    @Test func everyDefaultIsAValueOfItsSetting() {
        for setting in SettingTable.all {
            if case .value(let text) = setting.fallback { #expect(setting.kind.accepts(text), "\(setting.fullKey)") }
            #expect(!setting.reason.isEmpty)
        }
        #expect(Set(SettingTable.all.map(\.fullKey)).count == SettingTable.all.count)
    }

    @Test func everyTimingHasASetting() {
        let timings = SettingTable.settings(of: .cluster).filter { $0.key.hasPrefix("timings.") }
        let fields = Mirror(reflecting: Timings()).children.compactMap(\.label)
        // probe_interval is probeInterval.
        let names = timings.map { setting in
            let words = setting.key.dropFirst("timings.".count).split(separator: "_")
            return String(words[0]) + words.dropFirst().map(\.capitalized).joined()
        }
        #expect(Set(names) == Set(fields))
    }

    @Test func thePrintedDefaultsAreFilesThatCouldBeUsed() throws {
        let nodes = "nodes: [{name: a, host: h}, {name: b, host: i}]"
        let text = DefaultsPage.clusterFile.replacing("nodes:\n", with: nodes + "\n")
        let spec = try ClusterSpecFile.parse(text: "cluster: c\n" + text, path: "defaults")
        #expect(spec.timings == Timings())
        #expect(spec.durability == Durability())
        let environment = ["PGHA_CONTROLLER_TOKEN_FILE": "/t", "PGHA_CONTROLLER_PASSFILE": "/p"]
        let file = (path: "defaults", text: DefaultsPage.processFile)
        #expect(
            try ControllerConfiguration(file: file, environment: environment)
                == ControllerConfiguration(file: nil, environment: environment))
    }

    @Test func theReferencePageIsThatOfTheTable() throws {
        let page = Self.root.appending(path: "Sources/PGHAConfiguration/PGHAConfiguration.docc/Settings.md")
        if ProcessInfo.processInfo.environment["PGHA_TEST_REWRITE"] != nil {
            try ReferencePage.markdown.write(to: page, atomically: true, encoding: .utf8)
        }
        #expect(
            try String(contentsOf: page, encoding: .utf8) == ReferencePage.markdown,
            "run this test with PGHA_TEST_REWRITE=1 to write the page anew")
    }

    @Test func theSamplesInDeployAreUnderstood() throws {
        let cluster = Self.root.appending(path: "deploy/cluster.yaml").path
        let spec = try ClusterSpecFile.parse(text: try ConfigurationFile.read(cluster), path: cluster)
        #expect(spec.nodes.count == 3)
        let process = Self.root.appending(path: "deploy/pgha.yaml").path
        let file = (path: process, text: try ConfigurationFile.read(process))
        #expect(try ControllerConfiguration(file: file, environment: [:]).listen.port == 8432)
        #expect(try AgentConfiguration(file: file, environment: [:]).listen.port == 8433)
        #expect(try PoolerSettingValues(file: file, environment: [:]).address("http_listen").port == 8434)
    }

    @Test func aFileThatCannotBeReadSaysWhy() {
        #expect {
            try ConfigurationFile.read("/nowhere/pgha.yaml")
        } throws: { error in
            (error as? ConfigurationError)?.description.hasPrefix("/nowhere/pgha.yaml: the file cannot be read: ")
                ?? false
        }
    }

    @Test(arguments: [
        ("0s", Duration.zero), ("1us", .microseconds(1)), ("1500ms", .milliseconds(1500)), ("90s", .seconds(90)),
        ("5min", .seconds(300)), ("1d", .seconds(86_400)),
    ])
    func aDurationIsWrittenInTheLongestWholeUnit(_ text: String, _ duration: Duration) {
        #expect(DurationValue.text(duration) == text)
        #expect(DurationValue.parse(text) == duration)
    }

    @Test(arguments: [("0B", UInt64(0)), ("1B", 1), ("1KiB", 1024), ("1MiB", 1 << 20), ("1536KiB", 1536 << 10)])
    func anAmountOfBytesIsWrittenInTheLargestWholeUnit(_ text: String, _ bytes: UInt64) {
        #expect(ByteValue.text(bytes) == text)
        #expect(ByteValue.parse(text) == bytes)
    }

    @Test(arguments: [
        ("127.0.0.1:80", "127.0.0.1", 80), ("[::1]:0", "::1", 0), ("db.example.org:65535", "db.example.org", 65535),
    ])
    func anAddressHasAHostAndAPort(_ text: String, _ host: String, _ port: Int) {
        let address = ListenAddress(text)
        #expect(address?.host == host)
        #expect(address?.port == port)
        #expect(address?.description == text)
    }

    @Test(arguments: ["", ":80", "host", "host:", "host:65536", "::1:80", "a b:80", "h/x:80", "host:-1"])
    func whatIsNoAddressIsRefused(_ text: String) {
        #expect(ListenAddress(text) == nil)
    }
}
