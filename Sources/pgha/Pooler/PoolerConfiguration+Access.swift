import PGHAClient
import PGHAConfiguration
import PGHAPooler
import PGHAWire

extension PoolerConfiguration.Authentication {
    init(_ settings: PoolerSettingValues) throws {
        self.init()
        if let text = settings.text("hba") {
            self.rules = try Self.read("pooler.hba", text) { text throws(RuleError) in try HBARules(text) }
        } else if let path = settings.text("hba_file") {
            let text = try ConfigurationFile.read(path)
            self.rules = try Self.read(path, text) { text throws(RuleError) in try HBARules(text) }
        }
        if let path = settings.text("ident_file") {
            let text = try ConfigurationFile.read(path)
            self.identities = try Self.read(path, text) { text throws(RuleError) in try IdentityMap(text) }
        }
        self.usersFile = settings.text("users_file")
        if let path = settings.text("token_file") {
            self.mockSecret = Secret(Array(try BearerToken.read(path: path).value.utf8))
        }
        self.allowsRiskySettings = settings.boolean("allow_risky_settings")
        guard settings.boolean("auth_query") else { return }
        var lookup = PoolerConfiguration.Lookup()
        if let user = settings.text("auth_user") { lookup.user = WireText(user) }
        if let database = settings.text("auth_database") { lookup.database = WireText(database) }
        lookup.cacheTime = settings.duration("auth_cache")
        self.lookup = lookup
    }

    private static func read<Rules>(
        _ place: String, _ text: String, _ parse: (String) throws(RuleError) -> Rules
    ) throws(CommandError) -> Rules {
        do throws(RuleError) {
            return try parse(text)
        } catch {
            throw CommandError(.failed, "\(place): \(error)", hint: "Nothing was changed. No rule is passed over.")
        }
    }
}

extension PoolerConfiguration.ClientTLS {
    init(_ settings: PoolerSettingValues) {
        self.init()
        self.mode = settings.text("tls_mode").flatMap { .init(rawValue: $0) } ?? .disable
        self.certificateFile = settings.text("tls_cert_file")
        self.keyFile = settings.text("tls_key_file")
        self.authorityFile = settings.text("tls_ca_file")
    }
}

extension PoolerConfiguration.ServerTLS {
    init(_ settings: PoolerSettingValues) {
        self.init()
        self.mode = settings.text("server_tls_mode").flatMap { .init(rawValue: $0) } ?? .prefer
        self.authorityFile = settings.text("server_tls_ca_file")
        self.certificateFile = settings.text("server_tls_cert_file")
        self.keyFile = settings.text("server_tls_key_file")
    }
}
