"""Overlays with a shared key: whoever has it gets in, whoever has not gets nowhere."""
import hashlib
import os
import random
import re
import shutil
import socket
import subprocess
import tempfile
import pathlib

import pytest

from torcnet import AUTHORITY, TORC, OVERLAY, Net, Peer, free_port, resource_of, run, value_of, wait_for

DOCUMENT = """<?xml version="1.0" encoding="UTF-8"?>
<overlay xmlns="urn:ietf:params:xml:ns:p2p:overlay" name="{name}">
  <dht name="chord-128-2-8"/>
  <shared-secret/>
  <bootstrap-peer address="127.0.0.1" port="{port}"/>
  <type id="0xF00001" name="note" model="single" access="user-match" max-count="1" max-size="4096"/>
  <type id="0xF00002" name="list" model="array" access="user-match" max-count="10" max-size="1024"/>
</overlay>
"""
STRANGER = "00112233445566778899aabbccddeeff"


class SharedNet(Net):
    """An overlay without an authority: a document and a key."""

    def __init__(self):  # pylint: disable=super-init-not-called
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix="torc-test-"))
        self.port = free_port()
        self.ports = [self.port]
        self.peers = []
        self.authority = self.dir
        (self.dir / "overlay.xml").write_text(DOCUMENT.format(name=OVERLAY, port=self.port), encoding="utf-8")
        self.key = self.dir / "shared.key"
        run(TORC, "key", "new", self.key)

    def add(self, name, role="peer", user=None, key=None):
        peer = Peer(self, name, role, self.port if not self.peers else 0)
        peer.sections["identity"] = {"shared-key": key or self.key}
        self.peers.append(peer)
        return peer

    def start(self, num, wait=True):
        for i in range(1, num + 1):
            self.add(f"p{i}").start()
        for peer in self.peers:
            peer.id = peer.status()["peer"]
        if wait:
            self.wait_whole()
        return list(self.peers)


@pytest.fixture(name="shared")
def fixture_shared():
    net = SharedNet()
    yield net
    net.close()


@pytest.fixture(name="shared_ring", scope="module")
def fixture_shared_ring():
    net = SharedNet()
    try:
        net.start(4)
        yield net
    finally:
        net.close()


def whys(peer):
    return [e["why"] for e in peer.events() if e["event"] == "io:handshake_failed"]


def test_ENR_27_SEC_06_SEC_08_D_18_peers_with_the_key_make_a_ring_and_share_values(shared_ring):
    first, second, third, _ = shared_ring.peers
    first.torc("store", "anything", "hello", "--type", "note")
    fetched = second.torc_json("fetch", "anything", "--type", "note")["values"][0]
    assert fetched["value"] == "hello" and "signer" not in fetched
    assert "not signed" in second.torc("fetch", "anything", "--type", "note").stdout
    third.torc("fetch", "anything", "--type", "note")  # so that what it stores is newer, also within this second
    third.torc("store", "anything", "other", "--type", "note")  # [GAP-106] nobody owns it
    assert value_of(first.control.call("fetch", name="anything", type="note")) == b"other"
    assert len(shared_ring.holders(resource_of("anything"))) == 3  # [CHD-07]
    for i in range(3):
        first.torc("store", "items", f"item {i}", "--type", "list", "--append")
    assert len(second.torc_json("fetch", "items", "--type", "list")["values"]) == 3
    second.torc("remove", "items", "--type", "list", "--index", "1")
    present = [v["value"] for v in third.torc_json("fetch", "items", "--type", "list")["values"] if v["exists"]]
    assert present == ["item 0", "item 2"]
    assert second.torc("ping", first.id).returncode == 0
    assert third.counters()["jobs_sign"] == 0


def test_GAP_137_peer_id_is_kept_in_the_state_directory(shared):
    peer = shared.add("p1").start().wait_joined()
    first = peer.status()["peer"]
    assert (peer.state / "peer-id").read_text(encoding="ascii") == first + "\n"
    assert peer.stop() == 0
    assert peer.start().status()["peer"] == first


