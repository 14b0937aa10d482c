"""Values through real peers: store, fetch, remove, find; what is refused and how that is told."""
import json
import re

from torcnet import OVERLAY, b64, resource_of, run, value_of, AUTHORITY, Peer


def test_ARC_17_STO_01_FET_01_value_of_one_is_fetched_by_another_with_its_signer(ring):
    alice, bob = ring.peers[0], ring.peers[1]
    stored = alice.torc_json("store", alice.user, "hello", "--type", "note", "--lifetime", "1h")
    assert stored["ok"] and stored["code"] == 200
    assert stored["generations"] == [{"type": "0xF00001", "type_name": "note", "generation": 1}]
    fetched = bob.torc_json("fetch", alice.user, "--type", "note")
    value = fetched["values"][0]
    assert value["value"] == "hello" and value["lifetime_s"] == 3600 and value["generation"] == 1
    assert value["signer"] == {"users": [alice.user], "peers": [alice.id]}
    assert bob.control.call("resource", name=alice.user)["resource"] == resource_of(alice.user)
    text = bob.torc("fetch", alice.user, "--type", "note").stdout
    assert "hello" in text and f"signed by {alice.user}" in text


def test_CHD_06_CHD_07_D_13_three_peers_hold_an_answered_value(ring):
    peer = ring.peers[2]
    resource = resource_of(bytes.fromhex(peer.id) + b"\x09")  # where no certificate lies that came before the ring
    peer.control.call("store", resource=resource, type="spread", value_base64=b64(b"\x09three"), lifetime_s=600)
    holders = ring.holders(resource)
    order = ring.running()
    first = next((p for p in order if p.id >= resource), order[0])
    at = order.index(first)
    assert [p.id for p in holders] == [order[(at + k) % len(order)].id for k in range(3)]


def test_STO_14_bytes_of_any_kind_come_back_unchanged(ring):
    peer = ring.peers[0]
    data = bytes(range(256)) * 4
    peer.control.call("store", name=peer.user, type="note", value_base64=b64(data))
    assert value_of(ring.peers[3].control.call("fetch", name=peer.user, type="note")) == data
    peer.control.call("store", name=peer.user, type="note", value="")
    assert value_of(ring.peers[3].control.call("fetch", name=peer.user, type="note")) == b""
    text = "Grüße, 環\ttab\nline"
    peer.torc("store", peer.user, "-", "--type", "note", stdin=text)
    assert value_of(ring.peers[4].control.call("fetch", name=peer.user, type="note")).decode() == text
    path = ring.dir / "value.bin"
    path.write_bytes(data)
    peer.torc("store", peer.user, "--file", path, "--type", "note")
    assert value_of(ring.peers[1].control.call("fetch", name=peer.user, type="note")) == data


def test_STO_24_STO_26_FET_14_arrays_by_index_range_and_append(ring):
    peer, other = ring.peers[1], ring.peers[2]
    for i in range(3):
        peer.torc("store", peer.user, f"item {i}", "--type", "list", "--append")
    peer.torc("store", peer.user, "seventh", "--type", "list", "--index", "6")
    every = other.torc_json("fetch", peer.user, "--type", "list")["values"]
    present = {v["index"]: v["value"] for v in every if v["exists"]}
    assert present == {0: "item 0", 1: "item 1", 2: "item 2", 6: "seventh"}
    some = other.torc_json("fetch", peer.user, "--type", "list", "--index", "1..2")["values"]
    assert [v["value"] for v in some] == ["item 1", "item 2"]
    last = other.torc_json("fetch", peer.user, "--type", "list", "--index", "-1")["values"]
    assert [v["value"] for v in last] == ["seventh"]
    peer.torc("remove", peer.user, "--type", "list", "--index", "6")
    every = other.torc_json("fetch", peer.user, "--type", "list")["values"]
    assert [v["index"] for v in every if v["exists"]] == [0, 1, 2]


def test_STO_27_R_41_dictionaries_by_key(ring):
    peer, other = ring.peers[2], ring.peers[0]
    for key in ("blue", "amber", "cyan"):
        peer.torc("store", peer.user, key.upper(), "--type", "dict", "--key", key)
    every = other.torc_json("fetch", peer.user, "--type", "dict")["values"]
    assert [(v["key"], v["value"]) for v in every] == [("amber", "AMBER"), ("blue", "BLUE"), ("cyan", "CYAN")]
    some = other.torc_json("fetch", peer.user, "--type", "dict", "--key", "cyan", "--key", "amber")["values"]
    assert [v["key"] for v in some] == ["cyan", "amber"]
    text = other.torc("fetch", peer.user, "--type", "dict", "--key", "blue").stdout
    assert text.startswith("blue = BLUE\n")


