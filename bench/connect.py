"""From CONNECT sent to link usable, in the lab (docs/netlab.md): two clients of one peer, all three a round trip apart. The
CONNECT and its answer take two round trips by themselves, for they go over the peer.

SPDX-License-Identifier: Apache-2.0
"""
import pathlib
import statistics
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
for room in ("netlab", "loopback"):
    sys.path.insert(0, str(ROOT / "tests" / room))

from netlab import Lab  # noqa: E402
from torcnet import AUTHORITY, OVERLAY, TORCD, Net, run  # noqa: E402

BOOTSTRAP = "203.0.113.11"
WORLD = "wan rtt={}ms\nhost server ipv4=" + BOOTSTRAP + "\nhost alice\nhost bob\n"
SAMPLES = 7


class LabNet(Net):
    def __init__(self, lab):
        super().__init__()
        self.lab = lab
        self.authority = self.dir / "lab-authority"
        run(AUTHORITY, "init", self.authority, "--overlay", OVERLAY, "--bootstrap", f"{BOOTSTRAP}:6084")

    def launch(self, peer, host, listen, candidates):
        peer.sections["overlay"]["file"] = self.authority / "overlay.xml"
        peer.sections["node"]["listen"] = f"{listen}:6084"
        peer.sections["nat"] = {"candidates": candidates}
        peer.sections["log"]["level"] = "info"
        peer.write_conf()
        with open(peer.dir / f"{peer.name}.err", "ab") as err:
            peer.process = self.lab.start(host, [TORCD, "--config", peer.conf], stdin=subprocess.DEVNULL, stdout=err, stderr=err)
        return peer.connect().wait_joined()


def sample(rtt_ms, candidates):
    """Milliseconds of each CONNECT; the asking client is a new one each time."""
    with Lab.from_text(WORLD.format(rtt_ms)) as lab:
        net = LabNet(lab)
        try:
            server = net.launch(net.add("p1"), "server", BOOTSTRAP, candidates)
            bob = net.launch(net.add("bob", role="client"), "bob", lab.address("bob"), candidates)
            times = []
            for i in range(SAMPLES):
                alice = net.launch(net.add(f"alice{i}", role="client"), "alice", lab.address("alice"), candidates)
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
