"""What is measured: PostgreSQL, the pooler, and the peers beside it, started by hand and stopped again."""
import json, os, pwd, re, shutil, signal, socket, subprocess, sys, tempfile, time

ROOT = os.path.realpath(os.path.join(os.path.dirname(__file__), "../../.."))
SCRATCH = os.environ.get("PGHA_SCRATCH") or os.path.join(ROOT, ".build")
PEERS = os.path.join(SCRATCH, "peers")
PGHA = os.environ.get("PGHA_EXECUTABLE") or os.path.join(SCRATCH, "pgha")
PACKAGES = [
    "pgbouncer", "haproxy", "pgpool2", "libpgpool2", "libc-ares2", "libevent-2.1-7", "liblua5.3-0",
    "libopentracing-c-wrapper0", "libopentracing1", "libmemcached11", "libhashkit2",
]
LIBRARIES = {"LD_LIBRARY_PATH": f"{PEERS}/root/usr/lib/x86_64-linux-gnu:{PEERS}/root/lib/x86_64-linux-gnu"}
POOL_SIZE = 8


class NotMeasured(Exception):
    pass


def run(*command, **options):
    return subprocess.run(command, check=True, capture_output=True, text=True, **options).stdout


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def unpack():
    """Debian's packages, unpacked beside the build: nothing is installed, no service starts."""
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


def pgbench(port, *arguments, user="postgres", database="postgres", environment={}):
    result = subprocess.run(
        ["pgbench", "-h", "127.0.0.1", "-p", str(port), "-U", user, *arguments, database],
        capture_output=True, text=True, env={**os.environ, **environment})
    if result.returncode != 0:
        words = result.stderr.strip().splitlines()
        raise NotMeasured(words[-1] if words else "pgbench failed")
    return result.stdout


def transactions(output):
    return int(re.search(r"actually processed: (\d+)", output).group(1))


class Postgres:
    def __init__(self, folder):
        version = max((d for d in os.listdir("/usr/lib/postgresql") if d.isdigit()), key=int)
        self.programs = f"/usr/lib/postgresql/{version}/bin"
        self.data, self.port, self.sockets = f"{folder}/data", free_port(), folder
        run(*as_server_user(), f"{self.programs}/initdb", "-D", self.data, "-A", "trust", "-U", "postgres")
        with open(f"{self.data}/postgresql.auto.conf", "w") as f:
            f.write(f"port={self.port}\nlisten_addresses='127.0.0.1'\nunix_socket_directories='{folder}'\n"
                    "max_connections=300\nshared_buffers=128MB\nfsync=off\n")
        self.control("-l", f"{folder}/log", "-w", "start")
        pgbench(self.port, "-i", "-q")

    def control(self, *words):
        subprocess.run([*as_server_user(), f"{self.programs}/pg_ctl", "-D", self.data, *words],
                       check=True, stdout=subprocess.DEVNULL)

    def stop(self):
        self.control("-m", "immediate", "stop")


class Topology:
    """What a controller's stream would say, for the pooler alone."""

    CODE = """
import http.server, socketserver, sys, time
class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = 'HTTP/1.1'
    def do_GET(self):
        self.send_response(200); self.send_header('transfer-encoding', 'chunked'); self.end_headers()
        line = sys.argv[2].encode() + b'\\n'
        while True:
            self.wfile.write(b'%x\\r\\n' % len(line) + line + b'\\r\\n'); self.wfile.flush(); time.sleep(1)
    def log_message(self, *words): pass
class Server(socketserver.ThreadingMixIn, http.server.HTTPServer): daemon_threads = True
Server(('127.0.0.1', int(sys.argv[1])), Handler).serve_forever()
"""

    def __init__(self, server_port):
        self.port = free_port()
        line = json.dumps({"term": 1, "standbys": [], "hold": False, "leader": {
            "name": "a", "host": "127.0.0.1", "port": server_port, "noread": False}})
        self.process = subprocess.Popen([sys.executable, "-c", self.CODE, str(self.port), line],
                                        stderr=subprocess.DEVNULL)

    def stop(self):
        self.process.kill()
        self.process.wait()


