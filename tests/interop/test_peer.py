"""A client written from the documents works with real peers: it stores, reads, removes, finds and pings."""

import json
import subprocess
import sys
import time
from dataclasses import replace

import pytest

import interop_daemons as daemons
import peer
import wire
from interop_daemons import BLOB, BRIEF, DIARY, NOTE, PHOTO, PLACE, SEAT, STATUS

def keys(*names, generation=0, type_id=NOTE):
    return wire.Specifier(type_id, generation, keys=[n.encode() for n in names])


def span(first, last, generation=0):
    return wire.Specifier(PHOTO, generation, first, last)


def single(type_id=STATUS, generation=0):
    return wire.Specifier(type_id, generation)


def stored(answer, type_id):
    """The new counter after a STORE or REMOVE that must have succeeded."""
    assert (answer.code, answer.error) == (200, None)
    return answer.generations()[type_id]


# Attaching


def test_BST_06_BST_08_PNG_03_PNG_07_wildcard_ping_names_the_peer(attach, ring):
    client = attach(2)
    answer = client.ping([wire.WILDCARD])
    assert answer.code == 200
    assert answer.peer_id == client.link.remote.peer_id == ring.peer_ids[2]
    assert (answer.header.route, answer.header.via) == ([client.own.peer_id], [])
    ping = wire.decode_whole(wire.PingResponse.decode, answer.payload)
    assert ping.infos == []


def test_RTG_08_R_42_answer_comes_back_over_the_hops(attach, ring):
    """Section 9's example: A strips itself and puts B, the link it came from, into the via list."""
    client = attach.at_distance(1)
    answer = client.ping([client.home])
    assert answer.peer_id == ring.responsible(client.home)
    assert answer.header.route == [client.own.peer_id]
    assert answer.header.via[-1:] == [answer.peer_id]
    assert answer.header.ttl == ring.overlay.initial_ttl - len(answer.header.via)


def test_PNG_07_PNG_09_R_35_infos_in_the_order_asked_each_once(attach):
    client = attach()
    answer = client.ping([wire.WILDCARD], bytes([2, 1, 2, 0x33, 0xF7]))
    infos = wire.decode_whole(wire.PingResponse.decode, answer.payload).infos
    assert [kind for kind, _ in infos] == [2, 1]


