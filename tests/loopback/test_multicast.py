"""Peers that find the ring by a multicast group, on the loopback interface: real daemons, real datagrams."""
import os
import random
import re
import socket
import struct
import subprocess
import sys

import pytest
from torcnet import free_port, run, wait_for, AUTHORITY

FAMILIES = {"IPv4": ("239.255", socket.AF_INET, "127.0.0.1"), "IPv6": ("ff15", socket.AF_INET6, "fd00::1")}


def free_group(family):
    """A group and port that no other test uses at this moment."""
    if family == "IPv4":
        return f"239.255.{random.randrange(1, 255)}.{random.randrange(1, 255)}", free_port()
    return f"ff15::{random.randrange(1, 0xffff):x}:{random.randrange(1, 0xffff):x}", free_port()


def text_of(host, port):
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


class Ring:
    """Three members, of whom the second and third run on: the one that the document lists is gone."""

    def __init__(self, net, family="IPv4"):
        self.net = net
        self.family = family
        self.group, self.port = free_group(family)
        run(AUTHORITY, "config", "set", net.authority, "--bootstrap", f"127.0.0.1:{net.port}",
            "--bootstrap", text_of(self.group, self.port))
        first, self.second, self.other = (self.member(name) for name in ("p1", "p2", "p3"))
        for peer in net.peers:
            peer.start()
        net.wait_whole()
        first.kill()
        first.process.wait()
        net.wait_whole()

    def member(self, name):
        peer = self.net.add(name)
        if self.family == "IPv6":
            peer.sections["node"]["listen"] += "\nlisten = [fd00::1]:0"
        return peer

    def socket(self):
        """One that sends to the group as others on this link may."""
        _, family, host = FAMILIES[self.family]
        s = socket.socket(family, socket.SOCK_DGRAM)
        if family == socket.AF_INET:
            s.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton(host))
        else:
            s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_IF, struct.pack("@I", socket.if_nametoindex("lo")))
        s.bind((host, 0))
        s.settimeout(2)
        return s

    def member_socket(self):
        """One that hears what is sent to the group."""
        s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        s.bind((self.group, self.port))
        s.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP,
                     socket.inet_aton(self.group) + socket.inet_aton("127.0.0.1"))
        s.settimeout(20)
        return s

    def counter(self, name):
        """Of both members together."""
        return sum(peer.counters()[f"io_multicast_{name}"] for peer in (self.second, self.other))


@pytest.fixture(name="ring")
def ring_fixture(make_net):
    return Ring(make_net())


def needs_route(family):
    """IPv6 has no multicast over the loopback interface: the test below makes a place with others."""
    if family == "IPv6" and "TORC_TEST_NAMESPACE" not in os.environ:
        pytest.skip("run by test_BST_05_GAP_69_in_a_namespace_with_several_interfaces")


@pytest.mark.parametrize("family", FAMILIES)
def test_BST_05_BST_06_BST_08_GAP_69_ENR_24_a_peer_joins_by_the_group(make_net, family):
    """The listed bootstrap peer is dead, nobody is cached: only the group leads to the ring."""
    needs_route(family)
    ring = Ring(make_net(), family)
    joiner = ring.member("p4").start()
    joiner.wait_joined()
    ring.net.wait_whole()
    assert joiner.has_event("bootstrap:discovered")
    assert not joiner.has_event("bootstrap:founds")
    assert ring.counter("answered") >= 1
    counters = joiner.counters()
    assert counters["io_multicast_answers"] >= 1
    assert counters["io_multicast_asks"] >= 1
    client = ring.net.add("c1", role="client").start()
    wait_for(lambda: client.status()["joined"], 40, "the client in the overlay")


def test_GAP_69_a_member_listens_only_where_it_takes_links_and_a_client_nowhere(ring):
    listens = [e for e in ring.second.events() if e["event"] == "io:multicast_listens"]
    assert [(e["group"], e["interface"]) for e in listens] == [(text_of(ring.group, ring.port), "lo")]
    client = ring.net.add("c1", role="client").start()
    wait_for(lambda: client.status()["joined"], 40, "the client in the overlay")
    assert not client.has_event("io:multicast_listens")


def captured(ring):
    """A genuine question, after it and its copy have been answered and its sender has joined; and the answers so far."""
    heard = ring.member_socket()
    joiner = ring.member("p4").start()
    question = heard.recv(2000)
    heard.close()
    joiner.wait_joined()
    joiner.kill()
    joiner.process.wait()
    wait_for(lambda: ring.counter("questions") == ring.counter("answered") + ring.counter("not_joined"), 20,
             "every question of p4 answered")
    return question, ring.counter("answered")


