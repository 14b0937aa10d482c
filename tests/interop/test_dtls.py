"""DTLS against OpenSSL's own programs, and as tshark reads it."""
import json
import os
import pathlib
import select
import socket
import struct
import subprocess
import threading

import pytest
from interop_daemons import BUILD, free_ports, program, wait_until

END = str(BUILD / "tests/dtls_end")
IS_SANITIZED = b"__asan_init" in pathlib.Path(END).read_bytes()  # what is freed stays with the process
OVERLAY = "dtls.example.org"
LONG_HELLO = ",".join(letter * 240 for letter in "abcdef")  # as long as with a post-quantum key


class Identities:
    """An overlay's root, and three certificates of it; `wrong` is of another root."""

    def __init__(self, path):
        self.path = path
        for name in "right", "other":
            self.run("torc-authority", "init", path / name, "--overlay", OVERLAY, "--bootstrap", "127.0.0.1:1")
        for i, name in enumerate(("right", "right", "right", "other")):
            self.run("torc-authority", "issue", path / name, "--user", f"user{i}@example.org", "--account", f"user{i}", "--out",
                     path / f"cert{i}")
        self.root = path / "right" / "ca.crt"
        self.wrong = 3

    def run(self, name, *args):
        subprocess.run([program(name), *map(str, args)], capture_output=True, timeout=60, check=True)

    def pair(self, i):
        return str(self.path / f"cert{i}.crt"), str(self.path / f"cert{i}.key")


@pytest.fixture(scope="module")
def identities(tmp_path_factory):
    return Identities(tmp_path_factory.mktemp("dtls"))


