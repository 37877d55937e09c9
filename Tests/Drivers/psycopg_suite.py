#!/usr/bin/env python3
"""make test-psycopg PSYCOPG_TESTS=/path/to/psycopg: psycopg 3's own tests, once against a server and once through the
pooler in each mode; every test that the direct run passes and the pooler's does not is listed.

PSYCOPG_TESTS is a work tree of psycopg's repository at the tag of the version on PyPI (its tests are only there).
Exits with 1 when a test is listed that EXPECTED does not have.
"""
import argparse, os, re, shutil, subprocess, sys, time, xml.etree.ElementTree as XML
from rig import HOME, PASSWORD, USER, Missing, Rig, virtual_environment

# Tests that cannot pass through a pooler in transaction mode, by the reason. Each is explained in
# Sources/PGHACore/PGHACore.docc/PsycopgSuite.md.
EXPECTED = {
    "session": [],
    "transaction": [
        # End their own server process, and expect the connection to the pooler to end with it.
        r"test_pgconn::test_reset(_async)?$",
        r"test_connection.*::test_broken_connection\b",
        # End a session by the number in BackendKeyData, which is the pooler's and no process of the server's.
        r"pool.*::test_(connect_check|connect_no_check|getconn_check|stats_check|check_connection)\b",
        r"test_connection.*::test_(broken|right_exception_on_server_disconnect)\b",
        r"::test_context_inerror_rollback_no_clobber\b",
    ],
}


def version_of(tests):
    with open(os.path.join(tests, "psycopg/pyproject.toml")) as f:
        return re.search(r'^version = "([^"]+)"', f.read(), re.M).group(1)


def outcomes(report):
    result = {}
    for case in XML.parse(report).getroot().iter("testcase"):
        name = case.get("classname") + "::" + case.get("name")
        failed = case.find("failure") if case.find("failure") is not None else case.find("error")
        if failed is not None:
            result[name] = ("failed", (failed.get("message") or "").splitlines()[0:1])
        elif case.find("skipped") is not None:
            result.setdefault(name, ("skipped", []))
        else:
            result.setdefault(name, ("passed", []))
    return result


def node_id(tests, name):
    """What pytest calls a test of its report."""
    module, test = name.split("::", 1)
    parts = module.split(".")
    for count in range(len(parts), 0, -1):
        file = "/".join(parts[:count]) + ".py"
        if os.path.exists(os.path.join(tests, file)):
            return "::".join([file, *parts[count:], test])
    return name


def suite(python, tests, name, port, arguments):
    report = os.path.join(HOME, f"psycopg-{name}.xml")
    quoted = PASSWORD.replace("\\", "\\\\").replace("'", "\\'")
    dsn = f"host=127.0.0.1 port={port} user={USER} password='{quoted}' dbname=postgres"
    # A run that was cut short leaves a mark there that forbids the next.
    cache = os.path.join(HOME, f"pytest-cache-{name}")
    shutil.rmtree(cache, ignore_errors=True)
    began = time.monotonic()
    with open(os.path.join(HOME, f"psycopg-{name}.log"), "w") as log:
        subprocess.run(
            [python, "-m", "pytest", "-p", "no:randomly", "-o", f"cache_dir={cache}", "-q", "--timeout=60",
             f"--junitxml={report}", f"--test-dsn={dsn}", *arguments],
            cwd=tests, stdout=log, stderr=log, env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"})
    result = outcomes(report)
    counts = [f"{sum(o == what for o, _ in result.values())} {what}" for what in ("passed", "failed", "skipped")]
    print(f"{name}: {', '.join(counts)} in {time.monotonic() - began:.0f} s", flush=True)
    return result


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--modes", default="session,transaction")
    parser.add_argument("--reuse-direct", action="store_true", help="compare with the direct run before this one")
    parser.add_argument("--pooler", default="", help="more arguments of `pgha pooler`")
    parser.add_argument("arguments", nargs="*", help="for pytest, such as -k NAME")
    options, more = parser.parse_known_args()
    # Types and timing have nothing to do with a pooler.
    arguments = [*options.arguments, *more] or ["-m", "not mypy and not timing and not slow", "tests"]
    tests = os.environ.get("PSYCOPG_TESTS")
    if not tests or not os.path.isdir(os.path.join(tests, "tests")):
        sys.exit("PSYCOPG_TESTS must name a work tree of https://github.com/psycopg/psycopg")
    os.makedirs(HOME, exist_ok=True)
    try:
        python = virtual_environment(
            f"psycopg[binary,pool]=={version_of(tests)}", "pytest", "pytest-timeout", "pytest-randomly", "anyio", "dnspython",
            "pproxy", "numpy", "tzdata")
    except Missing as reason:
        sys.exit(f"psycopg is not to be had: {reason}")
    failed = False
    with Rig() as rig:
        if options.reuse_direct:
            direct = outcomes(os.path.join(HOME, "psycopg-direct.xml"))
        else:
            direct = suite(python, tests, "direct", rig.port, arguments)
        for mode in options.modes.split(","):
            port = rig.pooler(mode, *options.pooler.split())
            pooled = suite(python, tests, mode, port, arguments)
            extra = {n: w for n, (o, w) in pooled.items() if o == "failed" and direct.get(n, ("",))[0] != "failed"}
            # Many measure time, and fail on a busy machine.
            if extra:
                again = suite(python, tests, f"{mode}-again", port, [node_id(tests, n) for n in extra])
                extra = {n: w for n, w in extra.items() if again.get(n, ("failed",))[0] == "failed"}
            print(f"{mode}: {len(extra)} tests fail that pass without the pooler")
            for name in sorted(extra):
                is_known = any(re.search(pattern, name) for pattern in EXPECTED[mode])
                failed |= not is_known
                print(f"  {name}{'' if is_known else '  (new)'}: {' '.join(extra[name])[:200]}")
        shutil.copy(f"{rig.folder}/server.log", os.path.join(HOME, "psycopg-server.log"))
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
