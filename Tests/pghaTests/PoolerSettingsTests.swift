import ArgumentParser
import PGHAConfiguration
import PGHAPooler
import Testing

@testable import pgha

@Suite("The pooler's settings") struct PoolerSettingsTests {
    /// Those that the loops know nothing of.
    static let outside: Set<String> = [
        "http_listen", "controller", "token_file", "server_sockets", "drain_timeout", "log_level", "log_format",
        "admin_users", "stats_users",
    ]

    /// Another value than the default.
    static func other(_ setting: Setting) -> String {
        switch setting.kind {
        case .duration: "17s"
        case .integer: "17"
        case .boolean: setting.fallback == .value("true") ? "false" : "true"
        case .choice(let words): words.last ?? ""
        case .listenAddress: "127.0.0.1:17"
        case .urls: "http://10.0.0.17:17"
        case .addresses: "10.0.0.17:17"
        case .names, .name, .nodeName, .host: "seventeen"
        case .path: "/tmp/17"
        case .text: "host all all all reject"
        case .bytes: "17MiB"
        case .agentURL: "http://10.0.0.17:17"
        }
    }

    @Test func eachReachesTheLoops() throws {
        let plain = String(describing: try PoolerConfiguration(PoolerSettingValues(file: nil, environment: [:])))
        for setting in SettingTable.settings(of: .pooler) where !Self.outside.contains(setting.key) {
            // Files that would have to be there; and what counts only with auth_query.
            let withLookup = ["auth_user", "auth_passfile", "auth_database", "auth_cache"]
            guard !(["hba_file", "ident_file"] + withLookup).contains(setting.key) else { continue }
            let values = try PoolerSettingValues(
                file: nil, environment: [:], flags: [setting.key: Self.other(setting)])
            #expect(String(describing: try PoolerConfiguration(values)) != plain, "\(setting.key)")
        }
    }

    @Test func theDefaultsOfTheTableAreThoseOfTheLoops() throws {
        let fromTable = try PoolerConfiguration(PoolerSettingValues(file: nil, environment: [:]))
        var own = PoolerConfiguration()
        own.listeners = [.init(host: "127.0.0.1", port: 6432), .init(host: "127.0.0.1", port: 6433, role: .read)]
        // What the console shows of them is no default of its own.
        own.console = fromTable.console
        #expect(String(describing: fromTable) == String(describing: own))
    }

    @Test func eachHasItsFlag() throws {
        let settings = SettingTable.settings(of: .pooler)
        for setting in settings {
            let flag = try #require(setting.flag)
            let command = try PoolerCommand.parse([flag, Self.other(setting)])
            #expect(command.flags == [setting.key: Self.other(setting)])
        }
    }
}