class Program:
    """A process whose output is read as it comes."""

    def __init__(self, *command):
        self.process = subprocess.Popen(list(map(str, command)), stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        stderr=subprocess.STDOUT)
        self.text = ""
        self.reader = threading.Thread(target=self.read)
        self.reader.start()

    def read(self):
        while data := os.read(self.process.stdout.fileno(), 65536):  # not by lines: s_server ends none
            self.text += data.decode("utf-8", "replace")

    def say(self, line):
        self.process.stdin.write((line + "\n").encode())
        self.process.stdin.flush()

    def wait_for(self, text, seconds=30):
        wait_until(f"{text!r} in {self.text!r}", lambda: text in self.text, seconds)

    def lines(self):
        return [json.loads(line) for line in self.text.splitlines() if line.startswith("{")]

    def line(self, key):
        return next((line for line in self.lines() if key in line), None)

    def wait_line(self, key, seconds=30):
        return wait_until(f"{key} in the output", lambda: self.line(key), seconds)

    def stop(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(timeout=30)
        self.reader.join(timeout=30)
        self.process.stdin.close()
        self.process.stdout.close()


@pytest.fixture
def start():
    programs = []

    def begin(*command):
        programs.append(Program(*command))
        return programs[-1]

    yield begin
    for one in programs:
        one.stop()


def end(start, identities, what, port, i, *more):
    return start(END, what, "127.0.0.1", port, OVERLAY, identities.root, *identities.pair(i), *more)


def messages(one):
    return [bytes.fromhex(line["message"]).decode() for line in one.lines() if "message" in line]


@pytest.mark.parametrize("more", [[], ["-mtu", "600", "-alpn", LONG_HELLO], ["-mtu", "300"]], ids=["plain", "long hello", "mtu 300"])
def test_TLS_02_GAP_161_s_client(identities, start, more):
    ours = end(start, identities, "accept", 0, 0)
    port = ours.wait_line("port")["port"]
    cert, key = identities.pair(1)
    theirs = start("openssl", "s_client", "-dtls1_2", "-connect", f"127.0.0.1:{port}", "-cert", cert, "-key", key, "-CAfile",
                   identities.root, "-verify_return_error", *more)
    up = ours.wait_line("up")
    assert up["version"] == "DTLSv1.2" and up["cipher"].startswith("ECDHE-ECDSA-AES128-GCM")
    theirs.wait_for("Verify return code: 0 (ok)")
    theirs.say("hello from there")
    wait_until("the message", lambda: messages(ours) == ["hello from there\n"])
    theirs.wait_for("\nhello from there\n")  # and back
    theirs.say("Q")
    ended = ours.wait_line("ended")
    assert ended["why"] == "closed by the other side" and ended["cookies"] >= 1 and ended["alerts_in"] == 0


@pytest.mark.parametrize("more", [[], ["-listen"]], ids=["no cookie", "cookie"])
def test_TLS_02_GAP_161_s_server(identities, start, more):
    port, = free_ports(1)
    cert, key = identities.pair(0)
    theirs = start("openssl", "s_server", "-dtls1_2", "-accept", port, "-4", "-cert", cert, "-key", key, "-CAfile", identities.root, "-Verify",
                   "1", "-verify_return_error", *more)
    theirs.wait_for("ACCEPT")
    ours = end(start, identities, "dial", port, 1)
    assert ours.wait_line("up")["version"] == "DTLSv1.2"
    ours.say("hello from here")
    theirs.wait_for("hello from here")
    theirs.say("hello from there")
    wait_until("the message", lambda: messages(ours) == ["hello from there\n"])
    ours.process.stdin.close()
    assert ours.wait_line("ended")["ended"] == 0


@pytest.mark.parametrize("version", ["-dtls1"])
def test_GAP_161_older_versions_are_refused(identities, start, version):
    ours = end(start, identities, "accept", 0, 0)
    port = ours.wait_line("port")["port"]
    cert, key = identities.pair(1)
    theirs = start("openssl", "s_client", version, "-cipher", "DEFAULT@SECLEVEL=0", "-connect", f"127.0.0.1:{port}", "-cert", cert, "-key",
                   key)
    assert ours.wait_line("ended")["why"] == "unsupported protocol"
    theirs.wait_for("alert protocol version")


def test_TLS_06_no_certificate_no_link(identities, start):
    ours = end(start, identities, "accept", 0, 0)
    theirs = start("openssl", "s_client", "-dtls1_2", "-connect", f"127.0.0.1:{ours.wait_line('port')['port']}")
    assert ours.wait_line("ended")["why"] == "peer did not return a certificate"
    theirs.wait_for("alert handshake failure")


def test_TLS_07_certificate_of_another_root_is_refused(identities, start):
    ours = end(start, identities, "accept", 0, 0)
    cert, key = identities.pair(identities.wrong)
    start("openssl", "s_client", "-dtls1_2", "-connect", f"127.0.0.1:{ours.wait_line('port')['port']}", "-cert", cert, "-key", key)
    assert ours.wait_line("ended")["ended"] < 0
    assert ours.line("up") is None


class Relay:
    """Passes datagrams between who sends first and the port `to`, and keeps them."""

    def __init__(self, to):
        self.there = ("127.0.0.1", to)
        self.sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.sock.bind(("127.0.0.1", 0))
        self.port = self.sock.getsockname()[1]
        self.seen = []
        self.is_over = False
        self.thread = threading.Thread(target=self.run)
        self.thread.start()

    def run(self):
        here = None
        while not self.is_over:
            if not select.select([self.sock], [], [], 0.05)[0]:
                continue
            data, source = self.sock.recvfrom(65536)
            here = source if source != self.there else here
            self.seen.append((source == self.there, data))
            self.sock.sendto(data, here if source == self.there else self.there)

    def stop(self):
        self.is_over = True
        self.thread.join(timeout=10)
        self.sock.close()


def tshark(tmp_path, seen, keys):
    """What tshark says of each datagram: [(from the accepting side, {field: [values]})]."""
    path = tmp_path / "dtls.pcap"
    with open(path, "wb") as out:
        out.write(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 101))  # LINKTYPE_RAW
        for is_back, message in seen:
            ports = (4433, 40000) if is_back else (40000, 4433)
            udp = struct.pack(">HHHH", *ports, 8 + len(message), 0) + message
            ip = struct.pack(">BBHHHBBH4s4s", 0x45, 0, 20 + len(udp), 0, 0, 64, 17, 0, b"\x7f\0\0\1", b"\x7f\0\0\1")
            out.write(struct.pack("<IIII", 0, 0, len(ip + udp), len(ip + udp)) + ip + udp)
    fields = ["dtls.record.version", "dtls.handshake.type", "dtls.handshake.ciphersuite", "dtls.handshake.cookie", "dtls.record.content_type",
              "data.data", "_ws.expert.message", "_ws.malformed"]
    text = subprocess.run(["tshark", "-r", str(path), "-d", "udp.port==4433,dtls", "-o", f"tls.keylog_file:{keys}", "-T", "fields", "-E",
                           "separator=/t", "-E", "occurrence=a", "-E", "aggregator=,", *(word for field in fields for word in ("-e", field))],
                          timeout=120, capture_output=True, text=True, check=True, env={**os.environ, "HOME": str(tmp_path)}).stdout
    rows = [dict(zip(fields, line.split("\t"))) for line in text.splitlines()]
    assert len(rows) == len(seen)
    return list(zip([is_back for is_back, _ in seen], rows))


