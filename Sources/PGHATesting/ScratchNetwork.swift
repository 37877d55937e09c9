internal import Glibc

/// A network namespace for each host of a cluster, joined by a bridge: taking a link down cuts a host off, without a
/// reset or an unreachable message to anybody. What one host sends to one other can be dropped too.
///
/// Only for a process that is in a network namespace of its own (`unshare --net`), so that nothing outside is touched.
/// Namespaces, links and bridge end with that process.
package final class ScratchNetwork: Sendable {
    private static let bridge = "pgha-bridge"
    /// Whose rights a program has.
    enum User {
        case root
        case servers
    }

    private let hosts: [ChildProcess]

    /// Why hosts cannot have a network of their own here; nil when they can.
    package static var unavailable: String? {
        guard geteuid() == 0 else { return "network namespaces need root" }
        guard access(Self.program, X_OK) == 0 else { return "\(Self.program) is missing (Debian: iproute2)" }
        guard Self.namespace("self") != Self.namespace("1") else {
            return "run it in a network namespace of its own: unshare --net"
        }
        return nil
    }

    private static let program = "/usr/sbin/ip"

    private static func namespace(_ process: String) -> String {
        var buffer = [UInt8](repeating: 0, count: 64)
        let count = readlink("/proc/\(process)/ns/net", &buffer, buffer.count)
        return String(decoding: buffer[..<max(0, count)], as: UTF8.self)
    }

    /// The addresses are ``address(_:)``; this process has 10.213.0.1.
    static func make(_ count: Int) async throws -> ScratchNetwork {
        if let unavailable { throw ScratchFailure(unavailable) }
        try await Self.ip("link set lo up")
        try await Self.ip("link add \(Self.bridge) type bridge")
        try await Self.ip("addr add 10.213.0.1/24 dev \(Self.bridge)")
        try await Self.ip("link set \(Self.bridge) up")
        // A host's namespace lives as long as this process, whose pipe it reads.
        let hosts = try (0..<count).map { _ in
            try ChildProcess(
                arguments: ["/usr/bin/unshare", "--net", "--", "/bin/bash", "-c", "read -r -u 3 _"],
                dropsPrivileges: false)
        }
        let network = ScratchNetwork(hosts)
        for index in 0..<count { try await network.join(index) }
        return network
    }

    private init(_ hosts: [ChildProcess]) { self.hosts = hosts }

    private func join(_ index: Int) async throws {
        let pid = self.hosts[index].pid
        let deadline = ContinuousClock.now + .seconds(5)
        while Self.namespace("\(pid)") == Self.namespace("self") {
            guard ContinuousClock.now < deadline else { throw ScratchFailure("no namespace for host \(index)") }
            try await Task.sleep(for: .milliseconds(2))
        }
        try await Self.ip("link add pgha-h\(index) type veth peer name eth0 netns \(pid)")
        try await Self.ip("link set pgha-h\(index) master \(Self.bridge) up")
        for words in ["addr add \(Self.address(index))/24 dev eth0", "link set eth0 up", "link set lo up"] {
            try await self.ip(on: index, words)
        }
    }

    /// Takes the bridge and everything on it down.
    func remove() {
        for host in self.hosts { host.closePipe() }
        for host in self.hosts { host.waitForExit() }
        // By name: the kernel takes a namespace's links down some time after its last process; some are gone by then.
        let links = self.hosts.indices.map { "pgha-h\($0)" } + [Self.bridge]
        let line = links.map { "\(Self.program) link del \($0)" }.joined(separator: "; ")
        let words = ["/bin/bash", "-c", "{ \(line); } 2>/dev/null"]
        (try? ChildProcess(arguments: words, dropsPrivileges: false))?.waitForExit()
    }

    /// IPv4 address of the host with this number, from 0.
    static func address(_ index: Int) -> String { "10.213.0.\(11 + index)" }

    /// Words that run a command on the host.
    func words(_ index: Int, as user: User = .servers) -> [String] {
        let enter = ["/usr/bin/nsenter", "--net", "--target", "\(self.hosts[index].pid)", "--"]
        let drop = ["/usr/bin/setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups", "--"]
        return user == .root ? enter : enter + drop
    }

    /// Cuts the host off, or connects it again.
    func setLink(_ index: Int, up: Bool) async throws {
        try await Self.ip("link set pgha-h\(index) \(up ? "up" : "down")")
    }

    /// Drops what `sender` sends to `receiver`, silently and in this direction only, or no longer.
    ///
    /// By a policy of IPsec at the receiver: `ip` can do that by itself, where a packet filter would be one more package.
    /// Its input check also meets packets of sessions that were open before. Source: Linux, tcp_v4_rcv.
    func setPath(from sender: Int, to receiver: Int, open: Bool) async throws {
        let words = "xfrm policy \(open ? "delete" : "add") dir in src \(Self.address(sender))/32 dst 0.0.0.0/0"
        try await self.ip(on: receiver, open ? words : words + " action block")
    }

    /// Every link up, every path open.
    func mend() async throws {
        for index in self.hosts.indices {
            try await self.ip(on: index, "xfrm policy flush")
            try await self.setLink(index, up: true)
        }
    }

    private func ip(on index: Int, _ words: String) async throws {
        try await run(
            self.words(index, as: .root) + [Self.program] + words.split(separator: " ").map(String.init),
            dropsPrivileges: false)
    }

    private static func ip(_ words: String) async throws {
        try await run([Self.program] + words.split(separator: " ").map(String.init), dropsPrivileges: false)
    }
}
