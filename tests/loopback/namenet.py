"""A DNS server and a multicast DNS responder for tests, on loopback ports and in network namespaces.

The DNS server is knotd with a zone of the test's making, signed if the test says so. The responder is a few lines of
Python: it answers one question with what the test gives it.
"""
import os
import shutil
import signal
import socket
import struct
import subprocess
import tempfile
import pathlib

from torcnet import OVERLAY, wait_for

KNOT = """server:
  rundir: {dir}/run
  listen: 127.0.0.1@{port}
log:
  - target: stderr
    any: warning
database:
  storage: {dir}/db
policy:
  - id: own
    algorithm: ecdsap256sha256
    single-type-signing: on
zone:
  - domain: {zone}
    file: {dir}/zone
    zonefile-load: whole
    zonefile-sync: -1
    dnssec-signing: {signed}
    dnssec-policy: own
"""


def free_udp_port():
    """A port that both UDP and TCP have free."""
    while True:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s, socket.socket() as t:
            s.bind(("127.0.0.1", 0))
            try:
                t.bind(s.getsockname())
            except OSError:
                continue
            return s.getsockname()[1]


class Dns:
    """knotd with one zone."""

    def __init__(self, directory, zone=OVERLAY, signed=False):
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix="dns-", dir=directory))
        self.zone = zone
        self.port = free_udp_port()
        self.process = None
        self.signed = signed
        for name in ("run", "db"):
            (self.dir / name).mkdir()
        (self.dir / "knot.conf").write_text(KNOT.format(dir=self.dir, port=self.port, zone=zone,
                                                        signed="on" if signed else "off"), encoding="utf-8")

    @property
    def resolver(self):
        return f"127.0.0.1@{self.port}"

    def kdig(self, *words):
        return subprocess.run(["kdig", "@127.0.0.1", "-p", str(self.port), "+short", "+timeout=1", "+retry=0", *words],
                              capture_output=True, text=True, check=False, timeout=20).stdout.strip()

    def start(self, *records):
        text = f"$ORIGIN {self.zone}.\n$TTL 60\n@ SOA ns hostmaster 1 60 60 600 60\n@ NS ns\nns A 127.0.0.1\n"
        (self.dir / "zone").write_text(text + "\n".join(records) + "\n", encoding="utf-8")
        with open(self.dir / "log", "ab") as log:
            self.process = subprocess.Popen(["knotd", "-c", str(self.dir / "knot.conf")], stdout=log, stderr=log,
                                            stdin=subprocess.DEVNULL)

        def answers():
            assert self.process.poll() is None, (self.dir / "log").read_text(encoding="utf-8")
            return self.kdig(self.zone, "DNSKEY" if self.signed else "SOA")
        wait_for(answers, 20, "the DNS server")
        return self

    def anchor(self):
        """A file with what the zone signs with."""
        path = self.dir / "anchor"
        keys = self.kdig(self.zone, "DNSKEY").splitlines()
        path.write_text("".join(f"{self.zone}. 60 IN DNSKEY {key}\n" for key in keys), encoding="utf-8")
        return path

    def stop(self):
        if self.process is not None:
            self.process.send_signal(signal.SIGTERM)
            self.process.wait(timeout=20)
            self.process = None
        shutil.rmtree(self.dir, ignore_errors=True)


# ---- multicast DNS ----

def dns_name(name):
    return b"".join(bytes([len(part)]) + part.encode() for part in name.split(".")) + b"\0"


def srv(priority, weight, port, target):
    return 33, struct.pack("!HHH", priority, weight, port) + dns_name(target)


def a(address):
    return 1, socket.inet_aton(address)


def ptr(name):
    return 12, dns_name(name)


def serve_multicast(records, address, ready):
    """Answers questions on 224.0.0.251 at `address` for ever. records: {(name, type): [(type, data)...]}"""
    group, port = "224.0.0.251", 5353
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    s.bind(("", port))
    s.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, socket.inet_aton(group) + socket.inet_aton(address))
    s.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton(address))
    s.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_TTL, 255)
    os.write(ready, b"!")
    while True:
        packet, _ = s.recvfrom(9000)
        flags, questions = struct.unpack("!HH", packet[2:6])
        at = 12
        for _ in range(0 if flags & 0x8000 else questions):
            labels = []
            while packet[at] != 0 and packet[at] < 64:
                labels.append(packet[at + 1:at + 1 + packet[at]].decode())
                at += 1 + packet[at]
            at += 1 if packet[at] == 0 else 2
            kind = struct.unpack("!H", packet[at:at + 2])[0]
            at += 4
            name = ".".join(labels)
            found = records.get((name.lower(), kind), [])
            if found:
                answer = struct.pack("!HHHHHH", 0, 0x8400, 0, len(found), 0, 0)
                for of, data in found:
                    answer += dns_name(name) + struct.pack("!HHIH", of, 1, 60, len(data)) + data
                s.sendto(answer, (group, port))
