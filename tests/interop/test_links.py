"""Links and certificates from the client side: who is let in, what closes a link, who dials whom."""

import datetime
import os
import re
import socket
import ssl
import time

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

import ice
import interop_daemons as daemons
import peer
import wire
from interop_daemons import STATUS, Ring

STALL_S = 30


@pytest.fixture(scope="module", autouse=True)
def stalled(ring):
    """Two links with half a message each, opened before everything else: [R-18] takes its time."""
    result = []
    for i, keep in enumerate((20, -5)):
        client = peer.Client(ring.overlay, ring.member(f"stall{i}@example.org"))
        client.connect(ring.address(0))
        message = client.build([wire.WILDCARD], wire.PING, b"\0").encode()
        client.link.send(message[:keep])
        result.append((client, message[keep:], time.monotonic()))
    yield result
    for client, _, _ in result:
        client.close()


# Certificates


class Forged(peer.Own):
    """A certificate made here with the overlay's own root key; nothing of it is checked."""

    def __init__(self, ring, certs, key):
        base = ring.dir / f"forged{os.urandom(4).hex()}"
        self.cert_path, self.key_path = str(base) + ".crt", str(base) + ".key"
        with open(self.cert_path, "wb") as file:
            file.write(b"".join(cert.public_bytes(serialization.Encoding.PEM) for cert in certs))
        with open(self.key_path, "wb") as file:
            file.write(key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8,
                                         serialization.NoEncryption()))
        self.cert, self.private, self.key = certs[0], key, key.public_key()
        self.der = certs[0].public_bytes(serialization.Encoding.DER)
        try:
            self.peer_ids, self.users = peer.names_of(self.cert, ring.overlay)
        except peer.Refused:
            self.peer_ids, self.users = [], []


def new_id():
    return os.urandom(16).hex()


def uri(ring, text=None):
    return f"reload://{text or new_id()}@{ring.name}"


def forge(ring, names=None, key=None, start=-1, end=1, usages=(), extra=(), issuer=None, ca=False):
    """Makes a certificate. names: subjectAltName URIs; start, end: days from now; issuer: (certificate, key)."""
    root = issuer or root_of(ring)
    key = key or ec.generate_private_key(ec.SECP256R1())
    now = datetime.datetime.utcnow()
    builder = (x509.CertificateBuilder()
               .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "forged")]))
               .issuer_name(root[0].subject).public_key(key.public_key()).serial_number(x509.random_serial_number())
               .not_valid_before(now + datetime.timedelta(days=start))
               .not_valid_after(now + datetime.timedelta(days=end))
               .add_extension(x509.BasicConstraints(ca, None), True))
    names = [uri(ring)] if names is None else names
    if names:
        builder = builder.add_extension(
            x509.SubjectAlternativeName([x509.UniformResourceIdentifier(name) for name in names]), False)
    if usages:
        builder = builder.add_extension(x509.ExtendedKeyUsage(list(usages)), False)
    for oid, critical, value in extra:
        builder = builder.add_extension(x509.UnrecognizedExtension(x509.ObjectIdentifier(oid), value), critical)
    return builder.sign(root[1], hashes.SHA256()), key


def root_of(ring):
    cert = x509.load_pem_x509_certificate((ring.authority / "ca.crt").read_bytes())
    key = serialization.load_pem_private_key((ring.authority / "ca.key").read_bytes(), None)
    return cert, key


def is_let_in(ring, own, **tls):
    """Whether a peer answers the first PING of this certificate's holder; if not it must close the link."""
    client = peer.Client(ring.overlay, own)
    try:
        client.link = peer.Link.dial(ring.overlay, own, ring.address(1), **tls)
        return client.ping([wire.WILDCARD], timeout=10).code == 200
    except (ssl.SSLError, ConnectionError, peer.LinkClosed):
        return False
    finally:
        client.close()


def test_TLS_06_CRT_issued_certificate_made_here_is_let_in(ring):
    cert, key = forge(ring)
    assert is_let_in(ring, Forged(ring, [cert], key))