def test_TLS_02_tshark_reads_handshake_and_records(identities, start, tmp_path):
    keys = tmp_path / "keys"
    accepting = end(start, identities, "accept", 0, 0, "keylog", keys)
    relay = Relay(accepting.wait_line("port")["port"])
    dialling = end(start, identities, "dial", relay.port, 1)
    dialling.wait_line("up")
    dialling.say("what nobody between us reads")
    wait_until("the echo", lambda: messages(dialling) == ["what nobody between us reads"])
    dialling.process.stdin.close()
    accepting.wait_line("ended")
    relay.stop()
    rows = tshark(tmp_path, relay.seen, keys)
    assert not any(row["_ws.malformed"] for _, row in rows), rows
    types = [int(kind) for _, row in rows for kind in row["dtls.handshake.type"].split(",") if kind]
    # ClientHello, HelloVerifyRequest, ClientHello, ServerHello, Certificate, ServerKeyExchange, CertificateRequest,
    # ServerHelloDone, Certificate, ClientKeyExchange, CertificateVerify, Finished, Finished
    assert [kind for kind in types if kind != 11] == [1, 3, 1, 2, 12, 13, 14, 16, 15, 20, 20], types
    assert types.count(11) >= 2
    assert any("c02b" in row["dtls.handshake.ciphersuite"] for is_back, row in rows if is_back)
    cookies = [row["dtls.handshake.cookie"] for _, row in rows if row["dtls.handshake.cookie"]]
    assert len(set(cookies)) == 1 and len(cookies) == 2
    said = [row["data.data"] for _, row in rows if row["data.data"]]
    assert said == [b"what nobody between us reads".hex()] * 2
    assert all(version in ("0xfeff", "0xfefd") for _, row in rows for version in row["dtls.record.version"].split(","))


def test_TLS_02_flood_of_hellos_costs_no_connection(identities, start):
    """A flood from this host without cookies: answered, nothing kept, and who means it is let in."""
    ours = end(start, identities, "accept", 0, 0)
    port = ours.wait_line("port")["port"]
    relay = Relay(port)
    probe = end(start, identities, "dial", relay.port, 1)
    wait_until("a ClientHello", lambda: relay.seen)
    hello = relay.seen[0][1]
    probe.stop()
    relay.stop()
    ours = end(start, identities, "accept", 0, 0)
    port = ours.wait_line("port")["port"]
    status = pathlib.Path(f"/proc/{ours.process.pid}/status")
    before = resident(status)
    answers = 0
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as flood:
        flood.settimeout(5)
        for _ in range(20000):
            flood.sendto(hello, ("127.0.0.1", port))
            answer = flood.recv(2048)
            answers += len(answer) < len(hello) and answer[13] == 3
    assert answers == 20000 and ours.line("up") is None
    assert IS_SANITIZED or resident(status) - before < 512, "KiB"
    end(start, identities, "dial", port, 1).wait_line("up")
    ours.wait_line("up")


def resident(status):
    return int(next(line for line in status.read_text("ascii").splitlines() if line.startswith("VmRSS")).split()[1])
