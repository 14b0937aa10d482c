"""A client of a Torc overlay, written from docs/spec alone: module and command.

    peer.py --config overlay.xml --cert c.crt --key c.key ping
    peer.py ... store --name alice@example.org --type note --map-key k --value text
    peer.py ... fetch --name alice@example.org --type note

Every result is one line of JSON on standard output. Exit status: 0 answered 200, 1 anything else.
"""

import argparse
import datetime
import ipaddress
import json
import os
import pathlib
import re
import socket
import ssl
import sys
import time
import xml.etree.ElementTree
from base64 import b64decode
from dataclasses import dataclass, field, replace

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

import wire  # noqa: E402  (found through the line above)

T1, T2, GIVE_UP = 0.5, 4.0, 32.0
CERTIFICATE_MAX = 8192
VERSION_TEXT = "torc-interop"


class Refused(Exception):
    """What the other side sent is not acceptable by the document."""


class LinkClosed(Exception):
    """The link is gone."""


class Timeout(Exception):
    """No answer within the time given."""


# The overlay configuration document, section 3


@dataclass
class TypeInfo:
    type_id: int
    name: str
    model: str
    access: str
    max_count: int
    max_size: int
    max_lifetime: int
    find: bool


DRAFT_TYPES = [
    TypeInfo(wire.SIP_REGISTRATION, "SIP-REGISTRATION", wire.DICTIONARY, "user-node-match", 10, 10240, 7 * 86400,
             False),
    TypeInfo(wire.TURN_SERVICE, "TURN-SERVICE", wire.SINGLE, "node-multiple", 1, 20, 7 * 86400, True),
    TypeInfo(wire.CERTIFICATE, "CERTIFICATE", wire.ARRAY, "certificate", 10, 4096, 60 * 86400, True),
]


@dataclass
class Overlay:
    name: str
    algorithm: str
    roots: list
    bootstrap: list
    types: dict = field(default_factory=dict)
    initial_ttl: int = 100

    @property
    def checksum(self):
        return wire.overlay_checksum(self.name)

    @property
    def models(self):
        return {t.type_id: t.model for t in self.types.values()}

    def type_named(self, text):
        for info in self.types.values():
            if info.name == text:
                return info
        return self.types[int(text, 0)]

    @classmethod
    def read(cls, path, name=None):
        """The overlay called `name` of a document, or its first one."""
        raw = pathlib.Path(path).read_bytes()
        if b"<!DOCTYPE" in raw:
            raise Refused("a DTD is not accepted")
        root = xml.etree.ElementTree.fromstring(raw)
        elements = [root] if local_name(root) == "overlay" else [e for e in root if local_name(e) == "overlay"]
        for element in elements:
            if name is None or wire.normal_overlay_name(name) == wire.normal_overlay_name(element.get("name")):
                return cls.of_element(element)
        raise Refused("no such overlay in the document")

    @classmethod
    def of_element(cls, element):
        result = cls(element.get("name"), None, [], [], {t.type_id: t for t in DRAFT_TYPES})
        for child in element:
            tag = local_name(child)
            if tag == "dht":
                result.algorithm = child.get("name")
            elif tag == "root-cert":
                result.roots.append(x509.load_der_x509_certificate(b64decode(child.text)))
            elif tag in ("bootstrap-peer", "multicast-bootstrap"):
                if not is_multicast(child.get("address")):
                    peer_id = child.get("peer-id")
                    result.bootstrap.append((child.get("address"), int(child.get("port")),
                                             bytes.fromhex(peer_id) if peer_id else None))
            elif tag == "initial-ttl":
                result.initial_ttl = int(child.text)
            elif tag == "type":
                info = type_info(child)
                result.types[info.type_id] = info
        if not result.roots or not result.algorithm:
            raise Refused("root-cert or dht is missing")
        return result


def local_name(element):
    return element.tag.rpartition("}")[2]


