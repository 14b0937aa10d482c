"""Real overlays on 127.0.0.1 for tests: an authority, torcd processes, their control sockets.

Everything lives in one temporary directory; every process started here is ended here, by its pid. Waiting is polling
with a deadline, so that a slow machine needs no longer sleeps and a fast one loses no time.
"""
import base64
import hashlib
import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get("TORC_BUILD_DIR", ROOT / "build/release"))
TORC = BUILD / "torc"
TORCD = BUILD / "torcd"
AUTHORITY = BUILD / "torc-authority"
OVERLAY = "ring.example.org"
UPDATE_S = 2          # update period of the test overlays
NEIGHBOURS = 3
TYPES = [
    "0xF00001,note,single,user-match,1,4096,86400,find",
    "0xF00002,list,array,user-match,10,1024,86400,find",
    "0xF00003,dict,dictionary,user-match,20,1024,86400",
    "0xF00004,spread,single,node-multiple,1,200,86400",
    "0xF00005,here,single,node-match,1,100,86400",
]


class Failure(AssertionError):
    """A command or request that did not do what the test needs."""


def wait_for(condition, timeout, what):
    """Polls until `condition` gives something true and returns that."""
    end = time.monotonic() + timeout
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise Failure(f"not within {timeout} s: {what() if callable(what) else what}")
        time.sleep(0.02)


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def run(program, *arguments, check=True, env=None, stdin=None, timeout=90):
    """Runs a program of the build; returns the finished process with its output as text."""
    done = subprocess.run([str(program), *map(str, arguments)], capture_output=True, text=True, check=False,
                          env={**os.environ, **(env or {})}, input=stdin, timeout=timeout)
    if check and done.returncode != 0:
        raise Failure(f"{program} {arguments} ended with {done.returncode}: {done.stderr}{done.stdout}")
    return done


def resource_of(seed):
    """The resource-id of a name (text) or of bytes, as hex."""
    if isinstance(seed, str):
        seed = seed.encode()
    return hashlib.sha256(seed).digest()[:16].hex()


class Control:
    """One connection to a control socket. Requests may be pipelined with send and receive."""

    def __init__(self, path, timeout=70):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.connect(str(path))  # waits where the queue of the socket is full
        self.socket.settimeout(timeout)
        self.file = self.socket.makefile("rb")
        self.number = 0

    def send(self, cmd, **fields):
        self.number += 1
        self.socket.sendall(json.dumps({"id": self.number, "cmd": cmd, **fields}).encode() + b"\n")
        return self.number

    def receive(self):
        line = self.file.readline()
        if not line:
            raise ConnectionError("the control socket was closed")
        return json.loads(line)

    def ask(self, cmd, **fields):
        """The answer, whatever it says."""
        number = self.send(cmd, **fields)
        answer = self.receive()
        assert answer.get("id") == number
        return answer

    def call(self, cmd, **fields):
        """The answer of a call that must succeed."""
        answer = self.ask(cmd, **fields)
        if not answer["ok"]:
            raise Failure(f"{cmd} {fields}: {answer}")
        return answer

    def close(self):
        self.file.close()
        self.socket.close()


