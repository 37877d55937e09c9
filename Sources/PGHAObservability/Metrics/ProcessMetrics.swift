import FoundationEssentials
import Glibc

/// What every process says of itself, under the names that dashboards for Prometheus' client libraries expect.
///
/// Source: Prometheus documentation, "Writing client libraries", Standard and runtime collectors; proc(5).
package struct ProcessMetrics: Sendable {
    private let cpu: Counter
    private let gauges: [(gauge: Gauge, read: @Sendable (ProcessUsage) -> Double?)]

    package init(_ metrics: Metrics) {
        func gauge(
            _ name: String, _ help: String, _ read: @escaping @Sendable (ProcessUsage) -> Double?
        ) -> (gauge: Gauge, read: @Sendable (ProcessUsage) -> Double?) { (metrics.gauge(name, help), read) }
        self.cpu = metrics.counter("process_cpu_seconds_total", "Processor time spent in user and system mode.")
        self.gauges = [
            gauge("process_resident_memory_bytes", "Memory in use.") { $0.residentBytes },
            gauge("process_virtual_memory_bytes", "Memory mapped.") { $0.virtualBytes },
            gauge("process_open_fds", "Open file descriptors.") { $0.openDescriptors },
            gauge("process_max_fds", "The limit of open file descriptors.") { $0.descriptorLimit },
            gauge("process_threads", "Threads.") { $0.threads },
            gauge("process_start_time_seconds", "When the process started, in seconds since 1970.") { $0.startSeconds },
        ]
    }

    /// Reads anew. Blocks for some reads of `/proc`.
    package func update() {
        let usage = ProcessUsage()
        self.cpu.replace([(labelValues: [], value: usage.cpuSeconds)])
        for (gauge, read) in self.gauges {
            gauge.replace(read(usage).map { [(labelValues: [], value: $0)] } ?? [])
        }
    }
}

/// One look at this process. Nil where `/proc` does not say.
struct ProcessUsage {
    let cpuSeconds: Double
    let residentBytes: Double?
    let virtualBytes: Double?
    let openDescriptors: Double?
    let descriptorLimit: Double?
    let threads: Double?
    let startSeconds: Double?

    init() {
        var times = rusage()
        getrusage(__rusage_who_t(RUSAGE_SELF.rawValue), &times)
        self.cpuSeconds = Self.seconds(times.ru_utime) + Self.seconds(times.ru_stime)
        var limit = rlimit()
        let hasLimit = getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0
        self.descriptorLimit = hasLimit ? Double(limit.rlim_cur) : nil
        // One of them is for reading the directory.
        let names = try? FileManager.default.contentsOfDirectory(atPath: "/proc/self/fd")
        self.openDescriptors = names.map { Double($0.count - 1) }
        // Fields from the third on; the second, the name, may hold blanks and parentheses.
        let stat = Self.text("/proc/self/stat").flatMap { $0.split(separator: ")").last } ?? ""
        let fields = stat.split(separator: " ").map { Double($0) }
        func field(_ number: Int) -> Double? { number - 3 < fields.count ? fields[number - 3] : nil }
        self.threads = field(20)
        self.virtualBytes = field(23)
        self.residentBytes = field(24).map { $0 * Double(sysconf(Int32(_SC_PAGESIZE))) }
        let boot = Self.text("/proc/stat")?.split(separator: "\n").first { $0.hasPrefix("btime ") }
        let bootSeconds = boot.flatMap { Double($0.dropFirst(6)) }
        self.startSeconds = field(22).flatMap { ticks in
            bootSeconds.map { $0 + ticks / Double(sysconf(Int32(_SC_CLK_TCK))) }
        }
    }

    private static func seconds(_ time: timeval) -> Double { Double(time.tv_sec) + Double(time.tv_usec) / 1e6 }

    private static func text(_ path: String) -> String? { try? String(contentsOfFile: path, encoding: .utf8) }
}
