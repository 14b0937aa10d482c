"""What a client may send that it should not, and the answer the documents give to it."""

import datetime
import os
import struct
import sys
import time
from dataclasses import replace

import pytest

import interop_daemons as daemons
import peer
import wire
from interop_daemons import DIARY, NOTE, PHOTO, PLACE, SEAT, STATUS

sys.path.insert(0, str(daemons.ROOT / "tests" / "loopback"))

from forge import forge  # noqa: E402  (found through the line above)

SILENCE_S = 1.5


def send(client, message, seconds=10.0):
    """Sends a message once. The verified answer, None if there is none in time."""
    client.link.send(message.encode())
    return client.wait_for(message.header.xid, time.monotonic() + seconds)


def code_of(client, message):
    answer = send(client, message)
    assert answer is not None, "no answer"
    return answer.code


def dropped(client, message):
    """Whether there is no answer while the link stays usable."""
    answer = send(client, message, SILENCE_S)
    assert client.ping([wire.WILDCARD]).code == 200
    return answer is None and message.header.xid not in [m.header.xid for m in client.unclaimed]


def closed(client, seconds=5.0):
    """Whether the other end closes the link within so many seconds."""
    try:
        client.wait_for(None, time.monotonic() + seconds)
    except peer.LinkClosed:
        return True
    return False


def ping_message(client, route=None, **header):
    return client.build(route or [wire.WILDCARD], wire.PING, b"\0", **header)


def store_message(client, value, type_id=STATUS, resource=None, generation=0, route=None):
    resource = resource or client.home
    payload = client.store_payload(resource, type_id, [value], generation)
    return client.build(route or [resource], wire.STORE, payload)


# The header


@pytest.mark.parametrize("header", [{"overlay": 0x12345678}, {"version": 2}, {"version": 0}, {"version": 0x81}],
                         ids=["HDR-03 overlay", "HDR-14 version 2", "HDR-14 version 0", "HDR-13 EXP"])
def test_HDR_03_HDR_13_HDR_14_R_12_GAP_15_incompatible_is_498(attach, ring, header):
    client = attach()
    answer = send(client, ping_message(client, **header))
    assert (answer.code, answer.error.reason) == (498, "Incompatible with Overlay")
    assert answer.header.overlay == ring.overlay.checksum
    assert answer.header.version == 1
    assert client.ping([wire.WILDCARD]).code == 200


def test_GAP_15_incompatible_response_is_dropped(attach):
    client = attach()
    message = ping_message(client, overlay=0x12345678)
    message.contents.is_response = True
    client.sign(message)
    assert dropped(client, message)


@pytest.mark.parametrize("length", [0, 27, 204263, 0xFFFFFF])
def test_GAP_48_R_10_length_out_of_range_closes(attach, length):
    client = attach()
    data = bytearray(ping_message(client).encode())
    data[13:16] = struct.pack(">I", length)[1:]
    client.link.send(bytes(data))
    assert closed(client)


@pytest.mark.parametrize("magic", [b"RELP", b"GET ", bytes.fromhex("d2454c4f")], ids=["one off", "HTTP", "R-19 later"])
def test_HDR_01_R_19_GAP_11_bad_magic_closes(attach, magic):
    client = attach()
    client.link.send(magic + ping_message(client).encode()[4:])
    assert closed(client)


def test_TLS_04_message_in_single_bytes_and_two_in_one_piece(attach):
    client = attach()
    first, second = ping_message(client), ping_message(client)
    data = first.encode() + second.encode()
    for i in range(40):
        client.link.send(data[i:i + 1])
    client.link.send(data[40:])
    waiting = {first.header.xid, second.header.xid}
    end = time.monotonic() + 10
    while waiting and time.monotonic() < end:
        for xid in list(waiting):
            answer = client.wait_for(xid, time.monotonic() + 0.1)
            if answer or xid in [m.header.xid for m in client.unclaimed]:
                waiting.discard(xid)
    assert not waiting


@pytest.mark.parametrize("lists", [
    {"route": [wire.WILDCARD, wire.NO_ID]}, {"via": [wire.NO_ID]}, {"via": [wire.WILDCARD]},
], ids=["0 in route", "0 in via", "all ones in via"])
def test_R_11_R_46_GAP_37_impossible_id_is_dropped_and_the_link_stays(attach, lists):
    client = attach()
    message = ping_message(client)
    message.header = replace(message.header, **lists)
    assert dropped(client, message)


def test_HDR_18_R_11_lists_longer_than_the_message_are_dropped(attach):
    client = attach()
    data = bytearray(ping_message(client).encode())
    data[25] = 255
    client.link.send(bytes(data))
    xid = int.from_bytes(data[16:24], "big")
    assert client.wait_for(xid, time.monotonic() + SILENCE_S) is None
    assert client.ping([wire.WILDCARD]).code == 200