def test_CHD_07_values_survive_the_peer_that_held_them(shared):
    peers = shared.start(4)
    peers[0].torc("store", "lasting", "still here", "--type", "note")
    shared.holders(resource_of("lasting"))[0].kill()
    alive = [p for p in peers if p.is_running and p.control]
    wait_for(lambda: value_of(alive[0].control.ask("fetch", name="lasting", type="note")) == b"still here"
             if alive[0].control else None, 40, "the value")


def test_SEC_06_SEC_09_another_key_gets_nowhere_and_is_told_so(shared):
    first = shared.add("p1").start().wait_joined()
    run(TORC, "key", "new", shared.dir / "other.key")
    stranger = shared.add("p2", key=shared.dir / "other.key").start()
    wait_for(lambda: "the other side has another shared key" in whys(stranger), 20, "the reason")
    told = [e for e in stranger.events() if e["event"] == "io:handshake_failed"]
    assert told[0]["level"] == "warn"
    wait_for(lambda: "the other side has another shared key" in whys(first), 20, "the other side's reason")
    assert not stranger.status()["joined"] and first.counters()["io_links_up"] == 0
    assert first.counters()["messages_in"] == 0


def test_SEC_06_SEC_09_a_peer_with_a_certificate_gets_nowhere(shared, make_net):
    first = shared.add("p1").start().wait_joined()
    other = make_net()
    member = other.add("m1")
    document = (other.authority / "overlay.xml").read_text(encoding="utf-8").split("<?torc-signature")[0]
    path = shared.dir / "certificates.xml"
    path.write_text(re.sub(rf'port="{other.port}"', f'port="{shared.port}"', document), encoding="utf-8")
    member.sections["overlay"]["file"] = path
    member.sections["node"]["listen"] = "127.0.0.1:0"
    member.start()
    wait_for(lambda: whys(member) and whys(first), 20, "a failed handshake")
    assert not member.status()["joined"]
    assert first.counters()["io_links_up"] == 0
    assert "no shared-key overlay" in whys(first)[0]


def s_client(net, identity, *more, key=None):
    """What openssl s_client tells of a handshake; its input ends at once."""
    done = subprocess.run(
        ["openssl", "s_client", "-connect", f"127.0.0.1:{net.port}", "-psk", key or net.key.read_text().strip(),
         "-psk_identity", identity, *more], capture_output=True, text=True, check=False, input="", timeout=20)
    return done.stdout + done.stderr


def test_D_18_GAP_137_a_third_party_makes_the_handshake(shared):
    peer = shared.add("p1").start().wait_joined()
    own = peer.status()["peer"]
    told = s_client(shared, STRANGER, "-tls1_2", "-cipher", "ECDHE-PSK-CHACHA20-POLY1305")
    assert "Cipher    : ECDHE-PSK-CHACHA20-POLY1305" in told
    assert f"PSK identity hint: {own}" in told
    told = s_client(shared, f"{STRANGER}@{own}", "-tls1_3")
    assert "New, TLSv1.3" in told or "Reused, TLSv1.3" in told
    wait_for(lambda: peer.counters()["io_links_up"] == 2, 10, "both links")
    for identity, more, why in [
            ("alice", ["-tls1_2"], "the PSK identity is no peer-id"),
            (STRANGER, ["-tls1_3"], "the PSK identity does not name two peer-ids"),
            (f"{STRANGER}@{STRANGER}", ["-tls1_3"], "the other side expects another peer")]:
        s_client(shared, identity, *more)
        wait_for(lambda w=why: w in whys(peer), 10, why)
    s_client(shared, STRANGER, "-tls1_2", key="00" * 32)
    s_client(shared, f"{STRANGER}@{own}", "-tls1_3", key="00" * 32)
    wait_for(lambda: whys(peer).count("the other side has another shared key") == 2, 10, "the wrong key twice")
    assert peer.counters()["io_links_up"] == 2


def test_D_18_dialled_by_peer_id_it_is_TLS_1_3(shared_ring):
    """Everybody is linked with everybody by CONNECT, which names the peer that is dialled."""
    for peer in shared_ring.peers:
        assert peer.status()["links"] >= 3
        assert peer.counters()["io_handshakes_failed"] == 0