def is_multicast(address):
    try:
        return ipaddress.ip_address(address).is_multicast
    except ValueError:
        return False


def type_info(element):
    get = element.get
    return TypeInfo(int(get("id"), 0), get("name"), get("model"), get("access"), int(get("max-count")),
                    int(get("max-size")), int(get("max-lifetime", "604800")), get("find") == "yes")


# Certificates, section 4


class Member:
    """A certificate of the overlay: who it speaks for and what it signs."""

    def __init__(self, cert, overlay):
        self.cert = cert
        self.der = cert.public_bytes(serialization.Encoding.DER)
        self.key = cert.public_key()
        self.peer_ids, self.users = names_of(cert, overlay)
        if len(self.der) > CERTIFICATE_MAX:
            raise Refused("certificate above 8192 bytes")
        if not any(issued_by(cert, root) for root in overlay.roots):
            raise Refused("certificate of no root of the overlay")
        check_profile(cert, self.key)
        if len(self.peer_ids) != 1:
            raise Refused(f"{len(self.peer_ids)} peer-ids in the certificate")

    @property
    def peer_id(self):
        return self.peer_ids[0]

    @property
    def fingerprint(self):
        return "sha-256 " + ":".join(f"{byte:02X}" for byte in self.cert.fingerprint(hashes.SHA256()))

    def check_date(self, when):
        """`when`: seconds since 1970."""
        moment = datetime.datetime.utcfromtimestamp(when)
        if not self.cert.not_valid_before <= moment <= self.cert.not_valid_after:
            raise Refused("certificate out of its dates")

    def verify(self, signature, data):
        try:
            if isinstance(self.key, rsa.RSAPublicKey) and signature.algorithm == wire.RSA_SHA256:
                self.key.verify(signature.value, data, padding.PKCS1v15(), hashes.SHA256())
                return
            if isinstance(self.key, ec.EllipticCurvePublicKey) and signature.algorithm == wire.ECDSA_SHA256:
                self.key.verify(signature.value, data, ec.ECDSA(hashes.SHA256()))
                return
        except InvalidSignature as error:
            raise Refused("signature does not verify") from error
        raise Refused(f"signature algorithm {signature.algorithm} does not fit the key")


def names_of(cert, overlay):
    peer_ids, users = [], []
    try:
        names = cert.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        raise Refused("certificate without subjectAltName") from None
    for uri in names.get_values_for_type(x509.UniformResourceIdentifier):
        match = re.fullmatch(r"reload://(?:0110)?([0-9a-fA-F]{32})@(.+)", uri)
        if match and wire.normal_overlay_name(match[2]) == wire.normal_overlay_name(overlay.name):
            peer_ids.append(bytes.fromhex(match[1]))
    for user in names.get_values_for_type(x509.RFC822Name):
        users.append(wire.normal_name(user))
    return peer_ids, users


def issued_by(cert, root):
    if cert.issuer != root.subject:
        return False
    key = root.public_key()
    try:
        if isinstance(key, rsa.RSAPublicKey):
            key.verify(cert.signature, cert.tbs_certificate_bytes, padding.PKCS1v15(), cert.signature_hash_algorithm)
        else:
            key.verify(cert.signature, cert.tbs_certificate_bytes, ec.ECDSA(cert.signature_hash_algorithm))
    except InvalidSignature:
        return False
    return True


def check_profile(cert, key):
    if isinstance(key, rsa.RSAPublicKey):
        if key.key_size < 2048:
            raise Refused("RSA key below 2048 bits")
    elif not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, ec.SECP256R1):
        raise Refused("key is neither P-256 nor RSA")
    for extension in cert.extensions:
        if isinstance(extension.value, x509.ExtendedKeyUsage):
            usages = set(extension.value)
            both = {x509.ExtendedKeyUsageOID.CLIENT_AUTH, x509.ExtendedKeyUsageOID.SERVER_AUTH}
            if not both <= usages:
                raise Refused("extended key usage is not both client and server")
        elif extension.critical and isinstance(extension.value, x509.UnrecognizedExtension):
            raise Refused("unknown critical extension")