@pytest.mark.parametrize("make", [
    lambda ring: [uri(ring, new_id().upper())],
    lambda ring: [uri(ring, "0110" + new_id())],
    lambda ring: [f"reload://{new_id()}@{ring.name.upper()}."],
    lambda ring: ["https://example.org/", uri(ring)],
], ids=["upper-case hex", "0110 before the id", "overlay name normalised", "another URI besides"])
def test_R_38_GAP_134_forms_of_the_peer_id_that_are_read(ring, make):
    cert, key = forge(ring, make(ring))
    assert is_let_in(ring, Forged(ring, [cert], key))


@pytest.mark.parametrize("make", [
    lambda ring: [],
    lambda ring: ["https://example.org/"],
    lambda ring: [f"reload://{new_id()}@other.example.org"],
    lambda ring: [f"reload://{new_id()[:30]}@{ring.name}"],
    lambda ring: [uri(ring, "0" * 32)],
    lambda ring: [uri(ring, "f" * 32)],
    lambda ring: [uri(ring, new_id()[:31] + "g")],
], ids=["no names", "no peer-id", "another overlay", "short id", "all zero", "all ones", "no hex"])
def test_R_38_GAP_134_ARC_16_certificate_without_a_usable_peer_id_is_refused(ring, make):
    cert, key = forge(ring, make(ring))
    assert not is_let_in(ring, Forged(ring, [cert], key))


@pytest.mark.parametrize("change", [
    {"start": -3, "end": -1}, {"start": 1, "end": 3},
    {"usages": [ExtendedKeyUsageOID.CLIENT_AUTH]}, {"usages": [ExtendedKeyUsageOID.SERVER_AUTH]},
    {"extra": [("1.3.6.1.4.1.55555.1", True, b"\x04\x01x")]},
    {"extra": [("1.3.6.1.4.1.55555.1", False, b"\x04\x82\x20\x00" + bytes(8192))]},
    {"key": rsa.generate_private_key(65537, 1024)}, {"key": ec.generate_private_key(ec.SECP384R1())},
], ids=["expired", "not yet valid", "client only", "server only", "unknown critical extension", "above 8192 bytes",
        "RSA 1024", "P-384"])
def test_R_31_R_38_GAP_51_TLS_06_certificate_outside_the_profile_is_refused(ring, change):
    cert, key = forge(ring, **change)
    assert not is_let_in(ring, Forged(ring, [cert], key), ciphers="DEFAULT@SECLEVEL=0")


@pytest.mark.parametrize("change", [
    {"usages": [ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.SERVER_AUTH]},
    {"extra": [("1.3.6.1.4.1.55555.1", False, b"\x04\x01x")]},
    {"key": rsa.generate_private_key(65537, 2048)},
], ids=["both usages", "unknown extension, not critical", "RSA 2048"])
def test_R_38_GAP_51_certificate_inside_the_profile_is_let_in(ring, change):
    cert, key = forge(ring, **change)
    assert is_let_in(ring, Forged(ring, [cert], key))


def test_TLS_06_certificate_of_another_root_is_refused(ring):
    key = ec.generate_private_key(ec.SECP256R1())
    other = forge(ring, names=[], key=key, issuer=(root_of(ring)[0], key), ca=True)
    cert, leaf_key = forge(ring, issuer=(root_of(ring)[0], key))
    assert not is_let_in(ring, Forged(ring, [cert], leaf_key))
    assert not is_let_in(ring, Forged(ring, [cert, other[0]], leaf_key))


def test_R_38_intermediate_is_refused(ring):
    middle, middle_key = forge(ring, names=[], ca=True)
    cert, key = forge(ring, issuer=(middle, middle_key))
    assert not is_let_in(ring, Forged(ring, [cert, middle], key))


