"""What each kind of box does, measured from outside and inside; and what gets through two of them."""
import socket

import pytest

from netlab import KINDS, Lab, probe
from netlab.theory import direct_way

WORLD = """
wan rtt=4ms
host eye ipv4=203.0.113.10,203.0.113.11
box home {kind}
host alice behind home
host carol behind home
"""

# RFC 4787's words for each kind: mapping, filtering, whether inner hosts meet by public endpoints.
MEASURED = {
    "public": ("none", "EIF", True),
    "full-cone": ("EIM", "EIF", False),
    "address": ("EIM", "ADF", False),
    "port": ("EIM", "APDF", False),
    "symmetric": ("APDM", "APDF", False),
    "hairpin": ("EIM", "APDF", True),
}


def test_every_kind_is_measured():
    assert set(MEASURED) | {"udp-reject", "udp-drop", "tls443", "ipv6-only"} == set(KINDS)


@pytest.mark.parametrize("kind", MEASURED)
def test_mapping_filtering_and_hairpinning(kind):
    with Lab.from_text(WORLD.format(kind=kind)) as lab, probe.Observer(lab, "eye") as eye:
        measured = (probe.mapping(lab, "alice", eye), probe.filtering(lab, "alice", eye),
                    probe.hairpins(lab, "alice", eye, "carol"))
        assert measured == MEASURED[kind]
        if KINDS[kind].nat:
            with probe.udp(lab, "alice") as sock:
                seen = eye.sees(sock)
                assert seen[0] == str(lab.address("home")) and seen[1] != sock.getsockname()[1]


@pytest.mark.parametrize("kind", ["full-cone", "address"])
def test_hairpin_may_be_added(kind):
    with Lab.from_text(WORLD.format(kind=kind + " hairpin")) as lab, probe.Observer(lab, "eye") as eye:
        assert probe.hairpins(lab, "alice", eye, "carol")
        assert (probe.mapping(lab, "alice", eye), probe.filtering(lab, "alice", eye)) == MEASURED[kind][:2]


def test_isolated_hosts_meet_by_hairpin_only():
    with Lab.from_text(WORLD.format(kind="hairpin isolated")) as lab, probe.Observer(lab, "eye") as eye:
        with probe.udp(lab, "alice") as alice, probe.udp(lab, "carol") as carol:
            alice.sendto(b"hello", (str(lab.address("carol")), carol.getsockname()[1]))
            eye.sees(alice), eye.sees(carol)
            assert probe.drain(carol) == []
        assert probe.hairpins(lab, "alice", eye, "carol")
        assert probe.punches(lab, "alice", "carol", eye)


