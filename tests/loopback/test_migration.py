"""A running overlay moves to another algorithm, driven by its configuration [D-19]."""
import random
import re
import threading

from torcnet import AUTHORITY, OVERLAY, Control, free_port, resource_of, run, value_of, wait_for

NEW = "new.example.org"
STAGES = ["store-both-fetch-old", "store-both-fetch-new", "new-only"]
OWN = "urn:torc:overlay:1"


class Users:
    """Everybody reads and writes all the time: what an owner was told is stored must be found, or something newer."""

    def __init__(self, peers):
        self.peers = peers
        self.ended = threading.Event()
        self.stored = {p.user: 0 for p in peers}
        self.reads = 0
        self.writes = 0
        self.failures = []
        self.threads = [threading.Thread(target=self.guard, args=(work, p)) for p in peers
                        for work in (self.write, self.read)]
        for thread in self.threads:
            thread.start()

    def guard(self, work, peer):
        control = Control(peer.socket)
        try:
            while not self.ended.is_set():
                work(control, peer)
        except (ConnectionError, OSError, AssertionError) as e:
            self.failures.append((peer.name, repr(e)))
        finally:
            control.close()

    def write(self, control, peer):
        number = self.stored[peer.user] + 1
        answer = control.ask("store", name=peer.user, type="note", value=str(number))
        if answer["ok"]:
            self.stored[peer.user] = number
            self.writes += 1
        else:
            self.failures.append((peer.name, "store", number, answer))
        self.ended.wait(0.2)

    def read(self, control, peer):
        for owner in self.peers:
            least = self.stored[owner.user]
            answer = control.ask("fetch", name=owner.user, type="note")
            found = value_of(answer) if answer["ok"] else None
            if found is None and least > 0 or found is not None and int(found) < least:
                self.failures.append((peer.name, "fetch", owner.name, least, answer))
            self.reads += 1
        self.ended.wait(0.05)

    def end(self):
        self.ended.set()
        for thread in self.threads:
            thread.join()


def tell(net, stage, old="chord-128-2-8"):
    """The authority's next version of the document: with the element of the new ring, in a stage or without it."""
    text = (net.authority / "overlay.xml").read_text(encoding="utf-8")
    own = re.search(rf'<overlay [^>]*name="{OVERLAY}".*?</overlay>', text, re.S).group(0)
    body = re.sub(r' torc:sequence="\d+"', "", own)
    body = body.replace(f'name="{OVERLAY}"', f'name="{NEW}"', 1).replace(f'name="{old}"', 'name="chord-128-2-24"')
    body = body.replace("<overlay ", f'<overlay torc:migration-stage="{stage}" '
                                     f'torc:accepts-certificates-of="{OVERLAY}" ', 1)
    if "xmlns:torc" not in body:
        body = body.replace("<overlay ", f'<overlay xmlns:torc="{OWN}" ', 1)
    both = own if stage is None else f"<overlays>\n{own}\n{body}\n</overlays>"
    draft = net.dir / "draft.xml"
    draft.write_text(f'<?xml version="1.0" encoding="UTF-8"?>\n{both}\n', encoding="utf-8")
    run(AUTHORITY, "config", "sign", net.authority, draft)


def move(peer):
    return peer.status().get("migration", {})


def wait_moves(peers, what, done, timeout=90):
    for peer in peers:
        wait_for(lambda p=peer: done(move(p)), timeout, lambda p=peer: (what, p.name, move(p), p.has_event(
            "torcd:configuration_kept") and [e for e in p.events() if e["event"] == "torcd:configuration_kept"][-1]))


def wait_stage(peers, stage):
    wait_moves(peers, stage, lambda m: m.get("stage") == stage)


def is_single(peer):
    """One link to each peer."""
    links = [link["peer"] for link in peer.control.call("links")["links"]]
    return len(links) == len(set(links))


def must_read_all(peers, type_name, values):
    for reader in peers:
        for owner in peers:
            fetched = reader.control.call("fetch", name=owner.user, type=type_name)
            assert value_of(fetched) == values(owner).encode(), (reader.name, owner.name, fetched)


def remove(peer, key):
    """Takes the owner's value of a dictionary away."""
    found = peer.control.call("fetch", name=peer.user, type="dict", key=key)["values"]
    peer.control.call("remove", name=peer.user, type="dict", key=key, generation=found[0]["generation"])


def must_be_gone(peers, key):
    for reader in peers:
        for owner in peers:
            values = reader.control.call("fetch", name=owner.user, type="dict", key=key)["values"]
            assert not any(v["exists"] for v in values), (reader.name, owner.name, values)


def certificates(reader, peer):
    """Those that differ: the new ring gets it from its own look and from the STORE in both, perhaps at once."""
    values = reader.control.call("fetch", resource=resource_of(bytes.fromhex(peer.id)), type="CERTIFICATE")["values"]
    return {v["value_base64"] for v in values if v["exists"]}


