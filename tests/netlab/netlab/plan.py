"""Which addresses everything has, and the commands that give them.

The WAN is 203.0.113.0/24 and 2001:db8::/64, one address of each for a host or a box. Behind box number N lie
192.168.N.0/24 (198.18.N.0/24 where nothing is translated) and 2001:db8:N::/64.

SPDX-License-Identifier: Apache-2.0
"""
import ipaddress
from dataclasses import dataclass, field

from .errors import LabError
from .nat import KINDS, ruleset

WAN4 = ipaddress.IPv4Network("203.0.113.0/24")
WAN6 = ipaddress.IPv6Network("2001:db8::/64")
PUBLIC_LANS = ipaddress.IPv4Network("198.18.0.0/15")
ANYWHERE = {4: "0.0.0.0/0", 6: "::/0"}
MTU = 1500
FIRST_INNER = 10  # host part of the first host behind a box


@dataclass
class Seat:
    """Where a place is: its addresses, the first of each family the one it is known by."""
    addresses: list = field(default_factory=list)   # on the WAN, or in the network of its box
    lan: list = field(default_factory=list)         # networks behind a box

    def address(self, version):
        return next((address for address in self.addresses if address.version == version), None)

    def network(self, version):
        return next((network for network in self.lan if network.version == version), None)


