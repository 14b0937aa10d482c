"""What status, peers, ring, route, ping and connect show, for people and as JSON; clients."""
import re

from torcnet import OVERLAY, b64, resource_of, value_of, wait_for

ID = re.compile(r"[0-9a-f]{32}")


def is_id(text):
    return ID.fullmatch(text) is not None


def test_CHD_02_CHD_22_status_shows_tables(ring):
    for peer in ring.peers:
        status = peer.torc_json("status")
        assert status["peer"] == peer.id and status["user"] == peer.user and status["overlay"] == OVERLAY
        assert status["role"] == "peer" and status["state"] == "joined" and status["joined"] is True
        assert status["responsible"] is True and status["range_from"] == status["predecessors"][0]
        assert len(status["predecessors"]) >= 3 and len(status["successors"]) >= 3
        assert all(is_id(x) for x in status["predecessors"] + status["successors"] + status["fingers"])
        assert peer.id not in status["predecessors"] + status["successors"]  # [CHD-34]
        assert status["pid"] == peer.process.pid and status["rss_bytes"] > 1000000
        assert len(status["ports"]) == 1 and status["links"] >= 4 and status["version"]
        text = peer.torc("status").stdout
        assert peer.id in text and "joined, peer, up" in text


def test_ARC_14_peers_lists_links_with_users(ring):
    peer = ring.peers[0]
    links = peer.torc_json("peers")["links"]
    assert {x["peer"] for x in links} <= {p.id for p in ring.peers[1:]} and len(links) >= 4
    for link in links:
        assert link["kind"] == "tls" and link["user"] == next(p.user for p in ring.peers if p.id == link["peer"])
        assert set(link) == {"peer", "user", "kind", "client", "routing", "idle_s", "messages_in", "messages_out",
                             "bytes_in", "bytes_out"}
    text = peer.torc("peers").stdout
    assert all(p.id in text and p.user in text for p in ring.peers[1:])


def test_CHD_11_ring_is_walked_and_drawn(ring):
    order = [p.id for p in ring.running()]
    for peer in ring.peers:
        shown = peer.torc_json("ring")
        assert shown["complete"] is True and shown["self"] == peer.id
        ids = [x["peer"] for x in shown["peers"]]
        at = order.index(peer.id)
        assert ids == order[at:] + order[:at]
    text = ring.peers[0].torc("ring").stdout
    assert "5 peers" in text and OVERLAY in text and "[1]" in text
    shares = [float(x) for x in re.findall(r"(\d+\.\d\d) %", text)]
    assert len(shares) == 5 and abs(sum(shares) - 100) < 0.1


def test_PNG_05_PNG_06_ping_asks_for_share_and_resources(ring):
    peer, other = ring.peers[0], ring.peers[3]
    answer = peer.torc_json("ping", other.id)
    assert answer["responder"] == other.id and 0 < answer["responsible_ppb"] < 10**9 and answer["resources"] >= 0
    assert 0 < answer["elapsed_us"] < 5_000_000
    text = peer.torc("ping", other.id).stdout
    assert f"answered by {other.id}" in text and "% of the ring" in text


def test_LOG_01_LOG_03_route_log_names_every_hop(ring):
    peer = ring.peers[0]
    middle, last = ring.peers[1], ring.peers[2]
    answer = peer.torc_json("ping", middle.id, last.id, "--route-log")
    assert answer["responder"] == last.id
    hops = answer["route_log"]
    # The way there, the responder once, and the way back.
    assert [h["peer"] for h in hops] == [middle.id, last.id, middle.id]
    assert all(h["transport"] == "tls" and h["version"].startswith("torc ") and h["address"] for h in hops)
    assert middle.id in peer.torc("ping", middle.id, last.id, "--route-log").stdout


def test_RTG_08_iterative_ping_gets_there_too(ring):
    for peer in ring.peers:
        for target in ("0" * 31 + "1", "8" + "0" * 31, "f" * 31 + "0"):
            answer = peer.torc_json("ping", target, "--iterative")
            order = [p.id for p in ring.running()]
            assert answer["responder"] == next((x for x in order if x >= target), order[0])


