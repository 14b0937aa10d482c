"""torc enroll: from the name of an overlay to a certificate, with the real service and a real DNS server."""
import datetime
import ipaddress
import json
import os
import pty
import select
import socket
import ssl
import stat
import subprocess
import threading

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.x509.oid import NameOID

from enrolnet import PASSWORD, new_key, peer_of, users_of
from namenet import Dns
from torcnet import AUTHORITY, OVERLAY, ROOT, TORC, TORCD, free_port, run, wait_for

ALICE = f"alice@{OVERLAY}"


@pytest.fixture
def make_dns(tmp_path):
    made = []

    def make(*records, **options):
        made.append(Dns(tmp_path, **options))
        return made[-1].start(*records)
    yield make
    for dns in made:
        dns.stop()


@pytest.fixture
def password(tmp_path):
    path = tmp_path / "password.txt"
    path.write_text(PASSWORD + "\n", encoding="utf-8")
    path.chmod(0o600)
    return path


@pytest.fixture
def place(authority, make_dns):
    """The DNS leads to the authority by SRV."""
    return make_dns(f"_p2p_enroll._tcp SRV 0 0 {authority.port} auth", "auth A 127.0.0.1")


def enroll(tmp_path, *words, overlay=OVERLAY, check=True, env=None, directory="alice", **more):
    return run(TORC, "enroll", overlay, "--dir", tmp_path / directory, *words, check=check, env=env, **more)


@pytest.fixture
def client(tmp_path, authority, place, password):
    """Enrols as alice by the DNS; words are added."""
    def call(*words, user="alice", **more):
        known = ["--user", user] if user else []
        with_password = [] if "--guest" in words or "--password-fd" in words else ["--password-file", password]
        ca = [] if "--ca-file" in words else ["--ca-file", authority.tls_cert]
        resolver = [] if "--resolver" in words or "--server" in words else ["--resolver", place.resolver]
        return enroll(tmp_path, *known, *with_password, *ca, *resolver, *words, **more)
    return call


def certificate(tmp_path, directory="alice"):
    return x509.load_pem_x509_certificate((tmp_path / directory / "node.crt").read_bytes())


def mode(path):
    return stat.S_IMODE(path.stat().st_mode)


# ---- it works ----

def test_ENR_03_ENR_05_ENR_09_ENR_27_ENR_28_ENR_31_from_a_name_to_a_certificate(client, tmp_path, authority):
    done = json.loads(client("--json").stdout)
    issued = certificate(tmp_path)
    assert users_of(issued) == [ALICE] and done["users"] == [ALICE]
    assert done["peer"] == peer_of(issued) and done["srv"] is True and done["overlay"] == OVERLAY
    assert done["server"] == f"auth.{OVERLAY} (127.0.0.1:{authority.port})"
    assert done["dnssec"] == "not checked"
    files = {path.name: mode(path) for path in (tmp_path / "alice").iterdir()}
    assert files == {"node.key": 0o600, "node.crt": 0o644, "overlay.xml": 0o644, "enroll.conf": 0o600}
    assert (tmp_path / "alice/overlay.xml").read_bytes() == (authority.dir / "overlay.xml").read_bytes()
    assert isinstance(issued.public_key(), type(new_key().public_key()))  # [D-10] P-256
    assert PASSWORD not in (tmp_path / "alice/enroll.conf").read_text(encoding="utf-8")


def test_ENR_34_torcd_takes_what_it_is_told_to_put_into_its_configuration(client, tmp_path):
    said = client().stdout
    lines = said.split("torcd.conf\n\n", 1)[1].split("\n\n")[0].replace("0.0.0.0:6084", "127.0.0.1:0")
    conf = tmp_path / "torcd.conf"
    conf.write_text("\n".join(line.strip() for line in lines.splitlines()) + "\n", encoding="utf-8")
    assert "renew = " in lines and "usable" in run(TORCD, "--check-config", "--config", conf).stdout


