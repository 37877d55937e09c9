/// What one successful probe read on one server, over SQL. Every field is what the server said; what could not
/// be decoded made the probe fail instead.
package struct ServerObservation: Hashable, Sendable {
    package var systemIdentifier: UInt64
    /// As `server_version_num`: 150018 for 15.18.
    package var version: Int
    /// `pg_postmaster_start_time()`, microseconds since 1970: tells a restart.
    package var postmasterStart: Int64
    package var inRecovery: Bool
    /// The timeline of the server's last checkpoint, or of its receiver when that is newer.
    package var timeline: TimelineID
    /// On a primary: flushed. On a standby: received and flushed, or replayed where that is further.
    package var position: LSN
    /// Standby only.
    package var replayed: LSN?
    package var replayPaused: Bool
    /// Seconds since the last replayed commit; nil on a primary or when nothing was replayed yet.
    package var replayDelay: Double?
    package var receiver: ReceiverObservation?
    package var senders: [SenderObservation]
    /// The current `synchronous_standby_names`.
    package var syncNames: String
    /// The pledge in `pgha.term`; nil when unset. A value that does not parse fails the probe.
    package var pledge: Pledge?
    package var slots: [SlotObservation]
    /// Settings changed but waiting for a restart.
    package var pendingRestart: [String]

    package init(
        systemIdentifier: UInt64, version: Int, postmasterStart: Int64, inRecovery: Bool, timeline: TimelineID,
        position: LSN, replayed: LSN? = nil, replayPaused: Bool = false, replayDelay: Double? = nil,
        receiver: ReceiverObservation? = nil, senders: [SenderObservation] = [], syncNames: String = "",
        pledge: Pledge? = nil, slots: [SlotObservation] = [], pendingRestart: [String] = []
    ) {
        self.systemIdentifier = systemIdentifier
        self.version = version
        self.postmasterStart = postmasterStart
        self.inRecovery = inRecovery
        self.timeline = timeline
        self.position = position
        self.replayed = replayed
        self.replayPaused = replayPaused
        self.replayDelay = replayDelay
        self.receiver = receiver
        self.senders = senders
        self.syncNames = syncNames
        self.pledge = pledge
        self.slots = slots
        self.pendingRestart = pendingRestart
    }
}

/// A standby's WAL receiver (`pg_stat_wal_receiver`).
package struct ReceiverObservation: Hashable, Sendable {
    package var pid: Int32
    /// `streaming`, `waiting`, `starting`, …
    package var status: String
    package var senderHost: String?
    package var senderPort: Int?
    /// `last_msg_receipt_time`, microseconds since 1970 on the standby's clock: compared only with itself.
    package var lastMessage: Int64?

    package init(pid: Int32, status: String, senderHost: String?, senderPort: Int?, lastMessage: Int64?) {
        self.pid = pid
        self.status = status
        self.senderHost = senderHost
        self.senderPort = senderPort
        self.lastMessage = lastMessage
    }
}

/// One row of `pg_stat_replication`.
package struct SenderObservation: Hashable, Sendable {
    package var pid: Int32
    package var applicationName: String
    package var clientAddress: String?
    /// `streaming`, `catchup`, `startup`, `backup`, `stopping`.
    package var state: String
    package var flushed: LSN?
    package var replayed: LSN?
    /// 0: not in the list that this walsender has loaded.
    package var syncPriority: Int

    package init(
        pid: Int32, applicationName: String, clientAddress: String?, state: String, flushed: LSN?, replayed: LSN?,
        syncPriority: Int
    ) {
        self.pid = pid
        self.applicationName = applicationName
        self.clientAddress = clientAddress
        self.state = state
        self.flushed = flushed
        self.replayed = replayed
        self.syncPriority = syncPriority
    }
}

/// One physical row of `pg_replication_slots`.
package struct SlotObservation: Hashable, Sendable {
    package var name: String
    package var active: Bool
    package var restartLSN: LSN?
    /// `reserved`, `extended`, `unreserved`, `lost`; nil when nothing is reserved yet.
    package var walStatus: String?

    package init(name: String, active: Bool, restartLSN: LSN?, walStatus: String?) {
        self.name = name
        self.active = active
        self.restartLSN = restartLSN
        self.walStatus = walStatus
    }
}

