"""STUN against Debian's coturn (its client and its server), and as tshark reads it."""
import json
import os
import pathlib
import re
import socket
import struct
import subprocess
import time

import pytest

BUILD = pathlib.Path(os.environ.get("TORC_BUILD_DIR", pathlib.Path(__file__).resolve().parents[2] / "build/release"))
END = str(BUILD / "tests/stun_end")
REALM = "example.org"
# coturn refuses UTF-8 with bytes 0x80 to 0x9f, which it takes for controls of Latin-1.
USERS = {"alice": "secret", "jörg": "grün"}


def run_end(*arguments, expect=0):
    """The lines that stun_end printed."""
    done = subprocess.run([END, *map(str, arguments)], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == expect, (done.stdout, done.stderr)
    return [json.loads(line) for line in done.stdout.splitlines()]


def results(lines):
    return [line for line in lines if "rc" in line]


class Server:
    """Our answers to Binding requests."""

    def __init__(self, address):
        self.process = subprocess.Popen([END, "serve", address], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.port = json.loads(self.process.stdout.readline())["port"]

    def stop(self):
        self.process.stdin.close()
        lines = [json.loads(line) for line in self.process.stdout]
        assert self.process.wait(timeout=30) == 0
        return lines


@pytest.fixture
def serve():
    servers = []

    def start(address):
        servers.append(Server(address))
        return servers[-1]

    yield start
    for server in servers:
        if server.process.poll() is None:
            server.process.kill()
            server.process.wait()


def free_port():
    """A port of 127.0.0.1 that is free for UDP and TCP."""
    for _ in range(50):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp, socket.socket() as tcp:
            udp.bind(("127.0.0.1", 0))
            try:
                tcp.bind(udp.getsockname())
            except OSError:
                continue
            return udp.getsockname()[1]
    raise AssertionError("no free port")


def is_up(port):
    with socket.socket() as tcp:
        return tcp.connect_ex(("127.0.0.1", port)) == 0


@pytest.fixture(scope="module", params=[600, 1], ids=["nonce-600s", "nonce-1s"])
def coturn(request, tmp_path_factory):
    """(port, seconds a nonce lives) of Debian's TURN server with long-term credentials."""
    place = tmp_path_factory.mktemp("coturn")
    for _ in range(5):
        port = free_port()
        users = [word for user, password in USERS.items() for word in ("-u", f"{user}:{password}")]
        command = ["turnserver", "-n", "--no-cli", "--no-tls", "--no-dtls", "-L", "127.0.0.1", "-p", str(port), "-a",
                   "-r", REALM, *users, f"--stale-nonce={request.param}", "--allow-loopback-peers",
                   "--pidfile", str(place / "pid"), "--log-file", str(place / "log"), "--simple-log",
                   "--db", str(place / "db"), "--relay-threads", "1"]
        with open(place / "out", "w", encoding="utf-8") as out:
            process = subprocess.Popen(command, stdout=out, stderr=out, cwd=place)
        deadline = time.monotonic() + 30
        while not is_up(port) and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.05)
        if process.poll() is None:
            break
    assert is_up(port), (place / "out").read_text(encoding="utf-8")
    yield port, request.param
    process.terminate()
    process.wait(timeout=30)


@pytest.mark.parametrize("address", ["127.0.0.1", "::1"])
def test_ICE_08_client_of_coturn_asks_us(serve, address):
    server = serve(address)
    done = subprocess.run(["turnutils_stunclient", "-p", str(server.port), address], capture_output=True, text=True,
                          timeout=60, check=False)
    lines = server.stop()
    asked = [line["received"] for line in lines if "received" in line]
    assert asked and any("sent" in line for line in lines)
    found = re.search(r"UDP reflexive addr: (\S+):(\d+)", done.stdout)
    assert done.returncode == 0 and found, done.stdout + done.stderr
    assert found.group(1).strip("[]") == address


def test_ICE_07_our_client_asks_our_server(serve):
    server = serve("127.0.0.1")
    (result,) = results(run_end("bind", "127.0.0.1", server.port, "udp"))
    assert result["mapped"][0] == "127.0.0.1"
    server.stop()


@pytest.mark.parametrize("transport", ["udp", "tcp"])
def test_ICE_07_we_ask_coturn(coturn, transport):
    (result,) = results(run_end("bind", "127.0.0.1", coturn[0], transport))
    assert result["mapped"][0] == "127.0.0.1"


@pytest.mark.parametrize("user", USERS)
@pytest.mark.parametrize("transport", ["udp", "tcp"])
def test_ICE_18_long_term_credentials_with_coturn(coturn, transport, user):
    (result,) = results(run_end("allocate", "127.0.0.1", coturn[0], transport, user, USERS[user]))
    assert result["rc"] == 0 and "relayed" in result
    # One request without credentials, one with; over UDP and with nonces of a second a slow machine needs more.
    assert result["num_sends"] == 2 or (result["num_sends"] > 2 and (transport, coturn[1]) != ("tcp", 600))


@pytest.mark.parametrize("user, password", [("alice", "wrong"), ("nobody", "secret")])
def test_ICE_18_coturn_refuses_wrong_credentials_once(coturn, user, password):
    (result,) = results(run_end("allocate", "127.0.0.1", coturn[0], "tcp", user, password, expect=1))
    assert result["code"] == 401 and result["num_sends"] == 2


@pytest.mark.parametrize("coturn", [1], ids=["nonce-1s"], indirect=True)
def test_ICE_18_stale_nonce_of_coturn(coturn):
    lines = run_end("stale", "127.0.0.1", coturn[0], "udp", "alice", "secret")
    assert all(result["rc"] == 0 for result in results(lines))
    assert any(re.match("0114.*0009....00000426", line.get("received", "")) for line in lines), lines


def dissect(tmp_path, messages):
    """What tshark says of each message, {field: [values]}; the messages as UDP datagrams to port 3478 in a pcap file."""
    path = tmp_path / "messages.pcap"
    with open(path, "wb") as out:
        out.write(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 101))  # LINKTYPE_RAW
        for message in messages:
            udp = struct.pack(">HHHH", 40000, 3478, 8 + len(message), 0) + message
            ip = struct.pack(">BBHHHBBH4s4s", 0x45, 0, 20 + len(udp), 0, 0, 64, 17, 0, b"\x7f\0\0\1", b"\x7f\0\0\1")
            out.write(struct.pack("<IIII", 0, 0, len(ip + udp), len(ip + udp)) + ip + udp)
    text = subprocess.run(["tshark", "-r", str(path), "-T", "json", "--no-duplicate-keys", "-J", "stun"], timeout=120,
                          capture_output=True, text=True, check=True, env={**os.environ, "HOME": str(tmp_path)}).stdout
    found = []
    for packet in json.loads(text):
        fields = {}
        collect(packet["_source"]["layers"].get("stun", {}), fields)
        found.append(fields)
    return found


