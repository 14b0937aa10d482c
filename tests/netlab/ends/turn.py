"""As much STUN and TURN (RFC 8489, RFC 8656) as an end needs: Binding, Allocate, CreatePermission, Send and Data, over
UDP, TCP and TLS. Blocking, but for what arrives by the allocation.

SPDX-License-Identifier: Apache-2.0
"""
import hashlib
import hmac
import ipaddress
import os
import select
import socket
import ssl
import struct
import time

MAGIC = 0x2112A442
BINDING, ALLOCATE, CREATE_PERMISSION, SEND, DATA = 0x001, 0x003, 0x008, 0x016, 0x017
SUCCESS, ERROR, INDICATION = 0x100, 0x110, 0x010
USERNAME, INTEGRITY, ERROR_CODE, PEER, DATA_ATTR, REALM, NONCE, RELAYED, TRANSPORT, MAPPED = (
    0x006, 0x008, 0x009, 0x012, 0x013, 0x014, 0x015, 0x016, 0x019, 0x020)
REPEATS_S = (0.1, 0.2, 0.4, 0.8)


def padded(value):
    return value + bytes(-len(value) % 4)


def xored(address, transaction):
    """An address as XOR-MAPPED-ADDRESS has it."""
    packed = ipaddress.ip_address(address[0]).packed
    mask = struct.pack("!I", MAGIC) + transaction
    return (struct.pack("!BBH", 0, 1 if len(packed) == 4 else 2, address[1] ^ (MAGIC >> 16))
            + bytes(a ^ b for a, b in zip(packed, mask)))


def unxored(value, transaction):
    mask = struct.pack("!I", MAGIC) + transaction
    packed = bytes(a ^ b for a, b in zip(value[4:], mask))
    return str(ipaddress.ip_address(packed)), struct.unpack("!H", value[2:4])[0] ^ (MAGIC >> 16)


def message(kind, transaction, attributes, key=None):
    body = b"".join(struct.pack("!HH", number, len(value)) + padded(value) for number, value in attributes)
    if key is not None:
        head = struct.pack("!HHI", kind, len(body) + 24, MAGIC) + transaction
        body += struct.pack("!HH", INTEGRITY, 20) + hmac.new(key, head + body, hashlib.sha1).digest()
    return struct.pack("!HHI", kind, len(body), MAGIC) + transaction + body


def parse(data):
    """(kind, transaction, {attribute: value}), or None."""
    if len(data) < 20 or data[0] > 3 or struct.unpack("!I", data[4:8])[0] != MAGIC:
        return None
    kind, length = struct.unpack("!HH", data[:4])
    attributes, at = {}, 20
    while at + 4 <= min(len(data), 20 + length):
        number, size = struct.unpack("!HH", data[at:at + 4])
        attributes.setdefault(number, data[at + 4:at + 4 + size])
        at += 4 + size + -size % 4
    return kind, data[8:20], attributes


class Channel:
    """STUN messages to and from one server."""

    def __init__(self, server, transport, ca=None, local_port=0, timeout_s=2.0):
        family = socket.AF_INET6 if ":" in server[0] else socket.AF_INET
        self.is_udp = transport == "udp"
        self.buffer = b""
        self.sock = socket.socket(family, socket.SOCK_DGRAM if self.is_udp else socket.SOCK_STREAM)
        try:
            if local_port:
                self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
                self.sock.bind(("", local_port))
            self.sock.settimeout(timeout_s)
            self.sock.connect(server)
            if transport == "tls":
                context = ssl.create_default_context(cafile=ca)
                self.sock = context.wrap_socket(self.sock, server_hostname=server[0])
        except OSError:
            self.sock.close()
            raise

    def send(self, data):
        self.sock.sendall(data)

    def receive(self, timeout_s):
        """The next message, or None."""
        end = time.monotonic() + timeout_s
        while True:
            if not self.is_udp and len(self.buffer) >= 20:
                size = 20 + struct.unpack("!H", self.buffer[2:4])[0]
                if len(self.buffer) >= size:
                    data, self.buffer = self.buffer[:size], self.buffer[size:]
                    return parse(data)
            left = end - time.monotonic()
            pending = isinstance(self.sock, ssl.SSLSocket) and self.sock.pending()
            if not pending and not select.select([self.sock], [], [], max(0, left))[0]:
                return None
            data = self.sock.recv(4096)
            if self.is_udp:
                return parse(data)
            if not data:
                raise ConnectionError("the server has closed")
            self.buffer += data

    def ask(self, kind, attributes, key=None):
        """The answer's (kind, attributes); OSError when there is none."""
        transaction = os.urandom(12)
        request = message(kind, transaction, attributes, key)
        for wait_s in REPEATS_S if self.is_udp else (3.0,):
            self.send(request)
            end = time.monotonic() + wait_s
            while time.monotonic() < end:
                got = self.receive(max(0, end - time.monotonic()))
                if got is not None and got[1] == transaction:
                    return got[0], {number: (unxored(value, transaction) if number in (MAPPED, RELAYED) else value)
                                    for number, value in got[2].items()}
        raise TimeoutError("no answer")

    def fileno(self):
        return self.sock.fileno()


class Allocation:
    """A relayed IPv4 address, by the first of the transports that works."""

    def __init__(self, ways, user, password):
        for server, transport, ca in ways:
            try:
                self.channel = Channel(server, transport, ca)
                self._allocate(user, password)
                self.transport = transport
                return
            except OSError:
                continue
        raise ConnectionError("no TURN server answers")

    def _allocate(self, user, password):
        wish = [(TRANSPORT, bytes([17, 0, 0, 0]))]
        kind, got = self.channel.ask(ALLOCATE, wish)
        if kind == ALLOCATE | ERROR and REALM in got:
            realm = got[REALM]
            self.key = hashlib.md5(b":".join((user.encode(), realm, password.encode()))).digest()
            self.identity = [(USERNAME, user.encode()), (REALM, realm), (NONCE, got[NONCE])]
            kind, got = self.channel.ask(ALLOCATE, wish + self.identity, self.key)
        if kind != ALLOCATE | SUCCESS:
            raise ConnectionError(f"no allocation: {got.get(ERROR_CODE)}")
        self.address = got[RELAYED]

    def permit(self, peer):
        transaction = os.urandom(12)  # the answer is not waited for: what is sent is repeated
        self.channel.send(message(CREATE_PERMISSION, transaction, [(PEER, xored(peer, transaction))] + self.identity, self.key))

    def send(self, peer, data):
        transaction = os.urandom(12)
        self.channel.send(message(SEND | INDICATION, transaction, [(PEER, xored(peer, transaction)), (DATA_ATTR, data)]))

    def received(self):
        """Data that has arrived, one after the other."""
        while True:
            got = self.channel.receive(0)
            if got is None:
                return
            if got[0] == DATA | INDICATION:
                yield got[2].get(DATA_ATTR, b"")