def test_REM_01_GAP_92_removed_values_are_gone_everywhere(ring):
    peer = ring.peers[3]
    peer.torc("store", peer.user, "short-lived", "--type", "note")
    peer.torc("remove", peer.user, "--type", "note")
    for other in ring.peers:
        assert value_of(other.control.call("fetch", name=peer.user, type="note")) is None
    done = ring.peers[0].torc("fetch", peer.user, "--type", "note", check=False)
    assert done.returncode == 1 and "no value of type note" in done.stderr


def test_STO_06_several_types_are_stored_together_or_not_at_all(ring):
    peer = ring.peers[4]
    items = [{"type": "note", "value": "both"}, {"type": "dict", "key": "k", "value": "both"}]
    peer.control.call("store", name=peer.user, items=items)
    fetched = ring.peers[0].control.call("fetch", name=peer.user, items=[{"type": "note"}, {"type": "dict"}])
    assert [v["value"] for v in fetched["values"]] == ["both", "both"]
    items = [{"type": "note", "value": "half"}, {"type": "dict", "key": "k", "value": "x" * 2000}]
    assert peer.control.ask("store", name=peer.user, items=items)["code"] == 413
    assert value_of(ring.peers[0].control.call("fetch", name=peer.user, type="note")) == b"both"


def test_USG_03_TRN_09_node_rules_let_only_the_node_write(ring):
    peer, other = ring.peers[0], ring.peers[1]
    peer.torc("store", f"peer:{peer.id}", "my place", "--type", "here")
    text = other.torc("fetch", f"peer:{peer.id}", "--type", "here").stdout
    assert "my place" in text
    refused = other.torc("store", f"peer:{peer.id}", "not mine", "--type", "here", check=False)
    assert refused.returncode == 1 and "403 Forbidden" in refused.stderr
    resource = resource_of(bytes.fromhex(peer.id) + b"\x07")
    peer.control.call("store", resource=resource, type="spread", value_base64=b64(b"\x07seven"))
    assert value_of(other.control.call("fetch", resource=resource, type="spread")) == b"\x07seven"


def test_FND_01_GAP_105_a_walk_finds_every_resource_once(make_net):
    net = make_net()
    peers = net.start(4)
    for peer in peers:
        peer.control.call("store", name=peer.user, type="list", append=True, value="x")
    want = {resource_of(p.user) for p in peers}
    for start in (peers[0].user, peers[3].user, "0" * 31 + "1", "f" * 31 + "e"):
        found = peers[1].torc_json("find", start, "--type", "list", "--walk")["found"]
        assert sorted(found) == sorted(want), start
    nothing = peers[1].torc("find", peers[0].user, "--type", "spread", check=False)
    assert nothing.returncode in (0, 1)


# ---- wrong inputs: each with its message ----

def test_SEC_10_ERR_05_storing_under_a_foreign_name_is_403(ring):
    alice, mallory = ring.peers[0], ring.peers[1]
    done = mallory.torc("store", alice.user, "forged", "--type", "note", check=False)
    assert done.returncode == 1 and done.stdout == ""
    assert "could not store the value" in done.stderr and "403 Forbidden" in done.stderr
    answer = mallory.torc_json("store", alice.user, "forged", "--type", "note", check=False)
    assert answer["ok"] is False and answer["code"] == 403 and answer["responder"]


def test_SEC_12_over_quota_is_413(ring):
    peer = ring.peers[4]
    for i in range(10):
        peer.control.call("store", name=peer.user, type="list", append=True, value=f"n{i}")
    answer = peer.control.ask("store", name=peer.user, type="list", append=True, value="one too many")
    assert answer["ok"] is False and answer["code"] == 413
    assert "no room left" in answer["error"]
    answer = peer.control.ask("store", name=peer.user, type="note", value="x" * 4097)
    assert answer["code"] == 413
    done = peer.torc("store", peer.user, "x" * 4097, "--type", "note", check=False)
    assert done.returncode == 1 and "too large, or the quota" in done.stderr


def test_STO_19_wrong_generation_is_412_with_the_right_one(ring):
    peer = ring.peers[3]
    peer.control.call("store", name=peer.user, type="dict", key="g", value="1")
    answer = peer.control.ask("store", name=peer.user, type="dict", key="g", value="2", generation=77)
    assert answer["code"] == 412
    right = answer["generations"][0]["generation"]
    peer.torc("store", peer.user, "2", "--type", "dict", "--key", "g", "--generation", right)
    done = peer.torc("store", peer.user, "3", "--type", "dict", "--key", "g", "--generation", right, check=False)
    assert done.returncode == 1 and "412" in done.stderr and "generation" in done.stderr


def test_SEC_13_old_storage_time_is_412(ring):
    peer = ring.peers[0]
    peer.control.call("store", name=peer.user, type="dict", key="t", value="new")
    stored = peer.control.call("fetch", name=peer.user, type="dict", key="t")["values"][0]
    answer = peer.control.ask("store", name=peer.user, type="dict", key="t", value="old",
                              storage_time=stored["storage_time"] - 10)
    assert answer["code"] == 412
    assert value_of(peer.control.call("fetch", name=peer.user, type="dict", key="t")) == b"new"