def test_HDR_04_GAP_13_TTL_1_is_not_forwarded(attach):
    client = attach.at_distance(1)
    for ttl in (0, 1):
        assert dropped(client, ping_message(client, [client.home], ttl=ttl))


def test_HDR_04_GAP_13_TTL_2_reaches_the_next_peer_and_0_the_first(attach):
    client = attach.at_distance(4)
    successor = attach.ring.responsible(wire.next_id(client.link.remote.peer_id))
    assert code_of(client, ping_message(client, [successor], ttl=2)) == 200
    assert code_of(client, ping_message(client, ttl=0)) == 200


def test_HDR_09_R_48_routing_3_is_499(attach):
    client = attach.at_distance(1)
    for route in ([wire.WILDCARD], [client.home]):
        answer = send(client, ping_message(client, route, routing=3))
        assert (answer.code, answer.error.reason) == (499, "UnWilling To Proxy")
        assert answer.peer_id == client.link.remote.peer_id


def test_HDR_08_GAP_14_routing_0_is_recursive(attach, ring):
    client = attach.at_distance(1)
    answer = send(client, ping_message(client, [client.home], routing=0))
    assert (answer.code, answer.peer_id, answer.header.routing) == (200, ring.responsible(client.home), 0)


def test_ERR_14_R_04_iterative_walks_by_302(attach, ring):
    """Each peer that would forward names the next one instead, and the walk ends at the responsible peer."""
    own = attach.member()
    target = wire.resource_of(own.users[0])
    at = ring.clockwise(target)[1]
    for _ in range(len(ring.peer_ids)):
        client = attach(at, own)
        answer = send(client, ping_message(client, [target], routing=2))
        client.close()
        if answer.code != 302:
            break
        assert len(answer.error.info) == wire.ID_LEN
        at = ring.peer_ids.index(answer.error.info)
    assert (answer.code, answer.peer_id) == (200, ring.responsible(target))


def test_R_28_iterative_with_more_than_one_entry_left_is_499(attach):
    client = attach.at_distance(1)
    other = next(p for p in attach.ring.peer_ids if p != client.link.remote.peer_id)
    assert code_of(client, ping_message(client, [other, client.home], routing=2)) == 499


def test_R_28_iterative_to_a_client_of_the_peer_is_forwarded(attach):
    client, other = attach(1), attach(1)
    message = ping_message(client, [other.own.peer_id], routing=2)
    client.link.send(message.encode())
    daemons.wait_until("the PING reaches the other client", lambda: reached(other))
    assert client.wait_for(message.header.xid, time.monotonic() + 10).peer_id == other.own.peer_id


def reached(client):
    client.wait_for(None, time.monotonic() + 0.05)
    return client.incoming


def test_RTG_07_CLI_05_source_route_to_a_client_behind_another_peer(attach):
    client, other = attach(1), attach(3)
    message = ping_message(client, [other.link.remote.peer_id, other.own.peer_id])
    client.link.send(message.encode())
    daemons.wait_until("the PING reaches the other client", lambda: reached(other))
    request = other.incoming[-1]
    assert request.header.route == [other.own.peer_id]
    assert request.header.via[0] == client.own.peer_id
    answer = client.wait_for(message.header.xid, time.monotonic() + 10)
    assert (answer.code, answer.peer_id) == (200, other.own.peer_id)


def test_R_50_RTG_19_message_to_oneself_through_the_peer_comes_back(attach):
    client = attach(2)
    answer = send(client, ping_message(client, [client.link.remote.peer_id, client.own.peer_id]))
    assert answer.peer_id == client.own.peer_id
    assert [m.header.via for m in client.incoming] == [[client.own.peer_id]]


def test_GAP_19_HDR_19_unknown_flags_and_reserved_are_ignored(attach):
    client = attach.at_distance(1)
    message = ping_message(client, [client.home], flags=0xFFFE)
    message.contents.reserved = 0xABCD
    client.sign(message)
    assert code_of(client, message) == 200


def test_GAP_17_unmatched_response_is_dropped(attach):
    client = attach()
    message = ping_message(client)
    message.contents.is_response = True
    message.contents.code = 200
    client.sign(message)
    assert dropped(client, message)


@pytest.mark.parametrize("fragment, answered", [(0x8000, False), (0xC001, False), (0x4005, True)],
                         ids=["first", "last", "FRAG clear"])
def test_HDR_10_GAP_42_GAP_44_fragment_on_a_stream_is_dropped(attach, fragment, answered):
    client = attach()
    message = ping_message(client, fragment=fragment)
    if answered:
        assert code_of(client, message) == 200
    else:
        assert dropped(client, message)


