"""One address that asks far too often is limited, and the others are served."""
import re
import ssl
import socket
import threading
import time

from enrolnet import CREDENTIAL, GUEST, PASSWORD, Digest, make_csr
from torcnet import OVERLAY

RATE = 1000       # enrolments a second that the flood asks for
SECONDS = 3
BURST = 20
PKCS10 = {"Content-Type": "application/pkcs10"}


class Flood(threading.Thread):
    """Sends requests in batches down one connection after the other, from one address."""

    def __init__(self, authority, path, request):
        super().__init__()
        self.authority, self.path, self.request = authority, path, request
        self.sent, self.statuses = 0, {}
        self.ends = time.monotonic() + SECONDS

    def run(self):
        context = ssl.create_default_context(cafile=str(self.authority.tls_cert))
        head = (f"POST {self.path} HTTP/1.1\r\nHost: x\r\nContent-Type: application/pkcs10\r\n"
                f"Content-Length: {len(self.request)}\r\n\r\n").encode()
        batch = (head + self.request) * 20
        while time.monotonic() < self.ends:
            try:
                raw = socket.create_connection(("127.0.0.1", self.authority.port), timeout=10, source_address=("127.0.0.9", 0))
                with context.wrap_socket(raw, server_hostname="127.0.0.1") as tls:
                    self.over(tls, batch)
            except OSError:
                continue

    def over(self, tls, batch):
        text = b""
        while time.monotonic() < self.ends:
            tls.sendall(batch)
            self.sent += 20
            answers = 0
            while answers < 20:
                data = tls.recv(65536)
                if not data:
                    return
                text += data
                found = re.findall(rb"HTTP/1\.1 (\d{3})", text)
                answers += len(found)
                for status in found:
                    self.statuses[int(status)] = self.statuses.get(int(status), 0) + 1
                text = text[-11:] if not found else text[text.rfind(b"HTTP/1.1") + 12:][-11:]


def test_SEC_22_a_thousand_enrolments_a_second_from_one_address(make_authority):
    one = make_authority(settings={"limits": {"requests-per-minute": 60, "burst": BURST}, "policy": {"guests": "yes"}})
    for i in range(5):
        one.add(f"user{i}", f"user{i}@{OVERLAY}")
    one.start()
    floods = [Flood(one, GUEST, make_csr()) for _ in range(2)]
    began = time.monotonic()
    for flood in floods:
        flood.start()
    times = []
    for i in range(5):  # meanwhile, from another address
        start = time.monotonic()
        answer = one.enrol(f"user{i}", make_csr([f"user{i}@{OVERLAY}"]), source="127.0.0.2")
        times.append(time.monotonic() - start)
        assert answer.status == 200, answer
    for flood in floods:
        flood.join()
    lasted = time.monotonic() - began
    sent = sum(flood.sent for flood in floods)
    served = sum(flood.statuses.get(200, 0) for flood in floods)
    refused = sum(flood.statuses.get(429, 0) for flood in floods)
    print(f"{sent} requests in {lasted:.1f} s, {served} served, {refused} refused; others served in {max(times):.3f} s")
    assert sent >= RATE * SECONDS
    assert served <= BURST + lasted + 2 and refused > RATE
    assert max(times) < 5
    assert one.metrics()["refused_limit_total"] >= refused
    limited = one.ask("POST", GUEST, make_csr(), PKCS10, source="127.0.0.9")
    assert limited.status == 429 and int(limited.headers["Retry-After"]) >= 1
    assert "try again in" in limited.text


def test_SEC_22_guessing_passwords_is_limited(make_authority):
    one = make_authority(settings={"limits": {"failures-per-minute": 5}})
    one.add("alice", f"alice@{OVERLAY}")
    one.start()
    csr = make_csr([f"alice@{OVERLAY}"])
    digest = Digest("alice", PASSWORD, one.challenge())  # before the address is out of favour
    statuses = [one.enrol("alice", csr, password=f"guess {i}").status for i in range(5)]
    assert statuses == [401] * 5
    right = one.ask("POST", CREDENTIAL, csr, {**PKCS10, "Authorization": digest.header()})
    assert right.status == 429  # not even a right one, from there
    assert one.enrol("alice", csr, source="127.0.0.2").status == 200
    refusals = [line for line in one.audit() if line["event"] == "refused"]
    assert len(refusals) == 5 and {line["source"] for line in refusals} == {"127.0.0.1"}


def test_SEC_22_an_IPv6_address_is_served_and_limited(make_authority):
    one = make_authority(settings={"https": {"listen": ["127.0.0.1:0", "[::1]:0"]}, "policy": {"guests": "yes"},
                                   "limits": {"requests-per-minute": 1, "burst": 2}}).start()
    statuses = []
    for _ in range(3):
        connection = one.connect(host="::1", port=one.ports[1])
        statuses.append(one.ask("POST", GUEST, make_csr(), PKCS10, connection).status)
        connection.close()
    assert statuses == [200, 200, 429]
    assert one.ask("POST", GUEST, make_csr(), PKCS10).status == 200  # IPv4 is another source
    assert {line["source"] for line in one.audit()} == {"::1", "127.0.0.1"}


def test_ENR_30_a_flood_of_challenges_pushes_nobody_out(make_authority):
    """A nonce is good until it has served, however many were made after it, and a replay is no wrong password."""
    one = make_authority(settings={"limits": {"failures-per-minute": 1}})
    one.add("alice", f"alice@{OVERLAY}")
    one.start()
    digest = Digest("alice", PASSWORD, one.challenge())
    flood = one.connect()
    for _ in range(5000):
        one.challenge(connection=flood)
    flood.close()
    csr = make_csr([f"alice@{OVERLAY}"])
    header = {**PKCS10, "Authorization": digest.header()}
    assert one.ask("POST", CREDENTIAL, csr, header).status == 200
    for _ in range(4):
        replayed = one.ask("POST", CREDENTIAL, csr, header)
        assert replayed.status == 401 and "stale=true" in replayed.headers["WWW-Authenticate"]
    assert one.enrol("alice", csr).status == 200