class Own(Member):
    """A member whose key we have."""

    def __init__(self, cert_path, key_path, overlay):
        self.cert_path, self.key_path = str(cert_path), str(key_path)
        super().__init__(x509.load_pem_x509_certificate(pathlib.Path(cert_path).read_bytes()), overlay)
        self.private = serialization.load_pem_private_key(pathlib.Path(key_path).read_bytes(), None)

    @property
    def identity(self):
        return wire.Identity(wire.ID_CERTIFICATE, self.der)

    def sign(self, data, identity=None):
        if isinstance(self.private, rsa.RSAPrivateKey):
            value = self.private.sign(data, padding.PKCS1v15(), hashes.SHA256())
            algorithm = wire.RSA_SHA256
        else:
            value = self.private.sign(data, ec.ECDSA(hashes.SHA256()))
            algorithm = wire.ECDSA_SHA256
        return wire.Signature(algorithm, value, identity or self.identity)


# Links, section 5


class Link:
    """One TLS connection: messages in, messages out."""

    def __init__(self, overlay, own, raw, expected=None, server=False, oldest=ssl.TLSVersion.TLSv1_3,
                 newest=ssl.TLSVersion.MAXIMUM_SUPPORTED, ciphers="DEFAULT"):
        """Over the connected TCP socket `raw`, which is taken."""
        self.buffer = bytearray()
        try:
            context = tls_context(overlay, own, server, ciphers)
            context.minimum_version, context.maximum_version = oldest, newest
            self.sock = context.wrap_socket(raw, server_side=server)
            self.remote = Member(x509.load_der_x509_certificate(self.sock.getpeercert(True)), overlay)
            self.remote.check_date(time.time())
            if expected is not None and self.remote.peer_id != expected:
                raise Refused("another peer than expected")
        except BaseException:
            raw.close()
            raise
        self.address = self.sock.getsockname()

    @classmethod
    def dial(cls, overlay, own, address, expected=None, timeout=10.0, **tls):
        return cls(overlay, own, socket.create_connection(address[:2], timeout=timeout), expected, **tls)

    def send(self, data):
        self.sock.settimeout(30.0)
        try:
            self.sock.sendall(data)
        except OSError as error:
            raise LinkClosed(str(error)) from error

    def receive(self, deadline):
        """The next whole message; None at the deadline (time.monotonic)."""
        while True:
            message = self.take_message()
            if message is not None:
                return message
            wait = deadline - time.monotonic()
            if wait <= 0:
                return None
            self.sock.settimeout(wait)
            try:
                piece = self.sock.recv(65536)
            except (TimeoutError, ssl.SSLWantReadError):
                continue
            except OSError as error:
                raise LinkClosed(str(error)) from error
            if not piece:
                raise LinkClosed("closed by the other end")
            self.buffer += piece

    def take_message(self):
        if len(self.buffer) < 16:
            return None
        if bytes(self.buffer[:4]) != wire.MAGIC:
            raise Refused("no RELOAD message on the link")
        length = int.from_bytes(self.buffer[13:16], "big")
        if not wire.HEADER_LEN <= length <= wire.MESSAGE_MAX:
            raise Refused(f"Length {length}")
        if len(self.buffer) < length:
            return None
        message = bytes(self.buffer[:length])
        del self.buffer[:length]
        return message

    def close(self):
        self.sock.close()


def tls_context(overlay, own, server, ciphers):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER if server else ssl.PROTOCOL_TLS_CLIENT)
    context.set_ciphers(ciphers)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_REQUIRED
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    context.load_verify_locations(
        cadata=b"".join(root.public_bytes(serialization.Encoding.DER) for root in overlay.roots))
    if own.cert_path is not None:
        context.load_cert_chain(own.cert_path, own.key_path)
    return context


