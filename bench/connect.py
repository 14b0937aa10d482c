"""From CONNECT sent to link usable, in the lab (docs/netlab.md): two clients of one peer, all three a round trip apart. The
CONNECT and its answer take two round trips by themselves, for they go over the peer.

SPDX-License-Identifier: Apache-2.0
"""
import pathlib
import statistics
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "tests" / "netlab"))

from labnet import LabNet  # noqa: E402
from netlab import Lab  # noqa: E402

BOOTSTRAP = "203.0.113.11"
WORLD = "wan rtt={}ms\nhost server ipv4=" + BOOTSTRAP + "\nhost alice\nhost bob\n"
SAMPLES = 7


def launch(net, name, host, role, candidates):
    listen = f"{net.lab.address(host)}:6084"
    return net.launch(net.place(name, host, listen, role=role, candidates=candidates)).wait_joined()


def sample(rtt_ms, candidates):
    """Milliseconds of each CONNECT; the asking client is a new one each time."""
    with Lab.from_text(WORLD.format(rtt_ms)) as lab:
        net = LabNet(lab, f"{BOOTSTRAP}:6084")
        try:
            server = launch(net, "p1", "server", "peer", candidates)
            bob = launch(net, "bob", "bob", "client", candidates)
            times = []
            for i in range(SAMPLES):
                alice = launch(net, f"alice{i}", "alice", "client", candidates)
                times.append(alice.control.call("connect", route=[server.id, bob.id])["elapsed_us"] / 1000)
                alice.stop()
            return times
        finally:
            net.close()


def cases():
    for candidates, link in (("udp", "dtls"), ("all", "tls")):
        for rtt_ms in (20, 100, 300):
            times = sample(rtt_ms, candidates)
            middle = statistics.median(times)
            yield {"case": "connect", "link": link, "rtt_ms": rtt_ms, "samples": len(times), "ms_median": round(middle, 1),
                   "ms_max": round(max(times), 1), "round_trips": round(middle / rtt_ms, 2)}
