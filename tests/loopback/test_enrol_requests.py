"""What the enrolment service answers to right and wrong requests, over the network."""
import json
import re
import socket
import ssl
import time

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization

from enrolnet import CONFIG, CREDENTIAL, GUEST, PASSWORD, Digest, certificate_of, make_csr, new_key, peer_of, users_of
from torcnet import AUTHORITY, OVERLAY, TORCD, run

ALICE = f"alice@{OVERLAY}"
BOB = f"bob@{OVERLAY}"
PKCS10 = {"Content-Type": "application/pkcs10"}


def spki(owner):
    """The public key's bytes."""
    return owner.public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)


def test_ENR_09_ENR_10_GAP_130_the_document(authority):
    answer = authority.ask("GET", CONFIG)
    assert answer.status == 200 and answer.body == (authority.dir / "overlay.xml").read_bytes()
    assert answer.headers["Content-Type"] == "application/p2p-overlay+xml"
    assert answer.headers["Date"]
    again = authority.ask("GET", CONFIG, headers={"If-None-Match": answer.headers["ETag"]})
    assert again.status == 304 and again.body == b""
    assert authority.ask("HEAD", CONFIG).headers["Content-Length"] == str(len(answer.body))
    assert authority.ask("POST", CONFIG).status == 405
    assert authority.ask("GET", CREDENTIAL).status == 405
    assert authority.ask("GET", "/").status == 404


def test_ENR_31_ENR_34_R_38_peers_accept_what_is_issued(authority, tmp_path):
    key = new_key()
    certificate = authority.must_enrol("alice", [ALICE], key=key)
    assert users_of(certificate) == [ALICE]
    assert spki(certificate) == spki(key)
    (tmp_path / "alice.crt").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    (tmp_path / "alice.key").write_bytes(key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()))
    (tmp_path / "alice.key").chmod(0o600)
    (tmp_path / "torcd.conf").write_text(
        f"[overlay]\nfile = {authority.dir}/overlay.xml\n[identity]\ncert = {tmp_path}/alice.crt\nkey = {tmp_path}/alice.key\n"
        "[node]\nlisten = 127.0.0.1:0\n", encoding="utf-8")
    assert run(TORCD, "--check-config", "--config", tmp_path / "torcd.conf").returncode == 0
    shown = json.loads(run(AUTHORITY, "show", tmp_path / "alice.crt", "--json").stdout)
    assert shown["peers"] == [peer_of(certificate)] and shown["users"] == [ALICE] and shown["overlay"] == OVERLAY


def test_ENR_32_ENR_33_ENR_35_numbers_are_random_and_used_once(authority):
    found = [authority.must_enrol("alice", [ALICE]) for _ in range(10)]
    assert len({peer_of(c) for c in found}) == 10 and len({c.serial_number for c in found}) == 10
    bits = [int(peer_of(c), 16).bit_count() for c in found]
    assert 480 < sum(bits) < 800  # of 1280: a counter or a clock would have far fewer
    refused = authority.enrol("alice", make_csr([ALICE]))  # [R-52] [SEC-22]
    assert refused.status == 403 and "10 valid certificates" in refused.text
    assert authority.metrics()["refused_count_total"] == 1


@pytest.mark.parametrize("kind, status", [("RSA1024", 400), ("P-384", 400), ("RSA2048", 200)])
def test_D_10_keys(authority, kind, status):
    answer = authority.enrol("alice", make_csr([ALICE], key=new_key(kind)))
    assert answer.status == status, answer
    assert status == 200 or "peers take P-256, or RSA with 2048 to 4096 bits" in answer.text


def broken_signature():
    csr = bytearray(make_csr([ALICE]))
    csr[-3] ^= 1
    return bytes(csr)


