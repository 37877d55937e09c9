-- The register of applied scripts, and the two roles of pgha with the least rights that work.
--
-- Run by a superuser on the primary, in one transaction. Idempotent: a second run changes nothing.
-- Sets no password: see the reference of `pgha init`.

CREATE SCHEMA IF NOT EXISTS pgha;
REVOKE ALL ON SCHEMA pgha FROM PUBLIC;

CREATE TABLE IF NOT EXISTS pgha.schema_version (
    number     integer PRIMARY KEY CHECK (number > 0),
    name       text NOT NULL,
    applied_at timestamptz NOT NULL DEFAULT clock_timestamp()
);

-- CREATE ROLE has no IF NOT EXISTS. An existing role of the name keeps its password and settings.
DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = 'pgha_control') THEN
        CREATE ROLE pgha_control;
    END IF;
    IF NOT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = 'pgha_replica') THEN
        CREATE ROLE pgha_replica;
    END IF;
    -- PUBLIC may have lost these in a hardened or adopted cluster.
    EXECUTE pg_catalog.format(
        'GRANT CONNECT ON DATABASE %I TO pgha_control, pgha_replica', pg_catalog.current_database());
END
$$;

-- pgha_control: the controller's sessions. REPLICATION is what creating and advancing slots asks for.
ALTER ROLE pgha_control LOGIN REPLICATION;
-- Views of replication, receivers and settings; ending sessions of other roles (not of superusers); CHECKPOINT.
GRANT pg_monitor, pg_signal_backend, pg_checkpoint TO pgha_control;
-- Per-parameter rights exist since PostgreSQL 15: the oldest version supported.
GRANT ALTER SYSTEM ON PARAMETER
    primary_conninfo, primary_slot_name, synchronous_standby_names, restore_command, pgha.term
    TO pgha_control;
GRANT EXECUTE ON FUNCTION
    pg_catalog.pg_reload_conf(),
    pg_catalog.pg_promote(boolean, integer),
    pg_catalog.pg_wal_replay_pause(),
    pg_catalog.pg_wal_replay_resume()
    TO pgha_control;
GRANT USAGE ON SCHEMA pgha TO pgha_control;
GRANT SELECT ON pgha.schema_version TO pgha_control;

-- pgha_replica: streaming, base backups, and what pg_rewind reads through a connection
-- (PostgreSQL manual, "pg_rewind", Notes).
ALTER ROLE pgha_replica LOGIN REPLICATION;
GRANT EXECUTE ON FUNCTION
    pg_catalog.pg_ls_dir(text, boolean, boolean),
    pg_catalog.pg_stat_file(text, boolean),
    pg_catalog.pg_read_binary_file(text),
    pg_catalog.pg_read_binary_file(text, bigint, bigint, boolean)
    TO pgha_replica;