def collect(tree, fields):
    for key, value in tree.items():
        for item in value if isinstance(value, list) else [value]:
            if isinstance(item, dict):
                fields.setdefault(key, [])
                collect(item, fields)
            else:
                fields.setdefault(key, []).append(item)


def test_ICE_07_tshark_reads_our_messages(tmp_path):
    named = {key: bytes.fromhex(value) for line in run_end("messages") for key, value in line.items()}
    found = dict(zip(named, dissect(tmp_path, named.values())))
    assert set(found) == {"check", "allocated", "challenge", "send"}
    for name, fields in found.items():
        assert not any("malformed" in key or "_ws.expert" in key for key in fields), (name, fields)
        assert fields["stun.att.crc32.status"] == ["1"], (name, fields)
    check = found["check"]
    assert check["stun.att.username"] == ["them:us"]
    assert check["stun.att.priority"] == ["2130706431"]
    assert check["stun.att.tie-breaker"] == ["01:02:03:04:05:06:07:08"]
    assert {"0x0025", "0x0008", "0x001c"} <= set(check["stun.att.type"])
    assert found["allocated"]["stun.att.ipv6"] == ["2001:db8::7"]
    assert "192.0.2.1" in found["allocated"]["stun.att.ipv4"]
    assert found["allocated"]["stun.att.lifetime"] == ["600"]
    assert found["challenge"]["stun.att.error.reason"] == ["Unauthenticated"]
    assert found["challenge"]["stun.att.realm"] == [REALM]
    assert found["send"]["stun.att.ipv4"] == ["192.0.2.1"]


def test_ICE_07_tshark_reads_a_login(coturn, tmp_path):
    lines = run_end("allocate", "127.0.0.1", coturn[0], "udp", "alice", "secret")
    sent = [bytes.fromhex(line["sent"]) for line in lines if "sent" in line]
    first, *_, second = dissect(tmp_path, sent)
    assert "stun.att.username" not in first
    assert second["stun.att.username"] == ["alice"] and second["stun.att.realm"] == [REALM]
    assert "stun.att.hmac" in second
