internal import Glibc
internal import PGHACore
internal import Synchronization

/// One child process in its own process group, holding the read end of a pipe as descriptor 3: it sees the end of
/// the pipe when this process closes it or dies.
final class ChildProcess: Sendable {
    let pid: pid_t
    private let pipe: Mutex<Int32>
    private let exitStatus = Mutex<Int32?>(nil)

    init(arguments: [String], environment: [String: String] = [:], dropsPrivileges: Bool) throws {
        var ends: [Int32] = [-1, -1]
        guard Glibc.pipe(&ends) == 0 else { throw ScratchFailure("pipe: errno \(errno)") }
        for end in ends { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
        var words = arguments
        if dropsPrivileges && geteuid() == 0 {
            words = ["/usr/bin/setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups", "--"] + words
        }
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        // dup2 to itself would keep close-on-exec; other descriptors of this process are all close-on-exec.
        if ends[0] == 3 {
            _ = fcntl(3, F_SETFD, 0)
        } else {
            posix_spawn_file_actions_adddup2(&actions, ends[0], 3)
        }
        var attributes = posix_spawnattr_t()
        posix_spawnattr_init(&attributes)
        defer { posix_spawnattr_destroy(&attributes) }
        var none = sigset_t()
        sigemptyset(&none)
        posix_spawnattr_setsigmask(&attributes, &none)
        posix_spawnattr_setpgroup(&attributes, 0)
        posix_spawnattr_setflags(&attributes, Int16(POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK))
        var child: pid_t = 0
        let variables = ["PATH=/usr/bin:/bin", "LC_ALL=C"] + environment.map { "\($0.key)=\($0.value)" }
        let result = withPointers(words) { argv in
            withPointers(variables) { envp in posix_spawn(&child, words[0], &actions, &attributes, argv, envp) }
        }
        Glibc.close(ends[0])
        guard result == 0 else {
            Glibc.close(ends[1])
            throw ScratchFailure("\(words[0]): errno \(result)")
        }
        self.pid = child
        self.pipe = Mutex(ends[1])
    }

    deinit { self.closePipe() }

    func closePipe() {
        self.pipe.withLock { descriptor in
            if descriptor >= 0 { Glibc.close(descriptor) }
            descriptor = -1
        }
    }

    var isRunning: Bool { self.status(WNOHANG) == nil }

    /// As by waitpid(2); nil while it runs.
    func status(_ options: Int32 = WNOHANG) -> Int32? {
        self.exitStatus.withLock { known in
            if let known { return known }
            var status: Int32 = 0
            guard waitpid(self.pid, &status, options) == self.pid else { return nil }
            known = status
            return status
        }
    }

    func waitForExit() {
        while self.status() == nil { usleep(1000) }
    }
}

/// Runs a program to its end, as the servers' user unless told otherwise; throws with its output when it fails.
func run(
    _ arguments: [String], environment: [String: String] = [:], dropsPrivileges: Bool = true
) async throws {
    let output = try makeTemporaryDirectory("pgha-output")
    defer { removeTree(output) }
    let script = "cd / && exec \"$@\" >\"$0/text\" 2>&1 </dev/null"
    let child = try ChildProcess(
        arguments: ["/bin/bash", "-c", script, output] + arguments, environment: environment,
        dropsPrivileges: dropsPrivileges)
    while child.isRunning { try await Task.sleep(for: .milliseconds(3)) }
    guard child.status() == 0 else {
        throw ScratchFailure("\(arguments[0]) failed: \(readFile("\(output)/text") ?? "no output")")
    }
}

/// A new directory that the servers' user owns, under `PGHA_TEST_DIR` or `/tmp`.
func makeTemporaryDirectory(_ prefix: String) throws -> String {
    let parent = getenv("PGHA_TEST_DIR").map { String(cString: $0) } ?? "/tmp"
    let path = "\(parent)/\(prefix).\(Claim(term: .zero, nonce: .random(in: .min ... .max)).description.dropFirst(2))"
    try makeDirectory(path)
    return path
}

func makeDirectory(_ path: String) throws {
    guard mkdir(path, 0o700) == 0 else { throw ScratchFailure("mkdir \(path): errno \(errno)") }
    try giveToServerUser(path)
}

private func giveToServerUser(_ path: String) throws {
    guard geteuid() == 0 else { return }
    guard let user = getpwnam("postgres") else { throw ScratchFailure("no user postgres to run servers as") }
    guard chown(path, user.pointee.pw_uid, user.pointee.pw_gid) == 0 else {
        throw ScratchFailure("chown \(path): errno \(errno)")
    }
}

func writeFile(_ path: String, _ text: String) throws {
    let descriptor = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o600)
    guard descriptor >= 0 else { throw ScratchFailure("open \(path): errno \(errno)") }
    defer { close(descriptor) }
    let bytes = Array(text.utf8)
    guard write(descriptor, bytes, bytes.count) == bytes.count else {
        throw ScratchFailure("write \(path): errno \(errno)")
    }
    try giveToServerUser(path)
}

func readFile(_ path: String) -> String? {
    let descriptor = open(path, O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else { return nil }
    defer { close(descriptor) }
    var bytes: [UInt8] = []
    var buffer = [UInt8](repeating: 0, count: 65_536)
    while true {
        let count = read(descriptor, &buffer, buffer.count)
        guard count > 0 else { break }
        bytes += buffer[0..<count]
    }
    return String(decoding: bytes, as: UTF8.self)
}

/// Best effort: used where nothing can be thrown.
func removeTree(_ path: String) {
    guard let child = try? ChildProcess(arguments: ["/bin/rm", "-rf", path], dropsPrivileges: false) else { return }
    child.waitForExit()
}

/// Directories to remove when the process ends regularly.
private let directoriesToRemove = Mutex<[String]>([])

func removeAtExit(_ path: String) {
    let isFirst = directoriesToRemove.withLock { paths in
        paths.append(path)
        return paths.count == 1
    }
    if isFirst { atexit { for path in directoriesToRemove.withLock({ $0 }) { removeTree(path) } } }
}

/// A port of 127.0.0.1 that was free a moment ago.
///
/// Below the range of outgoing connections, so that none of those takes it before the server does.
package func freePort() throws -> Int {
    for _ in 0..<200 {
        let port = UInt16.random(in: 20_000..<32_000)
        let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        defer { close(descriptor) }
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = port.bigEndian
        address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        let bound = withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
            }
        }
        if bound == 0 { return Int(port) }
    }
    throw ScratchFailure("no free port found")
}

/// Children by /proc, not their children.
func childProcesses(of parent: Int32) -> [Int32] {
    (readFile("/proc/\(parent)/task/\(parent)/children") ?? "").split(separator: " ").compactMap { Int32($0) }
}

/// For at most half a minute.
package func waitUntilGone(_ pid: Int32) {
    for _ in 0..<100_000 {
        guard Glibc.kill(pid, 0) == 0 else { return }
        // A zombie that init has yet to collect is gone for our purposes.
        if let status = readFile("/proc/\(pid)/stat"), status.contains(") Z ") { return }
        usleep(300)
    }
}

private func withPointers<Result>(
    _ words: [String], _ body: ([UnsafeMutablePointer<CChar>?]) -> Result
) -> Result {
    let pointers = words.map { strdup($0) }
    defer { for pointer in pointers { free(pointer) } }
    return body(pointers + [nil])
}