class Peer:
    """A torcd with its identity and files."""

    def __init__(self, net, name, role="peer", port=0, user=None):
        self.net = net
        self.name = name
        self.user = user or f"{name}@{OVERLAY}"
        self.dir = net.dir
        self.conf = net.dir / f"{name}.conf"
        self.log = net.dir / f"{name}.log"
        self.socket = net.dir / f"{name}.sock"
        self.state = net.dir / f"{name}.state"
        self.cert = net.dir / f"{name}.crt"
        self.key = net.dir / f"{name}.key"
        self.process = None
        self.control = None
        self.sections = {
            "overlay": {"file": net.authority / "overlay.xml"},
            "identity": {"cert": self.cert, "key": self.key},
            "node": {"role": role, "state-dir": self.state},
            "control": {"socket": self.socket},
            "log": {"level": "debug", "format": "json", "file": self.log},
            "timers": {"update-period": f"{UPDATE_S}s", "ping-period": "3s"},
        }
        if role == "peer":
            self.sections["node"]["listen"] = f"127.0.0.1:{port}"
        self.id = None

    def issue(self, *more):
        issued = run(AUTHORITY, "issue", self.net.authority, "--user", self.user, "--out", self.dir / self.name,
                     "--json", *more)
        self.id = json.loads(issued.stdout)["peer"]
        return self

    def write_conf(self):
        lines = []
        for section, keys in self.sections.items():
            lines.append(f"[{section}]")
            lines += [f"{key} = {value}" for key, value in keys.items() if value is not None]
        self.conf.write_text("\n".join(lines) + "\n", encoding="utf-8")
        self.state.mkdir(mode=0o700, exist_ok=True)
        return self

    def start(self, env=None, wait=True):
        self.write_conf()
        with open(self.dir / f"{self.name}.err", "ab") as err:
            self.process = subprocess.Popen([str(TORCD), "--config", str(self.conf)], stdin=subprocess.DEVNULL,
                                            stdout=err, stderr=err, env={**os.environ, **(env or {})})
        return self.connect() if wait else self

    def connect(self):
        def attempt():
            if self.process.poll() is not None:
                raise Failure(f"torcd of {self.name} ended with {self.process.returncode}: {self.complaint()}")
            try:
                self.control = Control(self.socket)
                return True
            except OSError:
                return False
        wait_for(attempt, 20, f"the control socket of {self.name}")
        return self

    def complaint(self):
        """What torcd said on standard error."""
        path = self.dir / f"{self.name}.err"
        return path.read_text(encoding="utf-8", errors="replace") if path.exists() else ""

    def refuses_to_start(self, code=1, timeout=20):
        """Starts torcd, which must end by itself with `code`; returns what it said."""
        self.write_conf()
        done = run(TORCD, "--config", self.conf, check=False, timeout=timeout)
        assert done.returncode == code, (done.returncode, done.stderr)
        return done.stderr

    @property
    def is_running(self):
        return self.process is not None and self.process.poll() is None

    def status(self):
        return self.control.call("status")

    def counters(self):
        return self.control.call("counters")["counters"]

    def wait_joined(self, timeout=40):
        wait_for(lambda: self.status()["joined"], timeout, f"{self.name} in the overlay")
        return self

    def events(self):
        """The events of the log so far."""
        if not self.log.exists():
            return []
        return [json.loads(line) for line in self.log.read_text(encoding="utf-8").splitlines(True)
                if line.endswith("\n")]

    def has_event(self, name):
        return any(event["event"] == name for event in self.events())

    def disconnect(self):
        if self.control:
            self.control.close()
            self.control = None

    def kill(self, number=signal.SIGKILL):
        """Ends the process at once; the state directory stays."""
        if self.process:
            if self.process.poll() is None:
                self.process.send_signal(number)
        self.disconnect()

    def reap(self, timeout=15):
        code = self.process.wait(timeout)
        self.disconnect()
        return code

    def stop(self, timeout=15):
        """SIGTERM; returns the exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.reap(timeout)

    def torc(self, *arguments, check=True, stdin=None):
        """Runs the command torc on this peer."""
        return run(TORC, *arguments, "--socket", self.socket, check=check, stdin=stdin)

    def torc_json(self, *arguments, check=True):
        return json.loads(self.torc(*arguments, "--json", check=check).stdout)


class Net:
    """An overlay with its authority."""

    def __init__(self, algorithm="chord-128-2-8", signature="ecdsa", types=TYPES, num_bootstrap=1):
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix="torc-test-"))
        self.authority = self.dir / "authority"
        self.ports = []
        while len(self.ports) < num_bootstrap:
            self.ports = sorted({*self.ports, free_port()})
        self.port = self.ports[0]
        self.peers = []
        arguments = ["init", self.authority, "--overlay", OVERLAY, "--algorithm", algorithm, "--signature", signature]
        for port in self.ports:
            arguments += ["--bootstrap", f"127.0.0.1:{port}"]
        for text in types:
            arguments += ["--type", text]
        self.algorithm = algorithm
        run(AUTHORITY, *arguments)

    def add(self, name, role="peer", user=None):
        """A new identity with its configuration; the first peers get the ports of the overlay document."""
        at = sum(p.sections["node"]["role"] == "peer" for p in self.peers)
        peer = Peer(self, name, role, self.ports[at] if at < len(self.ports) else 0, user).issue()
        self.peers.append(peer)
        return peer

    def start(self, num, wait=True):
        """Starts `num` peers p1..pN and waits for the whole ring."""
        for i in range(1, num + 1):
            self.add(f"p{i}")
        for peer in self.peers:
            peer.start(wait=False)
        for peer in self.peers:
            peer.connect()
        if wait:
            self.wait_whole()
        return list(self.peers)

    def running(self):
        """The running ring members in ring order."""
        members = [p for p in self.peers if p.is_running and p.sections["node"]["role"] == "peer"]
        return sorted(members, key=lambda p: p.id)

    def why_not_whole(self):
        """What is missing to a whole ring, None if nothing is."""
        ring = self.running()
        want = min(NEIGHBOURS, len(ring) - 1)
        for i, peer in enumerate(ring):
            status = peer.status()
            after = [ring[(i + k) % len(ring)].id for k in range(1, want + 1)]
            before = [ring[(i - k) % len(ring)].id for k in range(1, want + 1)]
            if not status["joined"]:
                return f"{peer.name} is {status['state']}"
            if status["successors"][:want] != after:
                return f"{peer.name} has successors {status['successors']}, not {after}"
            if status["predecessors"][:want] != before:
                return f"{peer.name} has predecessors {status['predecessors']}, not {before}"
        return None

    def wait_whole(self, timeout=60):
        start = time.monotonic()
        wait_for(lambda: self.why_not_whole() is None, timeout, self.why_not_whole)
        return time.monotonic() - start

    def holders(self, resource):
        """The running peers that hold a resource (hex), in ring order from the responsible one."""
        ring = self.running()
        ring = [p for p in ring if p.id >= resource] + [p for p in ring if p.id < resource]
        return [p for p in ring if p.control.call("resource", resource=resource)["held"]]

    def tails(self):
        """The last lines of every log, for a failed test."""
        parts = []
        for peer in self.peers:
            for path in (peer.dir / f"{peer.name}.err", peer.log):
                if path.exists():
                    lines = path.read_text(encoding="utf-8", errors="replace").splitlines()[-15:]
                    parts.append(f"--- {path.name}\n" + "\n".join(line[:300] for line in lines))
        return "\n".join(parts)

    def close(self):
        for peer in self.peers:
            peer.disconnect()
            if peer.is_running:
                peer.process.send_signal(signal.SIGCONT)
                peer.process.kill()
        for peer in self.peers:
            if peer.process:
                peer.process.wait()
        reports = [p.complaint()[-6000:] for p in self.peers if "Sanitizer" in p.complaint()]
        shutil.rmtree(self.dir, ignore_errors=True)
        assert not reports, "\n".join(reports)


def b64(data):
    return base64.b64encode(data).decode()


def value_of(answer):
    """The bytes of the only value of a fetch, None if there is none."""
    values = [v for v in answer["values"] if v["exists"]]
    if not values:
        return None
    assert len(values) == 1, values
    if "value" in values[0]:
        return values[0]["value"].encode()
    return base64.b64decode(values[0]["value_base64"])