def test_GAP_67_CHD_04_responsible_sets_cover_the_ring(attach, ring):
    client = attach()
    total = 0
    for i, peer_id in enumerate(ring.peer_ids):
        answer = client.ping([peer_id], bytes([wire.RESPONSIBLE_SET]))
        (_, ppb), = wire.decode_whole(wire.PingResponse.decode, answer.payload).infos
        before = ring.peer_ids[ring.clockwise(wire.next_id(peer_id))[-2]]
        span_ids = (int.from_bytes(peer_id, "big") - int.from_bytes(before, "big")) % (1 << 128)
        assert (i, ppb) == (i, span_ids * 10**9 // (1 << 128))
        total += ppb
    assert 10**9 - len(ring.peer_ids) <= total <= 10**9


def test_LOG_02_LOG_05_GAP_49_R_34_route_log_has_every_hop_in_order(attach, ring):
    client = attach.at_distance(1)
    answer = client.ping([client.home], log=True)
    entries = answer.route_log
    there = entries.index(next(e for e in entries if e.id == answer.peer_id))
    hops = [e.id for e in entries]
    assert hops[0] == hops[-1] == client.link.remote.peer_id
    assert hops[:there] == hops[there + 1:][::-1]
    assert hops.count(answer.peer_id) == 1
    assert {e.transport for e in entries} == {1}
    assert all(e.certificate == b"" and e.version for e in entries)


def test_LOG_03_no_log_unless_asked(attach):
    client = attach.at_distance(1)
    answer = client.ping([client.home])
    assert answer.route_log is None and not answer.header.flags & wire.FLAG_ROUTE_LOG


def test_HDR_16_SIG_05_GAP_52_request_signed_by_peer_id_is_understood_by_the_neighbour(attach):
    client = attach()
    identity = wire.Identity(wire.ID_PEER, client.own.peer_id)
    assert client.request([wire.WILDCARD], wire.PING, b"\0", identity=identity).code == 200


def test_R_37_GAP_52_request_signed_by_user_name_is_understood_by_the_neighbour(attach):
    client = attach()
    identity = wire.Identity(wire.ID_NAME, client.own.users[0])
    assert client.request([wire.WILDCARD], wire.PING, b"\0", identity=identity).code == 200


def far_from_its_certificate(attach, ring):
    """A client, its certificate stored, whose home's peer holds no copy of the certificate."""
    while True:
        own = attach.member()
        resource = wire.resource_of(own.peer_id)
        if ring.clockwise(wire.resource_of(own.users[0]))[0] not in ring.clockwise(resource)[:3]:
            break
    client = attach(ring.clockwise(resource)[0], own)
    stored(client.store(resource, wire.CERTIFICATE, [client.value(own.der, index=-1)]), wire.CERTIFICATE)
    return client


def test_SIG_05_CRT_08_GAP_52_reference_is_resolved_by_FETCH_of_the_certificate(attach, ring):
    client = far_from_its_certificate(attach, ring)
    identity = wire.Identity(wire.ID_PEER, client.own.peer_id)
    payload = wire.SpecifierRequest(client.home, [single()]).encode()
    assert client.request([client.home], wire.FETCH, payload, identity=identity).code == 200


def test_GAP_58_SIG_05_401_then_once_more_with_the_certificate(attach, ring):
    client = attach.at_distance(3)
    payload = wire.SpecifierRequest(client.home, [single()]).encode()
    identity = wire.Identity(wire.ID_PEER, client.own.peer_id)
    assert client.request([client.home], wire.FETCH, payload, identity=identity).code == 401
    assert client.request([client.home], wire.FETCH, payload).code == 200


# Storing and reading


@pytest.mark.parametrize("distance", [0, 1, 4], ids=["responsible", "replica", "elsewhere"])
def test_STO_08_SIG_07_FET_15_single_value(attach, ring, distance):
    client = attach.at_distance(distance)
    answer = client.store(client.home, STATUS, [client.value(b"out")])
    assert stored(answer, STATUS) == 1
    assert answer.peer_id == ring.responsible(client.home)
    fetched, = client.fetch(client.home, [single()])
    assert [v.value for v in fetched.values] == [b"out"]
    stored(client.store(client.home, STATUS, [client.value(b"")], generation=1), STATUS)
    fetched, = client.fetch(client.home, [single()])
    assert (fetched.generation, fetched.values[0].value, fetched.values[0].exists) == (2, b"", True)


def test_FET_15_GAP_87_GAP_90_what_was_never_written(attach):
    client = attach.at_distance(1)
    fetched = client.fetch(client.home, [single(), span(0, -1), keys("a")])
    assert [(f.type_id, f.generation) for f in fetched] == [(STATUS, 0), (PHOTO, 0), (NOTE, 0)]
    assert fetched[0].values == [wire.StoredData(0, 0)]
    assert fetched[1].values == []
    assert fetched[2].values == [wire.StoredData(0, 0, key=b"a")]
    everything, = client.fetch(client.home, [keys()])
    assert everything.values == []


def test_STO_14_STO_27_FET_08_FET_16_R_41_dictionary(attach):
    client = attach.at_distance(2)
    values = [client.value(b"1", key=b"b"), client.value(b"2", key=b"\0\xff"), client.value(b"3", key=b"")]
    stored(client.store(client.home, NOTE, values), NOTE)
    everything, = client.fetch(client.home, [keys()])
    assert [(v.key, v.value) for v in everything.values] == [(b"", b"3"), (b"\0\xff", b"2"), (b"b", b"1")]
    named, = client.fetch(client.home, [wire.Specifier(NOTE, 0, keys=[b"b", b"no", b"", b"b"])])
    assert [(v.key, v.value, v.exists) for v in named.values] == [
        (b"b", b"1", True), (b"no", b"", False), (b"", b"3", True), (b"b", b"1", True)]


def test_STO_24_STO_25_STO_26_R_17_FET_06_array_with_holes_and_append(attach):
    client = attach.at_distance(1)
    first = stored(client.store(client.home, PHOTO, [client.value(b"two", index=2)]), PHOTO)
    assert stored(client.store(client.home, PHOTO, [client.value(b"end", index=-1)]), PHOTO) > first
    everything, = client.fetch(client.home, [span(0, -1)])
    assert [(v.index, v.value, v.exists) for v in everything.values] == [
        (0, b"", False), (1, b"", False), (2, b"two", True), (3, b"end", True)]
    assert all(not v.exists or v.storage_time for v in everything.values)
    last, = client.fetch(client.home, [span(-1, -1)])
    assert [(v.index, v.value) for v in last.values] == [(3, b"end")]
    clipped, = client.fetch(client.home, [span(2, 99)])
    assert [v.index for v in clipped.values] == [2, 3]


def test_R_26_GAP_88_range_that_ends_before_it_begins(attach):
    client = attach.at_distance(1)
    stored(client.store(client.home, PHOTO, [client.value(b"a", index=-1)]), PHOTO)
    beyond, = client.fetch(client.home, [span(5, -1)])
    assert beyond.values == []
    assert client.fetch_raw(client.home, [span(5, 4)]).code == 400


def test_FET_09_FET_13_GAP_91_current_generation_leaves_the_values_out(attach):
    client = attach.at_distance(2)
    counter = stored(client.store(client.home, STATUS, [client.value(b"x")]), STATUS)
    current, = client.fetch(client.home, [single(generation=counter)])
    assert (current.generation, current.values) == (counter, [])
    other, = client.fetch(client.home, [single(generation=counter + 7)])
    assert [v.value for v in other.values] == [b"x"]


def test_STO_04_STO_28_FET_12_several_types_in_one_request(attach):
    client = attach.at_distance(1)
    types = [wire.TypeValues(t, 0, [client.sign_value(v, client.home, t)]) for t, v in (
        (NOTE, client.value(b"n", key=b"k")), (STATUS, client.value(b"s")), (PHOTO, client.value(b"p", index=-1)))]
    answer = client.request([client.home], wire.STORE, wire.StoreRequest(client.home, types).encode())
    assert answer.code == 200
    assert [(g.type_id, g.generation) for g in wire.decode_whole(wire.decode_generations, answer.payload)] == [
        (NOTE, 1), (STATUS, 1), (PHOTO, 1)]
    fetched = client.fetch(client.home, [span(0, 0), keys("k"), single()])
    assert [(f.type_id, f.values[0].value) for f in fetched] == [(PHOTO, b"p"), (NOTE, b"n"), (STATUS, b"s")]


def test_GAP_86_values_beyond_65000_bytes_come_in_repeated_elements(attach):
    client = attach.at_distance(1)
    for i in range(2):
        data = bytes([i]) * 50000
        stored(client.store(client.home, BLOB, [client.value(data, key=bytes([i]))]), BLOB)
    answer = client.fetch_raw(client.home, [wire.Specifier(BLOB, 0, keys=[])])
    elements = wire.decode_whole(lambda r: wire.decode_fetch_response(r, client.overlay.models), answer.payload)
    assert [e.type_id for e in elements] == [BLOB, BLOB]
    joined, = client.fetched(answer, client.home)
    assert [(v.key, len(v.value)) for v in joined.values] == [(b"\0", 50000), (b"\1", 50000)]


def test_GAP_86_answer_beyond_the_message_limit_is_413(attach):
    client = attach.at_distance(1)
    for i in range(3):
        stored(client.store(client.home, BLOB, [client.value(bytes(50000), key=bytes([i]))]), BLOB)
    assert client.fetch_raw(client.home, [wire.Specifier(BLOB, 0, keys=[])]).code == 413
    less, = client.fetch(client.home, [wire.Specifier(BLOB, 0, keys=[b"\2"])])
    assert len(less.values) == 1


def test_GAP_55_one_client_verifies_what_another_has_written(attach):
    writer, reader = attach.at_distance(1), attach(4)
    stored(writer.store(writer.home, STATUS, [writer.value(b"seen")]), STATUS)
    fetched, = reader.fetch(writer.home, [single()])
    assert fetched.values[0].value == b"seen"
    assert reader.check_value(fetched.values[0], writer.home, STATUS).peer_id == writer.own.peer_id


def test_SIG_07_GAP_52_GAP_166_identity_of_a_value_is_kept_as_written(attach):
    client = attach.at_distance(1)
    identity = wire.Identity(wire.ID_PEER, client.own.peer_id)
    resource = wire.resource_of(client.own.peer_id)
    stored(client.store(resource, wire.CERTIFICATE, [client.value(client.own.der, index=-1)]), wire.CERTIFICATE)
    value = client.value(b"by reference")
    value = replace(value, signature=client.own.sign(value.signed_input(client.home, STATUS), identity))
    stored(client.store(client.home, STATUS, [value]), STATUS)
    reader = attach(0)
    fetched, = reader.fetch(client.home, [single()])
    assert fetched.values[0].signature.identity == identity


@pytest.mark.parametrize("type_id, seed", [
    (PLACE, lambda own: own.peer_id), (SEAT, lambda own: own.peer_id + b"\7"),
], ids=["node-match", "node-multiple"])
def test_STO_18_GAP_165_access_by_peer_id(attach, type_id, seed):
    client = attach(1)
    resource = wire.resource_of(seed(client.own))
    stored(client.store(resource, type_id, [client.value(b"\7here")]), type_id)
    fetched, = client.fetch(resource, [single(type_id)])
    assert fetched.values[0].value == b"\7here"


def test_SIP_09_SIP_12_registration_under_the_own_peer_id(attach):
    client = attach.at_distance(1)
    value = wire.SipRegistration(contact_prefs="", route=[client.link.remote.peer_id, client.own.peer_id]).encode()
    stored(client.store(client.home, wire.SIP_REGISTRATION, [client.value(value, key=client.own.peer_id)]),
           wire.SIP_REGISTRATION)
    fetched, = client.fetch(client.home, [wire.Specifier(wire.SIP_REGISTRATION, 0, keys=[])])
    assert [v.value for v in fetched.values] == [value]


def test_TRN_05_TRN_09_turn_service_under_peer_id_and_iteration(attach):
    client = attach(3)
    resource = wire.resource_of(client.own.peer_id + b"\2")
    value = wire.TurnServer(2, wire.Address.of("192.0.2.7", 3478)).encode()
    stored(client.store(resource, wire.TURN_SERVICE, [client.value(value)]), wire.TURN_SERVICE)
    fetched, = client.fetch(resource, [single(wire.TURN_SERVICE)])
    assert fetched.values[0].value == value


@pytest.mark.parametrize("seed", [lambda own: own.peer_id, lambda own: own.users[0]], ids=["peer-id", "user"])
def test_CRT_03_CRT_08_own_certificate(attach, seed):
    client = attach(1)
    resource = wire.resource_of(seed(client.own))
    stored(client.store(resource, wire.CERTIFICATE, [client.value(client.own.der, index=-1)]), wire.CERTIFICATE)
    fetched, = client.fetch(resource, [wire.Specifier(wire.CERTIFICATE, 0, 0, -1)])
    assert [v.value for v in fetched.values] == [client.own.der]


def test_R_08_GAP_96_identical_value_again_succeeds_whatever_its_generation(attach):
    client = attach.at_distance(1)
    value = client.sign_value(client.value(b"same"), client.home, STATUS)
    assert stored(client.store(client.home, STATUS, [value]), STATUS) == 1
    assert stored(client.store(client.home, STATUS, [value], generation=99), STATUS) == 1


def test_R_02_identical_append_is_one_element(attach):
    client = attach.at_distance(1)
    value = client.sign_value(client.value(b"once", index=-1), client.home, PHOTO)
    counter = stored(client.store(client.home, PHOTO, [value]), PHOTO)
    assert stored(client.store(client.home, PHOTO, [value]), PHOTO) == counter
    everything, = client.fetch(client.home, [span(0, -1)])
    assert len(everything.values) == 1


def test_STO_22_generation_rises_with_every_change_and_is_accepted_when_right(attach):
    client = attach.at_distance(1)
    counter = 0
    for text in (b"a", b"b", b"c"):
        now = stored(client.store(client.home, STATUS, [client.value(text)], generation=counter), STATUS)
        assert now > counter
        counter = now


def test_GAP_98_R_03_value_is_gone_when_its_life_is_over(attach):
    client = attach.at_distance(1)
    value = client.value(b"short", lifetime=2, storage_time=int(time.time()))
    stored(client.store(client.home, STATUS, [value]), STATUS)
    daemons.wait_until("the value expires", lambda: not client.fetch(client.home, [single()])[0].values[0].exists)
    assert time.time() >= value.storage_time + value.lifetime


def test_R_23_lifetime_beyond_the_longest_ends_at_the_longest_and_is_kept_as_signed(attach):
    client = attach.at_distance(1)
    value = client.value(b"long", lifetime=0xFFFFFFFF, storage_time=int(time.time()))
    stored(client.store(client.home, BRIEF, [value]), BRIEF)
    fetched, = client.fetch(client.home, [single(BRIEF)])
    assert fetched.values[0].lifetime == 0xFFFFFFFF
    daemons.wait_until("the value expires", lambda: not client.fetch(client.home, [single(BRIEF)])[0].values[0].exists)
    assert time.time() >= value.storage_time + 5


def test_GAP_157_certificate_of_another_device_of_the_same_user(attach):
    own = attach.member("twice@example.org")
    other = attach.member("twice@example.org")
    client = attach(0, own)
    value = client.value(other.der, index=-1)
    stored(client.store(client.home, wire.CERTIFICATE, [value]), wire.CERTIFICATE)
    fetched, = client.fetch(client.home, [wire.Specifier(wire.CERTIFICATE, 0, 0, -1)])
    assert [v.value for v in fetched.values] == [other.der]


# Removing


def test_REM_04_REM_11_GAP_92_remove_with_the_present_generation(attach):
    client = attach.at_distance(2)
    counter = stored(client.store(client.home, STATUS, [client.value(b"x")]), STATUS)
    after = stored(client.remove(client.home, [single(generation=counter)]), STATUS)
    assert after > counter
    fetched, = client.fetch(client.home, [single()])
    assert (fetched.generation, fetched.values[0].exists) == (after, False)
    assert stored(client.remove(client.home, [single(generation=after)]), STATUS) == after


def test_R_01_remove_of_what_was_never_written(attach):
    client = attach.at_distance(1)
    assert stored(client.remove(client.home, [single()]), STATUS) == 0


def test_REM_12_REM_13_R_17_array_keeps_its_places_and_shortens_at_the_end(attach):
    client = attach.at_distance(1)
    for text in (b"a", b"b", b"c"):
        counter = stored(client.store(client.home, PHOTO, [client.value(text, index=-1)]), PHOTO)
    counter = stored(client.remove(client.home, [span(1, 1, counter)]), PHOTO)
    fetched, = client.fetch(client.home, [span(0, -1)])
    assert [(v.index, v.exists) for v in fetched.values] == [(0, True), (1, False), (2, True)]
    stored(client.remove(client.home, [span(2, 2, counter)]), PHOTO)
    fetched, = client.fetch(client.home, [span(0, -1)])
    assert [(v.index, v.value) for v in fetched.values] == [(0, b"a")]


def test_R_20_GAP_94_empty_key_list_removes_what_the_signer_may(attach):
    """Two devices of one user: each removes its own entry only."""
    name = f"twin{time.monotonic_ns()}@example.org"
    first, second = (attach(i, attach.member(name)) for i in (0, 1))
    resource = wire.resource_of(name)
    for client in (first, second):
        counter = stored(client.store(resource, DIARY, [client.value(b"mine", key=client.own.peer_id)]), DIARY)
    counter = stored(first.remove(resource, [wire.Specifier(DIARY, counter, keys=[])]), DIARY)
    fetched, = first.fetch(resource, [wire.Specifier(DIARY, 0, keys=[])])
    assert [v.key for v in fetched.values] == [second.own.peer_id]
    named = first.remove(resource, [wire.Specifier(DIARY, counter, keys=[second.own.peer_id])])
    assert named.code == 403


def test_GAP_93_tombstone_demands_a_later_storage_time(attach):
    client = attach.at_distance(1)
    value = client.value(b"x")
    counter = stored(client.store(client.home, STATUS, [value]), STATUS)
    stored(client.remove(client.home, [single(generation=counter)]), STATUS)
    again = replace(value, value=b"y")
    assert client.store(client.home, STATUS, [again]).code == 412
    later = replace(value, value=b"y", storage_time=value.storage_time + 1)
    stored(client.store(client.home, STATUS, [later]), STATUS)


# Finding


def test_FND_04_FND_05_walk_meets_every_resource(attach, ring):
    owners = [attach.at_distance(i) for i in range(3)]
    for client in owners:
        stored(client.store(client.home, NOTE, [client.value(b"f", key=b"f")]), NOTE)
    found = dict(owners[0].walk(NOTE))
    assert {client.home for client in owners} <= set(found)
    assert all(told == ring.responsible(resource) for resource, told in found.items())


def test_FND_08_FND_09_FND_10_R_36_types_not_found_and_not_searched(attach):
    client = attach()
    own_peer = client.link.remote.peer_id
    _, found = client.find(own_peer, [PHOTO, wire.SIP_REGISTRATION, 0xF0FFFF, wire.TURN_SERVICE])
    assert PHOTO not in found and wire.SIP_REGISTRATION not in found
    assert found[0xF0FFFF] == wire.NO_ID
    assert wire.TURN_SERVICE in found


# The command, and torc's


def run_command(ring, own, *args):
    done = subprocess.run(
        [sys.executable, str(daemons.ROOT / "tests" / "interop" / "peer.py"), "--config", str(ring.document), "--cert",
         own.cert_path, "--key", own.key_path, *args], capture_output=True, text=True, timeout=60)
    assert done.stderr == ""
    return done.returncode, [json.loads(line) for line in done.stdout.splitlines()]


def test_CLI_01_command_prints_json_lines(attach, ring):
    own = attach.member()
    code, (ping,) = run_command(ring, own, "ping", "--log")
    assert (code, ping["code"], ping["peer"]) == (0, 200, ring.peer_ids[0].hex())
    code, (answer,) = run_command(ring, own, "store", "--type", "note", "--map-key", "k", "--value", "grüße")
    assert (code, answer["generations"]) == (0, {f"0x{NOTE:06x}": 1})
    code, lines = run_command(ring, own, "fetch", "--type", "note")
    assert (code, lines[1]["text"], lines[1]["key_text"]) == (0, "grüße", "k")
    code, lines = run_command(ring, own, "find", "--type", "note")
    assert wire.resource_of(own.users[0]).hex() in [line["resource"] for line in lines]
    code, _ = run_command(ring, own, "remove", "--type", "note", "--map-key", "k")
    assert code == 0
    code, lines = run_command(ring, own, "fetch", "--type", "note", "--map-key", "k")
    assert lines[1]["exists"] is False


def torc(ring, i, *args):
    """What the torc command prints as JSON, asked at the control socket of peer number i."""
    done = subprocess.run([daemons.program("torc"), *args, "--json", "--socket",
                           str(ring.dir / f"state{i}" / "control")], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
    return json.loads(done.stdout)


@pytest.mark.parametrize("reason", ["\x1b]0;mine\x07", "\u009b2J"], ids=["ESC", "CSI in UTF-8"])
def test_ERR_12_what_a_peer_answers_does_not_steer_the_terminal(attach, ring, reason):
    client = attach()
    command = subprocess.Popen([daemons.program("torc"), "ping", client.own.peer_id.hex(), "--socket",
                                str(ring.dir / "state0" / "control")], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    request = peer.Message.decode(client.link.receive(time.monotonic() + 20))
    answer = peer.Message(wire.Header(ring.overlay.checksum, request.header.xid, request.header.via[::-1] or
                                      [ring.peer_ids[0]]),
                          wire.Contents(True, 400, wire.ErrorResponse(reason).encode()))
    client.sign(answer)
    client.link.send(answer.encode())
    said = b"".join(command.communicate(timeout=60))
    assert b"answered 400" in said
    assert b"\x1b" not in said and b"\xc2\x9b" not in said


def test_STO_08_SIG_07_GAP_55_torc_fetch_reads_what_this_client_has_written(attach, ring):
    client = attach.at_distance(1)
    user = client.own.users[0]
    stored(client.store(client.home, NOTE, [client.value("grüße".encode(), key=b"k"),
                                            client.value(b"\xff\0", key=b"\xff")]), NOTE)
    stored(client.store(client.home, PHOTO, [client.value(b"p", index=1)]), PHOTO)
    stored(client.store(client.home, STATUS, [client.value(b"here")]), STATUS)
    for i in range(len(ring.ports)):
        note = torc(ring, i, "fetch", user, "--type", "note")
        assert note["responder"] == ring.responsible(client.home).hex()
        assert [(v.get("key"), v.get("value"), v.get("value_base64")) for v in note["values"]] == [
            ("k", "grüße", None), (None, None, "/wA=")]
        assert {tuple(v["signer"]["peers"]) for v in note["values"]} == {(client.own.peer_id.hex(),)}
        photo = torc(ring, i, "fetch", user, "--type", "photo", "--index", "0..-1")
        assert [(v["index"], v["exists"], v.get("value")) for v in photo["values"]] == [(0, False, None), (1, True, "p")]
        status = torc(ring, i, "fetch", user, "--type", "status")
        assert [v["value"] for v in status["values"]] == ["here"]
        assert (note["rejected"], photo["rejected"], status["rejected"]) == (0, 0, 0)


def test_FET_11_SEC_14_this_client_reads_what_torc_store_has_written(attach, ring):
    user = "peer3@example.org"
    resource = wire.resource_of(user)
    torc(ring, 3, "store", user, "out", "--type", "status")
    torc(ring, 3, "store", user, "one", "--type", "note", "--key", "a")
    torc(ring, 3, "store", user, "two", "--type", "photo", "--append")
    client = attach(0)
    fetched = client.fetch(resource, [single(), keys(), span(0, -1)])
    assert [[v.value for v in f.values] for f in fetched] == [[b"out"], [b"one"], [b"two"]]
    assert client.check_value(fetched[0].values[0], resource, STATUS).users == [user]
    torc(ring, 3, "remove", user, "--type", "status")
    assert not client.fetch(resource, [single()])[0].values[0].exists


def test_FND_01_torc_find_walks_to_the_same_resources(attach, ring):
    client = attach.at_distance(1)
    stored(client.store(client.home, STATUS, [client.value(b"x")]), STATUS)
    theirs = torc(ring, 2, "find", "0" * 31 + "1", "--type", "status", "--walk")
    assert set(theirs["found"]) == {resource.hex() for resource, _ in client.walk(STATUS)}
    assert client.home.hex() in theirs["found"]


def test_GAP_105_FND_04_closest_is_the_smallest_clockwise_distance_round_the_ring(attach, ring):
    client = attach.at_distance(1)
    stored(client.store(client.home, NOTE, [client.value(b"f", key=b"f")]), NOTE)
    told = [resource for resource, peer_id in client.walk(NOTE) if peer_id == ring.responsible(client.home)]
    for asked in (client.home, wire.next_id(client.home), ring.responsible(client.home)):
        answer, found = client.find(asked, [NOTE])
        assert answer.peer_id == ring.responsible(client.home)
        assert found[NOTE] == min(told, key=lambda resource: peer.clockwise(asked, resource))