# Messages


@dataclass
class Message:
    header: wire.Header
    contents: wire.Contents

    @classmethod
    def decode(cls, data):
        reader = wire.Reader(data)
        header = wire.Header.decode(reader)
        return cls(header, wire.Contents.decode(reader))

    def encode(self):
        body = self.contents.encode()
        return self.header.encode(len(body)) + body

    def signed_input(self, identity):
        return wire.message_signed_input(self.header.overlay, self.header.xid, identity, self.contents.unsigned())


@dataclass
class Answer:
    """A verified response: `peer_id` and `member` are its signer, `error` what a code other than 200 says."""

    code: int
    payload: bytes
    header: wire.Header
    member: Member
    error: wire.ErrorResponse = None
    raw: bytes = b""

    @property
    def peer_id(self):
        return self.member.peer_id

    @property
    def route_log(self):
        return None if self.header.route_log is None else wire.decode_route_log(self.header.route_log)

    def generations(self):
        """Counters by type-id: of 200 to STORE or REMOVE, of error_info of 412."""
        raw = self.payload if self.code == 200 else self.error.info
        return {g.type_id: g.generation for g in wire.decode_whole(wire.decode_generations, raw)}


@dataclass
class Fetched:
    """One type of an answer to FETCH. Values are verified; those that do not exist stand there unsigned."""

    type_id: int
    generation: int
    values: list