class Peer:
    """A pooler in front of the server, that answers."""

    def __init__(self, name, port, program, command, environment={}):
        if not os.path.exists(program):
            raise NotMeasured(f"{name} is not there: {program}")
        self.name, self.port = name, port
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                                        env={**os.environ, **environment})
        deadline = time.time() + 60
        while True:
            try:
                pgbench(port, "-n", "-S", "-t", "1")
                return
            except NotMeasured as error:
                if time.time() > deadline or self.process.poll() is not None:
                    self.stop()
                    raise NotMeasured(f"{name} does not serve: {error}")
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
    def microseconds(self):
        """CPU time, user's and system's: to the nanosecond, where /proc/PID/stat counts ticks of 10 ms."""
        total = 0
        for pid in self.pids:
            for task in os.listdir(f"/proc/{pid}/task"):
                with open(f"/proc/{pid}/task/{task}/schedstat") as f:
                    total += int(f.read().split()[0])
        return total / 1000

    @property
    def resident(self):
        """Bytes of memory that are this process's own."""
        return self._bytes("smaps_rollup", "Private_Dirty")

    @property
    def peak(self):
        """Bytes of memory that were resident at most, shared ones too."""
        return self._bytes("status", "VmHWM")

    def _bytes(self, file, name):
        total = 0
        for pid in self.pids:
            with open(f"/proc/{pid}/{file}") as f:
                total += int(re.search(rf"{name}:\s+(\d+)", f.read()).group(1)) * 1024
        return total

    def stop(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()


class Bed:
    """One server, and whoever is started in front of it."""

    def __init__(self, only):
        self.only, self.started = only, []
        base = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
        self.folder = tempfile.mkdtemp(prefix="pgha-bench-", dir=base)
        if os.geteuid() == 0:
            user = pwd.getpwnam("postgres")
            os.chown(self.folder, user.pw_uid, user.pw_gid)
        os.chmod(self.folder, 0o755)
        self.server = Postgres(self.folder)
        self.topology = Topology(self.server.port)

    def close(self):
        self.stop()
        self.topology.stop()
        self.server.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def stop(self):
        for peer in self.started:
            peer.stop()
        self.started = []

    def start(self, *words, **more):
        peer = Peer(*words, **more)
        self.started.append(peer)
        return peer

    def peers(self, *names):
        result = []
        for name in names:
            if self.only and name not in self.only:
                continue
            try:
                result.append(getattr(self, name.replace("-", "_"))())
            except NotMeasured as error:
                print(f"  {error}", flush=True)
        return result

    # -- Each by the defaults of its packaging, but for what all have in common: pool of 8, transaction pooling, trust

    def pgha(self, *more, prefix=(), name="pgha", sockets=True):
        port = free_port()
        rule = "scram-sha-256" if "--users-file" in more else "trust"
        places = ["--server-sockets", self.server.sockets] if sockets else []
        return self.start(name, port, PGHA, [
            *prefix, PGHA, "pooler", "--listen", f"127.0.0.1:{port}", "--listen-read", f"127.0.0.1:{free_port()}",
            "--http-listen", f"127.0.0.1:{free_port()}", "--controller", f"http://127.0.0.1:{self.topology.port}",
            "--pool-size", str(POOL_SIZE), "--max-clients", "12000", "--hba", f"host all all all {rule}",
            "--log-level", "error", *places, *more])

    def pgha_tcp(self):
        return self.pgha(name="pgha-tcp", sockets=False)

    def pgbouncer(self, authentication="trust", users='"postgres" ""', prefix=(), name="pgbouncer", host="127.0.0.1"):
        port = free_port()
        path = f"{self.folder}/pgbouncer-{port}"
        with open(path + ".users", "w") as f:
            f.write(users + "\n")
        with open(path + ".ini", "w") as f:
            f.write(f"[databases]\npostgres = host={host} port={self.server.port} user=postgres\n[pgbouncer]\n"
                    f"listen_addr=127.0.0.1\nlisten_port={port}\nauth_type={authentication}\n"
                    f"auth_file={path}.users\npool_mode=transaction\ndefault_pool_size={POOL_SIZE}\n"
                    "max_client_conn=12000\nunix_socket_dir=\n")
        program = f"{PEERS}/root/usr/sbin/pgbouncer"
        return self.start(name, port, program, [*as_server_user(), *prefix, program, "-q", path + ".ini"],
                          environment=LIBRARIES)

    def pgbouncer_unix(self):
        return self.pgbouncer(name="pgbouncer-unix", host=self.server.sockets)

    def haproxy(self):
        port = free_port()
        path = f"{self.folder}/haproxy-{port}.cfg"
        with open(path, "w") as f:
            f.write("global\n maxconn 4000\ndefaults\n mode tcp\n timeout connect 5s\n timeout client 1h\n"
                    f" timeout server 1h\nlisten pg\n bind 127.0.0.1:{port}\n server a 127.0.0.1:{self.server.port}\n")
        program = f"{PEERS}/root/usr/sbin/haproxy"
        return self.start("haproxy", port, program, [program, "-db", "-f", path], environment=LIBRARIES)

    def pgpool(self):
        port = free_port()
        path = f"{self.folder}/pgpool-{port}.conf"
        with open(path, "w") as f:
            f.write(f"listen_addresses='127.0.0.1'\nport={port}\npcp_port={free_port()}\n"
                    f"unix_socket_directories='{self.folder}'\npcp_socket_dir='{self.folder}'\n"
                    f"pid_file_name='{self.folder}/pgpool.pid'\nlogdir='{self.folder}'\n"
                    f"backend_clustering_mode='raw'\nbackend_hostname0='127.0.0.1'\n"
                    f"backend_port0={self.server.port}\nnum_init_children=70\nmax_pool=1\nsr_check_period=0\n"
                    "health_check_period=0\n")
        program = f"{PEERS}/root/usr/sbin/pgpool"
        return self.start("pgpool", port, program, [*as_server_user(), program, "-n", "-f", path],
                          environment=LIBRARIES)
