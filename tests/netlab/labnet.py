"""An overlay of real peers on the hosts of a lab."""
import pathlib
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "loopback"))
from torcnet import AUTHORITY, OVERLAY, TORCD, TYPES, Net, run  # noqa: E402


class LabNet(Net):
    """Its bootstrap peers are at the given addresses of the lab, `ADDRESS:PORT`."""

    def __init__(self, lab, *bootstrap):
        super().__init__()
        self.lab = lab
        self.hosts = {}
        self.authority = self.dir / "lab-authority"
        arguments = ["init", self.authority, "--overlay", OVERLAY]
        for at in bootstrap:
            arguments += ["--bootstrap", at]
        for text in TYPES:
            arguments += ["--type", text]
        run(AUTHORITY, *arguments)

    def place(self, name, host, listen, role="peer", **nat):
        """A peer on a host; what `nat` has goes into that section of its configuration."""
        peer = self.add(name, role=role)
        peer.sections["overlay"]["file"] = self.authority / "overlay.xml"
        peer.sections["node"]["listen"] = listen
        peer.sections["nat"] = nat
        peer.sections["log"]["level"] = "info"
        self.hosts[name] = host
        return peer

    def launch(self, peer):
        peer.write_conf()
        with open(peer.dir / f"{peer.name}.err", "ab") as err:
            peer.process = self.lab.start(self.hosts[peer.name], [TORCD, "--config", peer.conf], stdin=subprocess.DEVNULL,
                                          stdout=err, stderr=err)
        return peer.connect()
