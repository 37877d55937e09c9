import Glibc

/// One process, never confused with a later one of the same number or with one of another container.
struct ProcessMark: Hashable, Sendable, Codable {
    var pid: Int32
    /// When it started, in clock ticks since the machine's start. Unlike a time of day nothing adjusts it.
    var startTicks: Int64
    /// The process namespace in which `pid` means it.
    var namespace: String

    /// Nil when there is no such process, though one that has ended and was not waited for is one. Blocks.
    static func of(_ pid: pid_t) -> ProcessMark? {
        guard let ticks = ProcessTable.startTicks(pid), let namespace = self.ownNamespace else { return nil }
        return ProcessMark(pid: pid, startTicks: ticks, namespace: namespace)
    }

    static var ownNamespace: String? { DurableFile.linkTarget("/proc/self/ns/pid") }

    /// Blocks.
    var isAlive: Bool { Self.of(self.pid) == self && !ProcessTable.isZombie(self.pid) }
}