def test_ENR_05_several_targets_are_tried_in_the_order_of_RFC_2782(client, tmp_path, authority, make_dns):
    dead = free_port()
    dns = make_dns(f"_p2p_enroll._tcp SRV 0 9 {dead} auth", f"_p2p_enroll._tcp SRV 0 1 {dead} gone",
                   f"_p2p_enroll._tcp SRV 5 0 {authority.port} auth", f"_p2p_enroll._tcp SRV 6 0 {dead} auth",
                   "auth A 127.0.0.1", "auth AAAA ::1")
    done = json.loads(client("--resolver", dns.resolver, "--json").stdout)
    assert done["server"].endswith(f"(127.0.0.1:{authority.port})") and (tmp_path / "alice/node.crt").exists()


def test_ENR_29_several_names_and_another_account(authority, client, tmp_path):
    authority("user grant", "bob", "--user", f"robert@{OVERLAY}")
    client("--account", "bob", "--user", "robert", user="bob")
    assert sorted(users_of(certificate(tmp_path))) == [f"bob@{OVERLAY}", f"robert@{OVERLAY}"]


def test_D_10_an_overlay_that_takes_only_rsa_gets_an_rsa_key(authority, client, tmp_path):
    text = (authority.dir / "overlay.xml").read_text(encoding="utf-8").split("<?torc-signature")[0]
    draft = tmp_path / "draft.xml"
    own = 'xmlns:torc="urn:torc:overlay:1"'
    text = text if own in text else text.replace("<overlay ", f"<overlay {own} ", 1)
    end = text.index("</configuration>") if "</configuration>" in text else text.rindex("</overlay>")
    draft.write_text(text[:end] + '<torc:signature-algorithm name="rsa-sha256"/>' + text[end:], encoding="utf-8")
    run(AUTHORITY, "config", "sign", authority.dir, draft)
    authority.stop()
    authority.start()
    client("--server", f"127.0.0.1:{authority.port}")
    assert certificate(tmp_path).public_key().key_size == 2048


def test_ENR_02_a_server_that_is_given_needs_no_dns(client, tmp_path, authority):
    done = json.loads(client("--server", f"127.0.0.1:{authority.port}", "--json").stdout)
    assert done["srv"] is False and certificate(tmp_path)


def test_BGAP_04_the_next_credential_server_is_asked(make_authority, make_dns, tmp_path, password):
    one = make_authority()
    one.add("alice", ALICE)
    one.start()
    run(AUTHORITY, "config", "set", one.dir, "--credential-server", f"https://{OVERLAY}:{free_port()}/p2psip/credential",
        "--credential-server", f"https://nowhere.{OVERLAY}/p2psip/credential",
        "--credential-server", f"https://{OVERLAY}:{one.port}/p2psip/credential")
    one.stop()
    one.settings["https"]["listen"] = [f"127.0.0.1:{one.port}"]
    one.configure({})
    one.start()
    dns = make_dns(f"_p2p_enroll._tcp SRV 0 0 {one.port} auth", "auth A 127.0.0.1")
    enroll(tmp_path, "--user", "alice", "--password-file", password, "--resolver", dns.resolver, "--ca-file", one.tls_cert)
    assert users_of(certificate(tmp_path)) == [ALICE]


def test_ENR_36_a_guest_where_the_policy_is_open(make_authority, tmp_path):
    one = make_authority(settings={"policy": {"guests": "yes"}}).start()
    server = ["--server", f"127.0.0.1:{one.port}", "--ca-file", one.tls_cert]
    done = json.loads(enroll(tmp_path, "--guest", "--json", *server).stdout)
    assert done["users"][0].startswith("guest-") and users_of(certificate(tmp_path)) == done["users"]
    key = (tmp_path / "alice/node.key").read_bytes()
    again = json.loads(run(TORC, "renew", tmp_path / "alice", "--json").stdout)  # [ENR-38]
    assert again["users"] == done["users"] and again["peer"] == done["peer"]
    assert (tmp_path / "alice/node.key").read_bytes() == key


def test_ENR_36_no_guests_where_it_is_closed(client, tmp_path):
    done = client("--guest", user=None, check=False)
    assert done.returncode == 1 and "refuses" in done.stderr and "guest" in done.stderr
    assert not (tmp_path / "alice/node.crt").exists()


