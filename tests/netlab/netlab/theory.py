"""What can connect to what, from the kinds of the boxes alone (RFC 4787 and RFC 5128's terms; docs/netlab.md).

SPDX-License-Identifier: Apache-2.0
"""
from .nat import KINDS


def _punches(a, b):
    """Both send to the other's mapping until something arrives. A box with a mapping per destination shows the peer a
    port nobody knows: that works only where the other side's filter does not ask for the port."""
    def blind(one, other):
        return not one.independent and other.filtering == "port"
    return not blind(a, b) and not blind(b, a)


def direct_way(name_a, name_b, one_box=False):
    """The best direct path between hosts behind boxes of these kinds: "udp", "tcp" (one side is dialled), "tcp-so"
    (both dial at once), or None: only by a relay. one_box: both behind the same one, and kept apart inside."""
    a, b = KINDS[name_a], KINDS[name_b]
    if one_box and a.nat and not a.hairpin:
        return None
    both_ipv6 = a.ipv6 != "none" and b.ipv6 != "none"
    both_ipv4 = a.ipv4 and b.ipv4
    udp = a.out == "all" and b.out == "all"
    if udp and (both_ipv6 or (both_ipv4 and _punches(a, b))):
        return "udp"
    if "tls443" in (a.out, b.out) or not both_ipv4:
        return None
    if "none" in (a.filtering, b.filtering):
        return "tcp"
    return "tcp-so" if _punches(a, b) else None
