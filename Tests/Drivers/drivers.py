#!/usr/bin/env python3
"""make test-drivers: drivers through a real pooler, in transaction mode and in session mode, each with TLS, SCRAM,
several connections, prepared statements, COPY, pipelines and cancelling; and PgBouncer's exporter for Prometheus
against the pooler's console.

psycopg and asyncpg come from PyPI, pgjdbc, node-pg and the exporter from Debian's packages; all of it lies under
.build/drivers. What cannot be had is skipped with the reason.
"""
import argparse, os, shutil, subprocess, sys, time
from rig import HOME, PASSWORD, USER, Missing, Rig, run, virtual_environment

HERE = os.path.dirname(os.path.realpath(__file__))


def packages(*names):
    """Debian's packages, unpacked."""
    root = os.path.join(HOME, "debian")
    os.makedirs(root, exist_ok=True)
    for name in names:
        if os.path.exists(f"{root}/{name}.done"):
            continue
        try:
            run("apt-get", "download", name, cwd=root)
            for file in os.listdir(root):
                if file.startswith(name + "_"):
                    run("dpkg", "-x", file, f"{root}/root", cwd=root)
                    os.remove(f"{root}/{file}")
        except (RuntimeError, FileNotFoundError) as error:
            raise Missing(f"package {name}: {str(error).splitlines()[-1]}")
        open(f"{root}/{name}.done", "w").close()
    return f"{root}/root"


def program(name):
    if not shutil.which(name):
        raise Missing(f"{name} is not installed")
    return name


def libpq(_):
    """psql: what drivers on libpq have in common."""
    script = r"""
set -e
test "$(psql -XAtc 'select current_user')" = "$PGUSER"
test "$(psql -XAtc '\conninfo' | grep -c 'SSL connection')" = 1
! PGPASSWORD=wrong psql -XAtc 'select 1' 2>/dev/null
echo log-in
printf '%s\n' 'create table if not exists smoke_psql (n int);' 'truncate smoke_psql;' '\copy smoke_psql from pstdin' \
    | cat - <(seq 20000) <(echo '\.') | sed 's/from pstdin/from stdin/' | psql -Xq -v ON_ERROR_STOP=1
test "$(psql -XAtc '\copy smoke_psql to stdout' | wc -l)" = 20000
echo copy
test "$(printf '%s\n' 'prepare p as select $1::int + 1;' 'begin;' 'execute p(1);' 'commit;' 'execute p(2);' | psql -XAtq)" = "$(printf '2\n3')"
echo prepared
test "$(psql -XAtc '\set FETCH_COUNT 100' -c 'select count(*) from (select generate_series(1, 1000)) s')" = 1000
pgbench -n -i -q -s 1 --no-vacuum >/dev/null 2>&1
for mode in simple extended prepared; do pgbench -n -c 10 -j 2 -t 20 -M $mode >/dev/null 2>&1; done
printf '%s\n' '\startpipeline' 'select 1;' 'select 2;' '\endpipeline' > "$SMOKE/pipeline.sql"
pgbench -n -f "$SMOKE/pipeline.sql" -M extended -t 50 >/dev/null 2>&1
echo pipelines
timeout -s INT 2 psql -XAtc 'select pg_sleep(60)' 2>&1 | grep -q 'canceling statement due to user request'
echo cancel
"""
    return ["bash", "-c", script], {"PGSSLMODE": "require"}


def psycopg(_):
    return [virtual_environment("psycopg[binary]"), f"{HERE}/smoke_psycopg.py"], {}


def asyncpg(_):
    return [virtual_environment("asyncpg"), f"{HERE}/smoke_asyncpg.py"], {}


def pgjdbc(_):
    program("javac")
    root = packages("libpostgresql-jdbc-java", "libscram-java", "libstringprep-java")
    return [program("java"), "-cp", f"{root}/usr/share/java/*", f"{HERE}/Smoke.java"], {}


def node_pg(_):
    root = packages("node-pg", "node-split2", "node-xtend")
    return [program("node"), f"{HERE}/smoke.js"], {"NODE_PATH": f"{root}/usr/share/nodejs"}


def exporter(_):
    # psycopg2 is compiled for the distribution's Python.
    root = packages("prometheus-pgbouncer-exporter", "python3-prometheus-client", "python3-configargparse",
                    "python3-psycopg2", "python3-decorator")
    return [program("/usr/bin/python3"), f"{HERE}/smoke_exporter.py"], {"EXPORTER": root}


DRIVERS = {
    "libpq": libpq, "psycopg": psycopg, "asyncpg": asyncpg, "pgjdbc": pgjdbc, "node-pg": node_pg, "exporter": exporter}


def smoke(name, mode, port, folder):
    """The reason why it failed, or nil."""
    command, more = DRIVERS[name](folder)
    environment = {
        **os.environ, "PGHOST": "127.0.0.1", "PGPORT": str(port), "PGUSER": USER, "PGPASSWORD": PASSWORD,
        "PGDATABASE": "postgres", "SMOKE": folder, **more}
    began = time.monotonic()
    try:
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=180)
    except subprocess.TimeoutExpired as late:
        return f"no end within 180 s, after: {(late.stdout or b'').decode().split()[-1:]}"
    if done.returncode != 0:
        return f"after {done.stdout.split()[-1:]}:\n{done.stderr.strip()[-2000:]}"
    print(f"{name}, {mode} mode: {', '.join(done.stdout.split())} ({time.monotonic() - began:.1f} s)", flush=True)
    return None


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--only", type=lambda text: text.split(","), default=list(DRIVERS))
    parser.add_argument("--modes", type=lambda text: text.split(","), default=["transaction", "session"])
    options = parser.parse_args()
    os.makedirs(HOME, exist_ok=True)
    failures = 0
    with Rig() as rig:
        for mode in options.modes:
            port = rig.pooler(mode, "--admin-users", USER)
            for name in options.only:
                try:
                    reason = smoke(name, mode, port, rig.folder)
                except Missing as missing:
                    print(f"{name}, {mode} mode: skipped: {missing}", flush=True)
                    continue
                if reason:
                    failures += 1
                    print(f"{name}, {mode} mode: FAILED {reason}", flush=True)
    sys.exit(1 if failures else 0)


if __name__ == "__main__":
    main()