class Client:
    """Attached to one peer of the overlay. Answers what comes up the link whenever it waits for something."""

    def __init__(self, overlay, own):
        self.overlay = overlay
        self.own = own
        self.link = None
        self.members = {}  # peer-id: the certificate learnt from the link, messages, values
        self.started = time.monotonic()
        self.last_storage_time = 0
        self.unclaimed = []  # responses nobody waits for
        self.incoming = []  # requests that came up the link

    # Attaching, section 13

    def dial(self, address=None):
        """Opens the link without sending anything."""
        targets = [(*address, None)] if address else self.overlay.bootstrap
        problem = Refused("no bootstrap-peer in the document")
        for host, port, peer_id in targets:
            try:
                self.link = Link.dial(self.overlay, self.own, (host, port), peer_id)
                self.learn(self.link.remote)
                return
            except (OSError, Refused) as error:
                problem = error
        raise problem

    def connect(self, address=None, timeout=GIVE_UP):
        """Dials, and learns by a wildcard PING which peer this is."""
        self.dial(address)
        answer = self.ping([wire.WILDCARD], timeout=timeout)
        if answer.code != 200:
            raise Refused(f"{answer.code} to the first PING")
        if answer.peer_id != self.link.remote.peer_id:
            raise Refused("answered by another than the peer of the TLS certificate")
        return answer

    def close(self, leave=False):
        if leave:
            self.request([self.link.remote.peer_id], wire.LEAVE, wire.PeerBlob(self.own.peer_id).encode())
        if self.link is not None:
            self.link.close()
            self.link = None

    def __enter__(self):
        return self

    def __exit__(self, *_error):
        self.close()

    # Requests, section 8

    def build(self, route, method, payload, identity=None, xid=None, **header_fields):
        """A signed request; `header_fields` as of wire.Header."""
        if xid is None:
            xid = int.from_bytes(os.urandom(8), "big")
        header = wire.Header(self.overlay.checksum, xid, list(route), ttl=self.overlay.initial_ttl)
        header = replace(header, **header_fields)
        message = Message(header, wire.Contents(False, method, payload))
        self.sign(message, identity)
        return message

    def sign(self, message, identity=None):
        identity = identity or self.own.identity
        message.contents.signature = self.own.sign(message.signed_input(identity), identity)

    def request(self, route, method, payload, timeout=GIVE_UP, **options):
        return self.transact(self.build(route, method, payload, **options), timeout)

    def transact(self, message, timeout=GIVE_UP):
        data = message.encode()
        start = time.monotonic()
        next_send, interval = start, T1
        while True:
            now = time.monotonic()
            if now >= start + timeout:
                raise Timeout(f"no answer within {timeout} s")
            if now >= next_send:
                self.link.send(data)
                next_send += interval
                interval = min(interval * 2, T2)
            answer = self.wait_for(message.header.xid, min(next_send, start + timeout))
            if answer is not None:
                return answer

    def wait_for(self, xid, deadline):
        """The verified response to `xid`, None at the deadline; answers requests meanwhile."""
        while True:
            raw = self.link.receive(deadline)
            if raw is None:
                return None
            try:
                message = Message.decode(raw)
            except wire.Malformed as error:
                raise Refused(f"a message that does not parse came up the link: {error}") from error
            if not message.contents.is_response:
                self.incoming.append(message)
                self.serve(message)
            elif message.header.xid == xid:
                return self.accept(message, raw)
            else:
                self.unclaimed.append(message)

    def accept(self, message, raw):
        header, contents = message.header, message.contents
        if header.route not in ([self.own.peer_id], []):
            raise Refused("the response's route list does not lead to us")
        if header.overlay != self.overlay.checksum and contents.code != 498:
            raise Refused("response of another overlay")
        member = self.check_signature(message)
        error = None
        if contents.code != 200:
            error = wire.decode_whole(wire.ErrorResponse.decode, contents.payload)
        return Answer(contents.code, contents.payload, header, member, error, raw)

    # Signatures, section 7

    def learn(self, member):
        self.members[member.peer_id] = member

    def resolve(self, identity):
        """The certificate that an identity means: inline, the link's, the cache's, a FETCH of CERTIFICATE."""
        if identity.tag == wire.ID_CERTIFICATE:
            member = Member(x509.load_der_x509_certificate(identity.value), self.overlay)
            self.learn(member)
            return member
        matches = (lambda m: identity.value == m.peer_id) if identity.tag == wire.ID_PEER else (
            lambda m: identity.value in m.users)
        if self.link is not None and matches(self.link.remote):
            return self.link.remote
        for member in [self.own, *self.members.values()]:
            if matches(member):
                return member
        for fetched in self.fetch(wire.resource_of(identity.value), [wire.Specifier(wire.CERTIFICATE, 0, 0, -1)]):
            for value in fetched.values:
                if value.exists:
                    member = Member(x509.load_der_x509_certificate(value.value), self.overlay)
                    self.learn(member)
                    if matches(member):
                        return member
        raise Refused("certificate of the signer not found")

    def check_signature(self, message):
        signature = message.contents.signature
        if signature is None:
            raise Refused("message without a signature")
        member = self.resolve(signature.identity)
        member.check_date(time.time())
        member.verify(signature, message.signed_input(signature.identity))
        return member

    def check_value(self, value, resource, type_id):
        """Signature, date and access rule of a value that was fetched."""
        if value.signature is None:
            raise Refused("value without a signature")
        member = self.resolve(value.signature.identity)
        member.check_date(value.storage_time)
        member.verify(value.signature, value.signed_input(resource, type_id))
        if not self.may_write(member, self.overlay.types[type_id].access, value, resource):
            raise Refused("value of a signer who may not write it")
        return member

    def may_write(self, member, access, value, resource):
        by_user = any(wire.resource_of(user) == resource for user in member.users)
        if access == "user-match":
            return by_user
        if access == "user-node-match":
            return by_user and value.key == member.peer_id
        if access == "node-match":
            return wire.resource_of(member.peer_id) == resource
        if access == "node-multiple":
            return wire.resource_of(member.peer_id + value.value[:1]) == resource
        if access == "certificate":
            shown = Member(x509.load_der_x509_certificate(value.value), self.overlay)
            seeds = [shown.peer_id, *shown.users]
            same = shown.der == member.der or set(shown.users) & set(member.users)
            return bool(same) and any(wire.resource_of(seed) == resource for seed in seeds)
        return False

    # What comes up the link, section 13 item 6

    def serve(self, message):
        header, contents = message.header, message.contents
        if header.route not in ([self.own.peer_id], []):
            return
        code, payload = self.outcome_of(message)
        previous = [*header.via, self.link.remote.peer_id]
        reply = wire.Header(self.overlay.checksum, header.xid, previous[::-1], ttl=self.overlay.initial_ttl,
                            routing=header.routing)
        if header.route_log is not None:
            host, port = self.link.address[:2]
            entry = wire.RouteLogEntry(VERSION_TEXT, 1, self.own.peer_id, int(time.monotonic() - self.started), b"",
                                       wire.Address.of(host, port))
            reply.route_log = header.route_log + entry.encode()
        response = Message(reply, wire.Contents(True, code, payload))
        self.sign(response)
        self.link.send(response.encode())

    def outcome_of(self, message):
        contents = message.contents
        if contents.signature is None:
            return 401, error_payload(401)
        try:
            self.check_signature(message)
        except Refused:
            return 403, error_payload(403)
        if contents.code in (wire.TUNNEL, wire.CONNECT):
            return 404, error_payload(404, "Unknown Application")
        if contents.code != wire.PING:
            return 405, error_payload(405)
        try:
            wire.decode_whole(wire.PingRequest.decode, contents.payload)
        except wire.Malformed:
            return 400, error_payload(400)
        return 200, wire.PingResponse(int.from_bytes(os.urandom(8), "big")).encode()

    def pump(self, deadline):
        """Serves what comes up the link until the deadline."""
        while self.wait_for(None, deadline) is not None:
            pass

    # The methods

    def ping(self, route, codes=b"", log=False, timeout=GIVE_UP):
        return self.request(route, wire.PING, wire.PingRequest(codes).encode(), timeout=timeout,
                            route_log=b"" if log else None)

    def value(self, data, lifetime=3600, index=None, key=None, storage_time=None):
        """A value still without its signature. storage_time: now, and later than the last one."""
        if storage_time is None:
            storage_time = max(int(time.time()), self.last_storage_time + 1)
            self.last_storage_time = storage_time
        return wire.StoredData(storage_time, lifetime, data, index, key)

    def sign_value(self, value, resource, type_id):
        return replace(value, signature=self.own.sign(value.signed_input(resource, type_id)))

    def store_payload(self, resource, type_id, values, generation=0):
        signed = [v if v.signature else self.sign_value(v, resource, type_id) for v in values]
        return wire.StoreRequest(resource, [wire.TypeValues(type_id, generation, signed)]).encode()

    def store(self, resource, type_id, values, generation=0, **options):
        payload = self.store_payload(resource, type_id, values, generation)
        return self.request([resource], wire.STORE, payload, **options)

    def fetch_raw(self, resource, specifiers, route=None, **options):
        payload = wire.SpecifierRequest(resource, specifiers).encode()
        return self.request(route or [resource], wire.FETCH, payload, **options)

    def fetch(self, resource, specifiers, **options):
        """The verified values, a list of Fetched in the order asked."""
        answer = self.fetch_raw(resource, specifiers, **options)
        if answer.code != 200:
            raise Refused(f"{answer.code} {answer.error.reason} to FETCH")
        return self.fetched(answer, resource)

    def fetched(self, answer, resource):
        reader = wire.Reader(answer.payload)
        elements = wire.join_repeated(wire.decode_fetch_response(reader, self.overlay.models))
        for element in elements:
            for value in element.values:
                if value.exists:
                    self.check_value(value, resource, element.type_id)
        return [Fetched(e.type_id, e.generation, e.values) for e in elements]

    def remove(self, resource, specifiers, **options):
        return self.request([resource], wire.REMOVE, wire.SpecifierRequest(resource, specifiers).encode(), **options)

    def find(self, resource, types, **options):
        """(answer, {type-id: closest resource-id})."""
        answer = self.request([resource], wire.FIND, wire.FindRequest(resource, types).encode(), **options)
        if answer.code != 200:
            return answer, {}
        return answer, {f.type_id: f.closest for f in wire.decode_whole(wire.decode_find_response, answer.payload)}

    def walk(self, type_id, start=wire.NO_ID):
        """Every resource with a value of the type, once round the ring, as (resource-id, peer-id that told)."""
        at, left = start, 1 << 128
        while left > 0:
            if at in (wire.NO_ID, wire.WILDCARD):  # not routable, and nobody's resource
                at = wire.next_id(at)
                left -= 1
                continue
            answer, found = self.find(at, [type_id])
            if answer.code != 200:
                raise Refused(f"{answer.code} {answer.error.reason} to FIND")
            closest, last = found.get(type_id, wire.NO_ID), answer.peer_id
            if closest != wire.NO_ID and clockwise(at, closest) <= clockwise(at, answer.peer_id):
                last = closest
                if clockwise(at, closest) < left:
                    yield closest, answer.peer_id
            left -= clockwise(at, last) + 1
            at = wire.next_id(last)


