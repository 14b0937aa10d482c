"""Measures what a box does, with sockets on the lab's hosts. No answer is told from a late one by an order, not by a
clock: what must not arrive is sent before something that must.

SPDX-License-Identifier: Apache-2.0
"""
import select
import socket

from .errors import LabError

PORTS = (3478, 3479)
ANSWER_S = 10           # for what must come
SILENCE_S = 1           # for what must not
FAMILY = {4: socket.AF_INET, 6: socket.AF_INET6}


class Silence(LabError):
    """Nothing came."""


def receive(sock, timeout_s=ANSWER_S):
    sock.settimeout(timeout_s)
    try:
        data, source = sock.recvfrom(2048)
    except TimeoutError:
        raise Silence("no datagram came") from None
    return data, source[:2]


def drain(sock):
    """What has arrived."""
    got = []
    while select.select([sock], [], [], 0)[0]:
        got.append(receive(sock))
    return got


class Observer:
    """A public host that sees where datagrams come from, on its first two addresses (of IPv4) and two ports."""

    def __init__(self, lab, host, version=4):
        addresses = [a for a in lab.plan.seats[host].addresses if a.version == version][:2]
        self.sockets = {}
        for address in addresses:
            for port in PORTS:
                sock = self.sockets[str(address), port] = lab.socket(host, FAMILY[version])
                sock.bind((str(address), port))
        self.ends = list(self.sockets)

    def close(self):
        for sock in self.sockets.values():
            sock.close()

    def __enter__(self):
        return self

    def __exit__(self, *unused):
        self.close()

    def sees(self, sock, end=None, timeout_s=ANSWER_S):
        """The address `sock` has for one of the observer's ends; whatever `sock` got before then has arrived, too."""
        end = end or self.ends[0]
        drain(self.sockets[end])
        sock.sendto(b"who am I", end)
        data, source = receive(self.sockets[end], timeout_s)
        if data != b"who am I":
            raise LabError(f"{data!r} from {source}, not what was asked")
        return source

    def admits(self, sock, mapping, sender):
        """Whether a datagram from the end `sender` to the mapping reaches `sock`."""
        drain(sock)
        self.sockets[sender].sendto(b"may I", mapping)
        self.sockets[self.ends[0]].sendto(b"sure", mapping)
        got = [receive(sock)[0]]
        while got[-1] != b"sure":
            got.append(receive(sock)[0])
        return b"may I" in got


def udp(lab, host, version=4):
    sock = lab.socket(host, FAMILY[version])
    sock.bind(("0.0.0.0" if version == 4 else "::", 0))
    return sock


def mapping(lab, host, observer):
    """"EIM", "ADM" or "APDM": what the mapping depends on besides the inner endpoint; "none": there is none."""
    with udp(lab, host) as sock:
        seen = [observer.sees(sock, end) for end in observer.ends[:3]]
        if seen[0] == (str(lab.address(host)), sock.getsockname()[1]):
            return "none"
    if seen[0] == seen[1] == seen[2]:
        return "EIM"
    return "ADM" if seen[0] == seen[1] else "APDM"


def filtering(lab, host, observer):
    """"EIF", "ADF" or "APDF": whom a mapping admits that has sent to the observer's first end only."""
    with udp(lab, host) as sock:
        seen = observer.sees(sock)
        if observer.admits(sock, seen, observer.ends[2]):
            return "EIF"
    with udp(lab, host) as sock:
        return "ADF" if observer.admits(sock, observer.sees(sock), observer.ends[1]) else "APDF"


def hairpins(lab, host, observer, other=None):
    """Whether two sockets inside reach each other by their public endpoints, and see them as the source."""
    with udp(lab, host) as a, udp(lab, other or host) as b:
        seen_a, seen_b = observer.sees(a), observer.sees(b)
        a.sendto(b"hello", seen_b)
        observer.sees(a)
        return (b"hello", seen_a) in drain(b)


def udp_way(lab, host, observer):
    """"open", "rejected" or "dropped"."""
    with udp(lab, host) as sock:
        sock.connect(observer.ends[0])
        try:
            sock.send(b"who am I")
            receive(observer.sockets[observer.ends[0]], SILENCE_S)
            return "open"
        except Silence:
            try:
                sock.send(b"who am I")
            except OSError:
                return "rejected"
            return "dropped"


def punches(lab, host_a, host_b, observer, version=4, rounds=4):
    """Whether two hosts reach each other, each told the mapping the observer saw. The first is early by a round."""
    with udp(lab, host_a, version) as a, udp(lab, host_b, version) as b:
        targets = {a: {observer.sees(b)}, b: {observer.sees(a)}}
        got = set()
        for number in range(rounds):
            for sock in (a, b)[:1 if number == 0 else 2]:
                for target in targets[sock]:
                    sock.sendto(b"punch", target)
            for sock in (a, b):  # what was sent has arrived, or will not
                observer.sees(sock)
            for sock in (a, b):
                for data, source in drain(sock):
                    if data == b"punch":
                        targets[sock].add(source)
                        got.add(sock)
        return len(got) == 2
