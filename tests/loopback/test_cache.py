"""The peer cache of a peer that was only ever dialled."""
import json

from torcnet import wait_for


def cached(peer):
    try:
        return json.loads((peer.state / "peers.json").read_text())["peers"]
    except (OSError, ValueError, KeyError):
        return []


def test_BST_09_R_51_the_only_bootstrap_peer_comes_back_to_its_ring(make_net):
    """It knows its neighbours' addresses, so after kill -9 it joins them and founds no second ring."""
    net = make_net()
    peers = net.start(5)
    net.wait_whole()
    first = peers[0]
    wait_for(lambda: len(cached(first)) >= 3, 20, lambda: f"cached: {cached(first)}")
    first.kill()
    first.process.wait()
    first.start()
    first.wait_joined()
    net.wait_whole()
    founded = [e for e in first.events() if e["event"] == "bootstrap:founds"]
    assert len(founded) == 1  # in its first life
