"""Reads tests/vectors with the decoder of this directory and writes them again with its encoder.

Both were written from docs/spec alone, so a vector that passes says that its bytes and the documents agree.
"""

import pathlib
import sys
import zlib

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

import wire  # noqa: E402  (found through the line above)

VECTORS = pathlib.Path(__file__).resolve().parent.parent / "vectors"
MODELS = {0x000001: wire.DICTIONARY, 0x000002: wire.SINGLE, 0x000003: wire.ARRAY,
          0xF00001: wire.SINGLE, 0xF00002: wire.ARRAY, 0xF00003: wire.DICTIONARY}


class Vector:
    def __init__(self, name):
        self.name = name
        self.kind = None
        self.given = {}
        self.data = b""
        self.result = None
        self.reencodes = True
        self.fields = []


def statement(vector, line):
    """Adds one line of a vector to it."""
    word, _, rest = line.partition(" ")
    if word == "text":
        vector.data += rest.encode("utf-8")
        return
    if " = " in line and word not in ("hex", "fill", "result"):
        name, _, value = line.partition(" = ")
        vector.fields.append((name, value))
        return
    args = rest.partition("#")[0].split()
    if word == "pdu":
        vector.kind = args[0]
    elif word == "given":
        vector.given[args[0]] = args[1]
    elif word == "hex":
        vector.data += bytes.fromhex("".join(args))
    elif word == "fill":
        vector.data += bytes.fromhex(args[1]) * int(args[0])
    elif word == "result":
        vector.result = args[0]
    elif line == "reencodes otherwise":
        vector.reencodes = False
    else:
        raise ValueError(f"line of unknown form: {line}")


def read_vectors(path):
    vectors = []
    for raw in path.read_text("utf-8").split("\n"):
        line = raw.lstrip(" ")
        if not line.strip() or line.startswith("#"):
            continue
        if line.startswith("vector "):
            vectors.append(Vector(line.removeprefix("vector ")))
        else:
            statement(vectors[-1], line)
    return vectors


# Fields of decoded structures, in the words of the vector files


def show(raw):
    if not raw:
        return "-"
    if len(raw) > 256:
        return f"{len(raw)} bytes crc32 0x{zlib.crc32(raw):08x}"
    return raw.hex()


def show_ids(ids):
    return show(b"".join(ids)) if len(ids) > 16 else " ".join(i.hex() for i in ids) or "-"


def yes(value):
    return "yes" if value else "no"


def quoted(text):
    return f'"{text}"'


def header_fields(h, _given):
    return [("overlay", f"0x{h.overlay:08x}"), ("ttl", h.ttl), ("routing", h.routing),
            ("fragment", yes(h.fragment & 0x8000)), ("last_fragment", yes(h.fragment & 0x4000)),
            ("fragment_units", h.fragment & 0x3FFF), ("experimental", yes(h.version & 0x80)),
            ("version", h.version & 0x7F), ("length", h.length), ("xid", f"0x{h.xid:016x}"),
            ("flags", f"0x{h.flags:04x}"), ("route", show_ids(h.route)), ("via", show_ids(h.via)),
            ("route_log", "absent" if h.route_log is None else show(h.route_log)),
            ("header_len", len(h.encode(0)))]


def signature_fields(signature):
    if signature is None:
        return [("signature", "absent")]
    identity = signature.identity
    value = {wire.ID_PEER: lambda v: ("identity_peer", v.hex()),
             wire.ID_NAME: lambda v: ("identity_name", quoted(v)),
             wire.ID_CERTIFICATE: lambda v: ("identity_certificate", show(v))}[identity.tag](identity.value)
    return [("algorithm", signature.algorithm), ("signature_value", show(signature.value)), value]


def contents_fields(c, given):
    meaning = wire.PHRASES.get(c.code) if c.is_response else wire.METHODS.get(c.code)
    fields = [("kind", "response" if c.is_response else "request"), ("code", c.code),
              ("meaning", meaning or "unknown"), ("reserved", c.reserved), ("payload", show(c.payload))]
    fields += signature_fields(c.signature)
    if "xid" in given and c.signature is not None:
        fields.append(("signed_input", show(wire.message_signed_input(
            int(given["overlay"], 16), int(given["xid"], 16), c.signature.identity, c.unsigned()))))
    return fields


def lone_signature_fields(signature, _given):
    identity = b"" if signature is None else signature.identity.encode()
    return signature_fields(signature) + [("identity_bytes", show(identity))]


def ping_response_fields(p, _given):
    fields = [("response_id", f"0x{p.response_id:016x}")]
    for i, (kind, value) in enumerate(p.infos):
        fields.append((f"infos[{i}].type", f"0x{kind:04x}"))
        fields.append((f"infos[{i}].number", value) if isinstance(value, int) else
                      (f"infos[{i}].opaque", show(value)))
    return fields


def connect_fields(c, _given):
    return [("ufrag", quoted(c.ufrag)), ("password", quoted(c.password)), ("application", c.application),
            ("fingerprint", quoted(c.fingerprint)), ("role", quoted(c.role))] + [
                (f"candidates[{i}]", quoted(text)) for i, text in enumerate(c.candidates)]


