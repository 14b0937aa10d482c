"""Real overlays for the tests of this directory: certificates of torc-authority, peers of torcd, in a directory of
their own that goes with them."""

import json
import os
import pathlib
import shutil
import socket
import subprocess
import tempfile
import time

import peer
import wire

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get("TORC_BUILD_DIR", ROOT / "build" / "release"))
START_S = 60

# id: name, model, access, values, bytes each, longest lifetime in seconds, find
NOTE, PHOTO, STATUS, PLACE, SEAT, BLOB, DIARY, BRIEF = range(0xF00001, 0xF00009)
TYPES = {
    NOTE: "note,dictionary,user-match,10,4096,604800,find",
    PHOTO: "photo,array,user-match,10,4096,604800",
    STATUS: "status,single,user-match,1,200,604800,find",
    PLACE: "place,single,node-match,1,200,604800,find",
    SEAT: "seat,single,node-multiple,1,200,604800",
    BLOB: "blob,dictionary,user-match,10,60000,604800",
    DIARY: "diary,dictionary,user-node-match,10,4096,604800",
    BRIEF: "brief,single,user-match,1,200,5",
}


def program(name):
    path = BUILD / name
    assert path.exists(), f"{path} is not built; TORC_BUILD_DIR names the build directory"
    return str(path)


def free_ports(count):
    sockets = [socket.socket() for _ in range(count)]
    for sock in sockets:
        sock.bind(("127.0.0.1", 0))
    ports = [sock.getsockname()[1] for sock in sockets]
    for sock in sockets:
        sock.close()
    return ports


def wait_until(what, condition, seconds=20.0):
    """Polls `condition` until it is true; `what` is said if it never is."""
    end = time.monotonic() + seconds
    while True:
        result = condition()
        if result:
            return result
        assert time.monotonic() < end, f"not within {seconds} s: {what}"
        time.sleep(0.02)


class Ring:
    """An overlay of `num_peers` peers. The first one founds it; `config` is added to each torcd.conf."""

    def __init__(self, num_peers, init=(), config=""):
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix="torc-interop-"))
        self.name = "interop.example.org"
        self.processes = []
        self.ports = free_ports(num_peers)
        self.num_certs = 0
        self.authority = self.dir / "authority"
        self.config = config
        try:
            types = [word for number, rest in TYPES.items() for word in ("--type", f"0x{number:06X},{rest}")]
            self.run("torc-authority", "init", self.authority, "--overlay", self.name, "--bootstrap",
                     f"127.0.0.1:{self.ports[0]}", *types, *init)
            self.document = self.authority / "overlay.xml"
            self.overlay = peer.Overlay.read(self.document)
            self.certs = [self.issue(f"peer{i}@example.org") for i in range(num_peers)]
            self.peer_ids = [peer.Own(*pair, self.overlay).peer_id for pair in self.certs]
            for i in range(num_peers):
                self.start(i)
            self.wait_for_ring()
        except BaseException:
            self.stop()
            raise

    def run(self, name, *args):
        done = subprocess.run([program(name), *map(str, args)], capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, f"{name} {args}: {done.stderr}"
        return done.stdout

    def issue(self, *users):
        """(certificate, key) of a new account with these user names."""
        self.num_certs += 1
        prefix = self.dir / f"cert{self.num_certs}"
        names = [word for user in users for word in ("--user", user)]
        self.run("torc-authority", "issue", self.authority, *names, "--account", users[0], "--out", prefix)
        return prefix.with_suffix(".crt"), prefix.with_suffix(".key")

    def member(self, *users):
        return peer.Own(*self.issue(*users), self.overlay)

    def start(self, i):
        state = self.dir / f"state{i}"
        state.mkdir(exist_ok=True)
        cert, key = self.certs[i]
        config = self.dir / f"torcd{i}.conf"
        config.write_text(
            f"[overlay]\nfile = {self.document}\n[identity]\ncert = {cert}\nkey = {key}\n"
            f"[node]\nlisten = 127.0.0.1:{self.ports[i]}\nstate-dir = {state}\n"
            f"[control]\nsocket = {state}/control\n[log]\nlevel = debug\nformat = json\n{self.config}\n", "utf-8")
        with open(self.dir / f"torcd{i}.log", "ab") as log:
            self.processes.append(subprocess.Popen([program("torcd"), "--config", str(config)], stdin=subprocess.DEVNULL,
                                                   stdout=log, stderr=log))

    def log(self, i):
        """Events of a peer so far."""
        events = []
        for line in (self.dir / f"torcd{i}.log").read_text("utf-8", "replace").splitlines():
            if line.startswith("{"):
                events.append(json.loads(line))
        return events

    def has_joined(self, i):
        code = self.processes[i].poll()
        assert code is None, (f"torcd {i} ended with {code}: " +
                              (self.dir / f"torcd{i}.log").read_text("utf-8", "replace")[-500:])
        return any(event.get("event") == "torcd:joined" for event in self.log(i))

    def wait_for_ring(self):
        for i in range(len(self.ports)):
            wait_until(f"peer {i} joins", lambda i=i: self.has_joined(i), START_S)
        probe = self.member("probe@example.org")
        for i in range(len(self.ports)):
            with peer.Client(self.overlay, probe) as client:
                client.connect(self.address(i))
                wait_until(f"the ring seen from peer {i} is whole", lambda: self.is_whole(client), START_S)

    def is_whole(self, client):
        for peer_id in self.peer_ids:
            if client.ping([wire.next_id(peer_id)], timeout=5).peer_id != self.responsible(wire.next_id(peer_id)):
                return False
        return True

    def address(self, i):
        return ("127.0.0.1", self.ports[i])

    def clockwise(self, resource):
        """Indexes of the peers, the one responsible for `resource` first."""
        start = int.from_bytes(resource, "big")
        return sorted(range(len(self.peer_ids)),
                      key=lambda i: (int.from_bytes(self.peer_ids[i], "big") - start) % (1 << 128))

    def responsible(self, resource):
        return self.peer_ids[self.clockwise(resource)[0]]

    def stop(self):
        for process in self.processes:
            process.terminate()
        for process in self.processes:
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        shutil.rmtree(self.dir, ignore_errors=True)
