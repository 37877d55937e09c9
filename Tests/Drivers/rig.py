"""A PostgreSQL server and poolers before it, for the tests of drivers: on free ports of the loopback, in a folder of
their own that is removed at the end. Nothing is installed: what drivers need lies under .build/drivers.
"""
import json, os, pwd, shutil, socket, subprocess, sys, tempfile, time

ROOT = os.path.realpath(os.path.join(os.path.dirname(__file__), "../.."))
SCRATCH = os.path.abspath(os.environ.get("PGHA_SCRATCH") or os.path.join(ROOT, ".build"))
HOME = os.path.join(SCRATCH, "drivers")
PGHA = os.environ.get("PGHA_EXECUTABLE") or os.path.join(SCRATCH, "debug/pgha")
USER, PASSWORD = "tester", "pass=word 'and\" more"


class Missing(Exception):
    """Something that is not there: skipped with this reason."""


def run(*command, **options):
    try:
        return subprocess.run(command, check=True, capture_output=True, text=True, **options).stdout
    except subprocess.CalledProcessError as error:
        raise RuntimeError(f"{command[0]}: {(error.stderr or error.stdout).strip()[-2000:]}")


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def await_condition(what, seconds, condition):
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise RuntimeError(f"not within {seconds} s: {what}")
        time.sleep(0.05)


def listens(port):
    with socket.socket() as s:
        return s.connect_ex(("127.0.0.1", port)) == 0


def virtual_environment(*packages):
    """A Python with these packages from PyPI."""
    path = os.path.join(HOME, "venv")
    python = os.path.join(path, "bin/python")
    mark = os.path.join(path, "installed-" + "".join(c if c.isalnum() else "-" for c in " ".join(packages)))
    if not os.path.exists(mark):
        try:
            run(sys.executable, "-m", "venv", path)
            run(python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *packages)
        except RuntimeError as error:
            raise Missing(str(error).splitlines()[-1])
        open(mark, "w").close()
    return python


class Rig:
    def __init__(self):
        self.folder = tempfile.mkdtemp(prefix="pgha-drivers-", dir=os.environ.get("TMPDIR"))
        self.processes, self.data = [], None
        os.chmod(self.folder, 0o755)
        if os.geteuid() == 0:
            user = pwd.getpwnam("postgres")
            os.chown(self.folder, user.pw_uid, user.pw_gid)
            self.as_server = ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"]
        else:
            self.as_server = []
        try:
            self._start_server()
        except BaseException:
            self.stop()
            raise

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()

    def _start_server(self):
        versions = [d for d in os.listdir("/usr/lib/postgresql") if d.isdigit()]
        self.binaries = os.environ.get("PGHA_TEST_BINDIR") or f"/usr/lib/postgresql/{min(versions, key=int)}/bin"
        self.certificate, self.key = f"{self.folder}/tls.crt", f"{self.folder}/tls.key"
        run("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
            "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1",
            "-keyout", self.key, "-out", self.certificate)
        os.chmod(self.key, 0o600)
        secret = f"{self.folder}/secret"
        with open(secret, "w") as f:
            f.write(PASSWORD + "\n")
        data, self.port = f"{self.folder}/data", free_port()
        run(*self.as_server, f"{self.binaries}/initdb", "-D", data, "-A", "scram-sha-256", "-U", USER,
            f"--pwfile={secret}", "-E", "UTF8", "--locale=C.UTF-8", "--no-sync")
        for name in ("tls.crt", "tls.key"):
            shutil.copy(f"{self.folder}/{name}", f"{data}/{name}")
            os.chmod(f"{data}/{name}", 0o600)
            if os.geteuid() == 0:
                shutil.chown(f"{data}/{name}", "postgres", "postgres")
        with open(f"{data}/postgresql.auto.conf", "w") as f:
            f.write(f"port={self.port}\nlisten_addresses='127.0.0.1'\nunix_socket_directories='{self.folder}'\n"
                    "max_connections=300\nmax_prepared_transactions=10\nfsync=off\nlog_min_error_statement=panic\n"
                    "ssl=on\nssl_cert_file='tls.crt'\nssl_key_file='tls.key'\n")
        self.data = data
        # A server without TLS can still be asked for the rest.
        for attempt in ("", "ssl=off\n"):
            with open(f"{data}/postgresql.auto.conf", "a") as f:
                f.write(attempt)
            started = subprocess.run(
                [*self.as_server, f"{self.binaries}/pg_ctl", "-D", data, "-l", f"{self.folder}/server.log", "-w", "start"],
                stdout=subprocess.DEVNULL)
            if started.returncode == 0:
                break
        else:
            raise RuntimeError(open(f"{self.folder}/server.log").read()[-2000:])
        self._install_scripts()
        self._start_topology()

    def _install_scripts(self):
        """What lets poolers look users up."""
        environment = {**os.environ, "PGHOST": "127.0.0.1", "PGPORT": str(self.port), "PGUSER": USER,
                       "PGPASSWORD": PASSWORD, "PGDATABASE": "postgres"}
        run("psql", "-Xq", "-v", "ON_ERROR_STOP=1", input=run(PGHA, "schema", "print"), env=environment)
        run("psql", "-Xq", "-c", "alter role pgha_pooler password 'pooler'", env=environment)

    def _start_topology(self):
        """What a controller's stream would say."""
        self.topology_port = free_port()
        line = json.dumps({"term": 1, "standbys": [], "hold": False, "leader": {
            "name": "a", "host": "127.0.0.1", "port": self.port, "noread": False}})
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
S(('127.0.0.1', {self.topology_port}), H).serve_forever()
"""
        self._start([sys.executable, "-c", code], "topology")

    def _start(self, command, name):
        log = open(f"{self.folder}/{name}.log", "w")
        process = subprocess.Popen(command, stdout=log, stderr=log)
        log.close()
        self.processes.append(process)
        return process

    def pooler(self, mode, *more):
        """Starts a pooler in `mode` and gives its port."""
        users, passfile = f"{self.folder}/users", f"{self.folder}/passfile"
        with open(passfile, "w") as f:
            f.write("*:*:*:pgha_pooler:pooler\n")
        os.chmod(passfile, 0o600)
        with open(users, "w") as f:
            f.write('"%s" "%s"\n' % (USER, PASSWORD.replace('"', '""')))
        os.chmod(users, 0o600)
        port = free_port()
        name = f"pooler-{mode}-{port}"
        process = self._start(
            [PGHA, "pooler", "--listen", f"127.0.0.1:{port}", "--listen-read", f"127.0.0.1:{free_port()}",
             "--http-listen", f"127.0.0.1:{free_port()}", "--controller", f"http://127.0.0.1:{self.topology_port}",
             "--pool-mode", mode, "--pool-size", "60", "--users-file", users, "--auth-query", "true",
             "--auth-passfile", passfile, "--tls-mode", "prefer",
             "--hba", "host all,replication all all scram-sha-256", "--tls-cert-file", self.certificate,
             "--tls-key-file", self.key, *more], name)
        await_condition(f"{name} listens", 30, lambda: process.poll() is not None or listens(port))
        if process.poll() is not None:
            raise RuntimeError(open(f"{self.folder}/{name}.log").read()[-2000:])
        return port

    def stop(self):
        for process in reversed(self.processes):
            if process.poll() is None:
                process.terminate()
                try:
                    process.wait(10)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()
        if self.data:
            subprocess.run([*self.as_server, f"{self.binaries}/pg_ctl", "-D", self.data, "-m", "immediate", "stop"],
                           stdout=subprocess.DEVNULL)
        shutil.rmtree(self.folder, ignore_errors=True)
