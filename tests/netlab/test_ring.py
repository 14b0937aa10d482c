"""A ring of sixteen real peers behind boxes of every kind; nobody's address is known but the bootstrap peer's."""
import os
import time

import pytest

from labnet import LabNet
from netlab import Lab
from netlab.matrix import PASSWORD, SERVER, SERVER6, USER, make_certificate, start_server
from torcnet import value_of, wait_for  # found by labnet

BOOTSTRAP, BOOTSTRAP6 = "203.0.113.11", "2001:db8::11"
HOMES = {"public": 1, "full-cone": 2, "address": 2, "port": 2, "symmetric": 2, "hairpin": 2, "udp-reject": 1, "udp-drop": 1,
         "tls443": 1, "ipv6-only": 1}
NOTE = 2000  # bytes: more than a datagram


def world():
    lines = ["wan rtt=20ms", f"host server ipv4={SERVER},{BOOTSTRAP} ipv6={SERVER6},{BOOTSTRAP6}"]
    for kind, count in HOMES.items():
        homes = 1 if kind == "hairpin" else count  # those two sit behind one box
        for i in range(homes):
            lines.append(f"box {kind}{i} {kind}")
        for i in range(count):
            lines.append(f"host {kind}-{i} behind {kind}{min(i, homes - 1)}")
    return "\n".join(lines) + "\n"


def put(net, name, host, **nat):
    listen = f"{BOOTSTRAP}:443" if host == "server" else "[::]:6084" if "ipv6" in host else "0.0.0.0:6084"
    peer = net.place(name, host, listen, **nat, **{"turn-user": USER})
    peer.sections["timers"] = {"update-period": "5s", "ping-period": "10s", "keepalive": "5s"}
    peer.sections["log"]["level"] = "debug"
    return peer


@pytest.fixture(name="ring", scope="module")
def one_ring(tmp_path_factory):
    place = tmp_path_factory.mktemp("ring")
    make_certificate(place)
    (place / "password").write_text(PASSWORD + "\n", encoding="utf-8")
    os.chmod(place / "password", 0o600)
    with Lab.from_text(world()) as lab:
        start_server(lab, place)
        net = LabNet(lab, f"{BOOTSTRAP}:443", f"[{BOOTSTRAP6}]:443")
        try:
            common = {"turn-password-file": place / "password", "turn-ca": place / "ca.pem"}
            first = put(net, "p1", "server", **common)
            conf = first.write_conf
            first.write_conf = lambda: add_line(conf(), f"listen = {BOOTSTRAP}:443", f"listen = [{BOOTSTRAP6}]:443")
            net.launch(first).wait_joined(30)
            number = 1
            for kind, count in HOMES.items():
                for i in range(count):
                    number += 1
                    turn = f"turn:[{SERVER6}]:3478" if kind == "ipv6-only" else \
                        f"turns:{SERVER}:443" if kind in ("udp-reject", "udp-drop", "tls443") else f"turn:{SERVER}:3478"
                    net.launch(put(net, f"p{number}", f"{kind}-{i}", turn=turn, **common))
            yield net
        finally:
            net.close()


def add_line(peer, after, line):
    text = peer.conf.read_text(encoding="utf-8")
    peer.conf.write_text(text.replace(after + "\n", f"{after}\n{line}\n"), encoding="utf-8")
    return peer


def everybody_reads_everything(net, token):
    for peer in net.peers:
        peer.control.call("store", name=peer.user, type="note", value=(f"{token} {peer.name} " * NOTE)[:NOTE])
    for reader in net.peers:
        for peer in net.peers:
            answer = reader.control.call("fetch", name=peer.user, type="note")
            assert value_of(answer).decode() == (f"{token} {peer.name} " * NOTE)[:NOTE]


def settle(net, token, seconds):
    """The ring is whole and a value of each peer can be read by each other one."""
    net.wait_whole(seconds)
    deadline = time.monotonic() + seconds
    while True:  # a look-up may still meet a link that nobody knows to be dead
        try:
            everybody_reads_everything(net, token)
            return
        except AssertionError:
            if time.monotonic() > deadline:
                raise


def kinds_of_links(net):
    return {link["kind"] for peer in net.peers for link in peer.control.call("links")["links"]}


@pytest.mark.long
def test_ICE_01_ICE_02_ICE_05_ICE_17_CON_02_sixteen_peers_behind_boxes_of_every_kind(ring):
    settle(ring, "first", 180)
    assert kinds_of_links(ring) == {"tls", "dtls"}


@pytest.mark.long
def test_GAP_77_every_box_forgets_its_mappings(ring):
    ring.lab.forget("all")
    settle(ring, "forgotten", 240)


@pytest.mark.long
def test_GAP_77_a_peer_gets_another_address(ring):
    ring.lab.move("port0")
    settle(ring, "moved", 240)


@pytest.mark.long
def test_GAP_77_a_host_gets_another_address_in_its_network(ring):
    host = "address-0"
    before = ring.lab.address(host)
    ring.lab.move(host)
    assert ring.lab.address(host) != before
    peer = next(p for p in ring.peers if ring.hosts[p.name] == host)
    wait_for(lambda: peer.has_event("io:address_gone"), 30, "the peer has not seen that its address is gone")
    settle(ring, "elsewhere", 240)