def clockwise(start, end):
    return (int.from_bytes(end, "big") - int.from_bytes(start, "big")) % (1 << 128)


def error_payload(code, reason=None):
    return wire.ErrorResponse(reason or wire.PHRASES[code]).encode()


# The command


def text_of(raw):
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        return None


def answer_json(answer):
    result = {"code": answer.code, "peer": answer.peer_id.hex()}
    if answer.error is not None:
        result["reason"] = answer.error.reason
        if answer.code == 412 and answer.error.info:
            result["generations"] = {f"0x{t:06x}": g for t, g in answer.generations().items()}
    if answer.route_log is not None:
        result["log"] = [{"version": e.version, "transport": e.transport, "peer": e.id.hex(), "uptime": e.uptime,
                          "address": str(e.address)} for e in answer.route_log]
    return result


def value_json(value):
    result = {"exists": value.exists, "storage_time": value.storage_time, "lifetime": value.lifetime,
              "hex": value.value.hex(), "text": text_of(value.value)}
    if value.index is not None:
        result["index"] = value.index
    if value.key is not None:
        result["key"] = value.key.hex()
        result["key_text"] = text_of(value.key)
    if value.signature is not None:
        result["algorithm"] = value.signature.algorithm
    return result


def show(record):
    print(json.dumps(record, ensure_ascii=False), flush=True)