class Plan:
    def __init__(self, scenario):
        self.scenario = scenario
        self.seats = {place.name: Seat(list(place.addresses)) for place in scenario.places()}
        for place in scenario.on_wan():
            wants = (not self._is_box(place.name) or KINDS[place.kind].ipv4, place.ipv6 != "none")
            for pool, wanted in zip((WAN4, WAN6), wants):
                if wanted and self.seats[place.name].address(pool.version) is None:
                    self.seats[place.name].addresses.append(self.next_free(place.name, pool.version))
        for number, box in enumerate(scenario.boxes.values(), 1):
            self._plan_box(box, number)

    def _is_box(self, name):
        return name in self.scenario.boxes

    def _plan_box(self, box, number):
        kind = KINDS[box.kind]
        seat = self.seats[box.name]
        if kind.ipv4:
            default = f"192.168.{number}.0/24" if kind.nat else f"198.18.{number}.0/24"
            seat.lan.append(box.lan or ipaddress.IPv4Network(default))
        if box.ipv6 != "none":
            seat.lan.append(ipaddress.IPv6Network(f"2001:db8:{number:x}::/64"))
        for host in self.scenario.hosts.values():
            if host.behind == box.name:
                self._plan_inner(host, seat)

    def _plan_inner(self, host, box_seat):
        seat = self.seats[host.name]
        for network in box_seat.lan:
            own = seat.address(network.version)
            if own is None:
                if network.version == 4 or host.ipv6 != "none":
                    seat.addresses.append(self.next_free(host.name, network.version))
            elif own not in network:
                raise LabError(f"{host.name} is to have {own}, but {host.behind} has {network} inside")

    def next_free(self, name, version):
        """An address for `name` that nothing has, nor had since the start."""
        host = self.scenario.hosts.get(name)
        if host is not None and host.behind is not None:
            pool, first = self.seats[host.behind].network(version), FIRST_INNER
        else:
            pool, first = (WAN4, WAN6)[version == 6], 1
        if pool is None:
            raise LabError(f"{name} has no IPv{version}")
        used = getattr(self, "_used", None)
        if used is None:
            used = self._used = {address for seat in self.seats.values() for address in seat.addresses}
        for index in range(first, min(pool.num_addresses - 1, 1 << 16)):
            if pool[index] not in used:
                used.add(pool[index])
                return pool[index]
        raise LabError(f"no address is left in {pool}")

    def move(self, name, address):
        """Replaces the first address of that family; gives the old one."""
        seat = self.seats[name]
        old = seat.address(address.version)
        host = self.scenario.hosts.get(name)
        if old is None:
            raise LabError(f"{name} has no IPv{address.version}")
        if host is not None and host.behind is not None:
            network = self.seats[host.behind].network(address.version)
            others = [self.seats[other.name] for other in self.scenario.hosts.values() if other.behind == host.behind]
            if address not in network or address == network[1]:
                raise LabError(f"{name} is behind {host.behind}, in {network}: {address} cannot be its address")
        else:
            others = [self.seats[place.name] for place in self.scenario.on_wan()]
        if any(address in other.addresses for other in others):
            raise LabError(f"{address} is taken")
        seat.addresses[seat.addresses.index(old)] = address
        self._used.add(address)
        return old

    def routes(self, name):
        """What the WAN sends to a place."""
        seat = self.seats[name]
        routes = [f"{address}/{address.max_prefixlen}" for address in seat.addresses]
        return routes + [str(network) for network in seat.lan if network.version == 6 or network.subnet_of(PUBLIC_LANS)]

    def ruleset(self, name):
        box = self.scenario.boxes[name]
        return ruleset(box.kind, self.seats[name].address(4), box.hairpin, box.ipv6, box.timeout_us // 1000000)

    def script(self):
        """Gives every namespace its devices, addresses, routes and rules. Boxes first: they have the ends of cables."""
        inner = [host for host in self.scenario.hosts.values() if host.behind is not None]
        parts = [self._box_script(box) for box in self.scenario.boxes.values()]
        for host in self.scenario.hosts.values():
            parts.append(self._inner_script(host) if host in inner else self._namespace(host.name, _wan_commands(
                self.seats[host.name])))
        return "set -e\n" + "".join(parts)

    def _namespace(self, name, commands, files=(), rules=None):
        lines = [f"nsenter --net=/run/netns/{name} sh -e <<'END_OF_PLACE'"]
        for path, value in [("ipv6/conf/all/accept_ra", 0), ("ipv6/conf/default/accept_dad", 0),
                            ("ipv6/conf/all/accept_dad", 0), *files]:
            lines.append(f"if [ -e /proc/sys/net/{path} ]; then echo {value} > /proc/sys/net/{path}; fi")
        lines += ["ip -batch - <<'END_OF_IP'", "link set lo up", *commands, "END_OF_IP"]
        if rules:
            lines += ["nft -f - <<'END_OF_NFT'", rules, "END_OF_NFT"]
        return "\n".join(lines) + "\nEND_OF_PLACE\n"

    def _box_script(self, box):
        seat = self.seats[box.name]
        commands = _wan_commands(seat) + ["link add lan type bridge"]
        for network in seat.lan:
            nodad = " nodad" if network.version == 6 else ""
            commands.append(f"addr add {network[1]}/{network.prefixlen} dev lan{nodad}")
        commands.append("link set lan up")
        hosts = [host for host in self.scenario.hosts.values() if host.behind == box.name]
        for number, host in enumerate(hosts, 1):
            commands.append(f"link add lan{number} type veth peer name eth0 netns {host.name}")
            commands.append(f"link set lan{number} master lan up")
            if box.isolated:
                commands.append(f"link set dev lan{number} type bridge_slave isolated on")
        timeout = box.timeout_us // 1000000
        files = [("ipv4/ip_forward", 1), ("ipv6/conf/all/forwarding", 1), ("ipv4/icmp_ratelimit", 0),
                 ("ipv6/icmp/ratelimit", 0), ("bridge/bridge-nf-call-iptables", 0),
                 ("bridge/bridge-nf-call-ip6tables", 0)]
        text = self._namespace(box.name, commands, files, self.ruleset(box.name))
        # These exist once the rules have woken connection tracking.
        later = [("netfilter/nf_conntrack_udp_timeout", timeout), ("netfilter/nf_conntrack_udp_timeout_stream", timeout)]
        return text + self._namespace(box.name, [], later)

    def _inner_script(self, host):
        commands = ["link set eth0 up"]
        box = self.seats[host.behind]
        for address in self.seats[host.name].addresses:
            network = box.network(address.version)
            commands += _address_commands("eth0", address, network)
        for version in (4, 6):
            if self.seats[host.name].address(version) is not None:
                commands.append(f"route add {ANYWHERE[version]} via {box.network(version)[1]}")
        return self._namespace(host.name, commands)

    def move_script(self, name, old, new):
        host = self.scenario.hosts.get(name)
        if host is not None and host.behind is not None:
            network = self.seats[host.behind].network(new.version)
            device, prefix, via = "eth0", network.prefixlen, f"via {network[1]}"
        else:
            device, prefix, via = "wan0", new.max_prefixlen, "dev wan0"
        nodad = " nodad" if new.version == 6 else ""
        commands = [f"addr del {old}/{prefix} dev {device}", f"addr add {new}/{prefix} dev {device}{nodad}",
                    f"route replace {ANYWHERE[new.version]} {via}"]
        return "set -e\n" + self._namespace(name, commands)


def _address_commands(device, address, network=None):
    prefix = network.prefixlen if network else address.max_prefixlen
    return [f"addr add {address}/{prefix} dev {device}" + (" nodad" if address.version == 6 else "")]


def _wan_commands(seat):
    commands = ["link set wan0 addrgenmode none", f"link set wan0 mtu {MTU} txqueuelen 2000 up"]
    for address in seat.addresses:
        commands += _address_commands("wan0", address)
    for version in (4, 6):
        if seat.address(version) is not None:
            commands.append(f"route add {ANYWHERE[version]} dev wan0")
    return commands
