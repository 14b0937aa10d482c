"""The controlling end of ICE on one TCP connection, written from RFC 8489, 8445 and 6544 alone: Binding requests in
frames of RFC 4571, regular nomination, then the connection is the caller's."""

import hashlib
import hmac
import os
import socket
import struct
import zlib

COOKIE = 0x2112A442
REQUEST, SUCCESS = 0x0001, 0x0101
USERNAME, INTEGRITY, XOR_MAPPED, PRIORITY, USE_CANDIDATE = 0x0006, 0x0008, 0x0020, 0x0024, 0x0025
FINGERPRINT, CONTROLLED, CONTROLLING = 0x8028, 0x8029, 0x802A


class Failed(Exception):
    """The checks came to nothing."""


def attribute(kind, value=b""):
    return struct.pack("!HH", kind, len(value)) + value + b"\0" * (-len(value) % 4)


def message(kind, txid, attributes, password):
    """With MESSAGE-INTEGRITY by `password` and FINGERPRINT."""
    def header(length):
        return struct.pack("!HHI", kind, length, COOKIE) + txid
    digest = hmac.new(password.encode(), header(len(attributes) + 24) + attributes, hashlib.sha1).digest()
    attributes += attribute(INTEGRITY, digest)
    crc = zlib.crc32(header(len(attributes) + 8) + attributes) ^ 0x5354554E
    return header(len(attributes) + 8) + attributes + attribute(FINGERPRINT, struct.pack("!I", crc))


def parse(data, password):
    """Type, transaction id and attributes; both ends of every message must have got its checks right."""
    kind, length, cookie = struct.unpack("!HHI", data[:8])
    if cookie != COOKIE or length + 20 != len(data):
        raise Failed("no STUN message")
    txid, at, found = data[8:20], 20, {}
    while at < len(data):
        name, size = struct.unpack("!HH", data[at:at + 4])
        value = data[at + 4:at + 4 + size]
        if name == INTEGRITY:
            signed = data[:2] + struct.pack("!H", at + 4) + data[4:at]
            if value != hmac.new(password.encode(), signed, hashlib.sha1).digest():
                raise Failed("wrong integrity")
        if name == FINGERPRINT and struct.unpack("!I", value)[0] != zlib.crc32(data[:at]) ^ 0x5354554E:
            raise Failed("wrong fingerprint")
        found[name] = value
        at += 4 + size + -size % 4
    if INTEGRITY not in found or FINGERPRINT not in found:
        raise Failed("a check without integrity or fingerprint")
    return kind, txid, found


class Controlling:
    """`own` and `theirs`: (user fragment, password)."""

    def __init__(self, sock, own, theirs):
        self.sock, self.own, self.theirs = sock, own, theirs
        self.tie_breaker = os.urandom(8)
        self.requests = 0

    def send(self, data):
        self.sock.sendall(struct.pack("!H", len(data)) + data)

    def exactly(self, count):
        data = b""
        while len(data) < count:
            piece = self.sock.recv(count - len(data))
            if not piece:
                raise Failed("closed during the checks")
            data += piece
        return data

    def check(self, nominate):
        txid = os.urandom(12)
        attributes = attribute(USERNAME, f"{self.theirs[0]}:{self.own[0]}".encode())
        attributes += attribute(PRIORITY, struct.pack("!I", 1862270975)) + attribute(CONTROLLING, self.tie_breaker)
        if nominate:
            attributes += attribute(USE_CANDIDATE)
        self.send(message(REQUEST, txid, attributes, self.theirs[1]))
        return txid

    def answer(self, txid, found):
        wanted = f"{self.own[0]}:{self.theirs[0]}".encode()
        if found.get(USERNAME) != wanted or PRIORITY not in found:
            raise Failed(f"a check for {found.get(USERNAME)}, not {wanted}")
        if CONTROLLED not in found or CONTROLLING in found or USE_CANDIDATE in found:
            raise Failed("the answerer of a CONNECT is the controlled one")  # [ICE-26] [ICE-27]
        host, port = self.sock.getpeername()[:2]
        mapped = struct.pack("!BBHI", 0, 1, port ^ COOKIE >> 16,
                             struct.unpack("!I", socket.inet_aton(host))[0] ^ COOKIE)
        self.send(message(SUCCESS, txid, attribute(XOR_MAPPED, mapped), self.own[1]))
        self.requests += 1

    def run(self):
        """Until a check with USE-CANDIDATE has been answered; the other end has checked too."""
        waiting, num_answered = self.check(False), 0
        while num_answered < 2 or self.requests == 0:
            data = self.exactly(struct.unpack("!H", self.exactly(2))[0])
            is_request = data[:2] == struct.pack("!H", REQUEST)
            kind, txid, found = parse(data, (self.own if is_request else self.theirs)[1])
            if is_request:
                self.answer(txid, found)
                continue
            if kind != SUCCESS or txid != waiting or XOR_MAPPED not in found:
                raise Failed(f"answered with {kind:#06x}")
            num_answered += 1
            if num_answered == 1:
                waiting = self.check(True)
        return self.sock
