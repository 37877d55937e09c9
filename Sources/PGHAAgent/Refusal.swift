import PGHAClient
import PGHACore

/// The refusals and failures an agent answers with, each with its stable code and the next step.
enum Refusal {
    static func olderPledge(holding: Pledge, asked: Pledge) -> AgentFailure {
        AgentFailure(
            code: "older_pledge", message: "This node is pledged to \(holding), the request bears \(asked)",
            hint: "A newer controller has acted. Read the store again; a restored store needs `pgha store adopt`.",
            holding: holding, asked: asked)
    }

    static func busy(_ work: String) -> AgentFailure {
        AgentFailure(
            code: "busy", message: "The agent is at work: \(work)", hint: "Ask again when `activity` is empty.")
    }

    static let superseded = AgentFailure(
        code: "superseded", message: "A later request replaced this one", hint: "Ask for the node's facts.")

    static func alreadyLed(_ pledge: Pledge) -> AgentFailure {
        AgentFailure(
            code: "pledged", message: "This node is pledged to \(pledge): a controller of pgha leads it",
            hint: "Use that controller. If it is gone for good: 'pgha store adopt -f FILE'.")
    }

    static func noSuperuser(_ why: String) -> AgentFailure {
        AgentFailure(
            code: "no_superuser", message: "The agent gets no superuser's session over the socket: \(why)",
            hint:
                "It makes its own role as 'postgres', a superuser: see that there is one, that standbys stream, that max_connections is not reached, and the server's log."
        )
    }

    static func noData(_ directory: String) -> AgentFailure {
        AgentFailure(
            code: "no_data_directory", message: "There is no data directory in \(directory)",
            hint: "Make one with `pgha init`, or let this node rejoin.")
    }

    static func foreignData(_ path: String) -> AgentFailure {
        AgentFailure(
            code: "data_directory_not_empty", message: "\(path) is not empty and was not made by this agent",
            hint: "Adopt the server with `pgha init --adopt`, or give the agent an empty directory with --dir.")
    }

    static func foreignCluster(_ identifier: UInt64, leader: UInt64) -> AgentFailure {
        AgentFailure(
            code: "foreign_cluster",
            message: "The data directory belongs to cluster \(identifier), the leader to \(leader)",
            hint: "It is never touched. Give the agent another --dir, or move the data away yourself.",
            systemIdentifier: identifier)
    }

    static func halfRewound(_ path: String) -> AgentFailure {
        AgentFailure(
            code: "half_rewound", message: "pg_rewind was interrupted in \(path), so its files may not fit together",
            hint: "Let the node rejoin: it will be copied anew. What only it held is under diverged/.")
    }

    static func rebuildNeeded(_ plan: RejoinPlan) -> AgentFailure {
        let what =
            switch plan {
            case .follow: "nothing"
            case .rewind(let fork): "a rewind to \(fork)"
            case .clone(let reason, _): "a new copy (\(reason.rawValue))"
            case .refuse: "another directory"
            }
        return AgentFailure(
            code: "rebuild_needed", message: "The server cannot simply follow: it needs \(what)",
            hint: "Let it leave the cohort first, then rejoin with `rebuild`.")
    }

    static let isPrimary = AgentFailure(
        code: "is_primary", message: "The server runs as a primary", hint: "Reclaim or fence it instead.")

    static let neverLeader = AgentFailure(
        code: "standby_signal_missing",
        message: "Without standby.signal this server would start as a primary",
        hint: "Only the controller starts a leader. Let the node rejoin, or run `pgha failover`.")

    static func notRunning() -> AgentFailure {
        AgentFailure(code: "not_running", message: "PostgreSQL does not run", hint: "Start it with `pgha restart`.")
    }

    static func startFailed(_ why: String, log: String) -> AgentFailure {
        AgentFailure(
            code: "start_failed", message: "PostgreSQL did not start: \(why)",
            hint: log.isEmpty ? "See log/postgresql.log." : "The end of its log: \(log)")
    }

    static func stopFailed() -> AgentFailure {
        AgentFailure(
            code: "stop_failed", message: "A process of PostgreSQL survives SIGKILL, so it hangs in the kernel",
            hint: "Look at the disk; the node counts as not fenced.")
    }

    static func programFailed(_ program: String, status: Int32, _ complaint: String) -> AgentFailure {
        AgentFailure(
            code: "\(program)_failed", message: "\(program) ended with \(status): \(complaint)",
            hint: "Mend what it names and ask again.")
    }

    static func leaderUnreadable(_ leader: AgentUpstream, _ why: String) -> AgentFailure {
        AgentFailure(
            code: "leader_unreadable", message: "\(leader.name) at \(leader.host):\(leader.port): \(why)",
            hint: "Check that it runs, and the address, access rules and password of pgha_replica.")
    }

    static func unknownDiverged(_ name: String) -> AgentFailure {
        AgentFailure(
            code: "unknown_diverged", message: "This node keeps nothing named '\(name)'",
            hint: "See `pgha diverged list`.")
    }

    static func noRoom(_ what: String, needed: UInt64, free: UInt64) -> AgentFailure {
        AgentFailure(
            code: "no_room", message: "\(what) needs \(needed) bytes, \(free) are free",
            hint: "Make room, or run `pgha rejoin NODE --discard` to give up the old data first.")
    }

    static func other(_ error: any Error) -> AgentFailure {
        if let failure = error as? AgentFailure { return failure }
        if error is CancellationError { return self.superseded }
        return AgentFailure(code: "failed", message: "\(error)", hint: "See the agent's log and log/postgresql.log.")
    }
}