WRONG = {
    "empty": (lambda: b"", 400, "it is no PKCS#10"),
    "malformed DER": (lambda: make_csr([ALICE])[:-1], 400, "it is no PKCS#10"),
    "length beyond the end": (lambda: b"\x30\x84\xff\xff\xff\xff" + bytes(100), 400, "it is no PKCS#10"),
    "deep nesting": (lambda: b"\x30\x80" * 8000, 400, "it is no PKCS#10"),
    "something behind it": (lambda: make_csr([ALICE]) + b"\0", 400, "it is no PKCS#10"),
    "bad self-signature": (broken_signature, 400, "its own signature does not hold"),
    "no user": (make_csr, 400, "it names no user"),
    "name of another": (lambda: make_csr([BOB]), 403, "belongs to another account for ever"),
    "own name and another's": (lambda: make_csr([ALICE, BOB]), 403, "belongs to another account"),
    "name of nobody": (lambda: make_csr([f"carol@{OVERLAY}"]), 403, "is not one of the account alice"),
    "CA rights": (lambda: make_csr([ALICE], extensions=[x509.BasicConstraints(True, None)]), 403, "asks for the extension"),
    "key usage": (lambda: make_csr([ALICE], extensions=[x509.ExtendedKeyUsage([x509.oid.ExtendedKeyUsageOID.CODE_SIGNING])]),
                  403, "asks for the extension"),
    "foreign peer-id": (lambda: make_csr([ALICE], peer="0123456789abcdef0123456789abcdef"), 403, "was not given"),
    "peer-id of another overlay": (lambda: make_csr([ALICE], peer="0123456789abcdef0123456789abcdef", overlay="x.example"),
                                   403, "a URI in it is not one reload://PEER-ID@" + OVERLAY),
}


@pytest.mark.parametrize("name", WRONG)
def test_ENR_28_ENR_29_ENR_36_wrong_requests_are_told(authority, name):
    make, status, reason = WRONG[name]
    answer = authority.enrol("alice", make())
    assert (answer.status, reason in answer.text) == (status, True), answer
    assert not authority.issued()
    told = authority.audit()[-1]
    assert told["event"] == "refused" and told["account"] == "alice" and told["source"] == "127.0.0.1"
    assert reason in told["reason"]
    assert authority.metrics()["certificates_issued_total"] == 0


def test_ENR_28_wrong_types_and_sizes_are_told(authority):
    wrong = authority.enrol("alice", make_csr([ALICE]), content_type="application/x-www-form-urlencoded")
    assert wrong.status in (401, 415) and authority.issued() == []
    big = authority.ask("POST", CREDENTIAL, bytes(1 << 20), PKCS10)
    assert big.status == 413 and "at most 16384 bytes" in big.text
    (authority.root / "huge").write_bytes(bytes(16 << 20))
    done = authority.curl("-H", "Content-Type: application/pkcs10", "-H", "Expect: 100-continue", "--data-binary",
                          f"@{authority.root}/huge", "-w", "%{http_code} %{size_upload}", authority.url(), check=False)
    assert done.stdout.endswith(b"413 0")  # refused before it is sent
    done = authority.curl("--digest", "-u", f"alice:{PASSWORD}", "-H", "Content-Type: application/pkcs10", "--data-binary",
                          "@/dev/stdin", "-w", "%{http_code}", authority.url(), check=False)
    assert done.stdout.endswith(b"400")  # nothing on standard input: an empty request
    assert authority.must_enrol("alice", [ALICE])


def test_ENR_28_a_body_without_end_is_cut_off(authority):
    """1 MiB in chunks, of no announced length: the service stops reading."""
    raw = socket.create_connection(("127.0.0.1", authority.port), timeout=30)
    with ssl.create_default_context(cafile=str(authority.tls_cert)).wrap_socket(raw, server_hostname="127.0.0.1") as tls:
        tls.sendall(f"POST {CREDENTIAL} HTTP/1.1\r\nHost: x\r\nContent-Type: application/pkcs10\r\n"
                    "Transfer-Encoding: chunked\r\n\r\n".encode())
        with pytest.raises(OSError):
            for _ in range(4096):
                tls.sendall(b"1000\r\n" + bytes(4096) + b"\r\n")
    assert authority.must_enrol("alice", [ALICE])


