-- How a pooler learns the verifiers of passwords, and the role that may ask.
--
-- Run by a superuser on the primary, in one transaction. Idempotent: a second run changes nothing.

DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = 'pgha_pooler') THEN
        CREATE ROLE pgha_pooler;
    END IF;
    EXECUTE pg_catalog.format('GRANT CONNECT ON DATABASE %I TO pgha_pooler', pg_catalog.current_database());
END
$$;

-- pgha_pooler: one session per thread of each pooler. It may ask the function below and nothing else. Its password is set
-- where those of the other roles are, not here.
ALTER ROLE pgha_pooler LOGIN;
GRANT USAGE ON SCHEMA pgha TO pgha_pooler;

-- The verifier of a role that may log in, NULL where it has no password; and VALID UNTIL in microseconds since 1970,
-- NULL where the password does not expire. No row for names that nobody has.
--
-- A definer's function, because only superusers read pg_authid. A verifier does not log in, but whoever has it can
-- play the server towards its owner: so none of superusers and of pgha's own roles. The schema is fixed, whatever the
-- session's search_path says, and so is the meaning of every name in it: the body is parsed when it is created.
CREATE OR REPLACE FUNCTION pgha.auth_lookup(name text)
    RETURNS TABLE (verifier text, valid_until bigint)
    LANGUAGE sql STABLE STRICT SECURITY DEFINER ROWS 1
    SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT a.rolpassword,
        CASE
            WHEN a.rolvaliduntil = '-infinity' THEN 0
            WHEN pg_catalog.isfinite(a.rolvaliduntil) THEN
                pg_catalog.floor(EXTRACT(epoch FROM a.rolvaliduntil) * 1000000)::bigint
        END
    FROM pg_catalog.pg_authid AS a
    -- A longer name would be cut off by the cast and be another's.
    WHERE a.rolname = auth_lookup.name::pg_catalog.name AND pg_catalog.octet_length(auth_lookup.name) < 64
        AND a.rolcanlogin AND NOT a.rolsuper
        AND a.rolname NOT IN ('pgha_control', 'pgha_replica', 'pgha_pooler');
END;

-- The same with superusers. Nobody may call it until the operator grants that:
--   GRANT EXECUTE ON FUNCTION pgha.auth_lookup_any(text) TO pgha_pooler;
CREATE OR REPLACE FUNCTION pgha.auth_lookup_any(name text)
    RETURNS TABLE (verifier text, valid_until bigint)
    LANGUAGE sql STABLE STRICT SECURITY DEFINER ROWS 1
    SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT l.verifier, l.valid_until FROM pgha.auth_lookup(auth_lookup_any.name) AS l
    UNION ALL
    SELECT a.rolpassword,
        CASE
            WHEN a.rolvaliduntil = '-infinity' THEN 0
            WHEN pg_catalog.isfinite(a.rolvaliduntil) THEN
                pg_catalog.floor(EXTRACT(epoch FROM a.rolvaliduntil) * 1000000)::bigint
        END
    FROM pg_catalog.pg_authid AS a
    WHERE a.rolname = auth_lookup_any.name::pg_catalog.name
        AND pg_catalog.octet_length(auth_lookup_any.name) < 64 AND a.rolcanlogin AND a.rolsuper;
END;

REVOKE ALL ON FUNCTION pgha.auth_lookup(text), pgha.auth_lookup_any(text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION pgha.auth_lookup(text) TO pgha_pooler;
