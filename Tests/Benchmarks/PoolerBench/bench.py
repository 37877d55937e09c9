#!/usr/bin/env python3
"""make bench-pooler: the pooler beside Debian's PgBouncer, pgpool and HAProxy, on this machine, in one run.

Peers are unpacked under .build/peers and started by hand: no service starts, no usual port is taken. Every figure of
CPU is the process's own time (/proc/PID/stat) per transaction, taken in turns A B A B so that load hits all alike;
what is shown is the median with min-max, and the ratio to PgBouncer of the same round.

Usage: bench.py [--parts cpu,syscalls,...] [--rounds N] [--seconds S] [--only pgha,pgbouncer]
"""
import argparse, json, os, pwd, re, resource, shutil, signal, socket, statistics, struct, subprocess, sys, tempfile, time

ROOT = os.path.realpath(os.path.join(os.path.dirname(__file__), "../../.."))
SCRATCH = os.environ.get("PGHA_SCRATCH") or os.path.join(ROOT, ".build")
PEERS = os.path.join(SCRATCH, "peers")
PGHA = os.environ.get("PGHA_EXECUTABLE") or os.path.join(SCRATCH, "pgha")
PACKAGES = [
    "pgbouncer", "haproxy", "pgpool2", "libpgpool2", "libc-ares2", "libevent-2.1-7", "liblua5.3-0",
    "libopentracing-c-wrapper0", "libopentracing1", "libmemcached11", "libhashkit2",
]
PARTS = ["cpu", "syscalls", "instructions", "bytes", "idle", "p99", "many", "threads", "logins"]
TICK = os.sysconf("SC_CLK_TCK")


def run(*command, **options):
    return subprocess.run(command, check=True, capture_output=True, text=True, **options).stdout


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def cpu_seconds(pids):
    total = 0
    for pid in pids:
        with open(f"/proc/{pid}/stat") as f:
            fields = f.read().rsplit(")", 1)[1].split()
        total += int(fields[11]) + int(fields[12])
    return total / TICK


def unpack_peers():
    os.makedirs(PEERS, exist_ok=True)
    for package in PACKAGES:
        if os.path.exists(f"{PEERS}/{package}.done"):
            continue
        try:
            run("apt-get", "download", package, cwd=PEERS)
            for name in os.listdir(PEERS):
                if name.startswith(package + "_"):
                    run("dpkg", "-x", name, f"{PEERS}/root", cwd=PEERS)
                    os.remove(f"{PEERS}/{name}")
            open(f"{PEERS}/{package}.done", "w").close()
        except subprocess.CalledProcessError as error:
            print(f"  {package}: not to be had ({error.stderr.strip().splitlines()[-1:]})")


def as_server_user():
    """Root may not run PostgreSQL and PgBouncer."""
    if os.geteuid() != 0:
        return []
    return ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"]


class Postgres:
    def __init__(self, folder):
        self.binaries = sorted(
            (d for d in os.listdir("/usr/lib/postgresql") if d.isdigit()), key=int)[0]
        self.binaries = f"/usr/lib/postgresql/{self.binaries}/bin"
        self.data, self.port = f"{folder}/data", free_port()
        run(*as_server_user(), f"{self.binaries}/initdb", "-D", self.data, "-A", "trust", "-U", "postgres")
        with open(f"{self.data}/postgresql.auto.conf", "w") as f:
            f.write(f"port={self.port}\nlisten_addresses='127.0.0.1'\nunix_socket_directories='{folder}'\n"
                    "max_connections=300\nshared_buffers=128MB\nfsync=off\n")
        subprocess.run([*as_server_user(), f"{self.binaries}/pg_ctl", "-D", self.data, "-l", f"{folder}/log", "-w", "start"],
                       check=True, stdout=subprocess.DEVNULL)
        pgbench(self.port, "-i", "-q")

    def stop(self):
        subprocess.run([*as_server_user(), f"{self.binaries}/pg_ctl", "-D", self.data, "-m", "immediate", "stop"],
                       stdout=subprocess.DEVNULL)