@pytest.mark.parametrize("route", [
    lambda ids: [], lambda ids: [ids[0]] * 255, lambda ids: [ids[0], wire.WILDCARD],
    lambda ids: [ids[0], ids[2], ids[1], wire.WILDCARD],
], ids=["R-27 empty", "255 times the peer", "peer, wildcard", "three peers, wildcard"])
def test_GAP_28_GAP_29_RTG_11_route_lists(attach, ring, route):
    client = attach(0)
    message = ping_message(client)
    message.header.route = route(ring.peer_ids)
    answer = send(client, message)
    last = [i for i in message.header.route if i != wire.WILDCARD][-1:] or [ring.peer_ids[0]]
    assert (answer.code, answer.peer_id) == (200, last[0])


def test_GAP_18_R_29_via_list_that_leaves_no_room_is_dropped(attach, ring):
    """254 entries and the last hop make the 255 of a response; one more does not fit."""
    client = attach(0)
    foreign = [os.urandom(16) for _ in range(255)]
    full = ping_message(client, via=foreign[:254])
    client.link.send(full.encode())
    raw = client.link.receive(time.monotonic() + 10)
    header = wire.Header.decode(wire.Reader(raw))
    assert (header.xid, header.route) == (full.header.xid, [client.own.peer_id, *foreign[253::-1]])
    assert dropped(client, ping_message(client, via=foreign))


def test_GAP_18_request_whose_via_list_is_full_is_not_forwarded(attach):
    client = attach.at_distance(1)
    assert dropped(client, ping_message(client, [client.home], via=[os.urandom(16) for _ in range(255)]))


def test_LOG_02_GAP_20_log_decides_nothing_and_stops_growing_at_65000(attach):
    client = attach()
    answer = send(client, ping_message(client, route_log=b"no log at all"))
    assert answer.code == 200 and answer.header.route_log.startswith(b"no log at all\0")
    full = bytes(64990)
    assert send(client, ping_message(client, route_log=full)).header.route_log == full


# Signatures


def test_R_37_user_name_is_compared_bytewise(attach):
    client = attach()
    identity = wire.Identity(wire.ID_NAME, client.own.users[0].replace("example", "EXAMPLE"))
    assert code_of(client, client.build([wire.WILDCARD], wire.PING, b"\0", identity=identity)) == 401


def test_GAP_53_GAP_58_request_without_signature_is_401(attach):
    client = attach()
    message = ping_message(client)
    message.contents.signature = None
    answer = send(client, message)
    assert (answer.code, answer.error.reason, answer.error.info) == (401, "Unauthorized", b"")


def broken(signature):
    value = bytearray(signature.value)
    value[-1] ^= 1
    return replace(signature, value=bytes(value))


def test_SIG_06_GAP_58_broken_message_signature_is_403(attach):
    client = attach()
    message = ping_message(client)
    message.contents.signature = broken(message.contents.signature)
    answer = send(client, message)
    assert (answer.code, answer.error.reason) == (403, "Forbidden")


@pytest.mark.parametrize("algorithm", [1, 2, 4, 0])
def test_SIG_03_D_10_algorithm_that_does_not_fit_the_key_is_403(attach, algorithm):
    client = attach()
    message = ping_message(client)
    message.contents.signature = replace(message.contents.signature, algorithm=algorithm)
    assert code_of(client, message) == 403


def test_SIG_06_signature_covers_the_transaction_id_and_not_the_lists(attach):
    client = attach()
    message = ping_message(client)
    message.header.xid ^= 1
    assert code_of(client, message) == 403
    message = ping_message(client)
    message.header.route = [client.link.remote.peer_id]
    message.header.ttl = 7
    assert code_of(client, message) == 200


def test_R_13_request_signed_by_another_than_the_links_peer_is_403(attach):
    client, other = attach(0), attach(1)
    message = other.build([wire.WILDCARD], wire.PING, b"\0")
    client.link.send(message.encode())
    answer = client.wait_for(message.header.xid, time.monotonic() + 10)
    assert answer.code == 403


def test_GAP_52_unknown_signer_reference_is_401(attach):
    client = attach()
    message = client.build([wire.WILDCARD], wire.PING, b"\0", identity=wire.Identity(wire.ID_PEER, os.urandom(16)))
    assert code_of(client, message) == 401


def test_R_30_errors_before_the_signature_are_limited_to_ten_a_second(attach):
    client = attach()
    message = ping_message(client)
    message.contents.signature = None
    start = time.monotonic()
    for i in range(60):
        message.header.xid = i
        client.link.send(message.encode())
    client.ping([wire.WILDCARD])
    spent = time.monotonic() - start
    refused = [m for m in client.unclaimed if m.contents.code == 401]
    assert 1 <= len(refused) <= 10 * (int(spent) + 2)
    assert len(refused) < 60


# Contents


