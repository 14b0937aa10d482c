"""Our ICE agent through real NATs, alone and with libnice at the other end: a pair where theory has one, without relays."""
import json
import subprocess

import pytest

from netlab import Lab, program
from netlab.theory import direct_way

WORLD = """
wan rtt={rtt}ms
host server ipv4=203.0.113.10
box home1 {kinds[0]}
box home2 {kinds[1]}
host alice behind home1
host bob behind home2
"""
UDP = [("public", "public"), ("public", "symmetric"), ("full-cone", "symmetric"), ("address", "port"), ("address", "symmetric"),
       ("port", "port"), ("symmetric", "port")]


class End:
    """A process that is one end, on a host of the lab."""

    def __init__(self, lab, host, kind, role, transport, server):
        argv = [program("../ice_end"), kind, role, transport, str(lab.address(host)), *map(str, server)]
        self.process = lab.start(host, argv, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.told = []
        for line in self.process.stdout:
            self.told.append(line)
            if line == "end\n":
                break

    def hear(self, other):
        self.process.stdin.write("".join(other.told))
        self.process.stdin.flush()

    def result(self):
        return json.loads(self.process.stdout.readline())

    def close(self):
        self.process.stdin.close()
        self.process.wait(timeout=30)


def meet(lab, controlling, controlled, transport):
    """The answerer hears first, as it does with CONNECT."""
    server = lab.start("server", [program("../stun_end"), "serve", "203.0.113.10"], text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    port = json.loads(server.stdout.readline())["port"]
    ends = [End(lab, "alice", controlling, "controlling", transport, ("203.0.113.10", port)),
            End(lab, "bob", controlled, "controlled", transport, ("203.0.113.10", port))]
    ends[1].hear(ends[0])
    ends[0].hear(ends[1])
    results = [end.result() for end in ends]
    for end in ends:
        end.close()
    server.stdin.close()
    server.wait(timeout=30)
    return results


@pytest.mark.long
@pytest.mark.parametrize("kinds", UDP, ids="-".join)
def test_ICE_02_ICE_28_udp_through_boxes(kinds):
    with Lab.from_text(WORLD.format(rtt=20, kinds=kinds)) as lab:
        results = meet(lab, "torc", "torc", "udp")
    assert [result["selected"] for result in results] == [direct_way(*kinds) == "udp"] * 2


@pytest.mark.long
@pytest.mark.parametrize("kinds", [("public", "port"), ("port", "public")], ids="-".join)
@pytest.mark.parametrize("ends", [("torc", "nice"), ("nice", "torc")], ids="-".join)
def test_ICE_02_libnice_at_the_other_end(ends, kinds):
    """libnice asks STUN servers as RFC 3489 has it, without the cookie: it knows no address but its own."""
    with Lab.from_text(WORLD.format(rtt=20, kinds=kinds)) as lab:
        results = meet(lab, *ends, "udp")
    assert all(result["selected"] for result in results)


def test_ICE_16_tcp_to_a_public_peer():
    with Lab.from_text(WORLD.format(rtt=20, kinds=("udp-drop", "public"))) as lab:
        results = meet(lab, "torc", "torc", "both")
    assert all(result["selected"] and result["tcp"] for result in results)
