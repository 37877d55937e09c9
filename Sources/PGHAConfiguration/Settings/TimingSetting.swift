import PGHACore

/// A setting that is a field of ``Timings``: its default is the field's.
struct TimingSetting: Sendable {
    enum Field: Sendable {
        case duration(any WritableKeyPath<Timings, Duration> & Sendable, ClosedRange<Duration>)
        case bytes(any WritableKeyPath<Timings, UInt64> & Sendable, ClosedRange<UInt64>)
    }

    let name: String
    let field: Field
    let reason: String

    var setting: Setting {
        Setting(
            place: .cluster, key: "timings.\(self.name)", kind: self.kind, fallback: .value(self.text(of: Timings())),
            reason: self.reason)
    }

    private var kind: SettingKind {
        switch self.field {
        case .duration(_, let range): .duration(range)
        case .bytes(_, let range): .bytes(range)
        }
    }

    /// The field's value as the file has it.
    func text(of timings: Timings) -> String {
        switch self.field {
        case .duration(let path, _): DurationValue.text(timings[keyPath: path])
        case .bytes(let path, _): ByteValue.text(timings[keyPath: path])
        }
    }

    /// Sets the field to a text that the setting's kind accepts.
    func set(_ timings: inout Timings, to text: String) {
        switch self.field {
        case .duration(let path, _): if let value = DurationValue.parse(text) { timings[keyPath: path] = value }
        case .bytes(let path, _): if let value = ByteValue.parse(text) { timings[keyPath: path] = value }
        }
    }

    static let all: [TimingSetting] = [
        TimingSetting(
            name: "probe_interval", field: .duration(\.probeInterval, .milliseconds(10)...(.seconds(60))),
            reason: "Between two probes of one server: four attempts fit into confirm_after."),
        TimingSetting(
            name: "confirm_after", field: .duration(\.confirmAfter, .milliseconds(100)...(.seconds(600))),
            reason: "Without any answer for this long, over at least two attempts, a server is unreachable. Raised by "
                + "itself with the latency seen lately; in quorum a needless failover loses nothing."),
        TimingSetting(
            name: "freshness", field: .duration(\.freshness, .milliseconds(100)...(.seconds(600))),
            reason: "Evidence older than this is shown as unknown, never as healthy."),
        TimingSetting(
            name: "start_patience", field: .duration(\.startPatience, .seconds(1)...(.seconds(3600))),
            reason: "A leader may answer that it is starting up for this long: crash recovery may end sooner than a "
                + "failover would."),
        TimingSetting(
            name: "veto_max", field: .duration(\.vetoMax, .seconds(1)...(.seconds(3600))),
            reason: "A standby that still receives WAL proves that its leader lives, for at most this long: a frozen "
                + "postmaster's walsenders stream on, while nobody can connect."),
        TimingSetting(
            name: "lease", field: .duration(\.lease, .seconds(1)...(.seconds(600))),
            reason:
                "Mode async only, so without effect until that mode is there: how long a leader may write unheard, and so "
                + "how long a failover must wait."),
        TimingSetting(
            name: "standby_timeout", field: .duration(\.standbyTimeout, .seconds(1)...(.seconds(86_400))),
            reason: "A standby gone for this long leaves the cohort, so that the loss of one more can be survived."),
        TimingSetting(
            name: "drain_timeout", field: .duration(\.drainTimeout, .milliseconds(100)...(.seconds(3600))),
            reason: "How long a switchover lets the poolers' running transactions finish before it ends them."),
        TimingSetting(
            name: "failover_interval", field: .duration(\.failoverInterval, .milliseconds(100)...(.seconds(86_400))),
            reason: "Least time between two failovers that the controller starts by itself, so that a cluster under "
                + "load is not passed around."),
        TimingSetting(
            name: "max_lag_bytes", field: .bytes(\.maxLagBytes, 0...(1 << 50)),
            reason:
                "Mode async only, so without effect until that mode is there: a candidate that lacks more WAL than this is "
                + "not promoted."),
        TimingSetting(
            name: "keep_diverged", field: .duration(\.keepDiverged, .seconds(0)...(.seconds(3650 * 86_400))),
            reason:
                "How long WAL that only a former leader held is kept after it was rewound: long enough to be missed and "
                + "looked at. The newest of each node stays."),
    ]
}
