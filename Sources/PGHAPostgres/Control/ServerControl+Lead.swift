internal import PGHACore

// Commands for the server that leads, or is about to.

extension ServerControl {
    /// Pledge and fence on a running primary.
    func reclaim(_ pledge: Pledge) async throws -> WALPosition {
        try await self.underLock(pledge) { session, state in
            guard !state.inRecovery else { throw NodeFailure.isStandby }
            let wanted: [ServerSetting: String] = [.pledge: pledge.description, .syncNames: SyncList.fence.setting]
            return try await self.apply(wanted, state, on: session) { fresh in
                try await self.waitUntilFenced(fresh, from: state)
                return try await self.primaryPosition(fresh)
            }
        }
    }

    /// `synchronous_standby_names` of a primary.
    func setSyncList(_ pledge: Pledge, _ list: SyncList) async throws {
        try await self.underLock(pledge) { session, state in
            guard !state.inRecovery else { throw NodeFailure.isStandby }
            if state.settings[.syncNames] == "" && list != .none {
                // Commits wait only once the checkpointer has noticed that there is a list, whatever it says.
                let fence: [ServerSetting: String] = [
                    .pledge: pledge.description, .syncNames: SyncList.fence.setting,
                ]
                try await self.apply(fence, state, on: session) { try await self.waitUntilCommitsWait($0) }
            }
            let wanted: [ServerSetting: String] = [.pledge: pledge.description, .syncNames: list.setting]
            let now = try await self.checkedState(session, pledge)
            try await self.apply(wanted, now, on: session, meanwhile: { try await self.wakeWaiters(session, list) }) {
                _ in
            }
        }
    }

    /// Commits that waited behind the fence are released only when a walsender that has loaded the list hears from
    /// its standby again: up to `wal_receiver_status_interval` (1 s) later if nothing is written meanwhile. So write
    /// something once enough of them have loaded it. Best effort: it decides nothing.
    private func wakeWaiters(_ session: PostgresConnection, _ list: SyncList) async throws {
        guard case .any(let count, let names) = list else { return }
        let listed = Set(names.map(\.description))
        let deadline = ContinuousClock.now + Self.wakeLimit
        while ContinuousClock.now < deadline {
            let rows = try await session.query(ProbeSQL.senders, timeout: self.deadlines.settings)
            let loaded = try rows.map(SenderObservation.init(row:)).count {
                listed.contains($0.applicationName) && $0.syncPriority > 0
            }
            if loaded >= count { break }
            try await Task.sleep(for: .microseconds(1500))
        }
        try await session.query("SELECT pg_logical_emit_message(true, 'pgha', '')", timeout: self.deadlines.settings)
    }

    /// Walsenders load a list within milliseconds of the reload.
    private static let wakeLimit = Duration.milliseconds(100)

    /// Returns when no commit can be acknowledged: each walsender releases commits by its own copy of the list, and
    /// its priority turns to 0 when it has loaded the fence.
    private func waitUntilFenced(_ session: PostgresConnection, from state: ControlState) async throws {
        if state.settings[.syncNames] == "" { try await self.waitUntilCommitsWait(session) }
        _ = try await poll(
            until: .now + self.deadlines.settings, late: { .other("a walsender has not loaded the fence") }
        ) { () -> Bool? in
            let rows = try await session.query(
                "SELECT count(*) AS count FROM pg_stat_get_wal_senders() WHERE sync_priority <> 0",
                timeout: self.deadlines.settings)
            return try rows.first?.int("count") == 0 ? true : nil
        }
    }

    /// With an empty list commits do not wait, and they begin to only when the checkpointer has noticed the new
    /// one, which no view shows. So commit something, and see it wait.
    private func waitUntilCommitsWait(_ session: PostgresConnection) async throws {
        var parameters = self.parameters
        parameters.settings["synchronous_commit"] = "on"
        let deadline = ContinuousClock.now + self.deadlines.settings
        while ContinuousClock.now < deadline {
            if try await self.commitWaits(parameters, watchedBy: session, until: deadline) { return }
        }
        throw NodeFailure.other("commits do not wait for the fence: the checkpointer has not loaded it")
    }

