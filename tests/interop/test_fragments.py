"""Messages in fragments, laid by a second implementation: they come by links of streams, which pass any, are routed
each by itself, and put together where they are for (docs/links.md, "Fragments")."""

import random
import time

import pytest

import wire
from interop_daemons import BLOB

SILENCE_S = 1.5


def fragments(message, part):
    """The bytes of the message in fragments of `part` bytes of body each."""
    data = message.encode()
    head = 28 + 16 * (data[24] + data[25])
    body = data[head:]
    result = []
    for at in range(0, len(body), part):
        piece = body[at:at + part]
        word = (0xC000 if at + part >= len(body) else 0x8000) | at // 8
        length = (head + len(piece)).to_bytes(3, "big")
        result.append(data[:10] + word.to_bytes(2, "big") + data[12:13] + length + data[16:head] + piece)
    return result


def store(client, value, key):
    payload = client.store_payload(client.home, BLOB, [client.value(value, key=key)], 0)
    return client.build([client.home], wire.STORE, payload)


def answer(client, message, parts, seconds=10.0):
    for part in parts:
        client.link.send(part)
    return client.wait_for(message.header.xid, time.monotonic() + seconds)


def blob(client, key):
    value, = client.fetch(client.home, [wire.Specifier(BLOB, 0, keys=[key])])
    return value.values[0].value


# Attached to the peer it is for, and two peers before that one.
@pytest.mark.parametrize("distance", [0, 2], ids=["here", "over others"])
@pytest.mark.parametrize("part", [256, 1000, 24], ids=str)
def test_FRG_05_FRG_03_GAP_43_GAP_45_GAP_46_value_in_fragments(attach, distance, part):
    client = attach.at_distance(distance)
    value = random.Random(part).randbytes(5000)
    message = store(client, value, b"\1")
    parts = fragments(message, part)
    random.Random(1).shuffle(parts)
    assert answer(client, message, parts[:1] + parts).code == 200  # one of them twice
    assert blob(client, b"\1") == value


def test_FRG_03_GAP_42_fragments_split_again(attach):
    client = attach.at_distance(1)
    value = random.Random(3).randbytes(20000)
    message = store(client, value, b"\2")
    coarse, fine = fragments(message, 1200), fragments(message, 400)
    parts = [part for i, part in enumerate(coarse) if i % 2 == 0]
    parts += [part for i, part in enumerate(fine) if i // 3 % 2 == 1]
    random.Random(4).shuffle(parts)
    assert answer(client, message, parts).code == 200
    assert blob(client, b"\2") == value


def test_RTX_03_GAP_63_fragments_repeated_are_a_duplicate(attach):
    client = attach(0)
    message = store(client, bytes(3000), b"\3")
    parts = fragments(message, 512)
    first = answer(client, message, parts)
    again = answer(client, message, parts)
    assert first.code == again.code == 200
    assert first.payload == again.payload


def test_FRG_06_R_33_contradiction_is_silence_and_hurts_nobody(attach):
    client, other = attach(0), attach(0)
    message = store(client, bytes(3000), b"\4")
    parts = fragments(message, 512)
    wrong = parts[2][:-1] + bytes([parts[2][-1] ^ 1])
    assert answer(client, message, [wrong] + parts, SILENCE_S) is None
    assert answer(client, message, parts, SILENCE_S) is None  # its key is ignored for 15 s
    assert client.ping([wire.WILDCARD]).code == 200
    message = store(client, bytes(3000), b"\4")
    assert answer(client, message, fragments(message, 512)).code == 200
    message = store(other, bytes(3000), b"\5")
    assert answer(other, message, fragments(message, 512)).code == 200


def test_FRG_06_GAP_45_ten_thousand_sets_that_never_end(attach):
    client, other = attach(0), attach(0)
    for _ in range(10000):
        message = client.build([wire.WILDCARD], wire.PING, b"\0")
        data = message.encode()
        head = 28 + 16 * (data[24] + data[25])
        client.link.send(data[:10] + b"\x80\x05" + data[12:13] + (head + 8).to_bytes(3, "big") + data[16:head] + bytes(8))
    assert client.ping([wire.WILDCARD]).code == 200
    message = store(other, bytes(3000), b"\6")
    assert answer(other, message, fragments(message, 512)).code == 200
