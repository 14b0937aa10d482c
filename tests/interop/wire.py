"""RELOAD as bytes, written from docs/spec/protocol.md alone: every structure decodes and encodes itself.

Decoding raises Malformed for whatever the document calls malformed, and for bytes that end too early. Encoding
checks nothing but ranges, so that a test can also send what is wrong.
"""

import dataclasses
import hashlib
import ipaddress
import re
import socket
import struct
import zlib
from dataclasses import dataclass, field

MAGIC = b"RELO"
LATER_MAGIC = b"\xd2ELO"
ID_LEN = 16
NO_ID = bytes(ID_LEN)
WILDCARD = b"\xff" * ID_LEN
LIST_MAX = 65000
HEADER_LEN = 28
MESSAGE_MAX = 204262
FLAG_ROUTE_LOG = 0x0001

PING, CONNECT, TUNNEL, STORE, FETCH, REMOVE, FIND, JOIN, LEAVE, UPDATE = range(1, 20, 2)
METHODS = {PING: "PING", CONNECT: "CONNECT", TUNNEL: "TUNNEL", STORE: "STORE", FETCH: "FETCH", REMOVE: "REMOVE",
           FIND: "FIND", JOIN: "JOIN", LEAVE: "LEAVE", UPDATE: "UPDATE"}
PHRASES = {200: "OK", 302: "Moved Temporarily", 400: "Bad Request", 401: "Unauthorized", 403: "Forbidden",
           404: "Not Found", 405: "Method Not Allowed", 408: "Request Timeout", 412: "Precondition Failed",
           413: "Request Entity Too Large", 498: "Incompatible with Overlay", 499: "UnWilling To Proxy",
           503: "Service Unavailable"}

SINGLE, ARRAY, DICTIONARY = "single", "array", "dictionary"
SIP_REGISTRATION, TURN_SERVICE, CERTIFICATE = 1, 2, 3


class Malformed(ValueError):
    """The bytes do not have the form the document gives."""


class LaterVersion(Malformed):
    """The magic number of a later version of the protocol."""


class UnknownType(Malformed):
    """A type-id without a known data model stops the decoder of a STORE, FETCH or REMOVE."""

    def __init__(self, type_id, partial=None):
        super().__init__(f"type 0x{type_id:06x} has no known data model")
        self.type_id = type_id
        self.partial = partial


class Reader:
    """Takes fields off the front of some bytes, big-endian."""

    def __init__(self, data):
        self.data = bytes(data)
        self.at = 0

    def left(self):
        return len(self.data) - self.at

    def take(self, count):
        if count > self.left():
            raise Malformed(f"{count} bytes wanted, {self.left()} there")
        piece = self.data[self.at:self.at + count]
        self.at += count
        return piece

    def rest(self):
        return self.take(self.left())

    def u8(self):
        return self.take(1)[0]

    def u16(self):
        return int.from_bytes(self.take(2), "big")

    def u24(self):
        return int.from_bytes(self.take(3), "big")

    def u32(self):
        return int.from_bytes(self.take(4), "big")

    def i32(self):
        return int.from_bytes(self.take(4), "big", signed=True)

    def u64(self):
        return int.from_bytes(self.take(8), "big")

    def opaque8(self):
        return self.take(self.u8())

    def opaque(self):
        length = self.u16()
        if length > LIST_MAX:
            raise Malformed(f"length {length} is above {LIST_MAX}")
        return self.take(length)

    def string(self):
        return decode_string(self.opaque())

    def sub(self):
        return Reader(self.opaque())

    def end(self):
        if self.left():
            raise Malformed(f"{self.left()} bytes left over")


def decode_string(raw):
    if b"\0" in raw:
        raise Malformed("NUL in a string")
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError as error:
        raise Malformed("not UTF-8") from error


def split_ids(raw, what):
    """Ids end to end; neither 0 nor all ones."""
    if len(raw) % ID_LEN:
        raise Malformed(f"{what} end inside an id")
    ids = [raw[i:i + ID_LEN] for i in range(0, len(raw), ID_LEN)]
    if NO_ID in ids or WILDCARD in ids:
        raise Malformed(f"0 or all ones among the {what}")
    return ids


def u16(value):
    return struct.pack(">H", value)


def u24(value):
    return value.to_bytes(3, "big")


def u32(value):
    return struct.pack(">I", value)


def i32(value):
    return struct.pack(">i", value)