@pytest.mark.parametrize("spoil, expected", [
    (lambda key: key.chmod(0o640), "is accessible to others: run chmod 600"),
    (lambda key: key.write_text("00" * 31), "holds no shared key: expected 64 hex digits"),
    (lambda key: key.write_text("00" * 33), "holds no shared key"),
    (lambda key: key.write_text("zz" * 32), "holds no shared key"),
    (lambda key: key.unlink(), "No such file or directory"),
    (lambda key: (key.unlink(), key.mkdir(mode=0o700)), "is no regular file"),
], ids=["mode", "short", "long", "no hex", "missing", "directory"])
def test_GAP_137_key_files_that_are_none(shared, spoil, expected):
    spoil(shared.key)
    assert expected in shared.add("p1").refuses_to_start(code=2)


def test_SEC_06_configuration_and_document_must_agree(shared, make_net):
    other = make_net()
    member = other.add("m1")
    member.sections["identity"]["shared-key"] = shared.key
    assert "shared-key beside cert or key" in member.refuses_to_start(code=2)
    member.sections["identity"] = {"shared-key": shared.key}
    assert "works with certificates, not with a shared key" in member.refuses_to_start(code=2)
    peer = shared.add("p1")
    peer.sections["identity"] = {"cert": member.cert, "key": member.key}
    assert "has a shared key: [identity] shared-key must name its file" in peer.refuses_to_start(code=2)


def test_D_18_key_new_writes_a_key_or_says_why_not(tmp_path):
    path = tmp_path / "key"
    run(TORC, "key", "new", path)
    text = path.read_text(encoding="ascii")
    assert re.fullmatch("[0-9a-f]{64}\n", text) and path.stat().st_mode & 0o777 == 0o600
    again = run(TORC, "key", "new", path, check=False)
    assert again.returncode == 1 and "is there already" in again.stderr and path.read_text() == text
    nowhere = run(TORC, "key", "new", tmp_path / "no" / "key", check=False)
    assert nowhere.returncode == 1 and "No such file or directory" in nowhere.stderr
    full = run(TORC, "key", "new", "/dev/full/key", check=False)
    assert full.returncode == 1 and "Not a directory" in full.stderr
    assert sorted(p.name for p in tmp_path.iterdir()) == ["key"]
    run(TORC, "key", "new", tmp_path / "other")
    assert (tmp_path / "other").read_text() != text
    for arguments in (["key"], ["key", "old"], ["key", "new"], ["key", "new", "a", "b"], ["key", "new", "a", "--all"],
                      ["key", "new", "a", "--passphrase"], ["key", "new", "a", "--overlay", "b"]):
        assert run(TORC, *arguments, check=False).returncode == 2, arguments


@pytest.mark.skipif(os.geteuid() == 0 and not shutil.which("setpriv"), reason="root may write everywhere")
def test_D_18_key_new_in_a_directory_of_others(tmp_path):
    tmp_path.chmod(0o555)
    command = [TORC, "key", "new", tmp_path / "key"]
    if os.geteuid() == 0:
        command = ["setpriv", "--reuid=65534", "--clear-groups", *command]
    done = run(*command, check=False)
    tmp_path.chmod(0o755)
    assert done.returncode != 0 and not list(tmp_path.iterdir())


def test_GAP_137_key_of_a_passphrase(tmp_path):
    path = tmp_path / "key"
    run(TORC, "key", "new", path, "--passphrase", "--overlay", "Ring.Example.ORG.", stdin="correct horse battery\n")
    expected = hashlib.pbkdf2_hmac("sha256", b"correct horse battery", b"ring.example.org", 600_000).hex()
    assert path.read_text() == expected + "\n"
    for typed, why in (("eleven byte\n", "12 to 1024 bytes"), ("\n", "12 to 1024 bytes"),
                       ("x" * 1025 + "\n", "12 to 1024 bytes"), ("", "there is no passphrase")):
        done = run(TORC, "key", "new", tmp_path / "no", "--passphrase", "--overlay", "a.example", stdin=typed, check=False)
        assert done.returncode == 1 and why in done.stderr, typed
    assert sorted(p.name for p in tmp_path.iterdir()) == ["key"]


