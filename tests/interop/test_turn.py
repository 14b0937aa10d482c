"""Our TURN client against Debian's coturn over UDP, TCP and TLS, and as tshark reads it."""
import json
import os
import pathlib
import queue
import socket
import subprocess
import threading
import time

import pytest

from coturn import USERS, Coturn
from dissect import dissect

BUILD = pathlib.Path(os.environ.get("TORC_BUILD_DIR", pathlib.Path(__file__).resolve().parents[2] / "build/release"))
END = str(BUILD / "tests/turn_end")
TRANSPORTS = ["udp", "tcp", "tls"]
SECONDS = 30


class End:
    """A client with one allocation."""

    def __init__(self, server, transport="udp", families="4", relays="udp", user="alice", password=None, address="127.0.0.1", port=None):
        port = port or (server.tls_port if transport == "tls" else server.port)
        ca = str(server.certificate) if transport == "tls" else "-"
        self.process = subprocess.Popen([END, address, str(port), transport, user, password or USERS[user], families,
                                         relays, ca], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.lines = []
        self.queue = queue.Queue()
        threading.Thread(target=self.read, daemon=True).start()

    def read(self):
        for line in self.process.stdout:
            self.queue.put(json.loads(line))
        self.queue.put(None)

    def tell(self, *words):
        self.process.stdin.write(" ".join(map(str, words)) + "\n")
        self.process.stdin.flush()

    def wait(self, event, **fields):
        """The next event of that name with these fields; what comes before it stays in `lines`."""
        deadline = time.monotonic() + SECONDS
        while True:
            line = self.queue.get(timeout=max(0.1, deadline - time.monotonic()))
            assert line is not None, self.lines
            self.lines.append(line)
            if line.get("event") == event and all(line[key] == value for key, value in fields.items()):
                return line
            assert line.get("event") != "failed" or event == "failed", line

    def do(self, *words):
        self.tell(*words)
        return self.wait("done")

    def counters(self):
        self.tell("counters")
        return self.wait("counters")

    def sent(self):
        return [bytes.fromhex(line["sent"]) for line in self.lines if "sent" in line]

    def kill(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()


@pytest.fixture
def start():
    ends = []

    def begin(*arguments, **options):
        ends.append(End(*arguments, **options))
        return ends[-1]

    yield begin
    for end in ends:
        end.kill()


@pytest.fixture(scope="module")
def coturn(tmp_path_factory):
    place = tmp_path_factory.mktemp("coturn")
    certificate, key = place / "cert.pem", place / "key.pem"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
                    "-subj", "/CN=turn", "-addext", "subjectAltName=IP:127.0.0.1,IP:::1", "-keyout", str(key), "-out",
                    str(certificate)], check=True, capture_output=True)
    server = Coturn(place, "-L", "::1", "-E", "127.0.0.1", "-E", "::1", tls=(certificate, key))
    server.certificate = certificate
    yield server
    server.stop()