def u64(value):
    return struct.pack(">Q", value)


def opaque8(value):
    return bytes([len(value)]) + value


def opaque(value):
    return u16(len(value)) + value


def string(value):
    return opaque(value.encode("utf-8"))


def decode_whole(decode, data):
    """Reads one structure that must fill `data` exactly."""
    reader = Reader(data)
    result = decode(reader)
    reader.end()
    return result


# Section 2: names, ids, the checksum of the overlay


def normal_name(name):
    """A user name as it is hashed and compared: host part lower-cased, without its trailing dot."""
    user, at, host = name.rpartition("@")
    if not at:
        return name
    return user + "@" + ascii_lower(host).removesuffix(".")


def ascii_lower(text):
    return "".join(c.lower() if c.isascii() else c for c in text)


def resource_of(seed):
    """Resource-id of a user name (str) or of raw bytes: a peer-id, a peer-id and iteration."""
    if isinstance(seed, str):
        seed = normal_name(seed).encode("utf-8")
    return hashlib.sha256(seed).digest()[:ID_LEN]


def normal_overlay_name(name):
    return ascii_lower(name).removesuffix(".")


def overlay_checksum(name):
    return zlib.crc32(normal_overlay_name(name).encode("utf-8"))


def in_range(value, after, until):
    """Whether `value` lies in (after, until] on the ring; equal bounds are the whole ring."""
    value, after, until = (int.from_bytes(x, "big") for x in (value, after, until))
    span = (until - after) % (1 << 128) or (1 << 128)
    return 0 < ((value - after) % (1 << 128) or (1 << 128)) <= span


def next_id(value):
    return ((int.from_bytes(value, "big") + 1) % (1 << 128)).to_bytes(ID_LEN, "big")


# Section 6.1: the forwarding header


@dataclass
class Header:
    overlay: int
    xid: int
    route: list = field(default_factory=list)
    via: list = field(default_factory=list)
    route_log: bytes = None
    ttl: int = 100
    routing: int = 1
    fragment: int = 0
    version: int = 1
    flags: int = 0
    length: int = None

    @classmethod
    def decode(cls, reader):
        magic = reader.take(4)
        if magic == LATER_MAGIC:
            raise LaterVersion("magic number of a later version")
        if magic != MAGIC:
            raise Malformed("no RELOAD message")
        overlay = reader.u32()
        ttl = reader.u8()
        routing = reader.u8()
        fragment = reader.u16()
        version = reader.u8()
        length = reader.u24()
        if length != len(reader.data):
            raise Malformed(f"Length {length} of {len(reader.data)} bytes")
        xid = reader.u64()
        num_route = reader.u8()
        num_via = reader.u8()
        flags = reader.u16()
        route = [reader.take(ID_LEN) for _ in range(num_route)]
        via = [reader.take(ID_LEN) for _ in range(num_via)]
        if NO_ID in route or NO_ID in via or WILDCARD in via:
            raise Malformed("id that cannot stand in this list")
        route_log = reader.opaque() if flags & FLAG_ROUTE_LOG else None
        return cls(overlay, xid, route, via, route_log, ttl, routing, fragment, version, flags, length)

    def encode(self, body_len):
        """The header of a message whose contents and signature have `body_len` bytes."""
        flags = self.flags & ~FLAG_ROUTE_LOG
        log = b""
        if self.route_log is not None:
            flags |= FLAG_ROUTE_LOG
            log = opaque(self.route_log)
        lists = b"".join(self.route) + b"".join(self.via) + log
        length = HEADER_LEN + len(lists) + body_len
        return (MAGIC + u32(self.overlay) + bytes([self.ttl, self.routing]) + u16(self.fragment) +
                bytes([self.version]) + u24(length) + u64(self.xid) +
                bytes([len(self.route), len(self.via)]) + u16(flags) + lists)


# Section 7.1: the signature element

ID_PEER, ID_NAME, ID_CERTIFICATE = 1, 2, 3
RSA_SHA1, RSA_SHA256, ECDSA_SHA256 = 1, 2, 3