    private func commitWaits(
        _ parameters: ConnectionParameters, watchedBy session: PostgresConnection,
        until deadline: ContinuousClock.Instant
    ) async throws -> Bool {
        let committer = try await PostgresConnection.open(parameters)
        let pid = await committer.backendPID
        // A commit without WAL would not wait; a message in the WAL changes nothing.
        async let commit = try? committer.query(
            "SELECT pg_logical_emit_message(true, 'pgha', '')", timeout: self.deadlines.settings)
        var waits = false
        do {
            while ContinuousClock.now < deadline {
                let rows = try await session.query(
                    "SELECT wait_event, state, query <> '' AS has_run FROM pg_stat_activity WHERE pid = $1::int",
                    ["\(pid)"],
                    timeout: self.deadlines.settings)
                guard let row = rows.first else { break }
                waits = try row.stringIfPresent("wait_event") == "SyncRep"
                if waits { break }
                // Acknowledged: try another.
                if try row.stringIfPresent("state") == "idle" && row.bool("has_run") { break }
                try await Task.sleep(for: .milliseconds(1))
            }
        } catch {
            await committer.close()
            _ = await commit
            throw error
        }
        // The waiting backend notices a closed socket only when it writes: end it, or it would hold a slot.
        _ = try? await session.query(
            "SELECT pg_terminate_backend($1::int)", ["\(pid)"], timeout: self.deadlines.settings)
        await committer.close()
        _ = await commit
        return waits
    }

    // MARK: - Promotion

    /// Promotes a standby that was sealed for this claim, while the fence stands. A primary of this claim is done
    /// already.
    func promote(_ pledge: Pledge) async throws -> WALPosition {
        try await self.underLock(pledge) { session, state in
            guard let held = state.pledge else { throw NodeFailure.other("the server holds no pledge") }
            guard held.claim == pledge.claim else { throw NodeFailure.refused(holding: held) }
            if state.inRecovery {
                try await self.prepareToLead(session, state)
                try await self.startPromotion(session)
            }
            return try await self.primaryPosition(session)
        }
    }

    /// Empties the upstream, and raises the fence if it does not stand.
    private func prepareToLead(_ session: PostgresConnection, _ state: ControlState) async throws {
        let wanted: [ServerSetting: String] = [
            .upstream: "", .restoreCommand: "", .syncNames: SyncList.fence.setting,
        ]
        guard !state.missing(wanted).isEmpty else { return }
        try await self.apply(wanted, state, on: session) { fresh in
            try await self.waitUntilCheckpointerLoaded(fresh, syncNames: state)
        }
    }

    /// A promoted server acknowledges alone until its checkpointer has noticed a list that was empty before
    /// (DESIGN section 4). The checkpointer loads the configuration before each checkpoint that it is asked for, so
    /// one that was asked for after the reload and has ended proves it.
    func waitUntilCheckpointerLoaded(_ session: PostgresConnection, syncNames before: ControlState) async throws {
        guard before.settings[.syncNames] == "" else { return }
        try await session.query("CHECKPOINT", timeout: self.deadlines.promote)
    }

    private func startPromotion(_ session: PostgresConnection) async throws {
        let rows = try await session.query(
            """
            SELECT pg_promote(wait => false) AS sent,
              coalesce(pg_last_wal_replay_lsn() < pg_last_wal_receive_lsn(), false) AS is_behind
            """, timeout: self.deadlines.promote)
        guard let row = rows.first, try row.bool("sent") else {
            throw NodeFailure.other("the server refused to promote")
        }
        if try row.bool("is_behind") { try await self.endClientSessions(session) }
        var attempts = 0
        _ = try await poll(
            until: .now + self.deadlines.promote,
            late: { .other("the promotion did not end within \(self.deadlines.promote)") }
        ) { () -> Bool? in
            attempts += 1
            // Now and then look at why it takes long.
            if attempts.isMultiple(of: 25), let row = try await session.query(Recovery.sql).first,
                try Recovery(row).isBlocked
            {
                try await self.endClientSessions(session)
            }
            let rows = try await session.query(
                "SELECT pg_is_in_recovery() AS in_recovery", timeout: self.deadlines.promote)
            return try rows.first?.bool("in_recovery") == false ? true : nil
        }
    }
}