def resource_argument(client, args):
    if args.resource:
        return bytes.fromhex(args.resource)
    if args.name:
        return wire.resource_of(args.name)
    return wire.resource_of(client.own.users[0])


def specifier_argument(args, info):
    specifier = wire.Specifier(info.type_id, args.generation)
    if info.model == wire.ARRAY:
        specifier.first, specifier.last = args.first, args.last
    elif info.model == wire.DICTIONARY:
        specifier.keys = [key.encode("utf-8") for key in args.map_key]
    return specifier


def run_ping(client, args):
    route = [bytes.fromhex(args.to)] if args.to else [wire.WILDCARD]
    answer = client.ping(route, bytes([wire.RESPONSIBLE_SET, wire.NUM_RESOURCES]), args.log)
    result = answer_json(answer)
    if answer.code == 200:
        ping = wire.decode_whole(wire.PingResponse.decode, answer.payload)
        result["infos"] = {str(kind): value if isinstance(value, int) else value.hex() for kind, value in ping.infos}
    show(result)
    return answer.code


def run_store(client, args):
    info = client.overlay.type_named(args.type)
    resource = resource_argument(client, args)
    index = args.index if info.model == wire.ARRAY else None
    key = args.map_key[0].encode("utf-8") if info.model == wire.DICTIONARY else None
    value = client.value(args.value.encode("utf-8"), args.lifetime, index, key)
    answer = client.store(resource, info.type_id, [value], args.generation)
    result = answer_json(answer)
    if answer.code == 200:
        result["generations"] = {f"0x{t:06x}": g for t, g in answer.generations().items()}
    show(result)
    return answer.code