@dataclass(frozen=True)
class Identity:
    """Who signed: `value` is a peer-id, a user name (str) or a DER certificate, by `tag`."""

    tag: int
    value: object

    @classmethod
    def decode(cls, reader):
        tag = reader.u8()
        if tag == ID_PEER:
            return cls(tag, reader.take(ID_LEN))
        if tag == ID_NAME:
            return cls(tag, reader.string())
        if tag == ID_CERTIFICATE:
            return cls(tag, reader.opaque())
        raise Malformed(f"unknown type of identity {tag}")

    def encode(self):
        if self.tag == ID_PEER:
            return bytes([self.tag]) + self.value
        if self.tag == ID_NAME:
            return bytes([self.tag]) + string(self.value)
        return bytes([self.tag]) + opaque(self.value)


@dataclass(frozen=True)
class Signature:
    algorithm: int
    value: bytes
    identity: Identity

    @classmethod
    def decode(cls, reader):
        """The element up to the end of `reader`; None: absent, zero bytes."""
        if not reader.left():
            return None
        result = cls(reader.u8(), reader.opaque(), Identity.decode(reader))
        reader.end()
        return result

    def encode(self):
        return bytes([self.algorithm]) + opaque(self.value) + self.identity.encode()


def encode_signature(signature):
    return b"" if signature is None else signature.encode()


# Section 6.2: contents


@dataclass
class Contents:
    is_response: bool
    code: int
    payload: bytes = b""
    reserved: int = 0
    signature: Signature = None

    @classmethod
    def decode(cls, reader):
        first = reader.u16()
        reserved = reader.u16()
        payload = reader.take(reader.u32())
        return cls(first >> 15 == 1, first & 0x7FFF, payload, reserved, Signature.decode(reader))

    def unsigned(self):
        """The bytes from the common header to the end of the payload."""
        return u16(self.is_response << 15 | self.code) + u16(self.reserved) + u32(len(self.payload)) + self.payload

    def encode(self):
        return self.unsigned() + encode_signature(self.signature)


def message_signed_input(overlay, xid, identity, unsigned):
    return u32(overlay) + u64(xid) + identity.encode() + unsigned


@dataclass
class ErrorResponse:
    reason: str = ""
    info: bytes = b""

    @classmethod
    def decode(cls, reader):
        if not reader.left():
            return cls()
        return cls(reader.string(), reader.opaque())

    def encode(self):
        return string(self.reason) + opaque(self.info)


# Section 1: addresses; section 6.3: the route log


@dataclass(frozen=True)
class Address:
    ip: object
    port: int

    @classmethod
    def of(cls, text, port):
        return cls(ipaddress.ip_address(text), port)

    @classmethod
    def decode(cls, reader):
        kind = reader.u8()
        if kind not in (1, 2):
            raise Malformed(f"unknown type of address {kind}")
        ip = ipaddress.ip_address(reader.take(4 if kind == 1 else 16))
        return cls(ip, reader.u16())

    def encode(self):
        return bytes([1 if self.ip.version == 4 else 2]) + self.ip.packed + u16(self.port)

    def __str__(self):
        return f"{ip_text(self.ip)} port {self.port}"


def ip_text(ip):
    if ip.version == 4:
        return str(ip)
    return socket.inet_ntop(socket.AF_INET6, ip.packed)


@dataclass
class RouteLogEntry:
    version: str
    transport: int
    id: bytes
    uptime: int
    certificate: bytes
    address: Address

    @classmethod
    def decode(cls, reader):
        return cls(reader.string(), reader.u8(), reader.take(ID_LEN), reader.u32(), reader.opaque(),
                   Address.decode(reader))

    def encode(self):
        return (string(self.version) + bytes([self.transport]) + self.id + u32(self.uptime) +
                opaque(self.certificate) + self.address.encode())


def decode_route_log(log):
    """The entries of a log without its 2-byte length, in path order."""
    reader = Reader(log)
    entries = []
    while reader.left():
        entries.append(RouteLogEntry.decode(reader))
    return entries


def encode_route_log(entries):
    return b"".join(entry.encode() for entry in entries)


# Section 10.3: stored_data. `model` is not in the bytes: it follows from the type-id.


