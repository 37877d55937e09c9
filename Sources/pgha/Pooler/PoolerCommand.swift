import ArgumentParser
import Foundation
import Glibc
import Hummingbird
import Logging
import PGHAConfiguration
import PGHAPooler
import ServiceLifecycle
import UnixSignals

/// `pgha pooler`: between clients and servers, following the controller.
struct PoolerCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "pooler", abstract: "Run the connection pooler: clients connect here, whoever leads.",
        discussion: """
            Follows the controller; without it, it goes on with the servers it knows. SIGHUP reads the settings again, \
            all but addresses and threads; SIGTERM lets transactions finish and ends. \
            'pgha config --print-defaults' shows every setting with its default and reason.
            """)

    @OptionGroup(title: "Where") var places: PoolerPlaceOptions
    @OptionGroup(title: "Who may log in") var access: PoolerAccessOptions
    @OptionGroup(title: "Pools and limits") var pools: PoolerPoolOptions
    @OptionGroup(title: "Time-outs") var timeouts: PoolerTimeoutOptions
    @OptionGroup(title: "Console") var console: PoolerConsoleOptions
    @OptionGroup(title: "TLS of HTTP") var tls: HTTPTLSOptions
    @OptionGroup var options: ServiceOptions

    func run() async throws {
        signal(SIGPIPE, SIG_IGN)
        DescriptorLimit.raise()
        let reader = PoolerSettingsReader(options: self.options, flags: self.flags)
        let settings = try reader.read()
        let logger = settings.log.start(label: "pgha.pooler")
        let configuration = try PoolerConfiguration(settings)
        let tls = try settings.tls.identity()
        let pooler: Pooler
        do throws(PoolerFailure) {
            pooler = try Pooler(configuration)
        } catch {
            throw CommandError(
                .failed, "\(error)", hint: "Move it with --listen or --listen-read, or end what listens there.")
        }
        let follower = try TopologyFollower(settings, tls: tls, pooler: pooler, logger: logger)
        let service = PoolerService(
            pooler: pooler, follower: follower, reader: reader, settings: settings, logger: logger)
        // Ended from the last to the first: the pooler drains while it still learns who leads.
        let group = ServiceGroup(
            configuration: .init(
                services: [
                    .init(
                        service: PoolerRoutes(pooler: pooler).application(settings.address("http_listen"), tls, logger)),
                    .init(service: follower), .init(service: service),
                ] + .watching(tls, logger), gracefulShutdownSignals: [.sigterm, .sigint], logger: logger))
        try await group.run()
    }

    /// The flags given, by the key of their setting.
    var flags: [String: String] {
        self.options.flags(
            self.places.flags.merging(self.access.flags) { $1 }.merging(self.pools.flags) { $1 }
                .merging(self.timeouts.flags) { $1 }
                .merging(self.console.flags) { $1 }.merging(self.tls.flags) { $1 })
    }
}

/// Reads the settings at the start and at each SIGHUP.
struct PoolerSettingsReader: Sendable {
    private let path: String?
    private let flags: [String: String]

    init(options: ServiceOptions, flags: [String: String]) {
        self.path = options.config
        self.flags = flags
    }

    func read() throws -> PoolerSettingValues {
        let file = try self.path.map { (path: $0, text: try ConfigurationFile.read($0)) }
        return try PoolerSettingValues(
            file: file, environment: ProcessInfo.processInfo.environment, flags: self.flags)
    }
}

/// The most descriptors that this process may have: each client takes one.
enum DescriptorLimit {
    static func raise() {
        var limit = rlimit()
        guard getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0 else { return }
        limit.rlim_cur = limit.rlim_max
        setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
    }
}
