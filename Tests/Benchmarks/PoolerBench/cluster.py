"""A whole cluster of `pgha demo`, and clients that notice what happens to it."""
import base64, hashlib, hmac, json, os, re, select, signal, socket, struct, subprocess, tempfile, threading, time
import urllib.request

from peers import NotMeasured, PGHA, free_port


class Cluster:
    """`pgha demo --ephemeral`: three servers, agents, a controller and a pooler."""

    def __init__(self):
        base = self.free_base()
        self.process = subprocess.Popen([PGHA, "demo", "--ephemeral", "--base-port", str(base)],
                                        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        self.port = base + 1000
        said = []
        for line in self.process.stdout:
            said.append(line)
            if "Ctrl-C stops everything" in line:
                break
        else:
            raise NotMeasured(f"pgha demo ended: {''.join(said[-3:])}")
        text = "".join(said)
        self.passfile = re.search(r"PGPASSFILE=(\S+)", text).group(1)
        self.environment = {"PGPASSFILE": self.passfile,
                            "PGHA_CONTROLLER": re.search(r"PGHA_CONTROLLER=(\S+)", text).group(1),
                            "PGHA_TOKEN_FILE": re.search(r"PGHA_TOKEN_FILE=(\S+)", text).group(1)}
        with open(self.environment["PGHA_TOKEN_FILE"]) as f:
            self.token = f.read().strip()
        threading.Thread(target=self.process.stdout.read, daemon=True).start()

    @staticmethod
    def free_base():
        """The ports that the demo derives from it are free."""
        for base in range(21000, 30000, 10):
            try:
                for port in (base, base + 1, base + 2, base + 1000, base + 1001, *range(base + 2999, base + 3004)):
                    with socket.socket() as s:
                        s.bind(("127.0.0.1", port))
                return base
            except OSError:
                continue
        raise NotMeasured("no free ports for a demo")

    def status(self):
        request = urllib.request.Request(self.environment["PGHA_CONTROLLER"] + "/v1/status",
                                         headers={"Authorization": f"Bearer {self.token}"})
        with urllib.request.urlopen(request, timeout=5) as answer:
            return json.load(answer)

    def wait_until_complete(self, seconds=60):
        deadline = time.time() + seconds
        while True:
            status = self.status()
            streaming = [node for node in status["nodes"] if node["state"] == "streaming"]
            if status["phase"] == "steady" and len(streaming) == len(status["nodes"]) - 1:
                return status
            if time.time() > deadline:
                raise NotMeasured(f"the cluster is not whole again: {[n['state'] for n in status['nodes']]}")
            time.sleep(0.1)

    def switch_over(self):
        subprocess.run([PGHA, "switchover"], check=True, capture_output=True,
                       env={**os.environ, **self.environment})

    def kill_primary(self):
        status = self.status()
        leader = next(node for node in status["nodes"] if node["name"] == status["leader"])
        os.kill(leader["postmaster_pid"], signal.SIGKILL)

    def stop(self):
        self.process.send_signal(signal.SIGINT)
        try:
            self.process.wait(60)
        except subprocess.TimeoutExpired:
            self.process.kill()

    def password(self):
        with open(self.passfile) as f:
            return f.read().strip().rsplit(":", 1)[1]


class Client:
    """A session that speaks the protocol itself, so that each moment and each error is seen."""

    def __init__(self, port, user, database, password):
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.received = b""
        body = b"".join(word.encode() + b"\0" for word in ("user", user, "database", database)) + b"\0"
        self.socket.sendall(struct.pack("!II", len(body) + 8, 196608) + body)
        self.log_in(password)
        self.until_ready()

    def message(self):
        while len(self.received) < 5 or len(self.received) < 1 + struct.unpack("!I", self.received[1:5])[0]:
            part = self.socket.recv(65536)
            if not part:
                raise ConnectionError("closed")
            self.received += part
        end = 1 + struct.unpack("!I", self.received[1:5])[0]
        kind, body = self.received[:1], self.received[5:end]
        self.received = self.received[end:]
        return kind, body

    def send(self, kind, body):
        self.socket.sendall(kind + struct.pack("!I", len(body) + 4) + body)

    def authentication(self, code):
        kind, body = self.message()
        if kind != b"R" or struct.unpack("!I", body[:4])[0] != code:
            raise NotMeasured(f"log-in: {kind!r} {body!r}")
        return body[4:]

    def log_in(self, password):
        """SCRAM-SHA-256. Source: RFC 5802."""
        self.authentication(10)
        bare = "n=,r=" + base64.b64encode(os.urandom(18)).decode()
        first = ("n,," + bare).encode()
        self.send(b"p", b"SCRAM-SHA-256\0" + struct.pack("!I", len(first)) + first)
        challenge = self.authentication(11).decode()
        values = dict(part.split("=", 1) for part in challenge.split(","))
        salted = hashlib.pbkdf2_hmac("sha256", password.encode(), base64.b64decode(values["s"]), int(values["i"]))
        key = hmac.digest(salted, b"Client Key", "sha256")
        final = "c=biws,r=" + values["r"]
        signed = hmac.digest(hashlib.sha256(key).digest(), f"{bare},{challenge},{final}".encode(), "sha256")
        proof = base64.b64encode(bytes(a ^ b for a, b in zip(key, signed))).decode()
        self.send(b"p", f"{final},p={proof}".encode())
        self.authentication(12)
        self.authentication(0)

    def until_ready(self):
        """The SQLSTATEs of errors up to ReadyForQuery."""
        errors = []
        while True:
            kind, body = self.message()
            if kind == b"E":
                errors.append(re.search(rb"C([0-9A-Z]{5})\0", body).group(1).decode())
            if kind == b"Z":
                return errors

    def begin(self, text):
        self.send(b"Q", text.encode() + b"\0")

    def close(self):
        self.socket.close()


def answers(clients, text):
    """Sends `text` on all of them at once: when each was answered, and the errors. Lost connections are errors."""
    errors, ended = [], []
    waiting = {client.socket: client for client in clients}
    for client in clients:
        client.begin(text)
    while waiting:
        ready, _, _ = select.select(list(waiting), [], [], 30)
        if not ready:
            return ended, errors + ["no answer in 30 s"] * len(waiting)
        for one in ready:
            try:
                errors += waiting[one].until_ready()
            except (ConnectionError, OSError) as error:
                errors.append(f"connection lost: {error}")
            ended.append(time.monotonic())
            del waiting[one]
    return ended, errors


class Load:
    """pgbench's TPC-B through the pooler, with every transaction's end and duration."""

    def __init__(self, cluster, clients, seconds):
        self.folder = tempfile.mkdtemp(prefix="pgha-bench-log-")
        self.process = subprocess.Popen(
            ["pgbench", "-n", "-h", "127.0.0.1", "-p", str(cluster.port), "-U", "demo", "-c", str(clients), "-j", "2",
             "-T", str(seconds), "-l", f"--log-prefix={self.folder}/log", "demo"],
            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
            env={**os.environ, **cluster.environment})

    def end(self):
        """When its time is over: (end, milliseconds) of all transactions, and what went wrong."""
        errors = [line for line in self.process.communicate()[1].splitlines() if "error" in line or "abort" in line]
        found = []
        for name in os.listdir(self.folder):
            with open(f"{self.folder}/{name}") as f:
                for line in f:
                    words = line.split()
                    if len(words) == 6:
                        found.append((int(words[4]) + int(words[5]) / 1e6, int(words[2]) / 1000))
            os.remove(f"{self.folder}/{name}")
        os.rmdir(self.folder)
        return found, errors