@dataclass
class StoredData:
    storage_time: int
    lifetime: int
    value: bytes = b""
    index: int = None
    key: bytes = None
    signature: Signature = None

    @property
    def model(self):
        if self.key is not None:
            return DICTIONARY
        return SINGLE if self.index is None else ARRAY

    @property
    def exists(self):
        return self.storage_time != 0

    @classmethod
    def decode(cls, reader, model):
        inner = Reader(reader.take(reader.u32()))
        storage_time = inner.u32()
        lifetime = inner.u32()
        index = key = None
        if model == ARRAY:
            index = inner.i32()
            if index < -1:
                raise Malformed(f"index {index}")
        elif model == DICTIONARY:
            key = inner.opaque()
        value = inner.opaque()
        return cls(storage_time, lifetime, value, index, key, Signature.decode(inner))

    def data_value(self, index=None):
        head = b""
        if self.index is not None:
            head = i32(self.index if index is None else index)
        elif self.key is not None:
            head = opaque(self.key)
        return head + opaque(self.value)

    def encode(self):
        body = u32(self.storage_time) + u32(self.lifetime) + self.data_value() + encode_signature(self.signature)
        return u32(len(body)) + body

    def signed_input(self, resource, type_id):
        """What the owner signs: the index of an array element counts as 0 whatever it is."""
        return resource + u24(type_id) + u32(self.storage_time) + u32(self.lifetime) + self.data_value(index=0)


def decode_type_id(reader):
    type_id = reader.u24()
    if type_id in (0, 0xFFFFFF):
        raise Malformed("type-id 0 or 0xffffff")
    return type_id


@dataclass
class TypeValues:
    """One type of a STORE request or of an answer to FETCH: they have the same bytes."""

    type_id: int
    generation: int
    values: list = field(default_factory=list)

    @classmethod
    def decode(cls, reader, models):
        result = cls(decode_type_id(reader), reader.u64())
        inner = reader.sub()
        if result.type_id not in models:
            raise UnknownType(result.type_id, result)
        while inner.left():
            result.values.append(StoredData.decode(inner, models[result.type_id]))
        return result

    def encode(self):
        return u24(self.type_id) + u64(self.generation) + opaque(b"".join(v.encode() for v in self.values))


def check_types(type_ids, what):
    if not type_ids:
        raise Malformed(f"no {what}")
    if len(set(type_ids)) != len(type_ids):
        raise Malformed("type twice")


@dataclass
class StoreRequest:
    resource: bytes
    types: list

    @classmethod
    def decode(cls, reader, models):
        result = cls(reader.take(ID_LEN), [])
        inner = reader.sub()
        while inner.left():
            try:
                result.types.append(TypeValues.decode(inner, models))
            except UnknownType as error:
                result.types.append(error.partial)
                raise UnknownType(error.type_id, result) from error
            if not result.types[-1].values:
                raise Malformed("type without values")
        check_types([t.type_id for t in result.types], "store_data")
        return result

    def encode(self):
        return self.resource + opaque(b"".join(t.encode() for t in self.types))


@dataclass
class Generation:
    """store_type_response: one type and its generation counter."""

    type_id: int
    generation: int

    def encode(self):
        return u24(self.type_id) + u64(self.generation)


def decode_generations(reader):
    """Answer to STORE and REMOVE, and error_info of 412."""
    result = []
    while reader.left():
        result.append(Generation(reader.u24(), reader.u64()))
    return result


# Sections 10.5, 10.6: FETCH and REMOVE


@dataclass
class Specifier:
    """What is meant of one type: `first`..`last` of an array, `keys` of a dictionary ([]: all)."""

    type_id: int
    generation: int = 0
    first: int = None
    last: int = None
    keys: list = None

    @classmethod
    def decode(cls, reader, models):
        result = cls(decode_type_id(reader), reader.u64())
        if result.type_id not in models:
            raise UnknownType(result.type_id)
        model = models[result.type_id]
        if model == ARRAY:
            result.first = reader.i32()
            result.last = reader.i32()
            if result.first < -1 or result.last < -1 or result.first > result.last != -1:
                raise Malformed(f"range {result.first}..{result.last}")
        elif model == DICTIONARY:
            inner = reader.sub()
            result.keys = []
            while inner.left():
                result.keys.append(inner.opaque())
        return result

    def encode(self):
        reference = b""
        if self.first is not None:
            reference = i32(self.first) + i32(self.last)
        elif self.keys is not None:
            reference = opaque(b"".join(opaque(key) for key in self.keys))
        return u24(self.type_id) + u64(self.generation) + reference


@dataclass
class SpecifierRequest:
    """Request of FETCH and of REMOVE."""

    resource: bytes
    specifiers: list

    @classmethod
    def decode(cls, reader, models):
        result = cls(reader.take(ID_LEN), [])
        inner = reader.sub()
        while inner.left():
            result.specifiers.append(Specifier.decode(inner, models))
        check_types([s.type_id for s in result.specifiers], "specifier")
        return result

    def encode(self):
        return self.resource + opaque(b"".join(s.encode() for s in self.specifiers))