def test_GAP_69_D_18_no_multicast_without_signatures(shared):
    """Nothing is signed, so nobody asks at a group, nobody listens there, and it is said; the ring forms all the same."""
    group, port = f"239.255.{random.randrange(1, 255)}.{random.randrange(1, 255)}", free_port()
    path = shared.dir / "overlay.xml"
    plain = path.read_text(encoding="utf-8")
    path.write_text(plain.replace("<type", f'<multicast-bootstrap address="{group}" port="{port}"/>\n  <type', 1),
                    encoding="utf-8")
    told = run(AUTHORITY, "config", "check", path)
    assert told.returncode == 0 and "multicast-bootstrap is not used" in told.stderr
    peers = [shared.add(name).start() for name in ("p1", "p2")]
    client = shared.add("c1", role="client").start()
    for peer in (*peers, client):
        peer.wait_joined()
        unused = [e for e in peer.events() if e["event"] == "io:multicast_unused"]
        assert [e["level"] for e in unused] == ["warn"] and "shared key" in unused[0]["why"]
        assert not peer.has_event("io:multicast_listens")
    lost = shared.add("p3").start()  # the listed peer is gone: only the group is left
    lost.wait_joined()
    assert lost.stop() == 0
    shutil.rmtree(lost.state)
    for peer in (*peers, client):
        peer.stop()
    lost.start()
    wait_for(lambda: lost.counters()["bootstrap_tries"] >= 2, 20, "two rounds")
    assert {lost.counters()[f"io_multicast_{name}"] for name in ("asks", "datagrams", "failures")} == {0}


def test_GAP_69_GAP_130_a_group_that_a_shared_key_makes_useless_is_named_at_reload(shared):
    peer = shared.add("p1").start().wait_joined()
    path = shared.dir / "overlay.xml"
    path.write_text(path.read_text(encoding="utf-8").replace(
        "<type", '<multicast-bootstrap address="239.255.1.1" port="6084"/>\n  <type', 1), encoding="utf-8")
    said = peer.torc("config", "reload").stdout
    assert "multicast-bootstrap 239.255.1.1 port 6084 is new, but not used: the overlay has a shared key" in said
    assert peer.has_event("io:multicast_unused") and not peer.has_event("io:multicast_listens")


def test_SEC_08_without_the_key_not_a_byte_is_answered(shared):
    peer = shared.add("p1").start().wait_joined()
    with socket.create_connection(("127.0.0.1", shared.port), timeout=10) as s:
        s.sendall(b"RELOAD without TLS" * 10)
        answer = s.recv(4096)
        assert len(answer) <= 7  # an alert
    assert peer.counters()["messages_in"] == 0


@pytest.mark.parametrize("pad", ["a", "aa"])  # one of them cuts a character in two
def test_GAP_130_ENR_11_a_fault_with_letters_of_elsewhere_is_told(shared, pad):
    peer = shared.add("p1").start().wait_joined()
    path = shared.dir / "overlay.xml"
    text = path.read_text(encoding="utf-8").replace("<type id=", f'<type {pad}{"é" * 400}="1" id=', 1)
    path.write_text(text, encoding="utf-8")
    done = peer.torc("config", "reload", check=False)
    assert done.returncode == 1 and "against the grammar" in done.stderr and "éé" in done.stderr, done.stderr
    assert "against the grammar" in peer.status()["configuration"]["error"]
    told = [e["why"] for e in peer.events() if e["event"] == "torcd:configuration_kept"]
    assert all("against the grammar" in why for why in told)


def test_GAP_83_a_connection_of_an_application_has_no_user_names(shared):
    here, there = shared.start(3)[1:]
    command = [str(TORC), "listen", "--application", "7000", "--exec", 'echo "$TORC_PEER [$TORC_USERS]"', "--socket",
               str(there.socket)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as listener:
        try:
            assert "listening" in listener.stderr.readline()
            said = here.torc("connect", there.id, "--application", "7000", stdin="")
            assert said.stdout == f"{here.id} []\n"
            nobody = here.torc("connect", "alice@ring.example.org", "--application", "7000", check=False, stdin="")
            assert nobody.returncode == 3 and "nobody is known as" in nobody.stderr
        finally:
            listener.kill()