# ---- passwords ----

def arguments(tmp_path, authority, place):
    return [str(TORC), "enroll", OVERLAY, "--user", "alice", "--dir", str(tmp_path / "alice"), "--ca-file",
            str(authority.tls_cert), "--resolver", place.resolver]


def test_ENR_30_the_password_comes_from_a_descriptor(tmp_path, authority, place):
    reader, writer = os.pipe()
    os.write(writer, PASSWORD.encode() + b"\n")
    os.close(writer)
    done = subprocess.run([*arguments(tmp_path, authority, place), "--password-fd", str(reader)], pass_fds=[reader],
                          capture_output=True, text=True, check=False, timeout=60)
    os.close(reader)
    assert done.returncode == 0, done.stderr
    assert users_of(certificate(tmp_path)) == [ALICE]


def test_ENR_30_the_password_is_asked_for_without_echo(tmp_path, authority, place):
    pid, terminal = pty.fork()
    if pid == 0:
        os.execv(TORC, arguments(tmp_path, authority, place))
    shown = b""

    def reads():
        nonlocal shown
        if select.select([terminal], [], [], 0.02)[0]:
            try:
                shown += os.read(terminal, 4096)
            except OSError:
                return True
        return b"Password of alice" in shown and not is_typed
    is_typed = False
    wait_for(reads, 30, lambda: f"the question; {shown!r}")
    is_typed = True
    os.write(terminal, PASSWORD.encode() + b"\n")
    wait_for(reads, 30, lambda: f"the end; {shown!r}")
    assert os.waitpid(pid, 0)[1] == 0, shown
    os.close(terminal)
    assert PASSWORD.encode() not in shown and b"valid until" in shown


def test_ENR_30_without_a_terminal_it_says_so(tmp_path, authority, place):
    done = subprocess.run(arguments(tmp_path, authority, place), capture_output=True, text=True, check=False, timeout=60,
                          stdin=subprocess.DEVNULL, start_new_session=True)
    assert done.returncode == 2 and "--password-file FILE (mode 0600) or --password-fd N" in done.stderr


def test_ENR_30_a_password_file_that_others_can_read_is_refused(client, password):
    password.chmod(0o644)
    done = client(check=False)
    assert done.returncode == 2 and f"chmod 600 {password}" in done.stderr


# ---- what is there already ----

def test_ENR_01_an_identity_is_never_overwritten(client, tmp_path, authority):
    client()
    before = {path.name: path.read_bytes() for path in (tmp_path / "alice").iterdir()}
    asked = authority.metrics()
    done = client(check=False)
    assert done.returncode == 1 and "holds an identity already" in done.stderr and "torc renew" in done.stderr
    assert {path.name: path.read_bytes() for path in (tmp_path / "alice").iterdir()} == before
    assert authority.metrics() == asked  # nobody was asked for anything
    told = json.loads(client("--force", "--json").stdout)
    after = {path.name: path.read_bytes() for path in (tmp_path / "alice").iterdir()}
    assert after["node.key"] != before["node.key"] and told["peer"] == peer_of(certificate(tmp_path))
    assert {name: after[name + told["kept"]] for name in before} == before
    assert mode(tmp_path / "alice" / ("node.key" + told["kept"])) == 0o600


def test_ENR_31_a_lost_answer_costs_no_second_certificate(client, tmp_path, authority):
    (tmp_path / "alice").mkdir()
    (tmp_path / "alice/enroll.conf").mkdir()  # what comes cannot be written
    done = client(check=False)
    assert done.returncode == 1 and "enroll.conf" in done.stderr
    assert sorted(path.name for path in (tmp_path / "alice").iterdir()) == ["enroll.conf", "node.key.next"]
    assert mode(tmp_path / "alice/node.key.next") == 0o600
    (tmp_path / "alice/enroll.conf").rmdir()
    client()
    issued = authority.issued()
    assert len(issued) == 1 and not (tmp_path / "alice/node.key.next").exists()
    assert authority.metrics()["certificates_repeated_total"] == 1


