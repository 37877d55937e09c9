package import PGHACore

// Following, the term history, walsenders and slots.

extension ServerControl {
    /// Points a standby at `upstream`; returns once the settings are loaded, which is before it streams.
    func follow(_ pledge: Pledge, _ name: ReplicationName, _ upstream: Upstream) async throws {
        try await self.underLock(pledge) { session, state in
            guard state.inRecovery else { throw NodeFailure.isPrimary }
            guard state.followsLatestTimeline else {
                throw NodeFailure.other("recovery_target_timeline must be 'latest', or the standby misses promotions")
            }
            let wanted: [ServerSetting: String] = [
                .pledge: pledge.description, .upstream: upstream.conninfo(name: name), .slot: self.node.slotName,
                .syncNames: SyncList.fence.setting,
            ]
            try await self.apply(wanted, state, on: session) { fresh in
                try await self.waitUntilCheckpointerLoaded(fresh, syncNames: state)
            }
        }
    }

    /// Writes a row of `pgha.term_history` on a primary, and its rule's pledge; a row that is there already is left as
    /// it is. Returns a position that the row's commit does not exceed.
    func writeTermRow(_ row: TermHistoryRow) async throws -> LSN {
        try await self.underLock(row.rule.pledge) { session, state in
            guard !state.inRecovery else { throw NodeFailure.isStandby }
            let rule = row.rule
            let nonce = Pledge(rule.claim).description.split(separator: "/").last.map(String.init)
            // The session's synchronous_commit is local: the row must not wait for the standbys that it is to reach.
            try await session.query(
                """
                INSERT INTO pgha.term_history
                  (term, version, nonce, leader, cohort, copies, timeline, fork_lsn, reason)
                VALUES ($1::bigint, $2::int, $3, $4, string_to_array($5, ','), $6::int, $7::int, $8::pg_lsn, $9)
                ON CONFLICT (term, version) DO NOTHING
                """,
                [
                    "\(rule.number.term)", "\(rule.number.version)", nonce, rule.leader.text,
                    rule.cohort.map(\.text).joined(separator: ","), "\(rule.copies)",
                    "\(row.timeline.timeline)", row.timeline.fork?.description, row.reason,
                ], timeout: self.deadlines.settings)
            let written = try await session.query(
                """
                SELECT nonce, pg_current_wal_flush_lsn() AS flushed FROM pgha.term_history
                WHERE term = $1::bigint AND version = $2::int
                """, ["\(rule.number.term)", "\(rule.number.version)"], timeout: self.deadlines.settings)
            guard let found = written.first, try found.string("nonce") == nonce else {
                throw NodeFailure.other("pgha.term_history holds another claim's row for \(rule.number)")
            }
            // The order that opens the list needs it, and now nobody waits: the row is on its way to the standbys.
            if state.settings[.pledge] != rule.pledge.description {
                _ = try await self.write([.pledge: rule.pledge.description], state, on: session)
            }
            return try found.lsn("flushed")
        }
    }

    /// The rows of `pgha.term_history`, oldest first.
    package func termHistory() async throws(NodeFailure) -> [TermHistoryRow] {
        try await self.converting {
            try await self.onWarmSession { session in
                try await session.query(
                    """
                    SELECT term, version, nonce, leader, array_to_string(cohort, ',') AS cohort, copies, timeline,
                      fork_lsn, reason FROM pgha.term_history ORDER BY term, version
                    """, timeout: self.deadlines.settings
                ).map(TermHistoryRow.init(row:))
            }
        }
    }

    /// The walsenders of a primary. Reads only, and is asked every few milliseconds while a failover waits for
    /// its followers: without the node lock.
    func readSenders(_ pledge: Pledge) async throws -> [SenderObservation] {
        try await self.onWarmSession { session in
            let results = try await session.results(
                "\(ControlState.sql); \(ProbeSQL.senders)", timeout: self.deadlines.settings)
            guard results.count == 2, let first = results[0].first else {
                throw NodeFailure.other("the walsenders came back in an unexpected shape")
            }
            let state = try self.checked(try ControlState(first), pledge)
            guard !state.inRecovery else { throw NodeFailure.isStandby }
            return try results[1].map(SenderObservation.init(row:))
        }
    }