def test_ENR_30_passwords(authority):
    csr = make_csr([ALICE])
    wrong = authority.enrol("alice", csr, password="wrong")
    assert wrong.status == 401 and "algorithm" in wrong.headers["WWW-Authenticate"]
    unknown = authority.enrol("nobody", csr)
    assert (unknown.status, unknown.body) == (wrong.status, wrong.body)  # which accounts there are is not told
    assert authority.enrol("bob", csr).status == 403  # a right password, another's name
    basic = authority.ask("POST", CREDENTIAL, csr, {**PKCS10, "Authorization": "Basic YWxpY2U6eA=="})
    assert basic.status == 401
    junk = authority.ask("POST", CREDENTIAL, csr, {**PKCS10, "Authorization": 'Digest username="alice"'})
    assert junk.status == 401
    authority("user disable", "alice")
    assert authority.enrol("alice", csr).status == 401
    authority("user enable", "alice")
    authority("user passwd", "alice", stdin="another password\n")
    assert authority.enrol("alice", csr).status == 401
    assert authority.enrol("alice", csr, password="another password").status == 200
    assert authority.metrics()["refused_password_total"] >= 4
    assert [line["reason"] for line in authority.audit() if line["event"] == "refused" and line["account"] == "nobody"] == [
        "wrong account or password"]


def test_ENR_30_a_nonce_serves_once(authority):
    digest = Digest("alice", PASSWORD, authority.challenge())
    header = {**PKCS10, "Authorization": digest.header()}
    assert authority.ask("POST", CREDENTIAL, make_csr([ALICE]), header).status == 200
    replayed = authority.ask("POST", CREDENTIAL, make_csr([ALICE]), header)
    assert replayed.status == 401 and "stale=true" in replayed.headers["WWW-Authenticate"]
    assert authority.ask("POST", CREDENTIAL, make_csr([ALICE]), header).status == 401  # nor after another challenge
    fresh = Digest("alice", PASSWORD, replayed.headers["WWW-Authenticate"])
    assert authority.ask("POST", CREDENTIAL, make_csr([ALICE]), {**PKCS10, "Authorization": fresh.header()}).status == 200
    assert len({re.search('nonce="(\\w+)"', authority.challenge()).group(1) for _ in range(20)}) == 20
    forged = Digest("alice", PASSWORD, 'Digest realm="%s", nonce="%s", algorithm=SHA-256' % (OVERLAY, "0" * 80))
    assert authority.ask("POST", CREDENTIAL, make_csr([ALICE]), {**PKCS10, "Authorization": forged.header()}).status == 401
    other = Digest("alice", PASSWORD, authority.challenge(), path=GUEST)  # made for another address
    assert authority.ask("POST", CREDENTIAL, make_csr([ALICE]), {**PKCS10, "Authorization": other.header()}).status != 200
    assert len(authority.issued()) == 2


def test_ENR_30_MD5_only_where_it_is_enabled(make_authority):
    one = make_authority()
    one.add("alice", ALICE)
    one.start()
    path = CREDENTIAL + "?algorithm=MD5"
    assert "sha-256" in one.challenge(path).lower()
    weak = Digest("alice", PASSWORD, one.challenge().replace("sha-256", "MD5").replace("SHA-256", "MD5"))
    assert weak.algorithm == "MD5"
    header = {**PKCS10, "Authorization": weak.header()}
    assert one.ask("POST", CREDENTIAL, make_csr([ALICE]), header).status == 401
    one.stop()
    one.configure({"https": {"md5": "yes"}})
    one.start()
    assert "sha-256" in one.challenge().lower()  # who does not ask for less gets SHA-256
    challenge = one.challenge(path)
    assert "md5" in challenge.lower()
    weak = Digest("alice", PASSWORD, challenge, path)
    before = one.ask("POST", path, make_csr([ALICE]), {**PKCS10, "Authorization": weak.header()})
    assert before.status == 401  # the password was set when only SHA-256 was kept
    one("user passwd", "alice", stdin=PASSWORD + "\n")
    done = one.curl("--digest", "-u", f"alice:{PASSWORD}", "-H", "Content-Type: application/pkcs10", "--data-binary",
                    "@" + write(one, make_csr([ALICE])), one.url(path))
    assert users_of(certificate_of(done.stdout)) == [ALICE]