@pytest.mark.parametrize("code", [0, 2, 8, 21, 0x7F01, 0x7FFF])
def test_MSG_05_GAP_22_unknown_method_is_405(attach, code):
    client = attach()
    answer = send(client, client.build([client.link.remote.peer_id], code, b"\1\2\3"))
    assert (answer.code, answer.error.reason) == (405, "Method Not Allowed")


def malformed_payloads():
    resource = bytes(15) + b"\1"
    value = wire.StoredData(1, 1, b"a").encode()
    one_type = wire.u24(STATUS) + wire.u64(0)
    return [
        ("PNG-03 empty PING", wire.PING, b""),
        ("GAP-09 byte after PING", wire.PING, b"\0\0"),
        ("PNG-03 list ends early", wire.PING, b"\2\1"),
        ("STO-04 resource cut", wire.STORE, resource[:10]),
        ("R-22 no types", wire.STORE, resource + b"\0\0"),
        ("R-22 no values", wire.STORE, resource + wire.opaque(one_type + b"\0\0")),
        ("STO-05 type twice", wire.STORE, resource + wire.opaque(2 * (one_type + wire.opaque(value)))),
        ("STO-07 cut value", wire.STORE, resource + wire.opaque(one_type + wire.opaque(value[:-1]))),
        ("GAP-09 byte after STORE", wire.STORE, resource + wire.opaque(one_type + wire.opaque(value)) + b"\0"),
        ("GAP-143 type 0", wire.STORE, resource + wire.opaque(bytes(11) + wire.opaque(value))),
        ("R-22 no specifier", wire.FETCH, resource + b"\0\0"),
        ("R-21 type twice in FETCH", wire.FETCH, resource + wire.opaque(2 * one_type)),
        ("FET-06 index -2", wire.FETCH, resource + wire.opaque(wire.Specifier(PHOTO, 0, -2, 0).encode())),
        ("GAP-01 keys cut", wire.FETCH, resource + wire.opaque(wire.u24(NOTE) + wire.u64(0) + b"\0\3\0\5a")),
        ("REM-05 type twice", wire.REMOVE, resource + wire.opaque(2 * one_type)),
        ("FND-02 no types", wire.FIND, resource + b"\0"),
        ("FND-03 type twice", wire.FIND, resource + b"\6" + 2 * wire.u24(NOTE)),
        ("CON-04 cut", wire.CONNECT, b"\0\1a"),
        ("GAP-10 NUL in ufrag", wire.CONNECT, wire.ConnectData("\0", "", 6084, "", "", ["x"]).encode()),
        ("CON-10 no candidates", wire.CONNECT, wire.ConnectData("u", "p", 6084, "", "passive", []).encode()),
        ("TUN-02 cut", wire.TUNNEL, b"\x13\xc4\0\5a"),
        ("LEA-02 cut", wire.LEAVE, bytes(15)),
        ("JOI-05 cut", wire.JOIN, bytes(15)),
        ("CHD-20 half an id", wire.UPDATE, b"\1a\0"),
    ]


@pytest.mark.parametrize("method, payload", [p[1:] for p in malformed_payloads()], ids=[p[0] for p in malformed_payloads()])
def test_GAP_59_R_11_GAP_09_malformed_payload_is_400(attach, ring, method, payload):
    at = ring.clockwise(bytes(15) + b"\1")[0]
    client = attach(at)
    answer = send(client, client.build([client.link.remote.peer_id], method, payload))
    assert (answer.code, answer.error.reason) == (400, "Bad Request")


def test_R_11_GAP_25_partial_signature_is_400(attach):
    client = attach()
    message = ping_message(client)
    body = message.contents.encode()[:-1]
    client.link.send(message.header.encode(len(body)) + body)
    assert client.wait_for(message.header.xid, time.monotonic() + 10).code == 400


def test_R_11_MSG_04_payload_length_beyond_the_message_is_400(attach):
    client = attach()
    message = ping_message(client)
    body = bytearray(message.contents.encode())
    body[4:8] = struct.pack(">I", 0xFFFFFFFF)
    client.link.send(message.header.encode(len(body)) + bytes(body))
    assert client.wait_for(message.header.xid, time.monotonic() + 10).code == 400


def test_GAP_37_wildcard_is_for_PING_only(attach):
    client = attach.at_distance(0)
    value = client.value(b"x")
    assert code_of(client, store_message(client, value, route=[wire.WILDCARD])) == 400
    fetch = wire.SpecifierRequest(client.home, [wire.Specifier(STATUS)]).encode()
    assert code_of(client, client.build([wire.WILDCARD], wire.FETCH, fetch)) == 400


def test_R_10_contents_above_131072_bytes_are_413(attach):
    client = attach()
    assert code_of(client, client.build([wire.WILDCARD], wire.PING, bytes(131072))) == 413
    assert client.ping([wire.WILDCARD]).code == 200


