"""Rings whose links are what ICE found when TCP is not offered, or nothing but relayed addresses of Debian's coturn."""
import pathlib
import subprocess
import sys
import time

import pytest

from coturn import Coturn

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "loopback"))
from torcnet import Net, value_of, wait_for  # noqa: E402


@pytest.fixture(name="net")
def one_net():
    net = Net()
    yield net
    net.close()


@pytest.fixture(scope="module", name="relay")
def one_relay(tmp_path_factory):
    place = tmp_path_factory.mktemp("coturn")
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
                    "-subj", "/CN=relay", "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(place / "key.pem"),
                    "-out", str(place / "cert.pem")], check=True, capture_output=True)
    server = Coturn(place, tls=(place / "cert.pem", place / "key.pem"))
    server.certificate = place / "cert.pem"
    (place / "password").write_text("secret\n", encoding="utf-8")
    (place / "password").chmod(0o600)
    server.password = place / "password"
    yield server
    server.stop()


def kinds(peer):
    return sorted({link["kind"] for link in peer.control.call("links")["links"]})


def store_and_fetch(net):
    """A value of each peer, read by each other one; long ones too, which need fragments on links of datagrams."""
    for peer in net.peers:
        value = (peer.name * 4000)[:3500]
        peer.control.call("store", name=peer.user, type="note", value=value)
    for reader in net.peers:
        for peer in net.peers:
            answer = reader.control.call("fetch", name=peer.user, type="note")
            assert value_of(answer) == (peer.name * 4000)[:3500].encode()


def test_ICE_01_ICE_17_TLS_02_TLS_05_FRG_02_a_ring_over_udp(net):
    for i in range(6):
        peer = net.add(f"p{i + 1}")
        peer.sections["nat"] = {"candidates": "udp"}
    net.start(0)
    for peer in net.peers:
        peer.start().wait_joined()
    net.wait_whole()
    store_and_fetch(net)
    wait_for(lambda: any("dtls" in kinds(p) for p in net.peers), 30, "no link of datagrams")
    assert sum(p.counters().get("io_pairs_udp", 0) for p in net.peers) > 6
    assert sum(p.counters().get("io_pairs_tcp", 0) for p in net.peers) == 0


@pytest.mark.parametrize("path", ["udp", "tcp", "tls"])
def test_ICE_05_ICE_18_GAP_79_a_ring_over_relayed_addresses(net, relay, path):
    uri = {"udp": f"turn:127.0.0.1:{relay.port}", "tcp": f"turn:127.0.0.1:{relay.port}?transport=tcp",
           "tls": f"turns:127.0.0.1:{relay.tls_port}"}[path]
    for i in range(4):
        peer = net.add(f"p{i + 1}")
        peer.sections["nat"] = {"candidates": "relay", "turn": uri, "turn-user": "alice",
                                "turn-password-file": relay.password, "turn-ca": relay.certificate}
    net.start(0)
    for peer in net.peers:
        peer.start().wait_joined()
    net.wait_whole()
    store_and_fetch(net)
    assert sum(p.counters().get("io_pairs_udp", 0) for p in net.peers) > 2
    assert sum(p.counters().get("io_pairs_tcp", 0) for p in net.peers) == 0


@pytest.mark.parametrize("change, expected", [
    ({"turn": "turn:127.0.0.1:1?transport=sctp"}, "is no server"),
    ({"stun": "turn:127.0.0.1"}, "is not a STUN server"),
    ({"turn": "stun:127.0.0.1"}, "is not a TURN server"),
    ({"candidates": "relay"}, "there is no TURN server"),
    ({"candidates": "some"}, "all, relay or udp"),
    ({"turn-password-file": "/nowhere/password"}, "cannot be read"),
])
def test_ICE_18_configurations_that_cannot_work(net, change, expected):
    peer = net.add("p1")
    peer.sections["nat"] = change
    assert expected in peer.refuses_to_start(code=2)


def test_ICE_18_a_password_that_others_may_read(net, relay, tmp_path):
    secret = tmp_path / "password"
    secret.write_text("secret\n", encoding="utf-8")
    secret.chmod(0o644)
    peer = net.add("p1")
    peer.sections["nat"] = {"turn": f"turn:127.0.0.1:{relay.port}", "turn-password-file": secret}
    assert "chmod 600" in peer.refuses_to_start(code=2)


def test_ICE_18_certificates_that_are_none(net, relay, tmp_path):
    """A file cut short is told at the start, not when the relay is needed."""
    cut = tmp_path / "cut.pem"
    cut.write_bytes(relay.certificate.read_bytes()[:200])
    peer = net.add("p1")
    peer.sections["nat"] = {"turn": f"turns:127.0.0.1:{relay.tls_port}", "turn-ca": cut}
    assert f"{cut} holds no certificates" in peer.refuses_to_start(code=2)


def test_GAP_79_a_wrong_password_is_told_with_the_server(net, relay, tmp_path):
    secret = tmp_path / "password"
    secret.write_text("wrong\n", encoding="utf-8")
    secret.chmod(0o600)
    peer = net.add("p1")
    peer.sections["nat"] = {"turn": f"turn:127.0.0.1:{relay.port}", "turn-user": "alice", "turn-password-file": secret}
    peer.start().wait_joined()
    wait_for(lambda: peer.has_event("turn:failed"), 20, "not told")
    said = next(event for event in peer.events() if event["event"] == "turn:failed")
    assert (said["level"], said["server"], said["port"], said["code"]) == ("warn", "127.0.0.1", relay.port, 401)
    assert "user name and password" in said["fix"]


def test_ICE_18_a_server_that_is_not_there_is_told_and_does_no_harm(net):
    peer = net.add("p1")
    peer.sections["nat"] = {"turn": "turns:127.0.0.1:1", "stun": "stun:no-such-host.invalid"}
    peer.start().wait_joined()
    wait_for(lambda: peer.has_event("io:turn_unreachable"), 20, "not told that the relay is not there")
    wait_for(lambda: peer.has_event("io:server_not_found"), 20, "not told that the name is not known")
    started = time.monotonic()
    assert peer.control.call("ping", route=[peer.id])["responder"] == peer.id
    assert time.monotonic() - started < 5