@pytest.fixture
def peer():
    """Makes UDP sockets of peers."""
    sockets = []

    def make(address="127.0.0.1"):
        made = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_DGRAM)
        made.bind((address, 0))
        made.settimeout(SECONDS)
        sockets.append(made)
        return made

    yield make
    for made in sockets:
        made.close()


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_ICE_18_allocation_data_and_end(coturn, start, peer, transport):
    end = start(coturn, transport)
    relayed = tuple(end.wait("allocated")["relayed4"])
    other = peer()
    assert end.do("send", *other.getsockname(), "hello")["rc"] == 0
    data, source = other.recvfrom(2000)
    assert (data, source) == (b"hello", relayed)
    end.wait("permitted", addr=["127.0.0.1", 0])
    other.sendto(b"to you", relayed)
    assert end.wait("data")["text"] == "to you"
    assert end.lines[-1]["addr"] == list(other.getsockname())
    end.tell("close")
    end.wait("closed")
    assert end.process.wait(timeout=SECONDS) == 0


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_ICE_18_channel(coturn, start, peer, transport):
    end = start(coturn, transport)
    relayed = tuple(end.wait("allocated")["relayed4"])
    other = peer()
    assert end.do("bind", *other.getsockname())["rc"] == 0
    deadline = time.monotonic() + SECONDS
    while end.counters()["channels_bound"] == 0:
        assert time.monotonic() < deadline
    for size in (0, 1, 2, 3, 4, 1200):
        assert end.do("burst", *other.getsockname(), 1, size)["rc"] == 0
        assert other.recvfrom(2000) == (b"b" * size, relayed)
        other.sendto(b"a" * size, relayed)
        assert end.wait("data")["length"] == size
    found = end.counters()
    assert found["channel_sent"] == 6 and found["channel_received"] == 6 and found["indication_sent"] == 0
    assert {name: n for name, n in found.items() if "drop" in str(name) and n} == {}


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_ICE_18_both_families(coturn, start, peer, transport):
    end = start(coturn, transport, families="46")
    allocated = end.wait("allocated")
    for address, relayed in (("127.0.0.1", allocated["relayed4"]), ("::1", allocated["relayed6"])):
        other = peer(address)
        assert end.do("send", *other.getsockname()[:2], "hello")["rc"] == 0
        data, source = other.recvfrom(2000)
        assert data == b"hello" and list(source[:2]) == relayed
        other.sendto(b"back", source)
        assert end.wait("data")["addr"] == list(other.getsockname()[:2])


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_ICE_18_server_on_ipv6(coturn, start, peer, transport):
    end = start(coturn, transport, families="46", address="::1")
    allocated = end.wait("allocated")
    assert allocated["mapped"][0] == "::1"
    for address, relayed in (("127.0.0.1", allocated["relayed4"]), ("::1", allocated["relayed6"])):
        other = peer(address)
        end.do("bind", *other.getsockname()[:2])
        end.do("send", *other.getsockname()[:2], "hello")
        data, source = other.recvfrom(2000)
        assert data == b"hello" and list(source[:2]) == relayed


def test_ICE_18_ipv6_alone(coturn, start):
    allocated = start(coturn, families="6").wait("allocated")
    assert "relayed4" not in allocated and allocated["relayed6"][0] == "::1"


def test_ICE_18_a_peer_without_permission_does_not_reach_us(coturn, start, peer):
    end = start(coturn)
    relayed = tuple(end.wait("allocated")["relayed4"])
    other = peer("127.0.0.2")
    other.sendto(b"unasked", relayed)
    mine = peer()
    end.do("send", *mine.getsockname(), "hello")
    assert mine.recvfrom(2000)[0] == b"hello"
    mine.sendto(b"asked", relayed)
    assert end.wait("data")["text"] == "asked"
    assert not [line for line in end.lines if line.get("event") == "data" and line["text"] == "unasked"]


def test_ICE_18_wrong_password(coturn, start):
    failed = start(coturn, password="wrong").wait("failed")
    assert (failed["code"], failed["advice"]) == (401, 2)


@pytest.mark.parametrize("transport", ["udp", "tcp"])
def test_ICE_18_alternate_server(coturn, start, peer, tmp_path, transport):
    first = Coturn(tmp_path, f"--alternate-server=127.0.0.1:{coturn.port}")
    try:
        end = start(first, transport)
        moved = end.wait("moved")
        assert moved["addr"] == ["127.0.0.1", coturn.port]
        end.wait("allocated")
        other = peer()
        end.do("send", *other.getsockname(), "hello")
        assert other.recvfrom(2000)[0] == b"hello"
    finally:
        first.stop()


def test_ICE_18_port_of_a_client_that_crashed(coturn, start):
    end = start(coturn)
    first = end.wait("allocated")["relayed4"]
    end.tell("crash")
    assert end.wait("allocated")["relayed4"] != first
    answers = [line["received"] for line in end.lines if "received" in line]
    assert any(line.startswith("0113") and "00000425" in line for line in answers)


class Nat:
    """A UDP port that forwards to the server, and can forget whom it mapped where."""

    def __init__(self, server):
        self.server = ("127.0.0.1", server.port)
        self.inside = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.inside.bind(("127.0.0.1", 0))
        self.port = self.inside.getsockname()[1]
        self.client = None
        self.forget()
        threading.Thread(target=self.outward, daemon=True).start()

    def forget(self):
        self.outside = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.outside.bind(("127.0.0.1", 0))
        threading.Thread(target=self.inward, args=(self.outside,), daemon=True).start()

    def outward(self):
        while True:
            data, self.client = self.inside.recvfrom(2000)
            self.outside.sendto(data, self.server)

    def inward(self, outside):
        while True:
            data = outside.recv(2000)
            self.inside.sendto(data, self.client)