def test_GAP_63_D_24_R_06_duplicate_gets_the_identical_answer_and_is_not_executed(attach):
    client = attach.at_distance(1)
    message = store_message(client, client.value(b"p", index=-1), PHOTO)
    first, second = send(client, message), send(client, message)
    assert first.code == second.code == 200
    assert body_of(first) == body_of(second)
    other = store_message(client, client.value(b"q", index=-1), PHOTO)
    other.header.xid = message.header.xid
    client.sign(other)
    assert body_of(send(client, other)) == body_of(first)
    fetched, = client.fetch(client.home, [wire.Specifier(PHOTO, 0, 0, -1)])
    assert [v.value for v in fetched.values] == [b"p"]


def body_of(answer):
    """Contents and signature as they came."""
    reader = wire.Reader(answer.raw)
    wire.Header.decode(reader)
    return reader.rest()


# STORE


def test_STO_17_SIG_07_broken_value_signature_is_403(attach):
    client = attach.at_distance(1)
    value = client.sign_value(client.value(b"x"), client.home, STATUS)
    assert code_of(client, store_message(client, replace(value, signature=broken(value.signature)))) == 403
    moved = client.sign_value(client.value(b"x"), wire.resource_of("other"), STATUS)
    assert code_of(client, store_message(client, moved)) == 403
    typed = client.sign_value(client.value(b"x"), client.home, PLACE)
    assert code_of(client, store_message(client, typed)) == 403
    retimed = replace(value, lifetime=value.lifetime + 1)
    assert code_of(client, store_message(client, retimed)) == 403


def test_R_25_GAP_53_value_without_signature_is_401(attach):
    client = attach.at_distance(1)
    value = client.value(b"x")
    request = wire.StoreRequest(client.home, [wire.TypeValues(STATUS, 0, [value])]).encode()
    assert code_of(client, client.build([client.home], wire.STORE, request)) == 401


@pytest.mark.parametrize("type_id, value, resource", [
    (STATUS, {}, lambda victim: victim.home),
    (NOTE, {"key": b"k"}, lambda victim: victim.home),
    (PHOTO, {"index": -1}, lambda victim: victim.home),
    (PLACE, {}, lambda victim: wire.resource_of(victim.own.peer_id)),
    (PLACE, {}, lambda victim: bytes(15) + b"\1"),
    (SEAT, {}, lambda victim: wire.resource_of(victim.own.peer_id + b"x")),
    (DIARY, {"key": b"0123456789abcdef"}, lambda victim: victim.home),
], ids=["single", "dictionary", "array", "node-match", "node-match elsewhere", "node-multiple",
        "user-node-match"])
def test_STO_18_STO_16_store_where_the_signer_may_not_write_is_403(attach, type_id, value, resource):
    client, victim = attach.at_distance(1), attach(0)
    target = resource(victim)
    answer = send(client, store_message(client, client.value(b"x", **value), type_id, target))
    assert (answer.code, answer.error.reason) == (403, "Forbidden")
    assert answer.peer_id == attach.ring.responsible(target)


def test_SIP_09_own_resource_with_the_key_of_another_is_403(attach):
    client = attach.at_distance(1)
    value = client.value(wire.SipRegistration(uri="sip:a@b").encode(), key=os.urandom(16))
    assert code_of(client, store_message(client, value, wire.SIP_REGISTRATION)) == 403


def test_R_02_array_value_of_another_sent_again_is_403(attach):
    owner, thief = attach.at_distance(1), attach(0)
    value = owner.sign_value(owner.value(b"mine", index=-1), owner.home, PHOTO)
    assert code_of(owner, store_message(owner, value, PHOTO)) == 200
    for index in (-1, 3):
        again = store_message(thief, replace(value, index=index), PHOTO, owner.home)
        assert code_of(thief, again) == 403


def test_GAP_165_value_of_the_owner_sent_by_another_is_stored(attach):
    """The value's signer decides, not the message's (arrays excepted)."""
    owner, carrier = attach.at_distance(1), attach(0)
    value = owner.sign_value(owner.value(b"mine"), owner.home, STATUS)
    assert code_of(carrier, store_message(carrier, value, STATUS, owner.home)) == 200


def test_R_02_removed_array_value_appended_again_is_412(attach):
    client = attach.at_distance(1)
    value = client.sign_value(client.value(b"gone", index=-1), client.home, PHOTO)
    counter = send(client, store_message(client, value, PHOTO)).generations()[PHOTO]
    assert client.remove(client.home, [wire.Specifier(PHOTO, counter, 0, 0)]).code == 200
    assert code_of(client, store_message(client, value, PHOTO)) == 412