# ---- renewal by hand ----

def test_ENR_38_renewal_keeps_names_and_peer_id(client, tmp_path):
    client("--save-password")
    saved = tmp_path / "alice/password"
    assert mode(saved) == 0o600 and saved.read_text(encoding="utf-8") == PASSWORD
    before, key = certificate(tmp_path), (tmp_path / "alice/node.key").read_bytes()
    done = json.loads(run(TORC, "renew", tmp_path / "alice", "--json").stdout)
    after = certificate(tmp_path)
    assert peer_of(after) == peer_of(before) == done["peer"] and users_of(after) == users_of(before)
    assert after.serial_number != before.serial_number
    assert (tmp_path / "alice/node.key").read_bytes() != key
    assert (tmp_path / "alice" / ("node.key" + done["kept"])).read_bytes() == key


def test_GAP_131_a_renewal_takes_no_document_of_other_roots(client, tmp_path, authority, make_authority):
    """Whoever can show a certificate for the overlay's name is not thereby its authority."""
    client()
    other = make_authority(name="other")
    other.add("alice", ALICE)
    other.settings["https"].update(cert=authority.tls_cert, key=authority.tls_key,
                                   listen=[f"127.0.0.1:{authority.port}"])
    other.configure({})
    authority.stop()
    other.start()
    before = (tmp_path / "alice/node.crt").read_bytes()
    done = run(TORC, "renew", tmp_path / "alice", check=False)
    assert done.returncode == 1 and "cannot follow" in done.stderr
    assert (tmp_path / "alice/node.crt").read_bytes() == before and other.issued() == []


# ---- what goes wrong, and what is said ----

def refused(done, tmp_path, *words):
    assert done.returncode == 1, (done.returncode, done.stdout, done.stderr)
    for word in words:
        assert word in done.stderr, (word, done.stderr)
    assert done.stderr.count("\n") == 1
    assert not (tmp_path / "alice/node.crt").exists() and not (tmp_path / "alice/node.key").exists()


def test_ENR_05_no_such_name(tmp_path, client, make_dns):
    dns = make_dns(zone="other.example")
    refused(client("--resolver", dns.resolver, overlay="rign.other.example", check=False), tmp_path,
            "there is no such name as rign.other.example in the DNS", "check the spelling")


def test_ENR_05_GAP_125_no_record_and_no_address(tmp_path, client, make_dns):
    refused(client("--resolver", make_dns().resolver, check=False), tmp_path,
            f"neither an SRV record _p2p_enroll._tcp.{OVERLAY} nor an address", "--server HOST:PORT")


def test_ENR_05_the_service_is_not_offered(tmp_path, client, make_dns):
    refused(client("--resolver", make_dns("_p2p_enroll._tcp SRV 0 0 0 .").resolver, check=False), tmp_path,
            "SRV record says that there is no enrolment service")


def test_ENR_05_a_target_without_address(tmp_path, client, make_dns):
    refused(client("--resolver", make_dns("_p2p_enroll._tcp SRV 0 0 443 gone").resolver, check=False), tmp_path,
            f"names gone.{OVERLAY}, which has no address")


def test_ENR_05_the_resolver_is_silent(tmp_path, client):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
        silent.bind(("127.0.0.1", 0))
        done = client("--resolver", f"127.0.0.1@{silent.getsockname()[1]}", check=False)
    refused(done, tmp_path, "the DNS gives no answer about _p2p_enroll._tcp")


def test_BGAP_04_the_authority_is_down(tmp_path, client, authority):
    authority.stop()
    refused(client(check=False), tmp_path, "cannot be reached", "Connection refused", "try again later")


def write_server(tmp_path, name, names, start, end):
    """Certificate and key of an HTTPS server."""
    key = new_key()
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.datetime.utcnow()
    made = (x509.CertificateBuilder().subject_name(subject).issuer_name(subject).public_key(key.public_key())
            .serial_number(x509.random_serial_number()).not_valid_before(now + start).not_valid_after(now + end)
            .add_extension(x509.SubjectAlternativeName(names), critical=False)
            .add_extension(x509.BasicConstraints(True, None), critical=True).sign(key, hashes.SHA256()))
    cert, pem = tmp_path / f"{name}.crt", tmp_path / f"{name}.key"
    cert.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    pem.write_bytes(key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8,
                                      serialization.NoEncryption()))
    pem.chmod(0o600)
    return cert, pem


