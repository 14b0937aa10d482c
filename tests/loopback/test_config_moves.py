"""Documents about a move that a running peer cannot follow, and moves one after the other [D-19]."""
import re

from torcnet import AUTHORITY, OVERLAY, run, value_of, wait_for

OWN = "urn:torc:overlay:1"
STAGE = "store-both-fetch-old"


def tell(net, name=None, edit=lambda own: own):
    """The authority's next version: with the element of a ring to move to, or without one."""
    text = (net.authority / "overlay.xml").read_text(encoding="utf-8")
    own = edit(re.search(rf'<overlay [^>]*name="{OVERLAY}".*?</overlay>', text, re.S).group(0))
    other = re.sub(r' torc:sequence="\d+"', "", own).replace(f'name="{OVERLAY}"', f'name="{name}"', 1)
    other = other.replace("chord-128-2-8", "chord-128-2-24").replace(
        "<overlay ", f'<overlay torc:migration-stage="{STAGE}" torc:accepts-certificates-of="{OVERLAY}" ', 1)
    if "xmlns:torc" not in other:
        other = other.replace("<overlay ", f'<overlay xmlns:torc="{OWN}" ', 1)
    both = own if name is None else f"<overlays>\n{own}\n{other}\n</overlays>"
    draft = net.dir / "draft.xml"
    draft.write_text(f'<?xml version="1.0" encoding="UTF-8"?>\n{both}\n', encoding="utf-8")
    run(AUTHORITY, "config", "sign", net.authority, draft)


def move(peer):
    return peer.status().get("migration", {})


def why_kept(peer):
    kept = [e["why"] for e in peer.events() if e["event"] == "torcd:configuration_kept"]
    return kept[-1] if kept else None


def test_GAP_130_D_19_a_document_that_is_not_taken_changes_nothing(net):
    peer = net.start(1)[0]
    tell(net, "new.example.org")
    wait_for(lambda: move(peer).get("stage") == STAGE, 20, lambda: peer.events()[-5:])
    tell(net, "third.example.org", lambda own: own.replace('max-size="4096"', 'max-size="64"'))
    wait_for(lambda: "has begun to move to new.example.org" in (why_kept(peer) or ""), 20, lambda: peer.events()[-5:])
    assert peer.control.call("config")["configuration"]["sequence"] == 2
    peer.torc("store", peer.user, "x" * 100, "--type", "note")
    assert move(peer)["to"] == "new.example.org"


def test_D_19_the_values_of_another_move_do_not_go_where_nobody_looks_for_them(net):
    peer = net.start(1)[0]
    tell(net, "new.example.org")
    wait_for(lambda: move(peer).get("new_ring") == "joined", 30, lambda: peer.events()[-5:])
    tell(net)
    wait_for(lambda: move(peer) == {}, 30, lambda: peer.events()[-5:])
    tell(net, "third.example.org")
    wait_for(lambda: "restart it, and it moves to third.example.org" in (why_kept(peer) or ""), 30,
             lambda: peer.events()[-5:])
    assert not (peer.state / "third.example.org").exists()
    peer.torc("store", peer.user, "kept", "--type", "note")
    assert peer.stop() == 0
    peer.start().wait_joined()
    wait_for(lambda: move(peer).get("new_ring") == "joined", 30, lambda: peer.events()[-5:])
    assert move(peer)["to"] == "third.example.org" and (peer.state / "third.example.org").is_dir()
    assert value_of(peer.control.ask("fetch", name=peer.user, type="note")) == b"kept"
