import Logging
import PGHAConfiguration
import PGHAPooler
import ServiceLifecycle
import Synchronization
import UnixSignals

/// The pooler's life: reload on SIGHUP, drain and end on a graceful shutdown.
final class PoolerService: Service {
    private let pooler: Pooler
    private let follower: TopologyFollower
    private let reader: PoolerSettingsReader
    private let settings: Mutex<PoolerSettingValues>
    private let logger: Logger

    /// Addresses and what is decided before the loops start.
    static let fixedKeys = [
        "listen", "listen_read", "socket_dir", "http_listen", "threads", "reuse_port", "controller", "token_file",
        "http_tls_cert_file", "http_tls_key_file", "http_tls_ca_file", "log_level", "log_format",
    ]

    init(
        pooler: Pooler, follower: TopologyFollower, reader: PoolerSettingsReader, settings: PoolerSettingValues,
        logger: Logger
    ) {
        self.pooler = pooler
        self.follower = follower
        self.reader = reader
        self.settings = Mutex(settings)
        self.logger = logger
    }

    func run() async throws {
        let settings = self.settings.withLock { $0 }
        self.logger.notice(
            "pooler listens",
            metadata: [
                "write": "\(settings.address("listen"))", "read": "\(settings.address("listen_read"))",
                "http": "\(settings.address("http_listen"))",
            ])
        await withTaskGroup(of: Void.self) { group in
            group.addTask { try? await gracefulShutdown() }
            group.addTask { for await _ in await UnixSignalsSequence(trapping: .sighup) { await self.reload() } }
            await group.next()
            group.cancelAll()
        }
        await self.drain()
        self.pooler.stop()
    }

    private func reload() async {
        do {
            let new = try self.reader.read()
            let old = self.settings.withLock { $0 }
            try self.pooler.reload(try PoolerConfiguration(new))
            await self.follower.reload(new)
            self.settings.withLock { $0 = new }
            let waiting = Self.fixedKeys.filter { old.text($0) != new.text($0) }
            self.logger.notice("settings read again", metadata: ["need_restart": "\(waiting.joined(separator: ","))"])
        } catch {
            self.logger.error("settings not changed: they cannot be read", metadata: ["error": "\(error)"])
        }
    }

    /// What transactions get when a pooler that shares its ports has waited for its clients in vain.
    private static let lastTransactions = Duration.seconds(5)

    /// Until the last client has gone, or the time is over. Where another pooler may have taken the ports over, clients
    /// go when they want to; else as soon as they are between transactions.
    private func drain() async {
        let (limit, sharesPorts) = self.settings.withLock { ($0.duration("drain_timeout"), $0.boolean("reuse_port")) }
        var clients = await self.drain(sharesPorts ? .waitForClients : .waitForTransactions, for: limit)
        if sharesPorts, clients > 0 { clients = await self.drain(.waitForTransactions, for: Self.lastTransactions) }
        self.logger.notice("ended", metadata: ["clients_disconnected": "\(clients)"])
    }

    /// How many clients are left.
    private func drain(_ mode: DrainMode, for limit: Duration) async -> Int {
        let deadline = ContinuousClock.now + limit
        self.pooler.drain(mode)
        var clients = await self.pooler.statistics().clients
        self.logger.notice("draining", metadata: ["clients": "\(clients)", "seconds": "\(limit.components.seconds)"])
        while clients > 0, ContinuousClock.now < deadline {
            try? await Task.sleep(for: .milliseconds(50))
            clients = await self.pooler.statistics().clients
        }
        return clients
    }
}
