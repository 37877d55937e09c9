"""Debian's prometheus-pgbouncer-exporter against a pooler's console: the connection's parameters are in PG… of the
environment, EXPORTER is where the package was unpacked."""
import os, re, socket, subprocess, sys, time, urllib.error, urllib.request

root = os.environ["EXPORTER"]
with socket.socket() as s:
    s.bind(("127.0.0.1", 0))
    port = s.getsockname()[1]
log = open(os.path.join(os.environ["SMOKE"], "exporter.log"), "w+")
exporter = subprocess.Popen(
    [sys.executable, "-c", "from prometheus_pgbouncer_exporter.cli import main; main()", "--host", "127.0.0.1",
     "--port", str(port), "--pgbouncer-host", os.environ["PGHOST"], "--pgbouncer-port", os.environ["PGPORT"],
     "--pgbouncer-user", os.environ["PGUSER"], "--licence-location", os.devnull],
    stdout=log, stderr=log, env={**os.environ, "PYTHONPATH": f"{root}/usr/lib/python3/dist-packages"})


def scrape():
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
        lines = answer.read().decode().splitlines()
    return {line.rsplit(" ", 1)[0]: float(line.rsplit(" ", 1)[1]) for line in lines if not line.startswith("#")}


def first():
    deadline = time.monotonic() + 30
    while True:
        try:
            return scrape()
        except urllib.error.HTTPError:
            raise
        except OSError:
            if exporter.poll() is not None or time.monotonic() > deadline:
                raise
            time.sleep(0.1)


def query():
    subprocess.run(["psql", "-XAtqc", "select 1"], check=True, stdout=subprocess.DEVNULL)


try:
    # A database is known from its first client on.
    query()
    # What it collects: SHOW LISTS, STATS, POOLS and DATABASES.
    before = first()
    names = {re.sub(r"\{.*", "", name) for name in before if name.startswith("pgbouncer_")}
    expected = {"pgbouncer_" + name for name in (
        "databases users pools free_clients used_clients login_clients free_servers used_servers dns_names dns_zones"
        " dns_queries dns_pending requests_total received_bytes_total sent_bytes_total query_microseconds_total"
        " active_clients waiting_clients pool_size reserve_pool").split()}
    assert expected <= names, expected - names
    print("scrape")
    for _ in range(3):
        query()
    requests = 'pgbouncer_requests_total{database="postgres"}'
    after = scrape()
    assert after[requests] >= before[requests] + 3, (before[requests], after[requests])
    assert after['pgbouncer_pool_size{database="postgres"}'] == 60
    print("figures")
except BaseException:
    log.seek(0)
    print(log.read()[-2000:], file=sys.stderr)
    raise
finally:
    exporter.terminate()
    exporter.wait()