def test_ICE_18_GAP_77_a_nat_that_forgets_is_noticed(coturn, start):
    nat = Nat(coturn)
    end = start(coturn, port=nat.port)
    end.wait("allocated")
    end.tell("check")
    deadline = time.monotonic() + SECONDS
    while not any(line.get("received", "").startswith("0101") for line in end.lines):
        assert time.monotonic() < deadline
        end.counters()
    nat.forget()
    end.tell("check")
    assert end.wait("failed")["rc"] == -16


def test_ICE_18_quota(coturn, start, tmp_path):
    server = Coturn(tmp_path, "--user-quota=1")
    try:
        start(server).wait("allocated")
        failed = start(server).wait("failed")
        assert (failed["code"], failed["advice"]) == (486, 3)
    finally:
        server.stop()


def test_ICE_18_refresh_with_a_stale_nonce(start, peer, tmp_path):
    """The first lifetime is 4 s at this server and a nonce lives 1 s: Refresh after 2 s, 438, Refresh, and data goes on."""
    server = Coturn(tmp_path, "--max-allocate-lifetime=4", "--stale-nonce=1")
    try:
        end = start(server)
        assert end.wait("allocated")["lifetime"] == 4
        other = peer()
        begin = time.monotonic()
        while not any(line.get("received", "").startswith("0104") for line in end.lines):
            assert time.monotonic() < begin + SECONDS
            end.do("send", *other.getsockname(), "hello")
            assert other.recvfrom(2000)[0] == b"hello"
            time.sleep(0.1)
        assert len([message for message in end.sent() if message[:2] == b"\x00\x04"]) >= 2
        assert any(line.get("received", "").startswith("0114") and "00000426" in line["received"] for line in end.lines)
        while time.monotonic() < begin + 5:
            time.sleep(0.1)
        end.do("send", *other.getsockname(), "past the first lifetime")
        assert other.recvfrom(2000)[0] == b"past the first lifetime"
    finally:
        server.stop()


@pytest.mark.parametrize("transport", ["udp", "tcp"])
def test_ICE_18_allocation_inside_an_allocation(coturn, start, peer, transport):
    end = start(coturn, transport)
    outer = tuple(end.wait("allocated", level="outer")["relayed4"])
    end.tell("nest", "127.0.0.1", coturn.port)
    inner = end.wait("allocated", level="inner")
    assert tuple(inner["mapped"]) == outer and tuple(inner["relayed4"]) != outer
    other = peer()
    end.do("bind", *other.getsockname())
    end.do("send", *other.getsockname(), "through two")
    assert other.recvfrom(2000) == (b"through two", tuple(inner["relayed4"]))
    other.sendto(b"and back", tuple(inner["relayed4"]))
    assert end.wait("data", level="inner")["text"] == "and back"


@pytest.mark.parametrize("transport", ["tcp", "tls"])
def test_ICE_18_GAP_79_relayed_tcp_we_connect(coturn, start, transport):
    end = start(coturn, transport, relays="tcp")
    end.wait("allocated")
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(SECONDS)
        end.do("permit", *listener.getsockname())
        conn = end.do("connect", *listener.getsockname())["conn"]
        theirs, _ = listener.accept()
        with theirs:
            theirs.settimeout(SECONDS)
            theirs.sendall(b"early")
            end.wait("data-up", conn=conn)
            end.tell("write", conn, "hello")
            assert theirs.recv(100) == b"hello"
            assert end.wait("stream", conn=conn)["text"] == "early"
            theirs.sendall(b"back")
            assert end.wait("stream", conn=conn)["text"] == "back"
        end.wait("hung-up", conn=conn)


