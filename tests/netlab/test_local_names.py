"""A candidate whose address is a name under .local, as browsers give it: asked for by multicast DNS on the LAN, in which
a peer and a third-party client live."""
import os
import pathlib
import socket
import subprocess
import sys
import threading

import pytest

HERE = pathlib.Path(__file__).resolve()
for room in ("loopback", "interop"):
    sys.path.insert(0, str(HERE.parents[1] / room))

from namenet import a, serve_multicast  # noqa: E402

NAME = "3f1c0d9e-6a52-4b8f-9a55-0c1d2e3f4a5b.local"
WORLD = "wan rtt=10ms\nbox home port\nhost alice behind home\nhost bob behind home\n"
UFRAG, PASSWORD = "thirdparty", "a/password+of/thirty/characters"


def publish(address):
    """On bob: answers for the name until its input ends."""
    reader, writer = os.pipe()
    threading.Thread(target=serve_multicast, args=({(NAME, 1): [a(address)]}, address, writer), daemon=True).start()
    os.read(reader, 1)
    print("ready", flush=True)
    sys.stdin.read()


@pytest.fixture(name="home")
def one_home():
    from netlab import Lab
    from torcnet import TORCD, Net
    with Lab.from_text(WORLD) as lab:
        net = Net()
        try:
            peer = net.add("p1")
            address = str(lab.address("alice"))
            peer.sections["node"]["listen"] = f"{address}:6084"
            document = net.authority / "overlay.xml"
            document.chmod(0o644)
            peer.write_conf()
            peer.process = lab.start("alice", [TORCD, "--config", peer.conf], stdin=subprocess.DEVNULL,
                                     stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            peer.connect()
            responder = lab.start("bob", [sys.executable, "-B", str(HERE), str(lab.address("bob"))], text=True,
                                  stdin=subprocess.PIPE, stdout=subprocess.PIPE)
            assert responder.stdout.readline() == "ready\n"
            yield lab, net, peer
            responder.stdin.close()
            responder.wait(timeout=30)
        finally:
            net.close()


def attach(lab, net):
    """A client on bob with its link to the peer on alice."""
    import peer
    overlay = peer.Overlay.read(net.authority / "overlay.xml")
    member = net.add("c1", role="client")
    client = peer.Client(overlay, peer.Own(member.cert, member.key, overlay))
    raw = lab.socket("bob", socket.AF_INET, socket.SOCK_STREAM)
    raw.settimeout(20)
    raw.connect((str(lab.address("alice")), 6084))
    client.link = peer.Link(overlay, client.own, raw)
    client.learn(client.link.remote)
    return overlay, client


def listening(lab):
    sock = lab.socket("bob", socket.AF_INET, socket.SOCK_STREAM)
    sock.bind((str(lab.address("bob")), 0))
    sock.listen(4)
    sock.settimeout(20)
    return sock


def offer(client, host, port):
    import wire
    candidate = f"candidate:1 1 TCP 2105458943 {host} {port} typ host tcptype passive"
    data = wire.ConnectData(UFRAG, PASSWORD, 6084, client.own.fingerprint, "passive", [candidate])
    answer = client.request([client.link.remote.peer_id], wire.CONNECT, data.encode())
    assert answer.code == 200
    return wire.decode_whole(wire.ConnectData.decode, answer.payload)


def test_ICE_02_ICE_07_a_candidate_named_under_local(home):
    import ice
    import peer as third
    lab, net, peer = home
    overlay, client = attach(lab, net)
    with client, listening(lab) as listener:
        theirs = offer(client, NAME, listener.getsockname()[1])
        raw = listener.accept()[0]
        raw.settimeout(20)
        ice.Controlling(raw, (UFRAG, PASSWORD), (theirs.ufrag, theirs.password)).run()
        link = third.Link(overlay, client.own, raw, bytes.fromhex(peer.id), server=True)
    direct = third.Client(overlay, client.own)
    direct.link = link
    with direct:
        assert direct.ping([bytes.fromhex(peer.id)]).peer_id == bytes.fromhex(peer.id)
    assert (peer.counters()["io_names_asked"], peer.counters()["io_names_found"]) == (1, 1)


def test_ICE_07_a_name_that_nobody_has_does_no_harm(home):
    from netlab import wait_until
    lab, net, peer = home
    _overlay, client = attach(lab, net)
    with client:
        offer(client, "nobody-here.local", 6084)
        wait_until("the name is asked for", lambda: peer.counters().get("io_names_asked", 0) == 1)
        assert client.ping([bytes.fromhex(peer.id)]).peer_id == bytes.fromhex(peer.id)
        wait_until("the CONNECT fails", lambda: peer.counters().get("io_ice_failures", 0) == 1)
    assert peer.counters().get("io_names_found", 0) == 0


if __name__ == "__main__":
    publish(sys.argv[1])