def test_STO_20_GAP_96_older_or_equal_storage_time_is_412(attach):
    client = attach.at_distance(1)
    value = client.value(b"new")
    assert code_of(client, store_message(client, value)) == 200
    for earlier in (0, 1, 200):  # the certificate is valid since five minutes ago
        again = replace(value, value=b"old", storage_time=value.storage_time - earlier)
        answer = send(client, store_message(client, again))
        assert (answer.code, answer.generations()) == (412, {STATUS: 1})


def test_R_31_value_of_a_time_when_its_certificate_was_not_valid_is_403(attach):
    client = attach.at_distance(1)
    begin, end = (int(when.replace(tzinfo=datetime.timezone.utc).timestamp())
                  for when in (client.own.cert.not_valid_before, client.own.cert.not_valid_after))
    for when in (begin - 1, end + 1):
        value = client.value(b"x", lifetime=86400, storage_time=when)
        assert code_of(client, store_message(client, value)) == 403


def test_R_03_value_whose_life_ended_an_hour_ago_is_412(attach, ring):
    pair = forge(ring, "yesterday", os.urandom(16).hex(), "yesterday@example.org", ring.name)
    client = attach(0, peer.Own(*pair, ring.overlay))  # its certificate is valid since yesterday
    now = int(time.time())
    dead = client.value(b"x", lifetime=100, storage_time=now - 3600 - 130)
    assert code_of(client, store_message(client, dead)) == 412


def test_R_03_GAP_98_value_from_the_future_is_accepted(attach):
    client = attach.at_distance(1)
    value = client.value(b"x", storage_time=int(time.time()) + 7200)
    assert code_of(client, store_message(client, value)) == 200


def test_STO_19_GAP_60_R_43_wrong_generation_is_412_with_the_counters(attach):
    client = attach.at_distance(1)
    assert code_of(client, store_message(client, client.value(b"x"))) == 200
    types = [wire.TypeValues(STATUS, 9, [client.sign_value(client.value(b"y"), client.home, STATUS)]),
             wire.TypeValues(NOTE, 0, [client.sign_value(client.value(b"z", key=b"k"), client.home, NOTE)])]
    answer = send(client, client.build([client.home], wire.STORE, wire.StoreRequest(client.home, types).encode()))
    assert (answer.code, answer.error.reason) == (412, "Precondition Failed")
    counters = wire.decode_whole(wire.decode_generations, answer.error.info)
    assert [(g.type_id, g.generation) for g in counters] == [(STATUS, 1), (NOTE, 0)]
    fetched = client.fetch(client.home, [wire.Specifier(NOTE, 0, keys=[])])
    assert fetched[0].values == []


@pytest.mark.parametrize("type_id, value", [
    (STATUS, {"data": bytes(201)}), (NOTE, {"data": bytes(4097), "key": b"k"}),
    (PHOTO, {"data": b"x", "index": 65536}), (PHOTO, {"data": b"x", "index": 0x7FFFFFFF}),
], ids=["single too long", "entry too long", "index 65536", "index 2^31-1"])
def test_SEC_12_GAP_88_value_above_a_limit_is_413(attach, type_id, value):
    client = attach.at_distance(1)
    answer = send(client, store_message(client, client.value(**value), type_id))
    assert (answer.code, answer.error.reason) == (413, "Request Entity Too Large")


def test_SEC_12_more_values_than_allowed_is_413(attach):
    client = attach.at_distance(1)
    values = [client.value(b"v", key=bytes([i])) for i in range(11)]
    payload = client.store_payload(client.home, NOTE, values[:10])
    assert code_of(client, client.build([client.home], wire.STORE, payload)) == 200
    assert code_of(client, store_message(client, values[10], NOTE)) == 413
    again = client.value(b"w", key=b"\0")
    assert code_of(client, store_message(client, again, NOTE)) == 200


def test_GAP_89_GAP_143_unknown_type_is_404(attach):
    client = attach.at_distance(1)
    unknown = 0xF0FFFF
    answers = [send(client, store_message(client, client.value(b"x"), unknown)),
               client.fetch_raw(client.home, [wire.Specifier(STATUS), wire.Specifier(unknown)]),
               client.remove(client.home, [wire.Specifier(unknown)])]
    for answer in answers:
        assert (answer.code, answer.error.reason) == (404, "Unknown Type")


@pytest.mark.parametrize("change, code", [
    ({"storage_time": 0}, 400), ({"lifetime": 0}, 400), ({"index": -2}, 400),
], ids=["GAP-87 storage_time 0", "R-23 lifetime 0", "GAP-88 index -2"])
def test_GAP_87_R_23_impossible_fields_are_400(attach, change, code):
    client = attach.at_distance(1)
    value = replace(client.value(b"x", index=0), **change)
    assert code_of(client, store_message(client, value, PHOTO)) == code