def host_port(pair):
    host, port = pair
    return f'name "{host}" port {port}' if isinstance(host, str) else f"{wire.ip_text(host)} port {port}"


def candidate_fields(c, _given):
    return [("foundation", c.foundation), ("component", c.component), ("transport", c.transport),
            ("priority", c.priority), ("address", host_port(c.host)), ("type", c.kind),
            ("related_address", host_port(c.related) if c.related else "none"),
            ("tcptype", c.tcptype or "none")]


def route_log_fields(entries, _given):
    fields = []
    for i, e in enumerate(entries):
        fields += [(f"entries[{i}].{name}", value) for name, value in (
            ("version", quoted(e.version)), ("transport", e.transport), ("id", e.id.hex()), ("uptime", e.uptime),
            ("certificate", show(e.certificate)), ("address", str(e.address)))]
    return fields


def sip_fields(s, _given):
    if s.uri is not None:
        return [("registration_uri", quoted(s.uri))]
    return [("contact_prefs", quoted(s.contact_prefs)), ("route_list", show_ids(s.route))]


def value_fields(v):
    fields = [("storage_time", v.storage_time), ("lifetime", v.lifetime)]
    if v.model == wire.ARRAY:
        fields.append(("index", v.index))
    elif v.model == wire.DICTIONARY:
        fields.append(("key", show(v.key)))
    fields += [("value", show(v.value))] + signature_fields(v.signature)
    return fields if v.exists else fields + [("nonexistent", "yes")]


def stored_data_fields(v, given):
    fields = value_fields(v) + [("data_value", show(v.data_value()))]
    if "resource" in given:
        fields.append(("signed_input", show(v.signed_input(bytes.fromhex(given["resource"]),
                                                           int(given["type"], 16)))))
    return fields


def types_fields(types):
    fields = []
    for i, t in enumerate(types):
        fields += [(f"types[{i}].type", f"0x{t.type_id:06x}"), (f"types[{i}].generation", t.generation)]
        for j, v in enumerate(getattr(t, "values", [])):
            fields += [(f"types[{i}].values[{j}].{name}", value) for name, value in value_fields(v)]
    return fields


def specifier_fields(request, _given):
    fields = [("resource", request.resource.hex())]
    for i, s in enumerate(request.specifiers):
        fields += [(f"specifiers[{i}].type", f"0x{s.type_id:06x}"), (f"specifiers[{i}].generation", s.generation)]
        if s.first is not None:
            fields += [(f"specifiers[{i}].first", s.first), (f"specifiers[{i}].last", s.last)]
        if s.keys is not None:
            fields.append((f"specifiers[{i}].keys", "listed" if s.keys else "all"))
            fields += [(f"specifiers[{i}].keys[{j}]", show(key)) for j, key in enumerate(s.keys)]
    return fields


def with_models(decode):
    return lambda reader, _given: decode(reader, MODELS)


def plain(decode):
    return lambda reader, _given: decode(reader)


def encode_all(items):
    return b"".join(item.encode() for item in items)


def encode_header(header):
    return header.encode(header.length - len(header.encode(0)))


def encode(thing):
    return thing.encode()


def blob_fields(name):
    return lambda p, _given: [(name, p.peer_id.hex()), ("dht_specific_data", show(p.blob))]


SPECIFIER = (with_models(wire.SpecifierRequest.decode), encode, specifier_fields)

