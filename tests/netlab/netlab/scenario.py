"""The scenario language (docs/netlab.md): one statement a line, `#` begins a comment.

`parse_scenario` gives what is there and what happens when; `parse_action` reads one action, of a scenario's `at`
line, a shell or a test. Every error names the line and what would have been right.

SPDX-License-Identifier: Apache-2.0
"""
import ipaddress
import re
import shlex
import signal
from dataclasses import dataclass, field, replace

from .errors import ScenarioError
from .nat import KINDS

NAME = re.compile(r"[a-z][a-z0-9-]{0,14}")
NAME_RULE = "a name: a-z, 0-9 and -, at most 15, a letter first"
TIME_UNITS = {"us": 1, "ms": 1000, "s": 1000000}
RATE_UNITS = {"kbit": 1, "mbit": 1000, "gbit": 1000000}
IPV6_WAYS = ("none", "firewall", "open")
MAX_US = MAX_KBIT = 1 << 30
DEFAULT_QUEUE_US = 100000


@dataclass(frozen=True)
class Numbers:
    """One direction of a link."""
    delay_us: int = 0
    jitter_us: int = 0
    loss_ppm: int = 0
    rate_kbit: int = 0
    queue_us: int = DEFAULT_QUEUE_US


@dataclass(frozen=True)
class Link:
    up: Numbers = Numbers()
    down: Numbers = Numbers()


@dataclass
class Place:
    """A host or a box."""
    name: str
    line: int = 0
    link: dict = field(default_factory=dict)    # numbers of its own, by "delay", "up.delay"...
    addresses: list = field(default_factory=list)


@dataclass
class Host(Place):
    behind: str = None          # a box; None: on the WAN itself
    ipv6: str = "open"          # "none": has none


@dataclass
class Box(Place):
    kind: str = "port"
    hairpin: bool = False
    isolated: bool = False      # inner hosts cannot reach each other but through the box
    ipv6: str = "none"
    lan: ipaddress.IPv4Network = None
    timeout_us: int = 120000000


@dataclass(frozen=True)
class Action:
    verb: str
    name: str = ""
    value: object = None
    at_us: int = 0
    line: int = 0


@dataclass
class Scenario:
    name: str
    wan: dict = field(default_factory=dict)
    seed: int = 1
    boxes: dict = field(default_factory=dict)
    hosts: dict = field(default_factory=dict)
    actions: list = field(default_factory=list)

    def places(self):
        return [*self.boxes.values(), *self.hosts.values()]

    def on_wan(self):
        """The places that have a link of their own."""
        return [*self.boxes.values(), *(host for host in self.hosts.values() if host.behind is None)]


def _number(text, units, what):
    match = re.fullmatch(r"(\d+(?:\.\d+)?)([a-z]+)", text)
    if match is None or match.group(2) not in units:
        raise ScenarioError(f"expected {what}, not \"{text}\"")
    return round(float(match.group(1)) * units[match.group(2)])


def read_time(text):
    value = _number(text, TIME_UNITS, "a time such as 50ms, 1.5s or 200us")
    if value > MAX_US:
        raise ScenarioError(f"expected a time of at most {MAX_US // 1000000}s, not \"{text}\"")
    return value


def _read_rate(text):
    value = _number(text, RATE_UNITS, "a rate such as 512kbit, 10mbit or 1gbit")
    if not 1 <= value <= MAX_KBIT:
        raise ScenarioError(f"expected a rate from 1kbit to {MAX_KBIT}kbit, not \"{text}\"")
    return value


def _read_loss(text):
    match = re.fullmatch(r"(\d+(?:\.\d+)?)%", text)
    if match is None or float(match.group(1)) > 100:
        raise ScenarioError(f"expected a loss such as 1% or 0.05%, not \"{text}\"")
    return round(float(match.group(1)) * 10000)


