package import PGHACore

/// ``PGHACore/Timings`` in the API: whole milliseconds, or bytes. What is nil stays as it is.
package struct TimingsDocument: Hashable, Sendable, Codable {
    package var probeInterval: Int64?
    package var confirmAfter: Int64?
    package var freshness: Int64?
    package var startPatience: Int64?
    package var vetoMax: Int64?
    package var lease: Int64?
    package var standbyTimeout: Int64?
    package var drainTimeout: Int64?
    package var failoverInterval: Int64?
    package var keepDiverged: Int64?
    package var maxLagBytes: UInt64?

    package init() {}

    package init(_ timings: Timings) {
        self.probeInterval = timings.probeInterval.milliseconds
        self.confirmAfter = timings.confirmAfter.milliseconds
        self.freshness = timings.freshness.milliseconds
        self.startPatience = timings.startPatience.milliseconds
        self.vetoMax = timings.vetoMax.milliseconds
        self.lease = timings.lease.milliseconds
        self.standbyTimeout = timings.standbyTimeout.milliseconds
        self.drainTimeout = timings.drainTimeout.milliseconds
        self.failoverInterval = timings.failoverInterval.milliseconds
        self.keepDiverged = timings.keepDiverged.milliseconds
        self.maxLagBytes = timings.maxLagBytes
    }

    /// `timings` with what is given here.
    package func applied(to timings: Timings) throws(ControllerRefusal) -> Timings {
        var timings = timings
        try Self.set(&timings.probeInterval, self.probeInterval, .probeInterval)
        try Self.set(&timings.confirmAfter, self.confirmAfter, .confirmAfter)
        try Self.set(&timings.freshness, self.freshness, .freshness)
        try Self.set(&timings.startPatience, self.startPatience, .startPatience)
        try Self.set(&timings.vetoMax, self.vetoMax, .vetoMax)
        try Self.set(&timings.lease, self.lease, .lease)
        try Self.set(&timings.standbyTimeout, self.standbyTimeout, .standbyTimeout)
        try Self.set(&timings.drainTimeout, self.drainTimeout, .drainTimeout)
        try Self.set(&timings.failoverInterval, self.failoverInterval, .failoverInterval)
        try Self.set(&timings.keepDiverged, self.keepDiverged, .keepDiverged)
        if let bytes = self.maxLagBytes { timings.maxLagBytes = bytes }
        return timings
    }

    private static func set(
        _ duration: inout Duration, _ milliseconds: Int64?, _ key: CodingKeys
    ) throws(ControllerRefusal) {
        guard let milliseconds else { return }
        guard milliseconds > 0 else {
            throw ControllerRefusal.invalid("\(key.rawValue) is \(milliseconds)", hint: "Give a positive number.")
        }
        duration = .milliseconds(milliseconds)
    }

    package enum CodingKeys: String, CodingKey, CaseIterable {
        case probeInterval = "probe_interval_ms"
        case confirmAfter = "confirm_after_ms"
        case freshness = "freshness_ms"
        case startPatience = "start_patience_ms"
        case vetoMax = "veto_max_ms"
        case lease = "lease_ms"
        case standbyTimeout = "standby_timeout_ms"
        case drainTimeout = "drain_timeout_ms"
        case failoverInterval = "failover_interval_ms"
        case keepDiverged = "keep_diverged_ms"
        case maxLagBytes = "max_lag_bytes"
    }
}

/// `GET /v1/config`: what changes while the cluster runs.
package struct ConfigReport: Hashable, Sendable, Codable {
    /// A node whose server must be restarted before settings take effect.
    package struct PendingRestart: Hashable, Sendable, Codable {
        package var node: String
        package var settings: [String]
        /// Why a reload is not enough, and the next step; for people.
        package var reason: String?

        package init(node: String, settings: [String], reason: String? = nil) {
            self.node = node
            self.settings = settings
            self.reason = reason
        }
    }

    package var durability: DurabilityDocument
    package var timings: TimingsDocument
    /// Settings of PostgreSQL that every member gets.
    package var postgres: [String: String]
    /// Nil: anybody with a password.
    package var access: [AccessRule]?
    package var pendingRestart: [PendingRestart]

    package init(_ spec: ClusterSpec, pendingRestart: [PendingRestart]) {
        self.durability = DurabilityDocument(spec.durability)
        self.timings = TimingsDocument(spec.timings)
        self.postgres = spec.postgres
        self.access = spec.access
        self.pendingRestart = pendingRestart
    }

    enum CodingKeys: String, CodingKey {
        case durability, timings, postgres, access
        case pendingRestart = "pending_restart"
    }
}

/// `PATCH /v1/config`: what is nil stays as it is. The answer is a ``ConfigReport``.
package struct ConfigPatch: Hashable, Sendable, Codable {
    package var durability: DurabilityDocument?
    package var timings: TimingsDocument?
    /// A null value takes the setting out of the spec.
    package var postgres: [String: String?]?
    /// All the rules, in their order.
    package var access: [AccessRule]?

    package init(
        durability: DurabilityDocument? = nil, timings: TimingsDocument? = nil, postgres: [String: String?]? = nil,
        access: [AccessRule]? = nil
    ) {
        self.durability = durability
        self.timings = timings
        self.postgres = postgres
        self.access = access
    }

    /// `spec` with these changes.
    package func applied(to spec: ClusterSpec) throws(ControllerRefusal) -> ClusterSpec {
        var spec = spec
        if let durability = self.durability { spec.durability = try durability.applied(to: spec.durability) }
        if let timings = self.timings { spec.timings = try timings.applied(to: spec.timings) }
        for (name, value) in self.postgres ?? [:] { spec.postgres[name] = value }
        if let access = self.access {
            try access.requireSound()
            spec.access = access
        }
        return spec
    }
}