def test_BST_07_GAP_69_garbage_and_foreign_questions_are_met_with_silence(ring):
    """Noise, a cut question, a forged one, one of another overlay: counted, no answer, and the ring goes on."""
    question, before = captured(ring)
    flipped = bytearray(question)
    flipped[20] ^= 1   # the transaction: the signature no longer fits
    other = bytearray(question)
    other[4] ^= 1      # the overlay
    with ring.socket() as s:
        for what in (b"", b"\x00", b"RELO" * 300, question[:-1], bytes(flipped), bytes(other), random.randbytes(1452)):
            s.sendto(what, (ring.group, ring.port))
        wait_for(lambda: ring.counter("other_overlay") >= 2 and ring.counter("refused") >= 2, 20, ring.second.counters)
        wait_for(lambda: ring.counter("bad_format") >= 8, 20, ring.second.counters)
        with pytest.raises(socket.timeout):
            s.recv(2000)
    assert ring.counter("answered") == before
    assert ring.second.status()["joined"]


def test_GAP_69_a_captured_question_is_answered_once_and_never_to_many(ring):
    """Somebody sends a member's question again and again, for an address that never asked; then forged ones."""
    question, before = captured(ring)
    sent = 0

    def more(forged):
        nonlocal sent
        for _ in range(20):
            sent += 1
            what = question[:16] + struct.pack(">Q", sent) + question[24:] if forged else question
            s.sendto(what, (ring.group, ring.port))

    with ring.socket() as s:
        wait_for(lambda: more(False) or ring.counter("repeated") >= 200, 20, ring.second.counters)
        assert ring.counter("refused") == 0  # without looking at a signature
        wait_for(lambda: more(True) or ring.counter("rate_limited") >= 200, 20, ring.second.counters)
        with pytest.raises(socket.timeout):
            s.recv(2000)
    assert ring.counter("answered") == before
    last = ring.member("p5").start()  # the flood is over, others are served
    last.wait_joined()


def test_GAP_69_GAP_59_who_is_not_in_the_ring_does_not_answer(make_net):
    """Two peers that look for a ring hear each other and say nothing; neither is taken for the way in."""
    net = make_net()
    group, port = free_group("IPv4")
    run(AUTHORITY, "config", "set", net.authority, "--bootstrap", f"127.0.0.1:{net.port}",
        "--bootstrap", text_of(group, port))
    net.add("p1")
    a, b = net.add("p2").start(), net.add("p3").start()
    wait_for(lambda: min(p.counters()["io_multicast_not_joined"] for p in (a, b)) >= 1, 40, "both heard a question")
    assert all(p.counters()["io_multicast_answered"] == 0 and not p.status()["joined"] for p in (a, b))
    net.peers[0].start()
    for peer in net.peers:
        peer.wait_joined()
    net.wait_whole()


def test_GAP_69_own_questions_are_ignored(ring):
    """A member that asks again, as it does when it has lost the ring, hears itself."""
    joiner = ring.member("p4").start()
    joiner.wait_joined()
    wait_for(lambda: joiner.counters()["io_multicast_own"] >= 1, 20, "its own question came back")


def test_ENR_23_GAP_130_a_group_of_a_new_document_is_listened_at(make_net):
    net = make_net()
    peer = net.start(1)[0]
    group, port = free_group("IPv4")
    run(AUTHORITY, "config", "set", net.authority, "--bootstrap", f"127.0.0.1:{net.port}",
        "--bootstrap", text_of(group, port))
    said = peer.torc("config", "reload").stdout
    assert re.search(rf"multicast-bootstrap {re.escape(group)} port {port} is new", said)
    wait_for(lambda: peer.has_event("io:multicast_listens"), 20, "listening")


NAMESPACE = """
ip link set lo up && ip link add v0 type veth peer name v1 && ip link set v1 up && ip link set v0 up &&
ip -6 addr add fd00::1/64 dev v0 nodad && ip link add v2 type veth peer name v3 && ip link set v3 up && ip link set v2 up &&
ip -6 addr add fd01::1/64 dev v2 nodad || exit 1
exec "$@"
"""


def test_BST_05_GAP_69_in_a_namespace_with_several_interfaces():
    """This file's IPv6 tests, where there are interfaces for them."""
    if subprocess.run(["unshare", "-Urn", "true"], check=False, capture_output=True).returncode != 0:
        pytest.skip("network namespaces cannot be made here")
    done = subprocess.run(["unshare", "-Urn", "sh", "-c", NAMESPACE, "sh", sys.executable, "-m", "pytest", "-q",
                           "-p", "no:cacheprovider", __file__, "-k", "IPv6"], capture_output=True, text=True,
                          check=False, env={**os.environ, "TORC_TEST_NAMESPACE": "1"}, timeout=280)
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
    assert " passed" in done.stdout and "skipped" not in done.stdout


def test_ENR_24_GAP_69_IPv6_every_interface_of_a_wildcard_address(make_net):
    """A member that takes links everywhere listens on each interface."""
    needs_route("IPv6")
    net = make_net()
    group, port = free_group("IPv6")
    run(AUTHORITY, "config", "set", net.authority, "--bootstrap", f"127.0.0.1:{net.port}",
        "--bootstrap", text_of(group, port))
    peer = net.add("p1")
    peer.sections["node"]["listen"] = f"127.0.0.1:{net.port}\nlisten = [::]:0"
    peer.start()
    want = {"lo", "v0", "v2"}
    wait_for(lambda: {e["interface"] for e in peer.events() if e["event"] == "io:multicast_listens"} == want, 20, want)