@pytest.mark.parametrize("data, code", [
    (b"", 400), (bytes.fromhex("0201c63364070d96ff"), 400), (bytes.fromhex("0009c63364070d96"), 400),
    (wire.TurnServer(101, wire.Address.of("192.0.2.7", 1)).encode(), 403),
    (wire.TurnServer(0, wire.Address.of("192.0.2.7", 1)).encode(), 403), (bytes(21), 413),
], ids=["empty", "nine bytes", "unknown address", "iteration 101", "iteration 0", "too long"])
def test_R_24_TRN_05_turn_value(attach, data, code):
    client = attach(1)
    resource = wire.resource_of(client.own.peer_id + data[:1])
    assert code_of(client, store_message(client, client.value(data), wire.TURN_SERVICE, resource)) == code


def test_R_24_CRT_08_GAP_157_certificate_values(attach):
    client, other = attach.at_distance(1), attach(0)
    for data, resource, code in (
            (b"no certificate", client.home, 400),
            (other.own.der, other.home, 403),
            (other.own.der, client.home, 403),
            (client.own.der, client.home, 200)):
        message = store_message(client, client.value(data, index=-1), wire.CERTIFICATE, resource)
        assert code_of(client, message) == code


def test_R_15_the_first_failure_decides(attach):
    """Unknown type before signatures, signatures before generation, generation before storage time, then size."""
    client = attach.at_distance(1)
    first = client.value(b"x")
    assert code_of(client, store_message(client, first)) == 200
    signed = client.sign_value(replace(first, value=bytes(300)), client.home, STATUS)
    bad = replace(signed, signature=broken(signed.signature))
    assert code_of(client, store_message(client, bad, generation=9)) == 403
    assert code_of(client, store_message(client, signed, generation=9)) == 412
    assert code_of(client, store_message(client, signed)) == 412
    later = replace(first, value=bytes(300), storage_time=first.storage_time + 1)
    assert code_of(client, store_message(client, later)) == 413
    unknown = client.build([client.home], wire.STORE, client.store_payload(client.home, 0xF0FFFF, [bad]))
    assert code_of(client, unknown) == 404


@pytest.mark.parametrize("change", [lambda s: None, lambda s: broken(s)], ids=["absent", "broken"])
def test_R_15_STO_15_unknown_type_comes_before_the_message_signature(attach, change):
    client = attach.at_distance(1)
    payload = client.store_payload(client.home, 0xF0FFFF, [client.value(b"x")])
    message = client.build([client.home], wire.STORE, payload)
    message.contents.signature = change(message.contents.signature)
    assert code_of(client, message) == 404


# REMOVE, FETCH and FIND where they do not belong


def test_R_01_GAP_92_remove_with_generation_0_or_a_wrong_one_is_412(attach):
    client = attach.at_distance(1)
    assert code_of(client, store_message(client, client.value(b"x"))) == 200
    for generation in (0, 7):
        answer = client.remove(client.home, [wire.Specifier(STATUS, generation)])
        assert (answer.code, answer.generations()) == (412, {STATUS: 1})


def test_GAP_92_remove_by_another_is_403(attach):
    client, thief = attach.at_distance(1), attach(0)
    assert code_of(client, store_message(client, client.value(b"x"))) == 200
    assert thief.remove(client.home, [wire.Specifier(STATUS, 1)]).code == 403
    assert client.fetch(client.home, [wire.Specifier(STATUS)])[0].values[0].exists


def test_GAP_90_FND_05_R_49_peer_that_neither_owns_nor_holds_is_404(attach):
    client = attach.at_distance(3)
    assert code_of(client, store_message(client, client.value(b"x"))) == 200
    at = [client.link.remote.peer_id]
    fetch = client.fetch_raw(client.home, [wire.Specifier(STATUS)], route=at)
    assert (fetch.code, fetch.peer_id) == (404, at[0])
    find = client.request(at, wire.FIND, wire.FindRequest(client.home, [STATUS]).encode())
    assert find.code == 404
    assert code_of(client, store_message(client, client.value(b"y"), route=at)) == 404


def test_GAP_90_D_13_holder_of_a_copy_answers_under_its_own_peer_id(attach, ring):
    client = attach.at_distance(4)
    assert code_of(client, store_message(client, client.value(b"x"))) == 200
    for i in ring.clockwise(client.home)[1:3]:
        answer = client.fetch_raw(client.home, [wire.Specifier(STATUS)], route=[ring.peer_ids[i]])
        assert (answer.code, answer.peer_id) == (200, ring.peer_ids[i])
        assert client.fetched(answer, client.home)[0].values[0].value == b"x"