def decode_fetch_response(reader, models):
    result = []
    while reader.left():
        result.append(TypeValues.decode(reader, models))
    return result


def join_repeated(elements):
    """Joins the elements of one type that a responder had to repeat directly behind each other."""
    result = []
    for element in elements:
        if result and result[-1].type_id == element.type_id:
            if result[-1].generation != element.generation:
                raise Malformed("repeated element of another generation")
            result[-1].values += element.values
        else:
            result.append(dataclasses.replace(element, values=list(element.values)))
    return result


# Section 10.7: FIND


@dataclass
class FindRequest:
    resource: bytes
    types: list

    @classmethod
    def decode(cls, reader):
        resource = reader.take(ID_LEN)
        inner = Reader(reader.opaque8())
        types = []
        while inner.left():
            types.append(inner.u24())
        check_types(types, "type")
        return cls(resource, types)

    def encode(self):
        return self.resource + opaque8(b"".join(u24(t) for t in self.types))


@dataclass
class Found:
    type_id: int
    closest: bytes

    def encode(self):
        return u24(self.type_id) + self.closest


def decode_find_response(reader):
    result = []
    while reader.left():
        result.append(Found(reader.u24(), reader.take(ID_LEN)))
    return result


# Section 11.1: PING

RESPONSIBLE_SET, NUM_RESOURCES = 1, 2


@dataclass
class PingRequest:
    codes: bytes = b""

    @classmethod
    def decode(cls, reader):
        return cls(reader.opaque8())

    def encode(self):
        return opaque8(self.codes)


@dataclass
class PingResponse:
    """`infos`: (type, value) in order, an int for 1 and 2, bytes for private types."""

    response_id: int
    infos: list = field(default_factory=list)

    @classmethod
    def decode(cls, reader):
        result = cls(reader.u64())
        inner = reader.sub()
        while inner.left():
            kind = inner.u16()
            if kind in (RESPONSIBLE_SET, NUM_RESOURCES):
                result.infos.append((kind, inner.u32()))
            elif 0xF0 <= kind <= 0xFF:
                result.infos.append((kind, inner.opaque8()))
            else:
                break  # an unknown type has no length: nothing behind it can be read
        return result

    def encode(self):
        return u64(self.response_id) + opaque(b"".join(
            u16(kind) + (u32(value) if isinstance(value, int) else opaque8(value)) for kind, value in self.infos))


# Sections 11.2, 11.3: CONNECT and TUNNEL


@dataclass
class ConnectData:
    ufrag: str
    password: str
    application: int
    fingerprint: str
    role: str
    candidates: list

    @classmethod
    def decode(cls, reader):
        result = cls(reader.string(), reader.string(), reader.u16(), reader.string(), reader.string(), [])
        inner = reader.sub()
        while inner.left():
            result.candidates.append(inner.string())
        if not result.candidates:
            raise Malformed("no candidates")
        return result

    def encode(self):
        return (string(self.ufrag) + string(self.password) + u16(self.application) + string(self.fingerprint) +
                string(self.role) + opaque(b"".join(string(c) for c in self.candidates)))


OLD_TCP = {"tcp-act": "active", "tcp-pass": "passive", "tcp-so": "so"}


@dataclass
class Candidate:
    """A candidate attribute; `host` and `related` are (IP address or name, port)."""

    foundation: str
    component: int
    transport: str
    priority: int
    host: tuple
    kind: str
    related: tuple = None
    tcptype: str = None

    @classmethod
    def decode(cls, text):
        words = text.removeprefix("a=").split(" ")
        if len(words) < 8 or not words[0].lower().startswith("candidate:") or words[6].lower() != "typ":
            raise Malformed("no candidate attribute")
        foundation = words[0][len("candidate:"):]
        if not re.fullmatch(r"[A-Za-z0-9+/]{1,32}", foundation):
            raise Malformed("foundation")
        component = number(words[1], 5, 1, 256)
        transport = words[2].lower()
        tcptype = OLD_TCP.get(transport)
        transport = "tcp" if tcptype else transport
        if transport not in ("udp", "tcp"):
            raise Malformed("transport")
        priority = number(words[3], 10, 1, (1 << 31) - 1)
        host = (candidate_host(words[4]), number(words[5], 5, 0, 65535))
        kind = words[7].lower()
        if kind not in ("host", "srflx", "prflx", "relay"):
            raise Malformed("type of candidate")
        related, tcptype = candidate_tail(words[8:], tcptype)
        if (transport == "tcp") != (tcptype is not None):
            raise Malformed("tcptype")
        return cls(foundation, component, transport.upper(), priority, host, kind, related, tcptype)

    def encode(self):
        words = [f"candidate:{self.foundation}", str(self.component), self.transport, str(self.priority),
                 host_text(self.host[0]), str(self.host[1]), "typ", self.kind]
        if self.related:
            words += ["raddr", host_text(self.related[0]), "rport", str(self.related[1])]
        if self.tcptype:
            words += ["tcptype", self.tcptype]
        return " ".join(words)