# kind: (decoder of a Reader and the `given` values, encoder, fields)
KINDS = {
    "header": (plain(wire.Header.decode), encode_header, header_fields),
    "contents": (plain(wire.Contents.decode), encode, contents_fields),
    "signature": (plain(wire.Signature.decode), wire.encode_signature, lone_signature_fields),
    "error_response": (plain(wire.ErrorResponse.decode), encode,
                       lambda e, g: [("reason_phrase", quoted(e.reason)), ("error_info", show(e.info))]),
    "ping_request": (plain(wire.PingRequest.decode), encode, lambda p, g: [("ping_info", p.codes.hex() or "-")]),
    "ping_response": (plain(wire.PingResponse.decode), encode, ping_response_fields),
    "connect_data": (plain(wire.ConnectData.decode), encode, connect_fields),
    "tunnel_data": (plain(wire.TunnelData.decode), encode, lambda t, g: [
        ("application", t.application), ("dialog_id", show(t.dialog_id)), ("application_pdu", show(t.pdu))]),
    "candidate": (lambda reader, _given: wire.Candidate.decode(wire.decode_string(reader.rest())),
                  lambda c: c.encode().encode("utf-8"), candidate_fields),
    "join_request": (plain(wire.PeerBlob.decode), encode, blob_fields("desired_peer_id")),
    "leave_request": (plain(wire.PeerBlob.decode), encode, blob_fields("leaving_peer_id")),
    "chord_update": (plain(wire.ChordUpdate.decode), encode, lambda u, g: [
        ("predecessors", show_ids(u.predecessors)), ("successors", show_ids(u.successors))]),
    "mesh_update": (plain(wire.MeshUpdate.decode), encode, lambda u, g: [("peers", show_ids(u.peers))]),
    "route_log": (lambda reader, _given: wire.decode_route_log(reader.opaque()),
                  lambda entries: wire.opaque(wire.encode_route_log(entries)), route_log_fields),
    "ip_address_and_port": (plain(wire.Address.decode), encode, lambda a, g: [("address", str(a))]),
    "sip_registration": (plain(wire.SipRegistration.decode), encode, sip_fields),
    "turn_server": (plain(wire.TurnServer.decode), encode, lambda t, g: [
        ("iteration", t.iteration), ("address", str(t.address))]),
    "stored_data": (lambda reader, given: wire.StoredData.decode(reader, given["model"]), encode,
                    stored_data_fields),
    "store_request": (with_models(wire.StoreRequest.decode), encode,
                      lambda r, g: [("resource", r.resource.hex())] + types_fields(r.types)),
    "store_response": (plain(wire.decode_generations), encode_all, lambda r, g: types_fields(r)),
    "fetch_request": SPECIFIER,
    "remove_request": SPECIFIER,
    "fetch_response": (with_models(wire.decode_fetch_response), encode_all, lambda r, g: types_fields(r)),
    "find_request": (plain(wire.FindRequest.decode), encode, lambda r, g: [
        ("resource", r.resource.hex()), ("types", " ".join(f"0x{t:06x}" for t in r.types))]),
    "find_response": (plain(wire.decode_find_response), encode_all, lambda r, g: [
        field for i, f in enumerate(r) for field in ((f"types[{i}].type", f"0x{f.type_id:06x}"),
                                                     (f"types[{i}].closest_resource", f.closest.hex()))]),
}


def decode(vector, data):
    reader = wire.Reader(data)
    result = KINDS[vector.kind][0](reader, vector.given)
    if vector.kind != "header":
        reader.end()
    return result


def outcome(vector, data):
    """('ok', fields, bytes) of what can be read, or the word for the refusal."""
    try:
        thing = decode(vector, data)
    except wire.LaterVersion:
        return ("later-version",)
    except wire.UnknownType as error:
        fields = [("unknown_type", f"0x{error.type_id:06x}")]
        if isinstance(error.partial, wire.StoreRequest):
            fields = [("resource", error.partial.resource.hex())] + types_fields(error.partial.types)
        return ("unknown-type", fields)
    except wire.Malformed:
        return ("malformed",)
    _, encoder, fields = KINDS[vector.kind]
    encoded = encoder(thing)
    if vector.kind == "header":
        encoded += data[len(encoded):]
    listed = fields(thing, vector.given)
    return ("ok", [(name, str(value)) for name, value in listed], encoded)


ALL = [v for path in sorted(VECTORS.glob("*.txt")) for v in read_vectors(path)]


@pytest.mark.parametrize("vector", ALL, ids=[f"{v.name} ({v.kind})" for v in ALL])
def test_ENC_vector_reads_and_writes(vector):
    got = outcome(vector, vector.data)
    expected = "malformed" if vector.result == "short" else vector.result
    assert got[0] == expected
    if len(got) > 1:
        assert [(n, str(v)) for n, v in got[1]] == vector.fields
    if got[0] == "ok":
        assert (got[2] == vector.data) == vector.reencodes


def damaged(data):
    """The bytes cut at every length and with every single bit flipped; of long ones only the first and last 96."""
    near = [i for i in range(len(data)) if i < 96 or i >= len(data) - 96]
    for i in near:
        yield data[:i]
    for i in near:
        for bit in range(8):
            yield data[:i] + bytes([data[i] ^ 1 << bit]) + data[i + 1:]


@pytest.mark.parametrize("vector", ALL, ids=[f"{v.name} ({v.kind})" for v in ALL])
def test_ENC_damaged_vector_is_refused_or_stable(vector):
    for data in damaged(vector.data):
        if vector.kind == "header":
            data = data[:13] + wire.u32(len(data))[1:] + data[16:]
        got = outcome(vector, data)
        if got[0] != "ok":
            continue
        again = outcome(vector, got[2])
        assert again == got


def test_GAP_108_resource_ids_of_the_document():
    peer = bytes.fromhex("00112233445566778899aabbccddeeff")
    assert wire.resource_of("alice@Example.ORG.").hex() == "7a64adf28737ea90719cbdf0b1a87a5e"
    assert wire.resource_of(peer).hex() == "a8faed6abbf35c12a4b26e40f6feb19d"
    assert wire.resource_of(peer + b"\1").hex() == "1d6c8476748549be7347ad8fb170a478"


def test_HDR_03_GAP_12_overlay_checksum_of_the_document():
    assert wire.overlay_checksum("ring.example.org") == 0x8E2902D9
    assert wire.overlay_checksum("Ring.Example.ORG.") == 0x8E2902D9
    assert wire.overlay_checksum("123456789") == 0xCBF43926