def test_D_19_GAP_142_MIG_01_05_a_running_overlay_of_eight_moves_while_all_read_and_write(net):
    peers = net.start(8)
    for peer in peers:  # written once, before anything: nobody writes it again
        peer.control.call("store", name=peer.user, type="dict", key="k", value=f"early {peer.name}")
    users = Users(peers)
    try:
        tell(net, STAGES[0])
        wait_stage(peers, STAGES[0])
        wait_moves(peers, "both rings", lambda m: m["old_ring"] == m["new_ring"] == "joined" and m["rounds"] > 0)
        assert peers[0].status()["migration"]["to"] == NEW
        net.wait_whole()  # the old ring is as it was
        for peer in peers:  # both rings over the same links, once those made by two at once have drained
            wait_for(lambda p=peer: is_single(p), 90, lambda p=peer: p.control.call("links"))
        tell(net, STAGES[1])
        wait_stage(peers, STAGES[1])
        net.wait_whole()  # of the new ring
        must_read_all(peers, "dict", lambda p: f"early {p.name}")
        before = users.reads, users.writes
        wait_for(lambda: users.reads > before[0] + 200 and users.writes > before[1] + 40, 60, "more reads and writes")
        tell(net, STAGES[2])
        wait_moves(peers, "the old ring left", lambda m: m["stage"] == STAGES[2] and m["old_ring"] == "left")
        before = users.reads, users.writes
        wait_for(lambda: users.reads > before[0] + 200 and users.writes > before[1] + 40, 60, "more reads and writes")
        net.wait_whole()
        for peer in peers:  # [CRT-02] certificates lie in the new ring as well
            # A look that failed while the rings moved is repeated after 30 s, then after 60 s.
            wait_for(lambda p=peer: len(certificates(peers[0], p)) == 1, 150,
                     lambda p=peer: f"the certificate of {p.name}: {certificates(peers[0], p)}")
    finally:
        users.end()
    assert not users.failures, (len(users.failures), users.reads, users.writes, users.failures[:5])
    must_read_all(peers, "dict", lambda p: f"early {p.name}")
    must_read_all(peers, "note", lambda p: str(users.stored[p.user]))
    # Who is started now never sees the old ring.
    for peer in peers:
        assert peer.stop() == 0
        peer.start().wait_joined()
        assert not move(peer)
        assert peer.status()["overlay"] == NEW
    net.wait_whole()
    must_read_all(peers, "dict", lambda p: f"early {p.name}")
    must_read_all(peers, "note", lambda p: str(users.stored[p.user]))


def test_D_19_a_move_is_taken_back_and_survives_restarts_in_the_middle(net):
    peers = net.start(4)
    for peer in peers:
        peer.control.call("store", name=peer.user, type="note", value=peer.name)
    tell(net, STAGES[0])
    wait_moves(peers, "both rings", lambda m: m.get("new_ring") == "joined" and m["rounds"] > 0)
    for peer in peers:  # kill -9 in stage 2
        peer.kill()
        peer.reap()
        peer.start().wait_joined()
        wait_moves([peer], "both rings", lambda m: m.get("old_ring") == m.get("new_ring") == "joined")
        must_read_all(peers, "note", lambda p: p.name)
    for peer in peers:
        peer.control.call("store", name=peer.user, type="dict", key="k", value="v")
        peer.control.call("store", name=peer.user, type="dict", key="m", value="v")
        remove(peer, "k")
    tell(net, STAGES[1])
    wait_stage(peers, STAGES[1])
    must_be_gone(peers, "k")
    for peer in peers:
        remove(peer, "m")
    must_be_gone(peers, "m")
    for peer in peers:  # kill -9 in stage 3
        peer.kill()
        peer.reap()
        peer.start().wait_joined()
        wait_moves([peer], "both rings", lambda m: m.get("old_ring") == m.get("new_ring") == "joined")
        must_read_all(peers, "note", lambda p: p.name)
    must_be_gone(peers, "m")
    tell(net, STAGES[0])
    wait_stage(peers, STAGES[0])
    must_read_all(peers, "note", lambda p: p.name)
    must_be_gone(peers, "m")
    tell(net, None)
    wait_moves(peers, "one ring", lambda m: not m)
    net.wait_whole()
    must_read_all(peers, "note", lambda p: p.name)
    peers[0].control.call("store", name=peers[0].user, type="note", value="p1")


def test_D_19_ENR_24_GAP_69_who_has_moved_answers_at_the_group_for_the_new_ring(net):
    """The listed bootstrap peer is gone: only the group leads to the ring, and a newcomer knows only the new one."""
    group, port = f"239.255.{random.randrange(1, 255)}.{random.randrange(1, 255)}", free_port()
    run(AUTHORITY, "config", "set", net.authority, "--bootstrap", f"127.0.0.1:{net.port}", "--bootstrap", f"{group}:{port}")
    peers = net.start(3)
    for stage in STAGES:
        tell(net, stage)
        wait_stage(peers, stage)
        wait_moves(peers, "new ring", lambda m: m.get("new_ring") == "joined")
    wait_moves(peers, "the old one left", lambda m: m.get("old_ring") == "left")
    peers[0].kill()
    peers[0].reap()
    joiner = net.add("p4").start().wait_joined()
    assert joiner.has_event("bootstrap:discovered") and joiner.status()["overlay"] == NEW