def write(authority, data):
    (authority.root / "request").write_bytes(data)
    return str(authority.root / "request")


def test_BGAP_05_browsers_of_any_origin(authority):
    preflight = authority.ask("OPTIONS", CREDENTIAL, headers={"Origin": "https://example.org",
                                                              "Access-Control-Request-Method": "POST"})
    assert preflight.status == 204
    assert preflight.headers["Access-Control-Allow-Origin"] == "*"
    assert {"Authorization", "Content-Type"} <= set(preflight.headers["Access-Control-Allow-Headers"].split(", "))
    assert "POST" in preflight.headers["Access-Control-Allow-Methods"]
    answers = [authority.ask("GET", CONFIG), authority.ask("POST", CREDENTIAL, b"", PKCS10),
               authority.enrol("alice", make_csr([ALICE])), authority.enrol("alice", make_csr([BOB])),
               authority.ask("POST", GUEST, make_csr(), PKCS10), authority.ask("POST", CREDENTIAL, bytes(1 << 17), PKCS10)]
    assert [answer.status for answer in answers] == [200, 401, 200, 403, 403, 413]
    for answer in answers:
        assert answer.headers["Access-Control-Allow-Origin"] == "*"
        assert "WWW-Authenticate" in answer.headers["Access-Control-Expose-Headers"]


def test_ENR_38_R_52_renewal_keeps_the_peer_id(authority):
    first = authority.must_enrol("alice", [ALICE])
    renewed = authority.must_enrol("alice", [ALICE], peer=peer_of(first))  # with a new key
    assert peer_of(renewed) == peer_of(first) and renewed.serial_number != first.serial_number
    assert spki(renewed) != spki(first)
    stolen = authority.enrol("bob", make_csr([BOB], peer=peer_of(first)))
    assert stolen.status == 403 and "was not given to the account bob" in stolen.text
    for _ in range(9):
        authority.must_enrol("alice", [ALICE])
    assert authority.enrol("alice", make_csr([ALICE])).status == 403
    authority.must_enrol("alice", [ALICE], peer=peer_of(first))  # a renewal is no eleventh


def test_ENR_35_a_lost_answer_is_given_again(authority):
    csr = make_csr([ALICE])
    assert authority.enrol("alice", csr).body == authority.enrol("alice", csr).body
    assert len(authority.issued()) == 1 and authority.metrics()["certificates_repeated_total"] == 1
    assert [line.get("repeat", False) for line in authority.audit() if line["event"] == "issued"] == [False, True]


def test_BGAP_04_BGAP_05_guests(make_authority):
    one = make_authority(settings={"policy": {"guests": "yes", "guest-days": "2"}})
    one.add("alice", ALICE)
    one.start()
    key = new_key()
    answer = one.ask("POST", GUEST, make_csr(key=key), PKCS10)
    assert answer.status == 200
    certificate = certificate_of(answer.body)
    name, = users_of(certificate)
    assert name.startswith("guest-") and name.endswith("@" + OVERLAY)
    assert certificate.not_valid_after.timestamp() - time.time() < 3 * 86400
    renewed = certificate_of(one.ask("POST", GUEST, make_csr(key=key, peer=peer_of(certificate)), PKCS10).body)
    assert users_of(renewed) == [name] and peer_of(renewed) == peer_of(certificate)
    for wanted in (ALICE, f"guest-0123456789abcdef01234567@{OVERLAY}"):
        refused = one.ask("POST", GUEST, make_csr([wanted]), PKCS10)
        assert refused.status == 403 and "guests do not choose" in refused.text
    other = one.ask("POST", GUEST, make_csr(peer=peer_of(certificate)), PKCS10)
    assert other.status == 403  # another key, another guest
    assert "names that begin with guest- are those of guests" in one(
        "user add", "guest-me", "--user", f"g@{OVERLAY}", check=False, stdin=PASSWORD).stderr


def test_D_17_guests_are_refused_unless_the_policy_is_open(authority):
    refused = authority.ask("POST", GUEST, make_csr(), PKCS10)
    assert refused.status == 403 and "this overlay takes no guests" in refused.text
    assert authority.issued() == []