def run_fetch(client, args):
    info = client.overlay.type_named(args.type)
    resource = resource_argument(client, args)
    answer = client.fetch_raw(resource, [specifier_argument(args, info)])
    if answer.code != 200:
        show(answer_json(answer))
        return answer.code
    for element in client.fetched(answer, resource):
        show({"type": f"0x{element.type_id:06x}", "generation": element.generation, "values": len(element.values)})
        for value in element.values:
            show(value_json(value))
    return 200


def run_remove(client, args):
    info = client.overlay.type_named(args.type)
    resource = resource_argument(client, args)
    specifier = specifier_argument(args, info)
    if args.generation == 0:
        nothing = wire.Specifier(info.type_id, 0, *((0, 0) if info.model == wire.ARRAY else (None, None)),
                                 [] if info.model == wire.DICTIONARY else None)
        specifier.generation = client.fetch(resource, [nothing])[0].generation
    answer = client.remove(resource, [specifier])
    show(answer_json(answer))
    return answer.code


def run_find(client, args):
    info = client.overlay.type_named(args.type)
    for resource, peer in client.walk(info.type_id):
        show({"resource": resource.hex(), "peer": peer.hex()})
    return 200


def parser():
    result = argparse.ArgumentParser(description="client of a Torc overlay; prints JSON lines")
    result.add_argument("--config", required=True, help="overlay configuration document")
    result.add_argument("--cert", required=True, help="certificate, PEM")
    result.add_argument("--key", required=True, help="private key, PEM")
    result.add_argument("--bootstrap", help="HOST:PORT instead of the document's bootstrap-peers")
    commands = result.add_subparsers(dest="command", required=True)
    ping = commands.add_parser("ping", help="PING the peer at the other end, or --to an id")
    ping.add_argument("--to", help="peer-id or resource-id, 32 hex digits")
    ping.add_argument("--log", action="store_true", help="ask for a route log")
    ping.set_defaults(run=run_ping)
    for name, run, text in (("store", run_store, "store one value"), ("fetch", run_fetch, "fetch values"),
                            ("remove", run_remove, "remove values"), ("find", run_find, "walk round the ring")):
        sub = commands.add_parser(name, help=text)
        sub.add_argument("--type", required=True, help="name or number of the type")
        sub.set_defaults(run=run)
        if name == "find":
            continue
        sub.add_argument("--resource", help="resource-id, 32 hex digits")
        sub.add_argument("--name", help="user name or URI whose hash is the resource-id; default: our user name")
        sub.add_argument("--generation", type=int, default=0)
        sub.add_argument("--map-key", action="append", default=[], help="key of a dictionary")
        if name == "store":
            sub.add_argument("--value", required=True)
            sub.add_argument("--index", type=int, default=-1, help="index of an array, -1: append")
            sub.add_argument("--lifetime", type=int, default=3600)
        else:
            sub.add_argument("--first", type=int, default=0)
            sub.add_argument("--last", type=int, default=-1)
    return result


def main(argv=None):
    args = parser().parse_args(argv)
    overlay = Overlay.read(args.config)
    address = None
    if args.bootstrap:
        host, _, port = args.bootstrap.rpartition(":")
        address = (host.strip("[]"), int(port))
    with Client(overlay, Own(args.cert, args.key, overlay)) as client:
        try:
            client.connect(address)
            return 0 if args.run(client, args) == 200 else 1
        except (Refused, LinkClosed, Timeout, OSError) as error:
            show({"problem": type(error).__name__, "text": str(error)})
            return 1


if __name__ == "__main__":
    sys.exit(main())
