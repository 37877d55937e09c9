#!/usr/bin/env python3
"""make bench-pooler: the pooler beside Debian's PgBouncer, HAProxy and pgpool, on this machine, in one run.

Peers are unpacked under .build/peers and started by hand: no service starts, no usual port is taken. CPU is the
process's own time per transaction. What is compared is measured in turns A B A B, so that load hits all alike; shown are
the median with min-max, and the ratio to PgBouncer in the same round.

pgha reaches a PostgreSQL on the same host by its Unix socket, as it does for users; pgha-tcp does not, for comparison,
and pgbouncer-unix does too.

Usage: bench.py [--parts cpu,syscalls,...] [--rounds N] [--seconds S] [--only pgha,pgbouncer]
"""
import argparse, json, os, re, resource, signal, socket, statistics, struct, subprocess, sys, time

from cluster import Client, Cluster, Load, answers
from peers import PGHA, SCRATCH, Bed, NotMeasured, pgbench, run, transactions, unpack

PARTS = ["cpu", "syscalls", "instructions", "bytes", "row", "idle", "p99", "many", "threads", "logins", "switchover", "failover"]
MODES = ["simple", "extended", "prepared"]


class Bench:
    def __init__(self, options):
        self.options, self.rows, self.bed = options, [], None

    def measure(self, part):
        print(f"{part} (load {os.getloadavg()[0]:.1f})", flush=True)
        if self.bed is None and part not in ("switchover", "failover"):
            self.bed = Bed(self.options.only)
        try:
            getattr(self, part)()
        except (NotMeasured, OSError, subprocess.CalledProcessError) as error:
            print(f"  not measured: {error}", flush=True)
        if self.bed:
            self.bed.stop()

    def record(self, part, what, unit, figures, base="pgbouncer", goal=None):
        """`figures`: {who: [a value per round]}; `goal`: what pgha's median, or its ratio to `base`, must not exceed."""
        for name, values in figures.items():
            row = {"part": part, "what": what, "unit": unit, "peer": name, "median": statistics.median(values),
                   "min": min(values), "max": max(values), "load": os.getloadavg()[0]}
            others = figures.get(base)
            if others and name != base and len(others) == len(values):
                ratios = [a / b for a, b in zip(values, others) if b]
                if ratios:
                    row |= {"ratio": statistics.median(ratios), "ratio_min": min(ratios), "ratio_max": max(ratios)}
            if goal and name == goal[0]:
                value = row.get("ratio") if goal[1] == "ratio" else row[goal[1]]
                row |= {"goal": goal[2], "of": goal[1]}
                if value is not None:
                    row["met"] = value >= -goal[2] if goal[2] < 0 else value <= goal[2]
            self.rows.append(row)
            print("  " + line(row), flush=True)

    # -- CPU and calls per transaction

    def spent(self, peer, *words):
        before = peer.microseconds
        count = transactions(pgbench(peer.port, "-n", *words))
        if count == 0:
            raise NotMeasured(f"{peer.name}: no transaction in time")
        return (peer.microseconds - before) / count

    def cpu(self):
        peers = self.bed.peers("pgha", "pgha-tcp", "pgbouncer", "pgbouncer-unix", "haproxy", "pgpool")
        for clients in (8, 64):
            figures = {mode: {} for mode in MODES}
            for round in range(self.options.rounds):
                for mode in MODES:
                    for peer in peers:
                        # Debian's PgBouncer (1.18) knows no prepared statements in transaction mode.
                        if peer.name.startswith("pgbouncer") and mode == "prepared":
                            continue
                        # For orientation only.
                        if peer.name in ("haproxy", "pgpool") and round > 0:
                            continue
                        figures[mode].setdefault(peer.name, []).append(self.spent(
                            peer, "-S", "-c", str(clients), "-j", "2", "-T", str(self.options.seconds), "-M", mode))
            for mode in MODES:
                self.record("cpu", f"CPU, {mode}, {clients} clients", "us/txn", figures[mode], goal=("pgha", "ratio", 0.85))
            own = {"simple": figures["simple"].get("pgha"), "prepared": figures["prepared"].get("pgha")}
            if own["simple"]:
                self.record("cpu", f"CPU, prepared to simple, {clients} clients", "us/txn", own, base="simple",
                            goal=("prepared", "ratio", 1.05))

    def syscalls(self):
        for peer in self.bed.peers("pgha", "pgbouncer", "haproxy"):
            for clients in (8, 64):
                name = f"{self.bed.folder}/strace"
                tracer = subprocess.Popen(["strace", "-f", "-c", "-o", name, "-p", str(peer.process.pid)],
                                          stderr=subprocess.DEVNULL)
                time.sleep(0.5)
                count = transactions(pgbench(peer.port, "-n", "-S", "-c", str(clients), "-j", "2", "-t", str(8000 // clients)))
                tracer.terminate()
                tracer.wait()
                calls = int(re.search(r"(\d+)(?:\s+\d+)?\s+total", open(name).read()).group(1))
                self.record("syscalls", f"system calls, {clients} clients", "/txn", {peer.name: [calls / count]},
                            goal=("pgha", "median", 5.5))

    def instructions(self):
        def count(peer_name, start):
            totals = []
            # The difference of two runs: starting and logging in do not count.
            for amount in (100, 1100):
                # Each runs as another user: no file of one is in the way of the other.
                name = f"{self.bed.folder}/callgrind.{peer_name}.{amount}"
                peer = start(("valgrind", "--tool=callgrind", f"--callgrind-out-file={name}"))
                pgbench(peer.port, "-n", "-S", "-c", "8", "-j", "1", "-t", str(amount))
                peer.stop()
                totals.append(int(re.search(r"^(?:summary|totals): (\d+)", open(name).read(), re.M).group(1)))
            return (totals[1] - totals[0]) / 8000
        for name, start in (("pgha", lambda prefix: self.bed.pgha(prefix=prefix)),
                            ("pgbouncer", lambda prefix: self.bed.pgbouncer(prefix=prefix))):
            self.record("instructions", "user instructions, simple, 8 clients", "/txn", {name: [count(name, start)]},
                        goal=("pgha", "median", 1500))

    def bytes(self):
        script = f"{self.bed.folder}/big.sql"
        with open(script, "w") as f:
            f.write("select repeat('x', 1000) from generate_series(1, 10000);\n")
        figures = {}
        peers = self.bed.peers("pgha", "pgha-tcp", "pgbouncer", "haproxy")
        for _ in range(self.options.rounds):
            for peer in peers:
                # Ten megabytes each.
                figures.setdefault(peer.name, []).append(
                    self.spent(peer, "-f", script, "-c", "2", "-T", str(self.options.seconds)) / 10)
        self.record("bytes", "CPU of large results", "us/MB", figures, goal=("pgha", "ratio", 0.5))

    def row(self):
        """One row of nearly a gigabyte, which is as large as PostgreSQL makes them: what it adds to the peak of memory."""
        size = 1_000_000_000
        for peer in self.bed.peers("pgha", "pgbouncer"):
            client = self.logged_in(peer.port, 1)[0]
            before = peer.peak
            text = f"select repeat('x', {size})".encode() + b"\0"
            client.sendall(b"Q" + struct.pack("!I", len(text) + 4) + text)
            received, end = 0, b""
            while not end.endswith(b"Z\0\0\0\5I"):
                part = client.recv(1 << 20)
                if not part:
                    raise NotMeasured(f"{peer.name} closed after {received} bytes")
                received, end = received + len(part), (end + part)[-6:]
            if received < size:
                raise NotMeasured(f"{peer.name}: {end!r} after {received} bytes")
            self.record("row", "memory for a row of 1 GB", "KiB", {peer.name: [(peer.peak - before) / 1024]},
                        goal=("pgha", "max", 4096))
            client.close()

    def threads(self):
        one, two = self.bed.pgha(), self.bed.pgha("--threads", "2")
        figures = {"1 thread": [], "2 threads": []}
        for _ in range(self.options.rounds):
            for name, peer in (("1 thread", one), ("2 threads", two)):
                figures[name].append(self.spent(peer, "-S", "-c", "64", "-j", "2", "-T", str(self.options.seconds)))
        self.record("threads", "CPU, simple, 64 clients", "us/txn", figures, base="1 thread",
                    goal=("2 threads", "ratio", 1.2))

    # -- Many clients

    def logged_in(self, port, count):
        """So many sessions that do nothing. A hundred at a time: the queue of a listener is finite."""
        body = b"user\0postgres\0database\0postgres\0\0"
        packet = struct.pack("!II", 8 + len(body), 196608) + body
        clients = []
        while len(clients) < count:
            some = [socket.create_connection(("127.0.0.1", port)) for _ in range(min(100, count - len(clients)))]
            for client in some:
                client.sendall(packet)
            for client in some:
                received = b""
                while not received.endswith(b"Z\0\0\0\5I"):
                    part = client.recv(65536)
                    if not part:
                        raise NotMeasured(f"refused after {len(clients)}: {received!r}")
                    received += part
            clients += some
        return clients

    def idle(self):
        for peer in self.bed.peers("pgha", "pgbouncer"):
            # Grown once, so that tables and caches are not counted.
            clients = self.logged_in(peer.port, 100)
            before, began = peer.resident, time.monotonic()
            clients += self.logged_in(peer.port, 5000)
            seconds = time.monotonic() - began
            time.sleep(1)
            self.record("idle", "memory of an idle client (5,000)", "B", {peer.name: [(peer.resident - before) / 5000]},
                        goal=("pgha", "median", 400))
            self.record("idle", "5,000 clients log in", "s", {peer.name: [seconds]})
            for client in clients:
                client.close()

    def latencies(self, peer, clients):
        prefix = f"{self.bed.folder}/lat-{time.monotonic_ns()}"
        pgbench(peer.port, "-n", "-S", "-c", str(clients), "-j", "2", "-T", str(self.options.seconds), "-l",
                f"--log-prefix={prefix}")
        values = []
        for name in os.listdir(self.bed.folder):
            if name.startswith(os.path.basename(prefix)):
                with open(f"{self.bed.folder}/{name}") as f:
                    values += [int(line.split()[2]) for line in f]
                os.remove(f"{self.bed.folder}/{name}")
        return statistics.quantiles(values, n=100)[98]

    def p99(self):
        figures = {}
        peers = self.bed.peers("pgha", "pgha-tcp", "pgbouncer", "haproxy")
        for _ in range(self.options.rounds):
            for peer in peers:
                figures.setdefault(peer.name, []).append(self.latencies(peer, 64))
        self.record("p99", "p99 latency, 64 clients", "us", figures, goal=("pgha", "ratio", 1.0))

    def many(self):
        for peer in self.bed.peers("pgha", "pgbouncer"):
            alone = [self.latencies(peer, 200) for _ in range(3)]
            clients = self.logged_in(peer.port, 9800)
            among = [self.latencies(peer, 200) for _ in range(3)]
            self.record("many", f"p99 of 200 active, {peer.name}", "us", {"alone": alone, "of 10,000": among},
                        base="alone", goal=("of 10,000", "ratio", 1.2) if peer.name == "pgha" else None)
            for client in clients:
                client.close()

    def logins(self):
        run("psql", "-h", "127.0.0.1", "-p", str(self.bed.server.port), "-U", "postgres", "-c",
            "alter role postgres password 'secret'", "postgres")
        users = f"{self.bed.folder}/users"
        with open(users, "w") as f:
            f.write('"postgres" "secret"\n')
        os.chmod(users, 0o600)
        os.environ["PGPASSWORD"] = "secret"
        peers = [self.bed.pgha("--users-file", users), self.bed.pgbouncer("scram-sha-256", '"postgres" "secret"')]
        figures = {}
        for _ in range(self.options.rounds):
            for peer in peers:
                out = pgbench(peer.port, "-n", "-S", "-C", "-c", "8", "-j", "2", "-T", str(self.options.seconds))
                figures.setdefault(peer.name, []).append(float(re.search(r"tps = ([\d.]+)", out).group(1)))
        del os.environ["PGPASSWORD"]
        # At least as many.
        self.record("logins", "SCRAM log-ins", "/s", figures, goal=("pgha", "ratio", -1.0))

    # -- Whole clusters

    def switchover(self):
        cluster = Cluster()
        try:
            pgbench(cluster.port, "-i", "-q", "-s", "10", user="demo", database="demo", environment=cluster.environment)
            stalls, usual, errors = [], [], []
            for _ in range(self.options.switchovers):
                cluster.wait_until_complete()
                load = Load(cluster, 32, 5)
                time.sleep(2)
                began = time.time()
                cluster.switch_over()
                found, wrong = load.end()
                stalls.append(max(ms for end, ms in found if end >= began))
                usual += [ms for end, ms in found if end < began]
                errors += wrong
            self.record("switchover", "errors of 32 TPC-B clients", "", {"pgha": [len(errors)]}, goal=("pgha", "max", 0))
            self.record("switchover", f"longest transaction, {len(stalls)} switchovers", "ms", {"pgha": stalls},
                        goal=("pgha", "median", 150))
            self.record("switchover", "the worst of them", "ms", {"pgha": [max(stalls)]}, goal=("pgha", "max", 300))
            self.record("switchover", "p99 of transactions before", "ms", {"pgha": [statistics.quantiles(usual, n=100)[98]]})
            for error in errors[:5]:
                print(f"  {error}")
        finally:
            cluster.stop()

    def failover(self):
        cluster = Cluster()
        try:
            clients = [Client(cluster.port, "demo", "demo", cluster.password()) for _ in range(8)]
            errors = answers(clients[:1], "create table bench_failover (at timestamptz)")[1]
            stalls = []
            for _ in range(self.options.kills):
                cluster.wait_until_complete()
                # The minimum interval between failovers is for faults, not for benches.
                time.sleep(10)
                errors += answers(clients, "insert into bench_failover values (now())")[1]
                began = time.monotonic()
                cluster.kill_primary()
                # Nobody is in the middle of anything; the next transactions begin while the primary is gone.
                time.sleep(0.02)
                ended, wrong = answers(clients, "insert into bench_failover values (now())")
                stalls.append((max(ended) - began) * 1000)
                errors += wrong
            self.record("failover", "errors between transactions, SIGKILL", "", {"pgha": [len(errors)]}, goal=("pgha", "max", 0))
            self.record("failover", f"longest wait, {len(stalls)} kills", "ms", {"pgha": stalls}, goal=("pgha", "max", 300))
            for error in errors[:5]:
                print(f"  {error}")
        finally:
            cluster.stop()


def line(row):
    ratio = f"{row['ratio']:5.2f} ({row['ratio_min']:.2f}-{row['ratio_max']:.2f})" if "ratio" in row else ""
    goal = ""
    if "met" in row:
        sign = "at least" if row["goal"] < 0 else "at most"
        goal = f"{'met' if row['met'] else 'MISSED'}: {row['of']} {sign} {abs(row['goal'])}"
    return (f"{row['what']:38} {row['peer']:14} {row['median']:10.1f} {row['unit']:7} "
            f"{row['min']:.1f}-{row['max']:.1f} {ratio:17} {goal}").rstrip()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--parts", default=",".join(PARTS))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=2)
    parser.add_argument("--switchovers", type=int, default=20)
    parser.add_argument("--kills", type=int, default=5)
    parser.add_argument("--only", type=lambda text: text.split(","), default=None)
    options = parser.parse_args()
    if not os.path.exists(PGHA):
        parser.error(f"{PGHA} is not there: run 'make release', or name it in PGHA_EXECUTABLE")
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    # Whatever was started is stopped, however this ends.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    unpack()
    bench, began, load = Bench(options), time.time(), os.getloadavg()
    try:
        for part in options.parts.split(","):
            bench.measure(part)
    finally:
        if bench.bed:
            bench.bed.close()
    os.makedirs(f"{SCRATCH}/bench", exist_ok=True)
    name = f"{SCRATCH}/bench/pooler-{time.strftime('%Y%m%dT%H%M%S')}.json"
    with open(name, "w") as f:
        json.dump({"seconds": time.time() - began, "cpus": os.cpu_count(), "load_before": load,
                   "load_after": os.getloadavg(), "rows": bench.rows}, f, indent=1)
    print(f"\nGoals, {time.time() - began:.0f} s, {os.cpu_count()} cores, load {load[0]:.1f} before, {os.getloadavg()[0]:.1f} after:")
    for row in bench.rows:
        if "met" in row:
            print("  " + line(row))
    print(name)


if __name__ == "__main__":
    main()