def pgbench(port, *arguments, user="postgres", environment={}):
    result = subprocess.run(
        ["pgbench", "-h", "127.0.0.1", "-p", str(port), "-U", user, *arguments, "postgres"],
        capture_output=True, text=True, env={**os.environ, **environment})
    if result.returncode != 0:
        raise RuntimeError(result.stderr.strip().splitlines()[-1] if result.stderr.strip() else "pgbench failed")
    return result.stdout


class Peer:
    """A pooler in front of the server, with a pool of 8."""
    def __init__(self, name, port, command, environment={}, log=subprocess.DEVNULL):
        self.name, self.port = name, port
        self.process = subprocess.Popen(command, stdout=log, stderr=log, env={**os.environ, **environment})
        deadline = time.time() + 20
        while True:
            try:
                pgbench(port, "-n", "-S", "-t", "1")
                break
            except RuntimeError as error:
                if time.time() > deadline or self.process.poll() is not None:
                    self.stop()
                    raise RuntimeError(f"{name} does not serve: {error}")
                time.sleep(0.1)

    @property
    def pids(self):
        """The process and its children: pgpool forks."""
        found = [self.process.pid]
        for pid in filter(str.isdigit, os.listdir("/proc")):
            try:
                with open(f"/proc/{pid}/stat") as f:
                    if int(f.read().rsplit(")", 1)[1].split()[1]) == self.process.pid:
                        found.append(int(pid))
            except OSError:
                pass
        return found

    @property
    def resident(self):
        total = 0
        for pid in self.pids:
            with open(f"/proc/{pid}/smaps_rollup") as f:
                total += int(re.search(r"Private_Dirty:\s+(\d+)", f.read()).group(1)) * 1024
        return total

    def stop(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(5)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()


class Topology:
    """What a controller's stream would say, for the pooler alone."""
    def __init__(self, server_port):
        self.port = free_port()
        line = json.dumps({"term": 1, "standbys": [], "hold": False, "leader": {
            "name": "a", "host": "127.0.0.1", "port": server_port, "noread": False}})
        code = f"""
import http.server, socketserver, time
class H(http.server.BaseHTTPRequestHandler):
    protocol_version = 'HTTP/1.1'
    def do_GET(self):
        self.send_response(200); self.send_header('transfer-encoding', 'chunked'); self.end_headers()
        line = {line!r}.encode() + b'\\n'
        while True:
            self.wfile.write(b'%x\\r\\n' % len(line) + line + b'\\r\\n'); self.wfile.flush(); time.sleep(1)
    def log_message(self, *a): pass
class S(socketserver.ThreadingMixIn, http.server.HTTPServer): daemon_threads = True
S(('127.0.0.1', {self.port}), H).serve_forever()
"""
        self.process = subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.DEVNULL)

    def stop(self):
        self.process.kill()
        self.process.wait()