def number(text, max_digits, least, most):
    if not re.fullmatch(f"[0-9]{{1,{max_digits}}}", text) or not least <= int(text) <= most:
        raise Malformed(f"number {text}")
    return int(text)


def candidate_host(text):
    try:
        return ipaddress.ip_address(text)
    except ValueError:
        if not re.fullmatch(r"[A-Za-z0-9._-]{1,255}", text):
            raise Malformed("neither an address nor a name") from None
        return text


def host_text(host):
    return host if isinstance(host, str) else ip_text(host)


def candidate_tail(words, tcptype):
    """The pairs of name and value behind the type; unknown ones are skipped."""
    if len(words) % 2:
        raise Malformed("extension without a value")
    seen = {}
    for name, value in zip(words[::2], words[1::2]):
        name = name.lower()
        if not name or not value:
            raise Malformed("two blanks")
        if name == "tcptype":
            value = value.lower()
            if value not in OLD_TCP.values() or tcptype not in (None, value):
                raise Malformed("tcptype")
            tcptype = value
        elif name in ("raddr", "rport"):
            if name in seen:
                raise Malformed(f"{name} twice")
            seen[name] = value
    host = candidate_host(seen["raddr"]) if "raddr" in seen else None
    port = number(seen["rport"], 5, 0, 65535) if "rport" in seen else None
    return None if host is None or port is None else (host, port), tcptype


@dataclass
class TunnelData:
    application: int
    dialog_id: bytes
    pdu: bytes

    @classmethod
    def decode(cls, reader):
        return cls(reader.u16(), reader.opaque(), reader.opaque())

    def encode(self):
        return u16(self.application) + opaque(self.dialog_id) + opaque(self.pdu)


# Sections 11.4, 12: JOIN, LEAVE, UPDATE


@dataclass
class PeerBlob:
    """JOIN and LEAVE: a peer-id and whatever follows it."""

    peer_id: bytes
    blob: bytes = b""

    @classmethod
    def decode(cls, reader):
        return cls(reader.take(ID_LEN), reader.rest())

    def encode(self):
        return self.peer_id + self.blob


@dataclass
class ChordUpdate:
    predecessors: list
    successors: list

    @classmethod
    def decode(cls, reader):
        return cls(split_ids(reader.opaque8(), "predecessors"), split_ids(reader.opaque8(), "successors"))

    def encode(self):
        return opaque8(b"".join(self.predecessors)) + opaque8(b"".join(self.successors))


@dataclass
class MeshUpdate:
    peers: list

    @classmethod
    def decode(cls, reader):
        return cls(split_ids(reader.opaque(), "peers"))

    def encode(self):
        return opaque(b"".join(self.peers))


# Section 11.5: values of the draft's types


@dataclass
class SipRegistration:
    """Either `uri`, or `contact_prefs` and `route`."""

    uri: str = None
    contact_prefs: str = None
    route: list = None

    @classmethod
    def decode(cls, reader):
        kind = reader.u8()
        if kind == 1:
            return cls(uri=reader.string())
        if kind == 2:
            return cls(contact_prefs=reader.string(), route=split_ids(reader.opaque(), "route"))
        raise Malformed(f"unknown type of registration {kind}")

    def encode(self):
        if self.uri is not None:
            return b"\1" + string(self.uri)
        return b"\2" + string(self.contact_prefs) + opaque(b"".join(self.route))


@dataclass
class TurnServer:
    iteration: int
    address: Address

    @classmethod
    def decode(cls, reader):
        return cls(reader.u8(), Address.decode(reader))

    def encode(self):
        return bytes([self.iteration]) + self.address.encode()
