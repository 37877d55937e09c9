internal import CPGHALoop
internal import Glibc
internal import PGHACore
internal import PGHAWire

/// One loop's part of an answer of the console.
struct ConsolePart: Sendable {
    var statistics = LoopStatistics()
    var clients: [ConsoleSocket] = []
    var servers: [ConsoleSocket] = []
    var holds = ConsoleHolds()
    var isPaused: Bool { self.holds.isPaused }
    var leader: PoolTopology.Node?
    /// Server connections at work that a PAUSE waits for.
    var busyWhilePaused = 0
    /// Server connections that are to be closed and that a WAIT_CLOSE waits for.
    var closing = 0
}

/// A row of SHOW CLIENTS or SHOW SERVERS.
struct ConsoleSocket: Sendable {
    var user = ""
    var database = ""
    var state = ""
    var address = ""
    var port: UInt16 = 0
    /// Nanoseconds in its state.
    var age: UInt64 = 0
    /// Seconds since 1970: when it was opened, and when the last thing was asked of it, or was answered.
    var connectedAt: Int64 = 0
    var requestedAt: Int64 = 0
    var isWaiting = false
    var isRetiring = false
    var identity = ""
    var link = ""
    var remoteProcess: UInt32 = 0
    var isEncrypted = false
    var applicationName = ""
    var statements = 0

    func row(_ type: String) -> [String?] {
        let wait = self.isWaiting ? self.age : 0
        return [
            type, self.user, self.database, "none", self.state, self.address, "\(self.port)", nil, nil,
            Self.time(self.connectedAt), Self.time(self.requestedAt),
            "\(wait / 1_000_000_000)", "\(wait / 1000 % 1_000_000)", self.isRetiring ? "1" : "0", self.identity,
            self.link, "\(self.remoteProcess)", self.isEncrypted ? "TLS" : "", self.applicationName,
            "\(self.statements)",
            self.identity,
        ]
    }

    /// As PgBouncer spells times, in UTC.
    private static func time(_ seconds: Int64) -> String {
        var parts = tm()
        var seconds = time_t(seconds)
        var text = [CChar](repeating: 0, count: 32)
        guard gmtime_r(&seconds, &parts) != nil else { return "" }
        let count = strftime(&text, text.count, "%Y-%m-%d %H:%M:%S UTC", &parts)
        return String(decoding: text.prefix(count).map(UInt8.init), as: UTF8.self)
    }

    /// Where the other end of a socket is.
    mutating func find(_ descriptor: Int32) {
        var text = [CChar](repeating: 0, count: 64)
        var port: UInt16 = 0
        guard pgha_peer_address(descriptor, &text, text.count, &port) == 0 else { return }
        self.address = port == 0 ? "unix" : String(decoding: text.prefix { $0 != 0 }.map(UInt8.init), as: UTF8.self)
        self.port = port
    }
}

extension PoolerLoop {
    func consolePart(_ table: ConsoleCommand.Table?, _ command: ConsoleCommand) -> ConsolePart {
        var part = ConsolePart()
        part.statistics = self.statistics()
        part.holds = self.console
        part.leader = self.topology.leader
        let isAll = table == .sockets || table == .activeSockets
        if isAll || table == .clients { part.clients = self.consoleClients() }
        if isAll || table == .servers { part.servers = self.consoleServers() }
        if case .waitClose(let database) = command { part.closing = self.closingServers(of: database) }
        for pool in part.statistics.pools where self.console.pauses(pool.key.database) {
            part.busyWhilePaused += pool.servers
        }
        return part
    }

    private func closingServers(of database: String?) -> Int {
        (0..<self.servers.highWater).count { index in
            let server = self.servers[index]
            guard server.pointee.phase != .free, server.pointee.flags.contains(.retiring) else { return false }
            return database == nil || database == server.pointee.pool.pointee.key.database.description
        }
    }

    private func consoleClients() -> [ConsoleSocket] {
        var result: [ConsoleSocket] = []
        for index in 0..<self.clients.highWater {
            let client = self.clients[index]
            guard client.pointee.phase != .free, let pool = client.pointee.pool else { continue }
            var socket = ConsoleSocket()
            socket.user = pool.pointee.key.user.description
            socket.database = pool.pointee.key.database.description
            socket.isWaiting = client.pointee.phase == .waiting || client.pointee.phase == .catchingUp
            socket.state = socket.isWaiting ? "waiting" : client.pointee.server == nil ? "idle" : "active"
            socket.age = self.now &- client.pointee.since
            socket.connectedAt = Int64(client.pointee.connectedAt)
            socket.requestedAt = self.wallClock(at: client.pointee.since)
            socket.identity = "c\(self.number).\(index)"
            socket.link = client.pointee.server.map { "s\(self.number).\($0.pointee.index)" } ?? ""
            socket.isEncrypted = client.pointee.transport.tls != nil
            socket.applicationName = Self.applicationName(client.pointee.parameters)
            socket.statements = client.pointee.statements?.pointee.count ?? 0
            socket.find(client.pointee.transport.descriptor)
            result.append(socket)
        }
        return result
    }

    /// Seconds since 1970 at a time of the loop's clock.
    private func wallClock(at time: UInt64) -> Int64 {
        (pgha_wall_clock() - Int64((self.now &- time) / 1000)) / 1_000_000
    }

    private static func applicationName(_ parameters: Unmanaged<ParameterSet>?) -> String {
        parameters?.takeUnretainedValue().value(of: "application_name")?.description ?? ""
    }

    private func consoleServers() -> [ConsoleSocket] {
        var result: [ConsoleSocket] = []
        for index in 0..<self.servers.highWater {
            let server = self.servers[index]
            guard server.pointee.phase != .free else { continue }
            var socket = ConsoleSocket()
            socket.user = server.pointee.pool.pointee.key.user.description
            socket.database = server.pointee.pool.pointee.key.database.description
            switch server.pointee.phase {
            case .busy, .cleaning: socket.state = "active"
            case .idle: socket.state = "idle"
            case .cancelling: socket.state = "active_cancel"
            default: socket.state = "new"
            }
            socket.age = self.now &- server.pointee.since
            socket.connectedAt = self.wallClock(at: server.pointee.openedAt)
            socket.requestedAt = self.wallClock(at: server.pointee.since)
            socket.isRetiring = self.mustRetire(server)
            socket.identity = "s\(self.number).\(index)"
            socket.link = server.pointee.client.map { "c\(self.number).\($0.pointee.index)" } ?? ""
            socket.remoteProcess = server.pointee.processID
            socket.isEncrypted = server.pointee.transport.tls != nil
            socket.applicationName = Self.applicationName(server.pointee.client?.pointee.parameters)
            socket.statements = server.pointee.statements?.pointee.count ?? 0
            socket.find(server.pointee.transport.descriptor)
            result.append(socket)
        }
        return result
    }
}
