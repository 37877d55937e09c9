-- What pgha keeps in the cluster itself, replicated with the data.
--
-- Run by a superuser on the primary, in one transaction. Idempotent: a second run changes nothing.

-- Every rule version, so that a store older than the cluster is found out, and so that a timeline can be told
-- from a promotion by hand. Written with synchronous_commit = local, before the list of standbys is opened.
CREATE TABLE IF NOT EXISTS pgha.term_history (
    term       bigint NOT NULL CHECK (term > 0),
    version    integer NOT NULL CHECK (version >= 0),
    -- The claim's random number: sixteen hexadecimal digits.
    nonce      text NOT NULL CHECK (nonce ~ '^[0-9a-f]{16}$'),
    leader     text NOT NULL,
    cohort     text[] NOT NULL,
    copies     integer NOT NULL,
    timeline   integer NOT NULL CHECK (timeline > 0),
    -- Where the timeline begins; null for the cluster's first.
    fork_lsn   pg_lsn,
    reason     text NOT NULL,
    written_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (term, version),
    CHECK (leader = ANY (cohort)),
    CHECK (copies BETWEEN 1 AND cardinality(cohort))
);

-- One row for each node, written by the agent of the primary each second.
CREATE TABLE IF NOT EXISTS pgha.heartbeat (
    node text PRIMARY KEY,
    term bigint NOT NULL,
    beat bigint NOT NULL,
    at   timestamptz NOT NULL DEFAULT clock_timestamp()
)
-- A row rewritten each second: room on its page keeps updates out of the index.
WITH (fillfactor = 50);

-- The forks that led to a timeline: the content of its history file, null when the server has none (timeline 1,
-- or a file that only the archive holds). A definer's function, because reading files is no right of a role
-- without superuser. 1 MiB is about 20,000 forks.
CREATE OR REPLACE FUNCTION pgha.timeline_history(tli integer) RETURNS text
    LANGUAGE sql STABLE STRICT SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
    RETURN pg_catalog.pg_read_file(
        'pg_wal/' || pg_catalog.lpad(pg_catalog.upper(pg_catalog.to_hex(tli)), 8, '0') || '.history',
        0, 1048576, true);

REVOKE ALL ON pgha.term_history, pgha.heartbeat FROM PUBLIC;
REVOKE ALL ON FUNCTION pgha.timeline_history(integer) FROM PUBLIC;
GRANT SELECT, INSERT ON pgha.term_history TO pgha_control;
GRANT SELECT, INSERT, UPDATE ON pgha.heartbeat TO pgha_control;
GRANT EXECUTE ON FUNCTION pgha.timeline_history(integer) TO pgha_control;