def test_TLS_06_link_without_a_certificate_is_refused(ring):
    cert, key = forge(ring)
    own = Forged(ring, [cert], key)
    own.cert_path = None
    assert not is_let_in(ring, own)


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion.TLSv1_1 is deprecated")
def test_TLS_06_tls_1_2_is_accepted_and_1_1_is_not(ring):
    cert, key = forge(ring)
    own = Forged(ring, [cert], key)
    twelve = ssl.TLSVersion.TLSv1_2
    assert is_let_in(ring, own, oldest=twelve, newest=twelve)
    eleven = ssl.TLSVersion.TLSv1_1
    assert not is_let_in(ring, own, oldest=eleven, newest=eleven, ciphers="DEFAULT@SECLEVEL=0")


def test_GAP_138_no_tls_at_all_is_closed(ring):
    with socket.create_connection(ring.address(1), timeout=10) as raw:
        raw.sendall(b"RELO" + bytes(60))
        assert_ends(raw)


def assert_ends(raw):
    try:
        while raw.recv(1000):
            pass
    except ConnectionError:
        pass


def test_SEC_14_R_31_value_signed_with_an_expired_certificate_is_refused(attach):
    """The message is in order; the value's signer is out of date now, so a new value is refused."""
    client = attach(0)
    cert, key = forge(attach.ring, start=-3, end=-1)
    dead = Forged(attach.ring, [cert], key)
    value = client.value(b"x")
    value.signature = dead.sign(value.signed_input(client.home, STATUS))
    assert client.store(client.home, STATUS, [value]).code == 403


# Overlays with RSA, limits, keepalive


def test_SIG_03_D_10_GAP_51_overlay_of_rsa_certificates():
    ring = Ring(2, init=["--signature", "rsa"])
    try:
        own = ring.member("rsa@example.org")
        assert isinstance(own.key, rsa.RSAPublicKey)
        resource = wire.resource_of(own.users[0])
        with peer.Client(ring.overlay, own) as client:
            first = client.connect()
            assert wire.decode_whole(wire.Contents.decode, body_of(first)).signature.algorithm == wire.RSA_SHA256
            assert client.store(resource, STATUS, [client.value(b"rsa")]).code == 200
            fetched, = client.fetch(resource, [wire.Specifier(STATUS)])
            assert fetched.values[0].signature.algorithm == wire.RSA_SHA256
    finally:
        ring.stop()


def body_of(answer):
    reader = wire.Reader(answer.raw)
    wire.Header.decode(reader)
    return reader.rest()


@pytest.fixture(scope="module")
def small():
    """One peer with little patience and room for two clients."""
    ring = Ring(1, config="[limits]\nclient-links = 2\n[timers]\nkeepalive = 300ms\n")
    yield ring
    ring.stop()


def test_GAP_77_idle_link_is_pinged_and_the_answer_keeps_it(small):
    with peer.Client(small.overlay, small.member("idle@example.org")) as client:
        client.connect()
        daemons.wait_until("three PINGs", lambda: pumped(client) >= 3)
        for request in client.incoming:
            assert (request.contents.code, request.header.via) == (wire.PING, [])
            assert request.header.route == [client.own.peer_id]
        assert client.ping([wire.WILDCARD]).code == 200


def pumped(client):
    client.wait_for(None, time.monotonic() + 0.05)
    return len(client.incoming)


def test_R_39_GAP_141_client_beyond_the_limit_gets_503_and_is_closed_after_5_s(small):
    clients = [peer.Client(small.overlay, small.member(f"crowd{i}@example.org")) for i in range(3)]
    try:
        for client in clients[:2]:
            client.connect()
        extra = clients[2]
        extra.dial()
        start = time.monotonic()
        answer = extra.ping([wire.WILDCARD])
        assert (answer.code, answer.error.reason) == (503, "Service Unavailable")
        assert extra.request([wire.resource_of("x")], wire.FIND,
                             wire.FindRequest(wire.resource_of("x"), [STATUS]).encode()).code == 503
        with pytest.raises(peer.LinkClosed):
            extra.wait_for(None, time.monotonic() + 15)
        assert 4 <= time.monotonic() - start <= 12
        assert clients[0].ping([wire.WILDCARD]).code == 200
    finally:
        for client in clients:
            client.close()


