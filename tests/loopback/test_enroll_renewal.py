"""Certificates are renewed by the running daemon, with the real authority: in time, after failures, by hand."""
import datetime
import re
import signal
import socket
import ssl

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization

from enrolnet import PASSWORD, peer_of, users_of
from torcnet import AUTHORITY, OVERLAY, Peer, TORC, TORCD, TYPES, free_port, run, wait_for

DAY = datetime.timedelta(days=1)


class Place:
    """What Peer wants of an overlay: a directory."""

    def __init__(self, directory):
        self.dir = directory
        self.authority = directory


class Enrolled(Peer):
    """A torcd whose identity and document torc enroll has written."""

    def __init__(self, place, authority, name, port=0):
        super().__init__(place, name, port=port)
        self.home = self.dir / name
        self.authority = authority
        self.password = self.dir / f"{name}.password"
        self.password.write_text(PASSWORD, encoding="utf-8")
        self.password.chmod(0o600)
        self.cert, self.key = self.home / "node.crt", self.home / "node.key"
        authority.add(name, self.user)
        run(TORC, "enroll", OVERLAY, "--user", name, "--dir", self.home, "--password-file", self.password, "--server",
            f"127.0.0.1:{authority.port}", "--ca-file", authority.tls_cert)
        self.sections["overlay"] = {"file": self.home / "overlay.xml"}
        self.sections["identity"] = {"cert": self.cert, "key": self.key, "renew": self.home}

    def certificate(self):
        return x509.load_pem_x509_certificate(self.cert.read_bytes())

    def age(self, past=80 * DAY, left=10 * DAY):
        """As if the certificate had been issued so long ago."""
        old = self.certificate()
        key = serialization.load_pem_private_key((self.authority.dir / "ca.key").read_bytes(), None)
        now = datetime.datetime.utcnow().replace(microsecond=0)
        made = (x509.CertificateBuilder().subject_name(old.subject).issuer_name(old.issuer).public_key(old.public_key())
                .serial_number(x509.random_serial_number()).not_valid_before(now - past).not_valid_after(now + left))
        for extension in old.extensions:
            made = made.add_extension(extension.value, extension.critical)
        self.cert.write_bytes(made.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM))
        return self.certificate()

    def wait_event(self, name, timeout=60):
        def found():
            events = [event for event in self.events() if event.get("event") == name]
            return events[-1] if events else None
        return wait_for(found, timeout, lambda: f"{name}: {self.log.read_text(encoding='utf-8')[-2000:]}")

    def shown_to(self, other, port):
        """The certificate that a new link shows to another enrolled one."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        context.load_cert_chain(other.cert, other.key)
        with socket.create_connection(("127.0.0.1", port), timeout=20) as plain:
            with context.wrap_socket(plain) as link:
                return x509.load_der_x509_certificate(link.getpeercert(True))


@pytest.fixture
def enrol(tmp_path, make_authority):
    """Enrols people at one authority, whose document names the port of the first as bootstrap peer."""
    port = free_port()
    authority = make_authority().start()
    run(AUTHORITY, "config", "set", authority.dir, "--bootstrap", f"127.0.0.1:{port}", "--type", TYPES[0])
    authority.stop()
    authority.settings["https"]["listen"] = [f"127.0.0.1:{authority.port}"]
    authority.configure({})
    authority.start()
    made = []

    def make(name):
        made.append(Enrolled(Place(tmp_path), authority, name, port=0 if made else port))
        made[-1].port = port
        return made[-1]
    make.authority = authority
    yield make
    for peer in made:
        peer.kill()


def test_ENR_38_a_running_peer_renews_its_certificate(enrol):
    alice, bob = enrol("alice"), enrol("bob")
    first = alice.age()
    assert alice.start().wait_joined() and bob.start().wait_joined()
    pid = alice.process.pid
    taken = alice.wait_event("torcd:certificate_renewed")
    second = alice.certificate()
    assert second.serial_number != first.serial_number and taken["valid_until"].startswith(str(second.not_valid_after))
    assert peer_of(second) == peer_of(first) and users_of(second) == users_of(first)
    assert second.public_key().public_numbers() != first.public_key().public_numbers()
    # new links show it, those that stood still stand, and what it signs is believed
    assert alice.shown_to(bob, alice.port) == second
    counters = alice.counters()
    assert counters["io_renewals"] == 1 and counters["io_renewal_failures"] == 0
    assert counters["io_certificate_seconds_left"] > 80 * 86400
    alice.torc("store", alice.user, "after", "--type", "note")
    assert "after" in bob.torc("fetch", alice.user, "--type", "note").stdout
    assert alice.is_running and alice.process.pid == pid and not bob.has_event("node:disconnected")


def test_ENR_38_BGAP_04_the_authority_is_down_and_the_peers_run(enrol):
    alice = enrol("alice")
    alice.age()
    enrol.authority.stop()
    alice.start().wait_joined()
    kept = alice.wait_event("torcd:certificate_kept")
    assert "Connection refused" in kept["why"] and kept["next_try_s"] == 60
    assert alice.counters()["io_renewal_failures"] == 1 and alice.status()["joined"]
    alice.torc("store", alice.user, "meanwhile", "--type", "note")
    enrol.authority.start()
    alice.process.send_signal(signal.SIGHUP)  # or in a minute by itself
    alice.wait_event("torcd:certificate_renewed")
    assert alice.counters()["io_renewals"] == 1


def test_ENR_38_a_password_that_was_changed(enrol):
    alice = enrol("alice")
    alice.age()
    alice.password.write_text("another one", encoding="utf-8")
    alice.start().wait_joined()
    assert "wrong password" in alice.wait_event("torcd:certificate_kept")["why"]
    assert alice.status()["joined"]


def test_ENR_38_not_before_it_is_time(enrol):
    alice = enrol("alice")
    alice.age(past=50 * DAY, left=40 * DAY)
    alice.start().wait_joined()
    alice.process.send_signal(signal.SIGHUP)
    alice.wait_event("torcd:reloaded")
    assert not alice.has_event("torcd:certificate_renewing") and len(enrol.authority.issued()) == 1


def test_ENR_38_CRT_02_one_that_is_renewed_by_hand_is_taken(enrol):
    alice, bob = enrol("alice"), enrol("bob")
    assert alice.start().wait_joined() and bob.start().wait_joined()
    wait_for(lambda: alice.counters()["certificate_stores"] >= 2, 60, "the first certificate in the overlay")
    run(TORC, "renew", alice.home)
    alice.process.send_signal(signal.SIGHUP)
    alice.wait_event("torcd:certificate_renewed")
    assert alice.counters()["io_renewals"] == 1
    # both are in the overlay: what the first has signed can still be checked
    wait_for(lambda: alice.counters()["certificate_stores"] >= 4, 60, "the second certificate in the overlay")
    stored = bob.torc_json("fetch", f"peer:{peer_of(alice.certificate())}", "--type", "CERTIFICATE")
    assert len(stored["values"]) == 2, stored


def test_ENR_38_a_pair_that_does_not_fit_is_refused(enrol):
    alice, bob = enrol("alice"), enrol("bob")
    alice.start().wait_joined()
    before = alice.certificate()
    alice.cert.write_bytes(bob.cert.read_bytes())
    alice.process.send_signal(signal.SIGHUP)
    assert "does not belong" in alice.wait_event("torcd:certificate_refused")["why"]
    alice.key.write_bytes(bob.key.read_bytes())
    alice.process.send_signal(signal.SIGHUP)
    wait_for(lambda: "another peer-id" in alice.wait_event("torcd:certificate_refused")["why"], 30, "the other refusal")
    assert alice.shown_to(bob, alice.port) == before and alice.status()["joined"]


def test_ENR_38_a_renewal_that_would_need_somebody_is_told_at_the_start(enrol):
    alice = enrol("alice")
    conf = alice.home / "enroll.conf"
    conf.write_text(re.sub("password-file.*\n", "", conf.read_text(encoding="utf-8")), encoding="utf-8")
    alice.write_conf()
    done = run(TORCD, "--check-config", "--config", alice.conf, check=False)
    assert done.returncode == 2 and "--save-password" in done.stderr
