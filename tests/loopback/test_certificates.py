"""The certificate store usage: every peer's certificate is in the overlay, under its peer-id and its user name."""
import subprocess

from torcnet import OVERLAY, resource_of, wait_for


def stored_certificates(peer, resource):
    """The certificates at a resource, as their PEM files hold them."""
    values = peer.control.call("fetch", resource=resource, type="CERTIFICATE")["values"]
    return [v for v in values if v["exists"]]


def der_of(peer):
    done = subprocess.run(["openssl", "x509", "-in", str(peer.cert), "-outform", "DER"], capture_output=True, check=True)
    return done.stdout


def places(peer):
    return [resource_of(bytes.fromhex(peer.id)), resource_of(peer.user)]


def test_CRT_02_CRT_03_CRT_05_certificates_are_stored_on_joining(ring):
    for peer in ring.peers:
        wait_for(lambda p=peer: p.counters()["certificate_stores"] >= 2, 30, f"both certificates of {peer.name}")
    reader = ring.peers[0]
    for peer in ring.peers:
        for place in places(peer):
            value, = stored_certificates(reader, place)
            assert value["signer"]["users"] == [peer.user]
            assert 59 * 86400 < value["lifetime_s"] <= 60 * 86400


def test_CRT_02_a_client_stores_its_certificate_too(net):
    net.start(3)
    client = net.add("c1", role="client").start().wait_joined()
    wait_for(lambda: client.counters()["certificate_stores"] == 2, 30, "both certificates of the client")
    for place in places(client):
        value, = stored_certificates(net.peers[0], place)
        assert value["signer"]["peers"] == [client.id]


def test_ENR_37_R_52_two_devices_of_one_user_are_two_peers(net):
    """A certificate, key and peer-id each; both sign as the user, and both certificates are found under the name."""
    net.start(2)
    phone, laptop = (net.add(name, user=f"alice@{OVERLAY}") for name in ("phone", "laptop"))
    for peer in (phone, laptop):
        peer.start().wait_joined()
    net.wait_whole()
    assert phone.id != laptop.id and phone.key.read_bytes() != laptop.key.read_bytes()
    for peer in (phone, laptop):
        wait_for(lambda p=peer: p.counters()["certificate_stores"] >= 2, 30, f"both certificates of {peer.name}")
    stored = stored_certificates(net.peers[0], resource_of(phone.user))
    assert sorted(value["signer"]["peers"][0] for value in stored) == sorted([phone.id, laptop.id])
    assert {tuple(value["signer"]["users"]) for value in stored} == {(phone.user,)}


def test_CRT_04_CRT_05_after_a_restart_what_is_there_is_not_stored_again(net):
    net.start(3)
    peer = net.peers[2]
    wait_for(lambda: peer.counters()["certificate_stores"] == 2, 30, "both certificates")
    assert peer.stop() == 0
    peer.start().wait_joined()
    wait_for(lambda: peer.counters()["certificate_checks"] == 2, 30, "a look at both places")
    assert peer.counters()["certificate_stores"] == 0
    assert peer.counters()["certificate_keep_failures"] == 0
    assert len(stored_certificates(net.peers[0], places(peer)[0])) == 1
