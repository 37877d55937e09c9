internal import Glibc
package import PGHAPostgres

/// `pgha pooler` as a process of its own, in front of a server that leads for ever: this object says so to it, in the
/// place of a controller.
///
/// A reaper ends it when this process ends, however it does.
package final class ScratchPooler: Sendable {
    package let directory: String
    private let port: Int
    private let reaper: ChildProcess
    private let child: ChildProcess
    private let controller: LoneController

    private init(_ server: ScratchPostgres, directory: String, reaper: ChildProcess) throws {
        self.directory = directory
        self.reaper = reaper
        self.port = try freePort()
        self.controller = try LoneController(server)
        let arguments =
            "pooler --listen 127.0.0.1:\(self.port) --listen-read 127.0.0.1:\(try freePort()) "
            + "--http-listen 127.0.0.1:\(try freePort()) --controller http://127.0.0.1:\(self.controller.port) "
            + "--users-file $0/users --admin-users postgres"
        self.child = try ChildProcess(
            arguments: [
                "/bin/bash", "-c", "exec 3<&-; exec $0/pgha \(arguments) >>$0/pooler.log 2>&1 </dev/null", directory,
            ], dropsPrivileges: true)
    }

    deinit {
        self.controller.stop()
        self.reaper.closePipe()
        self.reaper.waitForExit()
        self.child.waitForExit()
    }

    /// Lets `postgres` in with `password`, who also administers the console.
    package static func start(_ server: ScratchPostgres, password: String) async throws -> ScratchPooler {
        let directory = try makeTemporaryDirectory("pgha-pooler")
        let reaper = try ChildProcess(
            arguments: ["/bin/bash", "-c", ScratchCluster.reaperScript, directory], dropsPrivileges: false)
        try await run(["/bin/cp", ScratchCluster.builtExecutable, "\(directory)/pgha"])
        try writeFile("\(directory)/users", Self.users(password))
        return try ScratchPooler(server, directory: directory, reaper: reaper)
    }

    private static func users(_ password: String) -> String { "\"postgres\" \"\(password)\"\n" }

    /// Changes the file, which the process reads when it is told to.
    package func setPassword(_ password: String) throws {
        try writeFile("\(self.directory)/users", Self.users(password))
    }

    package func spoilUsers() throws { try writeFile("\(self.directory)/users", "nonsense\n") }

    package func signal(_ number: Int32) { _ = Glibc.kill(self.child.pid, number) }

    /// As by waitpid(2); nil while it runs.
    package var status: Int32? { self.child.status() }

    package var log: String { readFile("\(self.directory)/pooler.log") ?? "" }

    package func parameters(_ password: String, database: String = "postgres") -> ConnectionParameters {
        ConnectionParameters(
            host: "127.0.0.1", port: self.port, user: ScratchPostgres.superuser, database: database,
            password: Secret(password), connectTimeout: .seconds(30))
    }
}

/// Answers every request with a stream that names one server as the leader of the first term, five times a second.
private final class LoneController: Sendable {
    let port: Int
    private let task: Task<Void, Never>

    init(_ server: ScratchPostgres) throws {
        let port = try freePort()
        let listener = socket(AF_INET, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_NONBLOCK.rawValue), 0)
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = UInt16(port).bigEndian
        address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        let result = withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(listener, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
            }
        }
        guard result == 0, listen(listener, 16) == 0 else { throw ScratchFailure("port \(port): errno \(errno)") }
        let line =
            "{\"term\":1,\"hold\":false,\"standbys\":[],\"leader\":{\"name\":\"a\",\"host\":\"127.0.0.1\","
            + "\"port\":\(server.port),\"noread\":false,\"socket_directory\":\"\(server.socketDirectory)\"}}\n"
        let chunk = "\(String(line.utf8.count, radix: 16))\r\n\(line)\r\n"
        self.port = port
        self.task = Task.detached {
            var streams: [Int32] = []
            while !Task.isCancelled {
                let stream = accept(listener, nil, nil)
                if stream >= 0 {
                    Self.begin(stream)
                    streams.append(stream)
                }
                for stream in streams { Self.send(chunk, stream) }
                try? await Task.sleep(for: .milliseconds(200))
            }
            for descriptor in streams + [listener] { close(descriptor) }
        }
    }

    func stop() { self.task.cancel() }

    /// What is asked for is always the same, so that the head of the answer need not wait for it.
    private static func begin(_ stream: Int32) {
        self.send(
            "HTTP/1.1 200 OK\r\nContent-Type: application/x-ndjson\r\nTransfer-Encoding: chunked\r\n\r\n", stream)
    }

    private static func send(_ text: String, _ stream: Int32) {
        let bytes = Array(text.utf8)
        _ = Glibc.send(stream, bytes, bytes.count, Int32(MSG_NOSIGNAL))
    }
}
