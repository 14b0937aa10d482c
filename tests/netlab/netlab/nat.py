"""The kinds of box, as rules of nftables.

Every box but `public` and `ipv6-only` translates IPv4. `mapped` says which public endpoint an inner one has, `owner`
the reverse, `seen` whom a public endpoint has sent to; the kernel's own table of connections gives the strictest
filtering, which is why a stray packet must be dropped before it enters that table. A mapping's port is drawn at
random: no peer gets through because it guessed right.

SPDX-License-Identifier: Apache-2.0
"""
from dataclasses import dataclass


@dataclass(frozen=True)
class Kind:
    """How a box translates (endpoint independent or not) and filters UDP and TCP, and what it lets out at all."""
    text: str
    nat: bool = True
    ipv4: bool = True
    ipv6: str = "none"
    independent: bool = True    # one mapping per inner endpoint; otherwise one per destination
    filtering: str = "port"     # whom a mapping admits: anyone ("none"), an "address" or a "port" it has sent to
    hairpin: bool = False
    out: str = "all"            # "no-udp-reject", "no-udp-drop", "tls443"


KINDS = {
    "public": Kind("no translation, no filtering; public addresses inside", nat=False, ipv6="open",
                   filtering="none"),
    "full-cone": Kind("one mapping per endpoint, open to anyone", filtering="none"),
    "address": Kind("one mapping per endpoint, open to the addresses it sent to", filtering="address"),
    "port": Kind("one mapping per endpoint, open to the endpoints it sent to"),
    "symmetric": Kind("a mapping per destination, open to that destination", independent=False),
    "hairpin": Kind("as port, and inner hosts reach each other by their public endpoints", hairpin=True),
    "udp-reject": Kind("as port for TCP; UDP is answered by ICMP", out="no-udp-reject"),
    "udp-drop": Kind("as port for TCP; UDP vanishes", out="no-udp-drop"),
    "tls443": Kind("nothing but TLS to port 443", out="tls443"),
    "ipv6-only": Kind("no IPv4; a stateful firewall for IPv6", nat=False, ipv4=False, ipv6="firewall"),
}

_L4 = "meta l4proto { tcp, udp }"
_INNER = "meta l4proto . ip saddr . th sport"


def _sets(timeout_s):
    flags = f"flags dynamic,timeout; timeout {timeout_s}s; size 65535;"
    endpoint = "ipv4_addr . inet_service"
    return f"""
  map mapped {{ type inet_proto . {endpoint} : {endpoint}; {flags} }}
  map owner {{ type inet_proto . inet_service : {endpoint}; {flags} }}
  set seen {{ type inet_proto . {endpoint}; {flags} }}"""


def _translation(kind, hairpin, address):
    learn = (f"{_L4} ct direction original "
             "update @mapped { meta l4proto . ct original ip saddr . ct original proto-src : ip saddr . th sport } "
             "update @owner { meta l4proto . th sport : ct original ip saddr . ct original proto-src }")
    to_owner = f"{_L4} dnat ip to meta l4proto . th dport map @owner"
    pre, post, learned = [], [], []
    if kind.independent:
        post.append(f'oifname "wan0" {_L4} snat ip to {_INNER} map @mapped')
        learned.append(f'oifname "wan0" {learn}')
    if kind.filtering == "none":
        pre.append(f'iifname "wan0" ip daddr {address} {to_owner}')
    elif kind.filtering == "address":
        learned.append(f'oifname "wan0" {_L4} update @seen {{ meta l4proto . ip daddr . th sport }}')
        pre.append(f'iifname "wan0" ip daddr {address} meta l4proto . ip saddr . th dport @seen {to_owner}')
    if hairpin:
        pre.append(f'iifname "lan" ip daddr {address} {to_owner}')
        post.append(f'iifname "lan" oifname "lan" ct status dnat {_L4} snat ip to {_INNER} map @mapped')
        post.append(f'iifname "lan" oifname "lan" ct status dnat {_L4} snat ip to {address}')
        learned.append(f'iifname "lan" oifname "lan" ct status dnat {learn}')
    post.append('meta nfproto ipv4 oifname "wan0" masquerade fully-random')
    return pre, post, learned


def _outward(kind):
    """What the forward chain does with packets from inside."""
    if kind.out == "no-udp-reject":
        return ['iifname "lan" meta l4proto udp reject with icmpx type admin-prohibited']
    if kind.out == "no-udp-drop":
        return ['iifname "lan" meta l4proto udp drop']
    if kind.out == "tls443":
        # The first bytes of a connection must be those of a TLS handshake record; the mark remembers that they were.
        first = 'iifname "lan" tcp dport 443 ct mark 0 tcp flags & psh == psh'
        return [f"{first} @ih,0,8 != 0x16 reject with tcp reset",
                f"{first} ct mark set 1",
                "ct state established,related accept",
                'iifname "lan" tcp dport 443 accept',
                "drop"]
    return []


def _inward(kind, ipv6):
    rules = []
    if kind.nat:
        rules.append('iifname "wan0" meta nfproto ipv4 ct state new ct status & dnat == 0 drop')
    if ipv6 == "firewall":
        rules.append('iifname "wan0" meta nfproto ipv6 ct state new drop')
    return rules


def _chain(name, hook, rules):
    body = "\n".join("    " + rule for rule in rules)
    return f"  chain {name} {{\n    type {hook}; policy accept;\n{body}\n  }}"


def ruleset(kind_name, address, hairpin=False, ipv6="none", timeout_s=120):
    """The whole ruleset of a box whose public IPv4 address is `address`; it replaces and forgets what was before."""
    kind = KINDS[kind_name]
    chains = [_chain("gate", "filter hook prerouting priority -300", []),
              _chain("forward", "filter hook forward priority 0", _inward(kind, ipv6) + _outward(kind))]
    if kind.nat:
        pre, post, learned = _translation(kind, hairpin or kind.hairpin, address)
        stray = ['iifname "wan0" icmp type echo-request accept', 'iifname "wan0" meta nfproto ipv4 ct state new drop',
                 f'iifname "lan" ip daddr {address} {_L4} ct state new drop']
        chains += [_chain("input", "filter hook input priority 0", stray),
                   _chain("pre", "nat hook prerouting priority -100", pre),
                   _chain("post", "nat hook postrouting priority 100", post),
                   _chain("learn", "filter hook postrouting priority 110", learned)]
    return "flush ruleset\ntable inet netlab {" + _sets(timeout_s) + "\n" + "\n".join(chains) + "\n}\n"


# Nothing passes while the box forgets: a packet between two of these steps would be remembered by the other's table.
FORGET = """set -e
nft 'add rule inet netlab gate drop'
conntrack -F 2>/dev/null
nft 'flush map inet netlab mapped; flush map inet netlab owner; flush set inet netlab seen; flush chain inet netlab gate'
"""