def test_CHD_04_route_names_the_responsible_peer(ring):
    order = [p.id for p in ring.running()]
    for name in ("alice@ring.example.org", "some text", "another"):
        resource = resource_of(name)
        answer = ring.peers[1].torc_json("route", name)
        assert answer["resource"] == resource
        assert answer["responder"] == next((x for x in order if x >= resource), order[0])
    assert "responsible " in ring.peers[1].torc("route", "some text").stdout


def test_CON_01_connect_by_id_and_by_user(make_net):
    net = make_net()
    net.start(3)
    client = net.add("c1", role="client").start().wait_joined()
    for peer in net.peers[:3]:
        done = client.torc_json("connect", peer.id)
        assert done["ok"] and done["peer"] == peer.id
        assert peer.id in {x["peer"] for x in client.torc_json("peers")["links"]}
    assert client.torc_json("connect", net.peers[0].user)["peer"] == net.peers[0].id
    done = client.torc("connect", "nobody@ring.example.org", check=False)
    assert done.returncode == 3 and "give the peer-id instead" in done.stderr
    done = client.torc("connect", "1" * 32, check=False)
    assert done.returncode == 1 and "could not connect" in done.stderr


def test_CLI_01_CLI_02_CLI_03_clients_use_the_ring_and_are_no_part_of_it(make_net):
    net = make_net()
    peers = net.start(3)
    one = net.add("c1", role="client").start().wait_joined()
    two = net.add("c2", role="client").start().wait_joined()
    one.torc("store", one.user, "from a client", "--type", "note")
    text = two.torc("fetch", one.user, "--type", "note").stdout
    assert "from a client" in text and f"signed by {one.user}" in text
    status = one.status()
    assert status["role"] == "client" and status["resources"] == 0 and status["responsible"] is False
    assert one.counters().get("store_stores_ok", 0) == 0
    assert len(net.holders(resource_of(one.user))) == 3
    assert sum(p.status()["client_links"] for p in peers) >= 2
    shown = one.torc_json("ring")
    assert sorted(x["peer"] for x in shown["peers"]) == sorted(p.id for p in peers)
    # A client is reached through its peer, along the route (peer, client) [CLI-05].
    admitting = one.torc_json("peers")["links"][0]["peer"]
    assert two.control.call("ping", route=[admitting, one.id])["responder"] == one.id
    assert one.stop() == 0
    wait_for(lambda: sum(p.status()["client_links"] for p in peers) == 1, 10, "the client's link closed")
    assert net.why_not_whole() is None


def test_CLI_06_a_client_goes_to_another_peer_when_its_own_dies(make_net):
    net = make_net(num_bootstrap=2)
    net.start(4)
    client = net.add("c1", role="client").start().wait_joined()
    client.control.call("store", name=client.user, type="note", value="kept")
    link = client.torc_json("peers")["links"][0]["peer"]
    victim = next(p for p in net.peers if p.id == link)
    victim.kill()
    victim.process.wait()

    def fetched():
        answer = client.control.ask("fetch", name=client.user, type="note")
        return answer["ok"] and value_of(answer) == b"kept"
    wait_for(fetched, 40, "a fetch through another peer")


def test_D_12_full_mesh_knows_everybody(make_net):
    net = make_net(algorithm="full-mesh")
    peers = net.start(5)
    assert all(p.status()["links"] >= 4 for p in peers)
    peers[1].torc("store", peers[1].user, "mesh", "--type", "note")
    assert "mesh" in peers[4].torc("fetch", peers[1].user, "--type", "note").stdout
    resource = resource_of(bytes.fromhex(peers[1].id) + b"\x0b")  # where no certificate lies that came before the ring
    peers[1].control.call("store", resource=resource, type="spread", value_base64=b64(b"\x0bmesh"), lifetime_s=600)
    assert len(net.holders(resource)) == 3


def test_D_10_rsa_overlay(make_net):
    net = make_net(signature="rsa")
    peers = net.start(3)
    peers[1].torc("store", peers[1].user, "rsa", "--type", "note")
    assert "rsa" in peers[2].torc("fetch", peers[1].user, "--type", "note").stdout
