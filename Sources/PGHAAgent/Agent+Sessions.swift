import Glibc
import Logging
import PGHAClient
import PGHACore
import PGHAPostgres

extension Agent {
    /// Ends superusers' sessions on a standby whose replay waits for them: the controller's role may not, and a
    /// promotion would wait as long as they last.
    ///
    /// Not part of the agent's work: it must not wait for that, and changes nothing that it relies on. The signal goes
    /// through a pidfd that was opened before the process was seen to be the postmaster's child, so it reaches no other.
    func endSessions(_ request: EndSessionsRequest) async throws -> AgentResult {
        if !self.pledges.allows(request.pledge), let held = self.pledges.pledge {
            throw Refusal.olderPledge(holding: held, asked: request.pledge)
        }
        guard let postmaster = self.postmaster?.pid else { throw Refusal.notRunning() }
        for pid in try await self.blockers() {
            guard let process = ProcessHandle(pid: pid), ProcessTable.parent(pid) == postmaster else { continue }
            process.signal(SIGTERM)
            self.logger.notice("ended a superuser's session that held replay up", metadata: ["pid": "\(pid)"])
        }
        return AgentResult()
    }

    /// Superusers' client sessions, while the startup process waits for one (PostgreSQL manual, "Wait Events").
    private func blockers() async throws -> [pid_t] {
        let rows = try await self.local.query(
            """
            SELECT a.pid FROM pg_stat_activity a JOIN pg_roles r ON r.oid = a.usesysid
            WHERE a.backend_type = 'client backend' AND a.pid <> pg_backend_pid() AND r.rolsuper
              AND a.application_name NOT LIKE 'pgha%' AND pg_is_in_recovery()
              AND EXISTS (SELECT FROM pg_stat_activity s WHERE s.backend_type = 'startup'
                AND (s.wait_event IN ('RecoveryConflictSnapshot', 'RecoveryConflictTablespace', 'BufferPin')
                  OR s.wait_event_type = 'Lock'))
            """)
        return try rows.map { try $0.int32("pid") }
    }
}