/// Why a probe has no observation.
package enum ProbeFailure: Hashable, Sendable, Error {
    /// ECONNREFUSED, or the Unix socket is not there.
    case refused
    /// An established connection was reset or closed.
    case reset
    /// No answer within the time allowed; also "no route to host".
    case timedOut
    /// 57P03: starting up, shutting down, or in recovery without hot standby.
    case startingUp
    /// The server answered that it cannot serve us (53300, 28xxx, …): alive. `code` is the SQLSTATE.
    case aliveBut(code: String, message: String)
    /// The server answered something that we do not understand: alive.
    case undecodable(String)

    /// Whether a server process answered at all: such a server is never dead.
    package var provesLife: Bool {
        switch self {
        case .aliveBut: !DecisionFaults.isOn(.fullIsDead)
        case .startingUp, .undecodable: true
        case .refused, .reset, .timedOut: false
        }
    }
}

/// What an agent says of its host. Cached by the controller with the time of arrival.
package struct AgentFacts: Hashable, Sendable, Codable {
    package enum Postmaster: Hashable, Sendable, Codable {
        /// No data directory yet.
        case absent
        case running(pid: Int32)
        /// `exitStatus` is nil when the agent was not the parent: status as by waitid(2), negative for a signal.
        case stopped(exitStatus: Int32?)
    }

    package var node: NodeName
    package var agentPID: Int32
    package var postmaster: Postmaster
    /// The pledge kept outside the data directory.
    package var pledge: Pledge?
    package var standbySignal: Bool
    package var systemIdentifier: UInt64?
    /// From `pg_control`: timeline of the latest checkpoint.
    package var controlTimeline: TimelineID?
    /// From `pg_control`: `in production`, `shut down`, `shut down in recovery`, `in archive recovery`, …
    package var controlState: String?
    /// Free bytes on the file systems of data and WAL.
    package var dataFreeBytes: UInt64?
    package var walFreeBytes: UInt64?
    /// The agent's wall clock, microseconds since 1970.
    package var clockMicroseconds: Int64
    /// The long-running work under way (`clone`, `rewind`, `start`, …), with its progress in words.
    package var activity: String?
    /// Why the last work failed; cleared by the next that succeeds.
    package var problem: String?
    /// Whether somebody else made the server, whose own configuration stands below that of the specification.
    package var isAdopted: Bool?
    /// Where the server finds the password of `pgha_replica`, on its host.
    package var passfile: String?
    /// Names of what the agent keeps of the server's diverged WAL, finished; nil for nothing.
    package var diverged: [String]?
    /// Where the server's Unix socket is, on its host; nil from agents that do not say.
    package var socketDirectory: String?
    /// The agent's clock that goes on while the host sleeps, since the host's start; nil from agents without leases.
    package var leaseStamp: Duration?
    /// Under which terms its server may acknowledge alone; nil: without any.
    package var leaseTerms: LeaseTerms?
    /// Its server was stopped at the end of its lease, and waits for another.
    package var leaseOwed: Bool?

    package init(
        node: NodeName, agentPID: Int32, postmaster: Postmaster, pledge: Pledge? = nil, standbySignal: Bool = false,
        systemIdentifier: UInt64? = nil, controlTimeline: TimelineID? = nil, controlState: String? = nil,
        dataFreeBytes: UInt64? = nil, walFreeBytes: UInt64? = nil, clockMicroseconds: Int64 = 0,
        activity: String? = nil, problem: String? = nil
    ) {
        self.node = node
        self.agentPID = agentPID
        self.postmaster = postmaster
        self.pledge = pledge
        self.standbySignal = standbySignal
        self.systemIdentifier = systemIdentifier
        self.controlTimeline = controlTimeline
        self.controlState = controlState
        self.dataFreeBytes = dataFreeBytes
        self.walFreeBytes = walFreeBytes
        self.clockMicroseconds = clockMicroseconds
        self.activity = activity
        self.problem = problem
    }
}