DAY = datetime.timedelta(days=1)
CERTIFICATES = {
    "another name": ([x509.DNSName("auth." + OVERLAY)], -DAY, DAY, "not for the name in https://" + OVERLAY),
    "only the address": ([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))], -DAY, DAY, "not for the name in"),
    "expired": ([x509.DNSName(OVERLAY)], -2 * DAY, -DAY, "has expired (it is "),
    "not yet": ([x509.DNSName(OVERLAY)], DAY, 2 * DAY, "is not valid yet (it is "),
}


@pytest.mark.parametrize("what", CERTIFICATES)
def test_ENR_08_GAP_126_the_certificate_must_be_the_overlays(what, make_authority, client, tmp_path):
    names, start, end, said = CERTIFICATES[what]
    cert, key = write_server(tmp_path, "server", names, start, end)
    one = make_authority(name="second", settings={"https": {"cert": cert, "key": key}})
    one.start()
    done = client("--server", f"127.0.0.1:{one.port}", "--ca-file", cert, check=False)
    refused(done, tmp_path, said, "the operator")


def test_ENR_08_an_authority_that_is_not_trusted(client, tmp_path):
    cert, _ = write_server(tmp_path, "server", [x509.DNSName(OVERLAY)], -DAY, DAY)
    refused(client("--ca-file", cert, check=False), tmp_path, "not trusted here", "--ca-file FILE")


@pytest.fixture(scope="module")
def clock(tmp_path_factory):
    """Environment of a program whose clock is wrong by so many seconds."""
    library = tmp_path_factory.mktemp("clock") / "clock.so"
    subprocess.run(["cc", "-shared", "-fPIC", "-O1", "-o", str(library), str(ROOT / "tests/loopback/clock.c")], check=True)
    return lambda seconds: {"LD_PRELOAD": str(library), "CLOCK_OFFSET": str(seconds),
                            "ASAN_OPTIONS": "verify_asan_link_order=0"}


@pytest.mark.parametrize("days", [-1, 1, -4, 4])
def test_GAP_135_a_clock_that_is_wrong_is_told(days, client, tmp_path, clock):
    """By a day the HTTPS certificate, of an hour ago to in two days, may still hold; by four it does not."""
    done = client(check=False, env=clock(days * 86400))
    refused(done, tmp_path, "this machine's clock", "set the clock of this machine")
    now = datetime.datetime.utcnow()
    assert now.strftime("%Y-%m-%d") in done.stderr
    assert (now + datetime.timedelta(days=days)).strftime("%Y-%m-%d") in done.stderr


def test_ENR_30_a_wrong_password(client, tmp_path, password):
    password.write_text("wrong horse battery\n", encoding="utf-8")
    refused(client(check=False), tmp_path, "refuses account alice: wrong password, no such account, or it is disabled")


def test_ENR_36_a_name_of_somebody_else(client, tmp_path):
    refused(client("--account", "alice", user="bob", check=False), tmp_path, "refuses: ", "bob@")


def test_ENR_30_too_many_requests(make_authority, tmp_path, password):
    one = make_authority(settings={"limits": {"requests-per-minute": 2, "burst": 2}})
    one.add("alice", ALICE)
    one.start()
    words = ["--user", "alice", "--password-file", password, "--server", f"127.0.0.1:{one.port}", "--ca-file", one.tls_cert,
             "--force"]

    def limited():
        done = enroll(tmp_path, *words, check=False)
        return done if done.returncode != 0 else None
    done = wait_for(limited, 60, "the limit")
    assert "too many requests from this network: try again in " in done.stderr and " seconds" in done.stderr


