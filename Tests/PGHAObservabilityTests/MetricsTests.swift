import PGHAObservability
import Testing

@Suite struct MetricsTests {
    @Test func theTextIsSortedAndEscaped() {
        let metrics = Metrics()
        let up = metrics.gauge("pgha_node_up", "Whether a probe succeeded lately.", labels: ["node", "zone"])
        up.set(1, ["b", "back\\slash"])
        up.set(0, ["a", "quote \" and\nline"])
        metrics.counter("pgha_failovers_total", "Failovers, with \\ and\nline and \".").increment(by: 2)
        metrics.gauge("pgha_lag_seconds", "Lag.").set(0.25)
        _ = metrics.counter("pgha_never_total", "A family without series.", labels: ["x"])
        #expect(
            metrics.text() == """
                # HELP pgha_failovers_total Failovers, with \\\\ and\\nline and ".
                # TYPE pgha_failovers_total counter
                pgha_failovers_total 2
                # HELP pgha_lag_seconds Lag.
                # TYPE pgha_lag_seconds gauge
                pgha_lag_seconds 0.25
                # HELP pgha_node_up Whether a probe succeeded lately.
                # TYPE pgha_node_up gauge
                pgha_node_up{node="a",zone="quote \\" and\\nline"} 0
                pgha_node_up{node="b",zone="back\\\\slash"} 1

                """)
    }

    @Test func aHistogramCountsEachValueInItsBucketAndAllAbove() {
        let metrics = Metrics()
        let probe = metrics.histogram("pgha_probe_seconds", "Probes.", labels: ["node"], bounds: [0.5, 1, 2.5])
        for value in [0.5, 0.75, 1, 4] { probe.observe(value, ["a"]) }
        #expect(
            metrics.text() == """
                # HELP pgha_probe_seconds Probes.
                # TYPE pgha_probe_seconds histogram
                pgha_probe_seconds_bucket{node="a",le="0.5"} 1
                pgha_probe_seconds_bucket{node="a",le="1"} 3
                pgha_probe_seconds_bucket{node="a",le="2.5"} 3
                pgha_probe_seconds_bucket{node="a",le="+Inf"} 4
                pgha_probe_seconds_sum{node="a"} 6.25
                pgha_probe_seconds_count{node="a"} 4

                """)
    }

    @Test func aCounterWithoutLabelsIsThereFromTheStart() {
        let metrics = Metrics()
        _ = metrics.counter("a_total", "A.")
        #expect(metrics.text().hasSuffix("\na_total 0\n"))
    }

    @Test(arguments: [
        (1.0, "1"), (-3, "-3"), (0.1, "0.1"), (1e21, "1e+21"), (.infinity, "+Inf"), (-.infinity, "-Inf"),
        (.nan, "NaN"), (1_795_250_000_000_000, "1795250000000000"), (1.5e-7, "1.5e-07"),
    ])
    func numbersAreWrittenAsPrometheusReadsThem(_ value: Double, _ text: String) {
        let metrics = Metrics()
        metrics.gauge("g", "G.").set(value)
        #expect(metrics.text().split(separator: "\n").last == "g \(text)")
    }

    @Test func aReplacedGaugeForgetsWhatIsGone() {
        let metrics = Metrics()
        let lag = metrics.gauge("lag_bytes", "Lag.", labels: ["node"])
        lag.set(5, ["a"])
        lag.replace([(["b"], 1), (["c"], 2)])
        lag.remove(["c"])
        #expect(metrics.text().hasSuffix("gauge\nlag_bytes{node=\"b\"} 1\n"))
    }

    @Test func theSameFamilyMayBeAskedForTwice() {
        let metrics = Metrics()
        metrics.counter("a_total", "A.", labels: ["x"]).increment(["1"])
        metrics.counter("a_total", "A.", labels: ["x"]).increment(["1"])
        #expect(metrics.text().hasSuffix("a_total{x=\"1\"} 2\n"))
    }

    @Test func nothingIsLostWhenManyCountAtOnce() async {
        let metrics = Metrics()
        let counter = metrics.counter("a_total", "A.")
        await withTaskGroup(of: Void.self) { group in
            for _ in 0..<8 { group.addTask { for _ in 0..<1000 { counter.increment() } } }
        }
        #expect(metrics.text().hasSuffix("a_total 8000\n"))
    }
}