class Bench:
    def __init__(self, options):
        self.options, self.rows, self.started = options, [], []
        base = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
        self.folder = tempfile.mkdtemp(prefix="pgha-bench-", dir=base)
        if os.geteuid() == 0:
            user = pwd.getpwnam("postgres")
            os.chown(self.folder, user.pw_uid, user.pw_gid)
        os.chmod(self.folder, 0o755)
        self.server = Postgres(self.folder)
        self.topology = Topology(self.server.port)
        self.libraries = {"LD_LIBRARY_PATH": f"{PEERS}/root/usr/lib/x86_64-linux-gnu:{PEERS}/root/lib/x86_64-linux-gnu"}

    def stop(self):
        for peer in self.started:
            peer.stop()
        self.topology.stop()
        self.server.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    # -- Starting

    def pgha(self, *more, prefix=(), binary=PGHA):
        port = free_port()
        hba = "host all all all trust" if "--users-file" not in more else "host all all all scram-sha-256"
        return self.start(
            "pgha", port,
            [*prefix, binary, "pooler", "--listen", f"127.0.0.1:{port}", "--listen-read", f"127.0.0.1:{free_port()}",
             "--http-listen", f"127.0.0.1:{free_port()}", "--controller", f"http://127.0.0.1:{self.topology.port}",
             "--pool-size", "8", "--max-clients", "20000", "--hba", hba, "--log-level", "error", *more])

    def pgbouncer(self, authentication="trust", users='"postgres" ""', prefix=()):
        port = free_port()
        name = f"{self.folder}/pgbouncer-{port}"
        with open(name + ".users", "w") as f:
            f.write(users + "\n")
        with open(name + ".ini", "w") as f:
            f.write(f"[databases]\npostgres = host=127.0.0.1 port={self.server.port} user=postgres\n[pgbouncer]\n"
                    f"listen_addr=127.0.0.1\nlisten_port={port}\nauth_type={authentication}\nauth_file={name}.users\n"
                    f"pool_mode=transaction\ndefault_pool_size=8\nmax_client_conn=20000\nunix_socket_dir=\n")
        return self.start("pgbouncer", port, [*prefix, *as_server_user(), f"{PEERS}/root/usr/sbin/pgbouncer", "-q", name + ".ini"])

    def haproxy(self):
        port = free_port()
        name = f"{self.folder}/haproxy-{port}.cfg"
        with open(name, "w") as f:
            f.write(f"global\n maxconn 4000\ndefaults\n mode tcp\n timeout connect 5s\n timeout client 1h\n timeout server 1h\n"
                    f"listen pg\n bind 127.0.0.1:{port}\n server a 127.0.0.1:{self.server.port}\n")
        return self.start("haproxy", port, [f"{PEERS}/root/usr/sbin/haproxy", "-db", "-f", name])

    def pgpool(self):
        port = free_port()
        name = f"{self.folder}/pgpool-{port}.conf"
        with open(name, "w") as f:
            f.write(f"listen_addresses='127.0.0.1'\nport={port}\npcp_port={free_port()}\nunix_socket_directories='{self.folder}'\n"
                    f"pcp_socket_dir='{self.folder}'\npid_file_name='{self.folder}/pgpool.pid'\nlogdir='{self.folder}'\n"
                    f"backend_clustering_mode='raw'\nbackend_hostname0='127.0.0.1'\nbackend_port0={self.server.port}\n"
                    "num_init_children=70\nmax_pool=1\nsr_check_period=0\nhealth_check_period=0\n")
        return self.start("pgpool", port, [*as_server_user(), f"{PEERS}/root/usr/sbin/pgpool", "-n", "-f", name])

    def start(self, name, port, command):
        if not os.path.exists(next(word for word in command if word.endswith("/" + name) or word == PGHA or "pgha" in word)):
            raise RuntimeError(f"{name} is not there")
        peer = Peer(name, port, command, {} if name == "pgha" else self.libraries)
        self.started.append(peer)
        return peer

    def peers(self, *names):
        result = []
        for name in names:
            if self.options.only and name not in self.options.only:
                continue
            try:
                result.append(getattr(self, name)())
            except RuntimeError as error:
                print(f"  {error}")
        return result

    # -- Measuring

    def record(self, part, what, unit, figures):
        """`figures`: {peer: [a value per round]}."""
        base = figures.get("pgbouncer")
        for name, values in figures.items():
            row = {"part": part, "what": what, "unit": unit, "peer": name, "median": statistics.median(values),
                   "min": min(values), "max": max(values), "load": os.getloadavg()[0]}
            if base and name != "pgbouncer" and len(base) == len(values):
                ratios = [a / b for a, b in zip(values, base) if b]
                if ratios:
                    row |= {"ratio": statistics.median(ratios), "ratio_min": min(ratios), "ratio_max": max(ratios)}
            self.rows.append(row)
            ratio = f"{row['ratio']:6.2f} ({row['ratio_min']:.2f}-{row['ratio_max']:.2f})" if "ratio" in row else ""
            print(f"  {what:34} {name:10} {row['median']:10.1f} {unit:9} {row['min']:.1f}-{row['max']:.1f} {ratio}", flush=True)

    def transactions(self, peer, clients, mode, seconds, extra=()):
        before = cpu_seconds(peer.pids)
        out = pgbench(peer.port, "-n", "-S", "-c", str(clients), "-j", "2", "-T", str(seconds), "-M", mode, *extra)
        count = int(re.search(r"actually processed: (\d+)", out).group(1))
        return (cpu_seconds(peer.pids) - before) * 1e6 / count, out

    def cpu(self):
        peers = self.peers("pgha", "pgbouncer", "haproxy", "pgpool")
        for clients in (8, 64):
            for mode in ("simple", "extended", "prepared"):
                figures = {}
                for _ in range(self.options.rounds):
                    for peer in peers:
                        # Debian's PgBouncer (1.18) knows no prepared statements in transaction mode.
                        if peer.name == "pgbouncer" and mode == "prepared":
                            continue
                        figures.setdefault(peer.name, []).append(self.transactions(peer, clients, mode, self.options.seconds)[0])
                self.record("cpu", f"CPU, {mode}, {clients} clients", "us/txn", figures)

    def syscalls(self):
        for peer in self.peers("pgha", "pgbouncer", "haproxy"):
            for clients in (8, 64):
                name = f"{self.folder}/strace"
                tracer = subprocess.Popen(["strace", "-f", "-c", "-o", name, "-p", str(peer.process.pid)], stderr=subprocess.DEVNULL)
                time.sleep(0.5)
                out = pgbench(peer.port, "-n", "-S", "-c", str(clients), "-j", "2", "-t", str(4000 // clients))
                tracer.send_signal(signal.SIGINT)
                tracer.wait()
                calls = int(re.search(r"(\d+)(?:\s+\d+)?\s+total", open(name).read()).group(1))
                self.record("syscalls", f"system calls, {clients} clients", "/txn", {peer.name: [calls / 4000]})

    def instructions(self):
        def count(start):
            name = f"{self.folder}/callgrind"
            totals = []
            for transactions in (50, 300):
                peer = start(("valgrind", "--tool=callgrind", f"--callgrind-out-file={name}"))
                pgbench(peer.port, "-n", "-S", "-c", "8", "-j", "1", "-t", str(transactions))
                peer.stop()
                totals.append(int(re.search(r"^(?:summary|totals): (\d+)", open(name).read(), re.M).group(1)))
            return (totals[1] - totals[0]) / (8 * 250)
        self.record("instructions", "user instructions, 8 clients", "/txn", {"pgha": [count(lambda p: self.pgha(prefix=p))]})

    def bytes(self):
        script = f"{self.folder}/big.sql"
        with open(script, "w") as f:
            f.write("select repeat('x', 1000) from generate_series(1, 10000);\n")
        figures = {}
        peers = self.peers("pgha", "pgbouncer", "haproxy")
        for _ in range(self.options.rounds):
            for peer in peers:
                before = cpu_seconds(peer.pids)
                out = pgbench(peer.port, "-n", "-f", script, "-c", "2", "-T", str(self.options.seconds))
                count = int(re.search(r"actually processed: (\d+)", out).group(1))
                figures.setdefault(peer.name, []).append((cpu_seconds(peer.pids) - before) * 1e6 / (count * 10))
        self.record("bytes", "CPU of large results", "us/MB", figures)

    def logged_in(self, port, count):
        startup = b"user\0postgres\0database\0postgres\0\0"
        packet = struct.pack("!II", 8 + len(startup), 196608) + startup
        clients = []
        for _ in range(count):
            client = socket.create_connection(("127.0.0.1", port))
            client.sendall(packet)
            clients.append(client)
        for client in clients:
            received = b""
            while not received.endswith(b"Z\0\0\0\5I"):
                part = client.recv(65536)
                if not part:
                    raise RuntimeError(f"refused: {received!r}")
                received += part
        return clients

    def idle(self):
        for peer in self.peers("pgha", "pgbouncer"):
            # Grown once, so that tables and caches are not counted.
            warm = self.logged_in(peer.port, 100)
            before = peer.resident
            clients = self.logged_in(peer.port, 5000)
            time.sleep(1)
            self.record("idle", "memory of an idle client (5,000)", "B", {peer.name: [(peer.resident - before) / 5000]})
            for client in clients + warm:
                client.close()

    def latencies(self, peer, clients):
        prefix = f"{self.folder}/lat-{time.monotonic_ns()}"
        pgbench(peer.port, "-n", "-S", "-c", str(clients), "-j", "2", "-T", str(self.options.seconds), "-l", f"--log-prefix={prefix}")
        values = []
        for name in os.listdir(self.folder):
            if name.startswith(os.path.basename(prefix)):
                with open(f"{self.folder}/{name}") as f:
                    values += [int(line.split()[2]) for line in f]
                os.remove(f"{self.folder}/{name}")
        return statistics.quantiles(values, n=100)[98]

    def p99(self):
        figures = {}
        peers = self.peers("pgha", "pgbouncer", "haproxy")
        for _ in range(self.options.rounds):
            for peer in peers:
                figures.setdefault(peer.name, []).append(self.latencies(peer, 64))
        self.record("p99", "p99 latency, 64 clients", "us", figures)

    def many(self):
        for peer in self.peers("pgha", "pgbouncer"):
            alone = self.latencies(peer, 200)
            clients = self.logged_in(peer.port, 9800)
            among = self.latencies(peer, 200)
            self.record("many", "p99, 200 active alone", "us", {peer.name: [alone]})
            self.record("many", "p99, 200 active of 10,000", "us", {peer.name: [among]})
            for client in clients:
                client.close()

    def threads(self):
        one, two = self.pgha(), self.pgha("--threads", "2")
        figures = {"1 thread": [], "2 threads": []}
        for _ in range(self.options.rounds):
            for name, peer in (("1 thread", one), ("2 threads", two)):
                figures[name].append(self.transactions(peer, 64, "simple", self.options.seconds)[0])
        self.record("threads", "CPU, simple, 64 clients", "us/txn", figures)

    def logins(self):
        run("psql", "-h", "127.0.0.1", "-p", str(self.server.port), "-U", "postgres", "-c",
            "alter role postgres password 'secret'", "postgres")
        users = f"{self.folder}/users"
        with open(users, "w") as f:
            f.write('"postgres" "secret"\n')
        os.chmod(users, 0o600)
        os.environ["PGPASSWORD"] = "secret"
        peers = [self.pgha("--users-file", users), self.pgbouncer("scram-sha-256", '"postgres" "secret"')]
        figures = {}
        for _ in range(self.options.rounds):
            for peer in peers:
                out = pgbench(peer.port, "-n", "-S", "-C", "-c", "8", "-j", "2", "-T", str(self.options.seconds))
                figures.setdefault(peer.name, []).append(float(re.search(r"tps = ([\d.]+)", out).group(1)))
        self.record("logins", "SCRAM log-ins", "/s", figures)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--parts", default=",".join(PARTS))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=2)
    parser.add_argument("--only", type=lambda text: text.split(","), default=None)
    options = parser.parse_args()
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    unpack_peers()
    bench = Bench(options)
    began = time.time()
    try:
        for part in options.parts.split(","):
            print(f"{part} (load {os.getloadavg()[0]:.1f})", flush=True)
            try:
                getattr(bench, part)()
            except (RuntimeError, subprocess.CalledProcessError) as error:
                print(f"  not measured: {error}")
            for peer in bench.started:
                peer.stop()
            bench.started = []
    finally:
        bench.stop()
    os.makedirs(f"{SCRATCH}/bench", exist_ok=True)
    name = f"{SCRATCH}/bench/pooler-{time.strftime('%Y%m%dT%H%M%S')}.json"
    with open(name, "w") as f:
        json.dump({"seconds": time.time() - began, "cpus": os.cpu_count(), "load": os.getloadavg(), "rows": bench.rows}, f, indent=1)
    print(name)


if __name__ == "__main__":
    main()