@pytest.mark.parametrize("transport", ["tcp", "tls"])
def test_ICE_18_GAP_79_relayed_tcp_a_peer_connects(coturn, start, transport):
    end = start(coturn, transport, relays="tcp")
    relayed = tuple(end.wait("allocated")["relayed4"])
    end.do("permit", "127.0.0.1", 9)
    end.wait("permitted")
    with socket.create_connection(relayed, timeout=SECONDS) as theirs:
        opened = end.wait("open", incoming=True)
        assert opened["addr"] == list(theirs.getsockname())
        end.wait("data-up", conn=opened["conn"])
        theirs.sendall(b"knock")
        assert end.wait("stream")["text"] == "knock"
        end.tell("write", opened["conn"], "come in")
        assert theirs.recv(100) == b"come in"
        end.tell("hang-up", opened["conn"])
        try:
            assert theirs.recv(100) == b""
        except ConnectionResetError:
            pass  # that is how coturn closes


def test_ICE_18_relayed_tcp_refused(coturn, start):
    end = start(coturn, "tcp", relays="tcp")
    end.wait("allocated")
    with socket.socket() as taken:  # bound, nobody listens
        taken.bind(("127.0.0.1", 0))
        end.do("permit", *taken.getsockname())
        conn = end.do("connect", *taken.getsockname())["conn"]
        assert end.wait("data-down", conn=conn)["code"] == 447


def test_ICE_18_server_goes_away(start, tmp_path):
    server = Coturn(tmp_path)
    end = start(server, "tcp")
    end.wait("allocated")
    server.process.kill()
    server.process.wait()
    assert end.wait("failed")["rc"] == -16


@pytest.mark.parametrize("transport", ["udp", "tcp"])
def test_ICE_18_tshark_reads_all_of_it(coturn, start, peer, tmp_path, transport):
    end = start(coturn, transport, families="46")
    end.wait("allocated")
    other = peer()
    end.do("send", *other.getsockname(), "hello")
    end.do("bind", *other.getsockname())
    deadline = time.monotonic() + SECONDS
    while end.counters()["channels_bound"] == 0:
        assert time.monotonic() < deadline
    end.do("send", *other.getsockname(), "by channel")
    end.tell("close")
    end.wait("closed")
    sent = end.sent()
    found = dissect(tmp_path, sent)
    for message, fields in zip(sent, found):
        assert not any("malformed" in key or "_ws.expert" in key for key in fields), (message.hex(), fields)
    methods = [fields.get("stun.type.method") for fields in found]
    for method in ("0x0003", "0x0004", "0x0006", "0x0008", "0x0009"):
        assert [method] in methods, methods
    channels = [fields for fields in found if "stun.channel" in fields]
    assert channels and channels[0]["stun.channel"] == ["0x4000"]
    released = [fields for fields in found if fields.get("stun.type.method") == ["0x0004"]][-1]
    assert released["stun.att.lifetime"] == ["0"]


@pytest.mark.parametrize("types", [("relay", "relay"), ("relay", "host"), ("host", "relay"), ("host", "host")], ids="-".join)
@pytest.mark.parametrize("transport", TRANSPORTS)
def test_ICE_18_GAP_75_gathered_candidates_meet(coturn, transport, types):
    """Two agents whose candidates the gatherer found: an allocation is a socket of ICE like any other."""
    port = coturn.tls_port if transport == "tls" else coturn.port
    ca = str(coturn.certificate) if transport == "tls" else "-"
    done = subprocess.run([str(BUILD / "tests/gather_meet"), "127.0.0.1", str(port), transport, "alice", USERS["alice"], ca, *types],
                          capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, (done.stdout, done.stderr)
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    number = {"host": 1, "relay": 4}
    for end, own in zip("ab", types):
        of_end = [line for line in lines if line["end"] == end]
        assert {line["type"] for line in of_end if line["event"] == "candidate"} == {1, 4}
        (selected,) = [line for line in of_end if line["event"] == "selected"]
        assert selected["local_type"] == number[own]
        relayed = [line["addr"] for line in of_end if line["event"] == "candidate" and line["type"] == number[own]]
        assert selected["local"] in relayed
        (received,) = [line for line in of_end if line["event"] == "received"]
        assert received["text"] == f"from {'b' if end == 'a' else 'a'}" and received["from"] == selected["remote"]
