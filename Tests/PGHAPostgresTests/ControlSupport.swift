import PGHACore
import PGHAPostgres
import PGHATesting

/// A control role with the rights of DESIGN section 4 and nothing more, and what `sql/` installs.
func installControl(on primary: ScratchPostgres) async throws {
    let connection = try await primary.connect()
    try await connection.script(
        """
        CREATE ROLE pgha LOGIN REPLICATION PASSWORD 'control';
        GRANT pg_monitor, pg_signal_backend, pg_checkpoint TO pgha;
        GRANT ALTER SYSTEM ON PARAMETER primary_conninfo, primary_slot_name, synchronous_standby_names,
          restore_command, pgha.term TO pgha;
        GRANT EXECUTE ON FUNCTION pg_reload_conf(), pg_promote(boolean, integer), pg_wal_replay_resume() TO pgha;
        CREATE SCHEMA pgha;
        GRANT USAGE ON SCHEMA pgha TO pgha;
        CREATE TABLE pgha.term_history (term bigint, version int, nonce text, leader text, cohort text[], copies int,
          timeline int, fork_lsn pg_lsn, reason text, written_at timestamptz DEFAULT clock_timestamp(),
          PRIMARY KEY (term, version));
        GRANT SELECT, INSERT ON pgha.term_history TO pgha;
        CREATE FUNCTION pgha.timeline_history(tli int) RETURNS text LANGUAGE sql SECURITY DEFINER
          SET search_path = pg_catalog
          AS $$ SELECT pg_read_file('pg_wal/' || lpad(upper(to_hex(tli)), 8, '0') || '.history', 0, 1000000, true) $$;
        CREATE TABLE public.rows (id bigint PRIMARY KEY);
        """)
    await connection.close()
}

func name(_ text: String) -> NodeName { NodeName(text)! }

extension ServerControl.Deadlines {
    /// For orders that are to succeed, however busy the machine is.
    static var patient: Self {
        var deadlines = Self()
        (deadlines.settings, deadlines.seal, deadlines.promote) = (.seconds(30), .seconds(30), .seconds(30))
        // What some tests wait for in vain.
        deadlines.lock = .seconds(2)
        return deadlines
    }
}

func control(
    _ server: ScratchPostgres, _ node: String, identifier: UInt64? = nil,
    deadlines: ServerControl.Deadlines = .patient
) -> ServerControl {
    ServerControl(
        node: name(node), parameters: server.parameters(user: "pgha", password: "control"),
        expectedSystemIdentifier: identifier, deadlines: deadlines)
}

func claim(_ term: UInt64, _ nonce: UInt64 = 7) -> Claim { Claim(term: Term(term), nonce: nonce) }
func pledge(_ term: UInt64, _ nonce: UInt64 = 7) -> Pledge { Pledge(claim(term, nonce)) }

extension NodeOutcome {
    var failure: NodeFailure? { if case .failed(let failure) = self { failure } else { nil } }
    var sealed: WALPosition? { if case .sealed(let position) = self { position } else { nil } }
    var promoted: WALPosition? { if case .promoted(let position) = self { position } else { nil } }
}

/// A primary with standbys `b`, `c`, … that stream from it, each with the fence.
struct ScratchCluster {
    let primary: ScratchPostgres
    let standbys: [ScratchPostgres]

    static func start(standbys count: Int = 1, options: ScratchPostgres.Options = .init()) async throws -> Self {
        let primary = try await ScratchPostgres.start(options)
        try await installControl(on: primary)
        var standbys: [ScratchPostgres] = []
        for letter in ["b", "c", "d"].prefix(count) {
            let settings = ["synchronous_standby_names": SyncList.fence.setting]
            standbys.append(try await ScratchPostgres.standby(of: primary, name: letter, settings: settings))
        }
        try await primary.wait(
            until: "(SELECT count(*) FROM pg_stat_replication WHERE state = 'streaming') = \(count)")
        return ScratchCluster(primary: primary, standbys: standbys)
    }

    func upstream(_ server: ScratchPostgres) -> Upstream {
        Upstream(host: "127.0.0.1", port: server.port, user: "pgha", sslMode: .disable)
    }
}
