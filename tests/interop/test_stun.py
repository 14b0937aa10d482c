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

from coturn import REALM, USERS, Coturn
from dissect import dissect

BUILD = pathlib.Path(os.environ.get("TORC_BUILD_DIR", pathlib.Path(__file__).resolve().parents[2] / "build/release"))
END = str(BUILD / "tests/stun_end")


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


@pytest.fixture(scope="module", params=[600, 1], ids=["nonce-600s", "nonce-1s"])
def coturn(request, tmp_path_factory):
    """(port, seconds a nonce lives) of Debian's TURN server with long-term credentials."""
    server = Coturn(tmp_path_factory.mktemp("coturn"), f"--stale-nonce={request.param}")
    yield server.port, request.param
    server.stop()


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
