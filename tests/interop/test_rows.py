"""Rows about the other direction: what torc itself takes from an answer."""

from test_peer import BLOB, stored, torc


def test_GAP_164_GAP_86_torc_takes_an_answer_as_large_as_a_message(attach):
    client = attach.at_distance(1)
    for i, size in enumerate((50000, 50000, 20000)):
        stored(client.store(client.home, BLOB, [client.value(b"x" * size, key=bytes([65 + i]))]), BLOB)
    fetched = torc(attach.ring, 0, "fetch", client.own.users[0], "--type", f"0x{BLOB:06X}")
    assert [(value["key"], len(value["value"])) for value in fetched["values"]] == [
        ("A", 50000), ("B", 50000), ("C", 20000)]
    assert fetched["rejected"] == 0