def test_R_23_lifetime_zero_is_400(ring):
    peer = ring.peers[0]
    answer = peer.control.ask("store", name=peer.user, type="note", value="never", lifetime_s=0)
    assert answer["ok"] is False
    assert answer.get("code", 400) == 400
    done = peer.torc("store", peer.user, "never", "--type", "note", "--lifetime", "0s", check=False)
    assert done.returncode == 2 and "--lifetime '0s': expected" in done.stderr


def test_GAP_59_unknown_type_is_told_before_and_by_others(make_net):
    net = make_net()
    peers = net.start(3)
    done = peers[0].torc("fetch", peers[0].user, "--type", "nonsense", check=False)
    assert done.returncode == 1 and "declares no type 'nonsense'" in done.stderr
    # A peer whose document declares one more type than those of the others.
    text = (net.authority / "overlay.xml").read_text(encoding="utf-8").split("<?torc-signature")[0]
    more = '<type id="0xF00077" name="extra" model="single" access="user-match" max-count="1" max-size="10"/></overlay>'
    (net.dir / "more.xml").write_text(text.replace("</overlay>", more), encoding="utf-8")
    client = net.add("odd", role="client")
    client.sections["overlay"]["file"] = net.dir / "more.xml"
    client.start().wait_joined()
    answer = client.control.ask("store", name=client.user, type="extra", value="x")
    assert answer["code"] == 404 and "404" in answer["error"]


def test_D_01_arguments_that_contradict_the_type_are_refused_at_once(ring):
    peer = ring.peers[0]
    cases = [
        (["store", peer.user, "v", "--type", "note", "--key", "k"], "no dictionary"),
        (["store", peer.user, "v", "--type", "dict"], "'key' is needed"),
        (["store", peer.user, "v", "--type", "list"], "'index' or 'append' is needed"),
        (["fetch", peer.user, "--type", "note", "--index", "1"], "no array"),
        (["fetch", peer.user], "--type is missing"),
        (["store", peer.user, "--type", "note"], "give the value"),
        (["store", peer.user, "v", "--type", "note", "--lifetime", "soon"], "--lifetime 'soon': expected"),
        (["ping", "xyz"], "no id of 32 hex digits"),
        (["store", "id:12", "v", "--type", "note"], "expected 32 hex digits"),
        (["nonsense"], "no command 'nonsense'"),
    ]
    for arguments, message in cases:
        done = peer.torc(*arguments, check=False)
        assert done.returncode in (1, 2), arguments
        assert message in done.stderr, (arguments, done.stderr)
        assert done.stdout == ""


def test_D_01_no_torcd_at_the_socket_says_what_to_do(tmp_path):
    done = run(AUTHORITY.parent / "torc", "status", "--socket", tmp_path / "none.sock", check=False)
    assert done.returncode == 1
    assert "cannot reach torcd" in done.stderr and "--socket" in done.stderr


def test_R_52_a_name_belongs_to_one_account(ring):
    mallory = Peer(ring, "mallory", user=ring.peers[0].user)
    done = run(AUTHORITY, "issue", ring.authority, "--user", mallory.user, "--account", "mallory",
               "--out", ring.dir / "mallory", check=False)
    assert done.returncode == 1 and f"belongs to the account {ring.peers[0].user}" in done.stderr
    assert not (ring.dir / "mallory.crt").exists()
    shown = json.loads(run(AUTHORITY, "show", ring.peers[0].cert, "--json").stdout)
    assert shown["users"] == [ring.peers[0].user] and shown["overlay"] == OVERLAY


def test_GAP_90_GAP_103_every_holder_of_a_value_is_asked(ring):
    owner, reader = ring.peers[0], ring.peers[1]
    resource = resource_of(bytes.fromhex(owner.id) + b"\x0a")  # where no certificate lies that came before the ring
    owner.control.call("store", resource=resource, type="spread", value_base64=b64(b"\x0aof three"), lifetime_s=600)
    assert len(ring.holders(resource)) == 3
    where = (f"id:{resource}", "--type", "spread")
    asked = reader.torc_json("fetch", *where, "--replicas")
    # Those of the five that were asked before a nearer one was found have answered too, that they have nothing.
    assert 3 <= asked["asked"] <= 5
    assert [(v["holders"], v["signer"]["users"]) for v in asked["values"]] == [(3, [owner.user])]
    text = reader.torc("fetch", *where, "--replicas").stdout
    assert "the same from 3" in text and re.search(r"\n[345] peers answered\n$", text)
    raw = reader.torc("fetch", *where, "--replicas", "--raw").stdout
    assert raw == "\nof three"
    plain = reader.torc_json("fetch", *where)
    assert "asked" not in plain and "holders" not in plain["values"][0]