def test_R_49_only_the_resource_in_the_payload_counts(attach, ring):
    client = attach.at_distance(0)
    answer = send(client, store_message(client, client.value(b"x"), route=[client.link.remote.peer_id]))
    assert (answer.code, answer.peer_id) == (200, ring.responsible(client.home))


# The other methods


def test_TUN_06_R_32_tunnel_without_a_listener_is_404(attach):
    client = attach()
    payload = wire.TunnelData(5060, b"call", b"OPTIONS").encode()
    answer = send(client, client.build([client.link.remote.peer_id], wire.TUNNEL, payload))
    assert (answer.code, answer.error.reason) == (404, "Unknown Application")


def test_GAP_26_tunnel_to_a_resource_is_404(attach):
    client = attach.at_distance(1)
    payload = wire.TunnelData(5060, b"call", b"OPTIONS").encode()
    assert code_of(client, client.build([client.home], wire.TUNNEL, payload)) == 404


PASSIVE = "candidate:1 1 TCP 2105458943 127.0.0.1 9 typ host tcptype passive"


def connect_message(client, **change):
    data = wire.ConnectData("ufrag", "password", 6084, client.own.fingerprint, "passive", [PASSIVE])
    return client.build([client.link.remote.peer_id], wire.CONNECT, replace(data, **change).encode())


@pytest.mark.parametrize("change, code, reason", [
    ({"application": 7}, 404, "Unknown Application"),
    ({"role": "bystander"}, 400, "Bad Request"),
    ({"role": ""}, 400, "Bad Request"),
    ({"candidates": ["nonsense"]}, 400, "Bad Request"),
    ({"candidates": ["candidate:1 1 UDP 5 224.0.0.1 9 typ host"]}, 400, "Bad Request"),
    ({"fingerprint": "sha-256 00:11"}, 400, "Bad Request"),
    ({"fingerprint": ""}, 400, "Bad Request"),
], ids=["GAP-76 application", "GAP-73 role", "no role", "GAP-71 nonsense", "multicast", "GAP-72 short fingerprint",
        "no fingerprint"])
def test_CON_04_GAP_76_GAP_73_GAP_72_GAP_71_connect_that_cannot_be_met(attach, change, code, reason):
    client = attach()
    answer = send(client, connect_message(client, **change))
    assert (answer.code, answer.error.reason) == (code, reason)


@pytest.mark.parametrize("candidate", [
    PASSIVE, PASSIVE + " raddr 10.0.0.1 rport 7", PASSIVE + " generation 0 network-cost 10",
    "a=candidate:1 1 tcp-pass 5 127.0.0.1 9 TYP HOST", PASSIVE.lower(),
])
def test_CON_10_GAP_71_forms_of_a_candidate_that_are_read(attach, candidate):
    client = attach()
    answer = send(client, connect_message(client, candidates=["nonsense", candidate]))
    assert answer.code == 200
    theirs = wire.decode_whole(wire.ConnectData.decode, answer.payload)
    assert (theirs.role, theirs.fingerprint) == ("active", client.link.remote.fingerprint)


@pytest.mark.parametrize("role, answered", [("passive", "active"), ("active", "passive"), ("actpass", "active")])
def test_CON_09_GAP_73_roles(attach, role, answered):
    client = attach()
    answer = send(client, connect_message(client, role=role))
    assert wire.decode_whole(wire.ConnectData.decode, answer.payload).role == answered


def test_GAP_54_GAP_116_leave_about_another_is_403(attach):
    client = attach()
    other = next(p for p in attach.ring.peer_ids if p != client.link.remote.peer_id)
    for method in (wire.LEAVE, wire.JOIN):
        message = client.build([client.link.remote.peer_id], method, wire.PeerBlob(other).encode())
        assert code_of(client, message) == 403


def test_R_47_CLI_01_leave_of_a_client_is_200(attach):
    client = attach()
    assert code_of(client, client.build([client.link.remote.peer_id], wire.LEAVE,
                                        wire.PeerBlob(client.own.peer_id).encode())) == 200


def test_GAP_26_R_27_leave_needs_the_exact_peer_id_or_none(attach):
    client = attach.at_distance(0)
    payload = wire.PeerBlob(client.own.peer_id).encode()
    assert code_of(client, client.build([client.home], wire.LEAVE, payload)) == 404
    assert code_of(client, client.build([], wire.LEAVE, payload)) == 200


def test_GAP_54_update_over_more_than_one_hop_is_403(attach):
    client = attach()
    other = next(p for p in attach.ring.peer_ids if p != client.link.remote.peer_id)
    assert code_of(client, client.build([other], wire.UPDATE, b"\0\0")) == 403


def test_R_14_second_link_of_one_certificate_closes_the_first(attach):
    own = attach.member()
    first = attach(2, own)
    second = attach(2, own)
    assert closed(first)
    assert second.ping([wire.WILDCARD]).code == 200