    /// Makes the physical slots of `peers` where they are missing, WAL reserved from now on. Works on standbys.
    ///
    /// `members`: all servers of the cluster. Slots of others are dropped: unused, they would hold WAL back for ever. One
    /// that is in use stays until its server stops streaming; slots of other names are somebody else's. Nil: none is.
    package func ensureSlots(_ peers: [NodeName], members: [NodeName]? = nil) async throws(NodeFailure) {
        try await self.converting {
            try await self.onWarmSession { session in
                let names = peers.map(\.slotName)
                let existing = try await session.query(
                    """
                    SELECT slot_name, active OR temporary AS in_use FROM pg_replication_slots
                    WHERE slot_type = 'physical'
                    """, timeout: self.deadlines.settings
                ).map { (name: try $0.string("slot_name"), isInUse: try $0.bool("in_use")) }
                for name in names where !existing.contains(where: { $0.name == name }) {
                    do {
                        try await session.query(
                            "SELECT pg_create_physical_replication_slot($1, true)", [name],
                            timeout: self.deadlines.settings)
                    } catch let error as PostgresError where error.sqlstate == "42710" {
                        // duplicate_object: another controller was quicker.
                    }
                }
                guard let kept = members?.map(\.slotName) else { return }
                for slot in existing
                where slot.name.hasPrefix(NodeName.slotPrefix) && !slot.isInUse && !kept.contains(slot.name) {
                    do {
                        try await session.query(
                            "SELECT pg_drop_replication_slot($1)", [slot.name], timeout: self.deadlines.settings)
                    } catch let error as PostgresError where ["55006", "42704"].contains(error.sqlstate) {
                        // object_in_use, undefined_object: it streams again, or another controller was quicker.
                    }
                }
            }
        }
    }

    /// Moves inactive slots forward to what each peer has, but never beyond what this server has: a slot must keep
    /// the WAL that its peer will ask for. Slots that are missing, in use, lost or further are left as they are.
    package func advanceSlots(to positions: [NodeName: LSN]) async throws(NodeFailure) {
        try await self.converting {
            try await self.onWarmSession { session in
                for (peer, position) in positions.sorted(by: { $0.key < $1.key }) {
                    try await session.query(
                        """
                        SELECT pg_replication_slot_advance(s.slot_name, b.target)
                        FROM pg_replication_slots s, (SELECT least($2::pg_lsn, CASE WHEN pg_is_in_recovery()
                          THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_flush_lsn() END) AS target OFFSET 0) b
                        WHERE s.slot_name = $1 AND s.slot_type = 'physical' AND NOT s.active
                          AND s.restart_lsn < b.target AND s.wal_status IN ('reserved', 'extended', 'unreserved')
                        """, [peer.slotName, position.description], timeout: self.deadlines.settings)
                }
            }
        }
    }

    private func converting<Value: Sendable>(_ body: () async throws -> Value) async throws(NodeFailure) -> Value {
        do {
            return try await self.exclusively(body)
        } catch {
            throw Self.failure(error)
        }
    }
}

extension TermHistoryRow {
    init(row: Row) throws {
        let leader = try row.decode("leader", "node name") { NodeName($0) }
        let cohort = try row.decode("cohort", "node names") { text -> [NodeName]? in
            let names = text.split(separator: ",").map { NodeName(String($0)) }
            return names.contains(nil) ? nil : names.compactMap(\.self)
        }
        let copies = try row.int("copies")
        guard (1...Set(cohort).union([leader]).count).contains(copies) else {
            throw NodeFailure.other("a row of pgha.term_history has \(copies) copies in a cohort of \(cohort.count)")
        }
        let number = RuleNumber(
            term: Term(try row.decode("term", "term") { UInt64($0) }),
            version: try row.decode("version", "version") { UInt32($0) })
        let nonce = try row.decode("nonce", "nonce") { UInt64($0, radix: 16) }
        self.init(
            rule: Rule(number: number, nonce: nonce, leader: leader, cohort: cohort, copies: copies),
            timeline: RecordedTimeline(
                term: number.term, timeline: try row.timeline("timeline"), fork: try row.lsnIfPresent("fork_lsn")),
            reason: try row.string("reason"))
    }
}