# What may stand before "=" in the numbers of a link: the field of Numbers, and how it is read.
LINK_KEYS = {
    "delay": ("delay_us", read_time),
    "rtt": ("delay_us", lambda text: read_time(text) // 4),   # four passes of a link: up, down, and back
    "jitter": ("jitter_us", read_time),
    "loss": ("loss_ppm", _read_loss),
    "rate": ("rate_kbit", lambda text: 0 if text == "none" else _read_rate(text)),
    "queue": ("queue_us", read_time),
}


def read_numbers(words):
    """{"up.delay_us": 12500, ...} of words such as delay=12.5ms (both directions) or up.rate=1mbit."""
    numbers = {}
    for word in words:
        key, equals, text = word.partition("=")
        direction, dot, plain = key.rpartition(".")
        if not equals or plain not in LINK_KEYS or (dot and direction not in ("up", "down")):
            raise ScenarioError(f"expected {', '.join(LINK_KEYS)} (of one direction: up.delay) and = and a value, not \"{word}\"")
        name, read = LINK_KEYS[plain]
        for way in [direction] if dot else ["up", "down"]:
            numbers[f"{way}.{name}"] = read(text)
    return numbers


def with_numbers(link, numbers):
    """`link` with what read_numbers gave."""
    def ways(way):
        return {key[len(way) + 1:]: value for key, value in numbers.items() if key.startswith(way + ".")}
    return Link(replace(link.up, **ways("up")), replace(link.down, **ways("down")))


def _check_name(text):
    if NAME.fullmatch(text) is None or text == "all":
        raise ScenarioError(f"expected {NAME_RULE}, not \"{text}\"")
    return text


def _read_address(text):
    try:
        return ipaddress.ip_address(text)
    except ValueError:
        raise ScenarioError(f"expected an IPv4 or IPv6 address, not \"{text}\"") from None


def _read_addresses(text, version):
    addresses = [_read_address(one) for one in text.split(",")]
    if any(address.version != version for address in addresses):
        raise ScenarioError(f"expected IPv{version} addresses, not \"{text}\"")
    return addresses


def _read_lan(text):
    try:
        lan = ipaddress.IPv4Network(text)
    except ValueError:
        raise ScenarioError(f"expected a network such as 192.168.1.0/24, not \"{text}\"") from None
    if lan.prefixlen != 24:
        raise ScenarioError(f"expected a network of 24 bits, not \"{text}\"")
    return lan


def _one_of(text, what, choices):
    if text not in choices:
        raise ScenarioError(f"expected {what}: {', '.join(choices)}, not \"{text}\"")
    return text


def _place_options(place, words, options):
    """Words of a box or a host: its own options, the rest numbers of its link."""
    numbers = []
    for word in words:
        key, equals, text = word.partition("=")
        if equals and key in options:
            options[key](text)
        elif not equals and word in options:
            options[word](None)
        elif equals and key.rpartition(".")[2] in LINK_KEYS:
            numbers.append(word)
        else:
            raise ScenarioError(f"expected {', '.join(options)} or numbers of a link ({', '.join(LINK_KEYS)}), not \"{word}\"")
    place.link = read_numbers(numbers)


def _parse_box(words):
    if len(words) < 2:
        raise ScenarioError("expected box NAME KIND")
    kind = _one_of(words[1], "a kind of box", KINDS)
    box = Box(_check_name(words[0]), kind=kind, ipv6=KINDS[kind].ipv6)

    def flag(name):
        return lambda text: setattr(box, name, True)

    def lan(text):
        box.lan = _read_lan(text)

    def ipv6(text):
        box.ipv6 = _one_of(text, "what to do with IPv6", IPV6_WAYS)

    def timeout(text):
        box.timeout_us = read_time(text)
        if box.timeout_us < 1000000:
            raise ScenarioError(f"expected a timeout of at least 1s, not \"{text}\"")
    _place_options(box, words[2:], {
        "hairpin": flag("hairpin"), "isolated": flag("isolated"), "ipv6": ipv6, "lan": lan, "timeout": timeout,
        "ipv4": lambda text: box.addresses.extend(_read_addresses(text, 4))})
    if len(box.addresses) > 1:
        raise ScenarioError("expected one ipv4 address: a box has one")
    if box.hairpin and not KINDS[kind].nat:
        raise ScenarioError(f"hairpin needs a box that translates; {kind} does not")
    return box


def _parse_host(words):
    if not words:
        raise ScenarioError("expected host NAME [behind BOX]")
    host = Host(_check_name(words[0]))
    rest = words[1:]
    if rest[:1] == ["behind"]:
        if len(rest) < 2:
            raise ScenarioError("expected the name of a box after behind")
        host.behind, rest = rest[1], rest[2:]

    def ipv6(text):
        if text == "none":
            host.ipv6 = "none"
        else:
            host.addresses.extend(_read_addresses(text, 6))
    _place_options(host, rest, {"ipv4": lambda text: host.addresses.extend(_read_addresses(text, 4)), "ipv6": ipv6})
    if host.behind and (host.link or any(address.version == 6 for address in host.addresses)):
        raise ScenarioError(f"{host.name} is behind {host.behind}, which has the link and the IPv6 network")
    return host


def _read_signal(text):
    name = "SIG" + text.upper().removeprefix("SIG")
    if name not in signal.Signals.__members__:
        raise ScenarioError(f"expected a signal such as KILL, TERM or HUP, not \"{text}\"")
    return signal.Signals[name]


def _count(words, least, most, usage):
    if not least <= len(words) <= most:
        raise ScenarioError(f"expected {usage}")


def _act_link(words):
    _count(words, 2, 99, "link NAME|all KEY=VALUE...")
    return Action("link", words[0], read_numbers(words[1:]))


def _act_named(verb, what):
    def act(words):
        _count(words, 1, 1, f"{verb} {what}")
        return Action(verb, words[0])
    return act


def _act_move(words):
    _count(words, 1, 2, "move NAME [ADDRESS]")
    return Action("move", words[0], _read_address(words[1]) if len(words) > 1 else None)


def _act_kind(words):
    _count(words, 2, 2, "kind BOX KIND")
    return Action("kind", words[0], _one_of(words[1], "a kind of box", KINDS))


def _act_run(words):
    _count(words, 3, 999, "run HOST NAME COMMAND...")
    return Action("run", words[0], (_check_name(words[1]), words[2:]))


def _act_kill(words):
    _count(words, 1, 2, "kill NAME [SIGNAL]")
    return Action("kill", words[0], _read_signal(words[1] if len(words) > 1 else "KILL"))


ACTIONS = {"link": _act_link, "cut": _act_named("cut", "NAME|all"), "mend": _act_named("mend", "NAME|all"),
           "forget": _act_named("forget", "BOX|all"), "move": _act_move, "kind": _act_kind, "run": _act_run,
           "kill": _act_kill}


def _split(text):
    try:
        return shlex.split(text, comments=True)
    except ValueError as error:
        raise ScenarioError(f"expected closed quotes ({error})") from None


def parse_action_words(words):
    if not words or words[0] not in ACTIONS:
        raise ScenarioError(f"expected an action ({', '.join(ACTIONS)}), not \"{words[0] if words else ''}\"")
    return ACTIONS[words[0]](words[1:])


def parse_action(text):
    return parse_action_words(_split(text))


def _statement(scenario, words, line):
    word, rest = words[0], words[1:]
    if word == "wan":
        scenario.wan.update(read_numbers(rest))
    elif word == "seed":
        _count(rest, 1, 1, "seed NUMBER")
        if not rest[0].isdecimal() or int(rest[0]) >= 1 << 32:
            raise ScenarioError(f"expected a number below 2^32, not \"{rest[0]}\"")
        scenario.seed = int(rest[0])
    elif word in ("box", "host"):
        place = (_parse_box if word == "box" else _parse_host)(rest)
        place.line = line
        if place.name in scenario.boxes or place.name in scenario.hosts:
            raise ScenarioError(f"expected a new name: {place.name} is there already")
        (scenario.boxes if word == "box" else scenario.hosts)[place.name] = place
    elif word == "at":
        _count(rest, 2, 999, "at TIME ACTION")
        scenario.actions.append(replace(parse_action_words(rest[1:]), at_us=read_time(rest[0]), line=line))
    elif word in ACTIONS:
        scenario.actions.append(replace(parse_action_words(words), line=line))
    else:
        raise ScenarioError(f"expected wan, seed, box, host, at or an action ({', '.join(ACTIONS)}), not \"{word}\"")


def check_action(scenario, action, processes):
    """What an action names is there. `processes`: names of those that run, or will."""
    linked = [place.name for place in scenario.on_wan()]
    known = {"link": linked, "cut": linked, "mend": linked, "forget": list(scenario.boxes), "kind": list(scenario.boxes),
             "move": [place.name for place in scenario.places()], "run": list(scenario.hosts), "kill": list(processes)}
    what = {"link": "a link", "cut": "a link", "mend": "a link", "forget": "a box", "kind": "a box", "move": "a host or box",
            "run": "a host", "kill": "a process"}[action.verb]
    takes_all = action.verb in ("link", "cut", "mend", "forget")
    if not (takes_all and action.name == "all") and action.name not in known[action.verb]:
        names = ", ".join(known[action.verb] + ["all"] * takes_all) or "there is none"
        raise ScenarioError(f"expected {what} ({names}), not \"{action.name}\"")
    if action.verb == "kind":
        check_kind_change(scenario.boxes[action.name], action.value)


def check_kind_change(box, kind):
    """Inner hosts would need other addresses where translation begins or ends."""
    if KINDS[box.kind].nat != KINDS[kind].nat or KINDS[box.kind].ipv4 != KINDS[kind].ipv4:
        raise ScenarioError(f"{box.name} cannot become {kind} from {box.kind}: its hosts would need other addresses")


def _check(scenario):
    """What only shows when all of it has been read; gives (line, error) of the first."""
    for host in scenario.hosts.values():
        if host.behind is not None and host.behind not in scenario.boxes:
            names = ", ".join(scenario.boxes) or "there is none"
            yield host.line, f"expected a box ({names}) after behind, not \"{host.behind}\""
    seen = {}
    for place in scenario.on_wan():
        for address in place.addresses:
            if address in seen:
                yield place.line, f"expected an address of its own: {seen[address]} has {address}"
            seen[address] = place.name
    processes = [action.value[0] for action in scenario.actions if action.verb == "run"]
    if len(set(processes)) < len(processes):
        yield scenario.actions[-1].line, "expected a name of its own for each process that is run"
    for action in scenario.actions:
        try:
            check_action(scenario, action, processes)
        except ScenarioError as error:
            yield action.line, str(error)


def parse_scenario(text, name="scenario"):
    scenario = Scenario(name)
    for number, line in enumerate(text.splitlines(), 1):
        try:
            words = _split(line)
            if words:
                _statement(scenario, words, number)
        except ScenarioError as error:
            raise ScenarioError(f"{name}:{number}: {error}") from None
    for number, error in _check(scenario):
        raise ScenarioError(f"{name}:{number}: {error}")
    scenario.actions.sort(key=lambda action: action.at_us)
    return scenario
