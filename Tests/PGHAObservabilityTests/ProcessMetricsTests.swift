import PGHAObservability
import Testing

@Suite struct ProcessMetricsTests {
    @Test func aProcessDescribesItself() throws {
        let metrics = Metrics()
        let process = ProcessMetrics(metrics)
        process.update()
        var values: [String: Double] = [:]
        for line in metrics.text().split(separator: "\n") where !line.hasPrefix("#") {
            let words = line.split(separator: " ")
            let value = try #require(Double(words[1]))
            values[String(words[0])] = value
        }
        #expect(try #require(values["process_cpu_seconds_total"]) > 0)
        let resident = try #require(values["process_resident_memory_bytes"])
        #expect(resident > 1_000_000)
        #expect(try #require(values["process_virtual_memory_bytes"]) >= resident)
        let open = try #require(values["process_open_fds"])
        #expect(open >= 3)
        #expect(try #require(values["process_max_fds"]) >= open)
        #expect(try #require(values["process_threads"]) >= 1)
        // After 2020, and not in the future by more than a correction of the clock.
        #expect(try #require(values["process_start_time_seconds"]) > 1_577_836_800)
    }

    @Test func processorTimeOnlyGrows() throws {
        let metrics = Metrics()
        let process = ProcessMetrics(metrics)
        func seconds() throws -> Double {
            process.update()
            let line = metrics.text().split(separator: "\n").first { $0.hasPrefix("process_cpu_seconds_total ") }
            return try #require(line.flatMap { Double($0.split(separator: " ")[1]) })
        }
        let before = try seconds()
        var last = before
        while last <= before { last = try seconds() }
        #expect(last > before)
    }
}