def tcp_connect(lab, host, end, local_port=0, timeout_s=probe.ANSWER_S):
    sock = lab.socket(host, socket.AF_INET, socket.SOCK_STREAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.bind(("0.0.0.0", local_port))
    sock.settimeout(timeout_s)
    try:
        sock.connect(end)
    except OSError:
        sock.close()
        raise
    return sock


def listen(lab, host, end):
    sock = lab.socket(host, socket.AF_INET, socket.SOCK_STREAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.bind(end)
    sock.listen()
    sock.settimeout(probe.ANSWER_S)
    return sock


@pytest.mark.parametrize("kind,same", [("port", True), ("udp-reject", True), ("symmetric", False)])
def test_mapping_of_tcp(kind, same):
    with Lab.from_text(WORLD.format(kind=kind)) as lab:
        ends = [("203.0.113.10", 3478), ("203.0.113.11", 3479)]
        listeners = [listen(lab, "eye", end) for end in ends]
        first = tcp_connect(lab, "alice", ends[0])
        second = tcp_connect(lab, "alice", ends[1], first.getsockname()[1])
        accepted = [listener.accept() for listener in listeners]
        assert (accepted[0][1] == accepted[1][1]) is same
        for sock in [first, second, *listeners, *(pair[0] for pair in accepted)]:
            sock.close()


@pytest.mark.parametrize("kind,way", [("port", "open"), ("udp-reject", "rejected"), ("udp-drop", "dropped"),
                                      ("tls443", "dropped")])
def test_udp_blocked(kind, way):
    with Lab.from_text(WORLD.format(kind=kind)) as lab, probe.Observer(lab, "eye") as eye:
        assert probe.udp_way(lab, "alice", eye) == way
        listener = listen(lab, "eye", ("203.0.113.10", 80))
        if kind == "tls443":
            with pytest.raises(TimeoutError):
                tcp_connect(lab, "alice", ("203.0.113.10", 80), timeout_s=probe.SILENCE_S)
        else:
            tcp_connect(lab, "alice", ("203.0.113.10", 80)).close()
        listener.close()


def test_only_tls_passes_port_443():
    with Lab.from_text(WORLD.format(kind="tls443")) as lab:
        listener = listen(lab, "eye", ("203.0.113.10", 443))
        for first, passes in ((b"\x16\x03\x01\x00\x05hello", True), (b"GET / HTTP/1.0\r\n\r\n", False),
                              (b"\x00\x01\x00\x00\x21\x12\xa4\x42", False)):
            sock = tcp_connect(lab, "alice", ("203.0.113.10", 443))
            accepted, _ = listener.accept()
            accepted.settimeout(probe.ANSWER_S)
            sock.sendall(first)
            if passes:
                assert accepted.recv(100) == first
                accepted.sendall(b"and back")
                assert sock.recv(100) == b"and back"
                sock.sendall(b"anything later")
                assert accepted.recv(100) == b"anything later"
            else:
                with pytest.raises(ConnectionResetError):
                    sock.recv(100)
            sock.close(), accepted.close()
        listener.close()


@pytest.mark.parametrize("kind", ["full-cone", "port", "symmetric"])
def test_forgotten_mappings(kind):
    with Lab.from_text(WORLD.format(kind=kind)) as lab, probe.Observer(lab, "eye") as eye:
        with probe.udp(lab, "alice") as alice, probe.udp(lab, "carol") as carol:
            before = eye.sees(alice), eye.sees(carol)
            assert eye.admits(alice, before[0], eye.ends[0])
            lab.forget("all")
            eye.sockets[eye.ends[0]].sendto(b"are you there", before[0])
            after = eye.sees(alice), eye.sees(carol)
            assert probe.drain(alice) == [] and not {*before} & {*after}
            assert eye.admits(alice, after[0], eye.ends[0])


def test_forgotten_mappings_of_tcp():
    with Lab.from_text(WORLD.format(kind="port")) as lab:
        listener = listen(lab, "eye", ("203.0.113.10", 3478))
        sock = tcp_connect(lab, "alice", ("203.0.113.10", 3478))
        listener.accept()[0].close()
        sock.settimeout(probe.ANSWER_S)
        assert sock.recv(1) == b""
        sock.close()
        sock = tcp_connect(lab, "alice", ("203.0.113.10", 3478))
        accepted = listener.accept()[0]
        lab.forget("home")
        sock.sendall(b"still me?")  # from another port now: the other end knows no such connection
        sock.settimeout(probe.ANSWER_S)
        with pytest.raises(ConnectionResetError):
            sock.recv(1)
        sock.close(), accepted.close(), listener.close()


def test_kind_changes_while_running():
    with Lab.from_text(WORLD.format(kind="full-cone")) as lab, probe.Observer(lab, "eye") as eye:
        lab.kind("home", "symmetric")
        assert (probe.mapping(lab, "alice", eye), probe.filtering(lab, "alice", eye)) == ("APDM", "APDF")
        lab.do("kind home udp-reject")
        assert probe.udp_way(lab, "alice", eye) == "rejected"
        lab.do("kind home address")
        assert (probe.mapping(lab, "alice", eye), probe.filtering(lab, "alice", eye)) == ("EIM", "ADF")


def test_mapping_ends_with_its_timeout():
    with Lab.from_text(WORLD.format(kind="port timeout=1s")) as lab, probe.Observer(lab, "eye") as eye:
        with probe.udp(lab, "alice") as alice:
            before = eye.sees(alice)
            with pytest.raises(probe.Silence):
                probe.receive(alice, 2.5)
            assert eye.sees(alice) != before


PAIR = """
wan rtt=4ms
host eye ipv4=203.0.113.10,203.0.113.11
box left {}
host alice behind left
box right {}
host bob behind right
"""
PUNCHABLE = ("public", "full-cone", "address", "port", "symmetric")


def test_theory_is_that_of_rfc_5128():
    blind = {(a, b) for a in PUNCHABLE for b in PUNCHABLE if direct_way(a, b) != "udp"}
    assert blind == {("port", "symmetric"), ("symmetric", "port"), ("symmetric", "symmetric")}
    assert direct_way("ipv6-only", "ipv6-only") == direct_way("public", "ipv6-only") == "udp"
    assert direct_way("ipv6-only", "port") is direct_way("tls443", "public") is None
    assert direct_way("udp-drop", "public") == direct_way("full-cone", "udp-reject") == "tcp"
    assert direct_way("udp-drop", "udp-reject") == "tcp-so" and direct_way("udp-drop", "symmetric") is None
    assert direct_way("hairpin", "hairpin", one_box=True) == "udp" and direct_way("port", "port", one_box=True) is None


@pytest.mark.parametrize("left", PUNCHABLE)
def test_hole_punching_is_as_theory_says(left):
    for right in PUNCHABLE:
        with Lab.from_text(PAIR.format(left, right)) as lab, probe.Observer(lab, "eye") as eye:
            assert probe.punches(lab, "alice", "bob", eye) is (direct_way(left, right) == "udp"), right


@pytest.mark.parametrize("left,right", [("ipv6-only", "ipv6-only"), ("public", "ipv6-only")])
def test_hole_punching_of_ipv6_firewalls(left, right):
    with Lab.from_text(PAIR.format(left, right)) as lab, probe.Observer(lab, "eye", 6) as eye:
        with probe.udp(lab, "alice", 6) as alice, probe.udp(lab, "bob", 6) as bob:
            for sock, host in ((alice, "alice"), (bob, "bob")):
                assert eye.sees(sock) == (str(lab.address(host, 6)), sock.getsockname()[1])
            alice.sendto(b"uninvited", eye.sees(bob))
            eye.sees(alice), eye.sees(bob)
            assert probe.drain(bob) == []
        assert probe.punches(lab, "alice", "bob", eye, 6)