class Impostor:
    """An HTTPS server with the authority's certificate that answers what a test says."""

    def __init__(self, cert, key, status, kind, body):
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(cert, key)
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.answer = (f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n"
                       "Connection: close\r\n\r\n").encode() + body
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        while True:
            try:
                plain, _ = self.listener.accept()
                with self.context.wrap_socket(plain, server_side=True) as s:
                    s.recv(65536)
                    s.sendall(self.answer)
                    s.unwrap()
            except (ssl.SSLError, ConnectionError):
                continue
            except OSError:
                return

    def close(self):
        self.listener.close()


XML = "application/p2p-overlay+xml"
DOCUMENTS = {
    "of another type": ("200 OK", "text/html", b"<html/>", "the answer is text/html, not " + XML),
    "too large": ("200 OK", XML, b" " * ((1 << 20) + 1), "larger than 1048576 bytes"),
    "no XML": ("200 OK", XML, b"<overlay", "overlay configuration that the server gives is not usable"),
    "an entity": ("200 OK", XML, b'<!DOCTYPE a [<!ENTITY b "c">]><overlay/>', "not usable"),
    "a redirect": ("302 Found\r\nLocation: https://elsewhere.example/", XML, b"", "answers with status 302"),
    "another address": ("404 Not Found", "text/plain", b"no", "has no enrolment service"),
    "in trouble": ("503 Service Unavailable", "text/plain", b"no", "try again later"),
    "with a cursor": ("418 I", "text/plain", b"\x1b[2Jgo\naway", "answers with status 418: [2Jgo away"),
}


@pytest.mark.parametrize("what", DOCUMENTS)
def test_ENR_10_ENR_11_GAP_127_a_document_that_is_none(what, client, tmp_path, authority):
    status, kind, body, said = DOCUMENTS[what]
    server = Impostor(authority.tls_cert, authority.tls_key, status, kind, body)
    try:
        refused(client("--server", f"127.0.0.1:{server.port}", check=False), tmp_path, said)
    finally:
        server.close()


# ---- DNSSEC ----

@pytest.fixture
def signed(authority, make_dns):
    return make_dns(f"_p2p_enroll._tcp SRV 0 0 {authority.port} auth", "auth A 127.0.0.1", signed=True)


def test_ENR_05_dnssec_is_checked_if_a_trust_anchor_is_given(client, signed):
    done = json.loads(client("--resolver", signed.resolver, "--trust-anchor", signed.anchor(), "--json").stdout)
    assert done["dnssec"] == "secure"


def test_ENR_05_a_forged_answer_is_refused(client, signed, make_dns, tmp_path):
    other = make_dns(signed=True)
    refused(client("--resolver", signed.resolver, "--trust-anchor", other.anchor(), check=False), tmp_path,
            "is not what the zone signed (DNSSEC)")


def test_ENR_05_a_zone_without_keys_is_forged_where_keys_are_due(client, signed, place, tmp_path):
    refused(client("--resolver", place.resolver, "--trust-anchor", signed.anchor(), check=False), tmp_path,
            "is not what the zone signed (DNSSEC)")


# ---- the command line ----

WRONG = {
    "no user": ([OVERLAY], "--user NAME is missing"),
    "two overlays": ([OVERLAY, "b", "--user", "a"], "usage: torc enroll"),
    "a guest with a name": ([OVERLAY, "--guest", "--user", "a"], "a guest has neither"),
    "two passwords": ([OVERLAY, "--user", "a", "--password-fd", "0", "--password-file", "/dev/null"], "exclude each other"),
    "a password": ([OVERLAY, "--user", "a", "--password", "x"], "usage: torc enroll"),
    "no user name": ([OVERLAY, "--user", "a b", "--password-fd", "0"], "expected a user name"),
    "no file": ([OVERLAY, "--user", "a", "--ca-file", "/nowhere"], "No such file"),
    "two lines": ([OVERLAY, "--user", "a", "--server", "a:1\nb"], "text"),
}


@pytest.mark.parametrize("what", WRONG)
def test_wrong_use_of_torc_enroll(what):
    words, said = WRONG[what]
    done = run(TORC, "enroll", *words, check=False, stdin="")
    assert done.returncode == 2 and said in done.stderr, done.stderr