# CONNECT: checks, then TLS on the pair

UFRAG, PASSWORD = "thirdparty", "a/password+of/thirty/characters"


def offer(client, listener, fingerprint):
    port = listener.getsockname()[1]
    candidate = f"candidate:1 1 TCP 2105458943 127.0.0.1 {port} typ host tcptype passive"
    return wire.ConnectData(UFRAG, PASSWORD, 6084, fingerprint, "passive", [candidate]).encode()


def checked(listener, theirs):
    """The connection that the answerer made, once both have checked it."""
    raw = listener.accept()[0]
    raw.settimeout(10)
    return ice.Controlling(raw, (UFRAG, PASSWORD), (theirs.ufrag, theirs.password)).run()


def test_CON_04_CON_13_GAP_48_GAP_72_GAP_73_GAP_71_ICE_26_ICE_27_ICE_29_TLS_09_connect_with_a_third_party(attach, ring):
    client = attach(0)
    target = next(i for i in range(5) if ring.peer_ids[i] != client.link.remote.peer_id)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(10)
        answer = client.request([ring.peer_ids[target]], wire.CONNECT, offer(client, listener, client.own.fingerprint))
        assert answer.code == 200
        theirs = wire.decode_whole(wire.ConnectData.decode, answer.payload)
        assert (theirs.application, theirs.role) == (6084, "active")
        assert theirs.fingerprint == answer.member.fingerprint
        assert re.fullmatch(r"sha-256( [0-9A-F]{2}(:[0-9A-F]{2}){31})", theirs.fingerprint)
        assert [wire.Candidate.decode(text).transport for text in theirs.candidates]
        link = peer.Link(ring.overlay, client.own, checked(listener, theirs), ring.peer_ids[target], server=True)
    direct = peer.Client(ring.overlay, client.own)
    direct.link = link
    with direct:
        assert direct.ping([ring.peer_ids[target]]).peer_id == ring.peer_ids[target]


def test_GAP_72_connect_with_the_fingerprint_of_another_certificate_makes_no_link(attach, ring):
    client, other = attach(0), attach.member()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(10)
        answer = client.request([ring.peer_ids[1]], wire.CONNECT, offer(client, listener, other.fingerprint))
        assert answer.code == 200
        raw = checked(listener, wire.decode_whole(wire.ConnectData.decode, answer.payload))
        link = peer.Link(ring.overlay, client.own, raw, ring.peer_ids[1], server=True)
    direct = peer.Client(ring.overlay, client.own)
    direct.link = link
    with direct, pytest.raises((peer.LinkClosed, peer.Timeout)):
        direct.ping([wire.WILDCARD], timeout=5)


# Half a message; last, because it takes 30 s from the first line of this file's work


def test_GAP_48_R_18_half_a_message_closes_the_link_after_30_s(stalled):
    """The second link gets one more byte on the way, which must not give it more time."""
    client, rest, _ = stalled[1]
    client.link.send(rest[:1])
    for client, _, start in stalled:
        wait = start + STALL_S - 2 - time.monotonic()
        if wait > 0:
            assert client.link.receive(time.monotonic() + wait) is None
        with pytest.raises(peer.LinkClosed):
            while client.link.receive(start + STALL_S + 8) is not None:
                pass


@pytest.mark.parametrize("threads", [0, 2])
def test_GAP_162_burst_of_requests_is_answered_in_full(threads):
    """More requests than are worked on at once wait in their socket."""
    ring = Ring(1, config=f"[node]\nthreads = {threads}\n")
    try:
        with peer.Client(ring.overlay, ring.member("burst@example.org")) as client:
            client.connect(ring.address(0))
            requests = [client.build([wire.WILDCARD], wire.PING, b"\0").encode() for _ in range(2500)]
            client.link.send(b"".join(requests))
            end = time.monotonic() + 60
            for _ in requests:
                assert client.link.receive(end) is not None
    finally:
        ring.stop()
