"""A running lab for people: `python3 -m netlab SCENARIO [HOST [COMMAND...]]`, or `make lab`.

Opens the scenario, starts its clock and a shell on a host. In it `lab` speaks to the lab (`lab help`). Its end is
the lab's end.

SPDX-License-Identifier: Apache-2.0
"""
import argparse
import json
import os
import pathlib
import socket
import sys
import threading

from . import nat, probe
from .errors import LabError
from .lab import INSIDE, Lab

HELP = """\
lab on HOST [COMMAND...]   a shell, or a command, on another host or box
lab status                 who is where, numbers and counters
lab probe HOST             what its box does, seen from the first host with two public IPv4 addresses
lab link NAME|all KEY=VALUE...   delay, rtt, jitter, loss, rate, queue; of one direction: up.delay, down.loss
lab cut NAME|all           lab mend NAME|all
lab forget BOX|all         all NAT mappings and firewall states at once
lab move NAME [ADDRESS]    another address
lab kind BOX KIND          {}
lab run HOST NAME COMMAND...     its output goes to {}/NAME.log
lab kill NAME [SIGNAL]
""".format(" ".join(nat.KINDS), INSIDE)

# `lab` in a lab's shells: sends its words to the lab's socket, or enters another host.
CLIENT = r"""#!/usr/bin/python3 -IB
import json, os, socket, sys
words = sys.argv[1:] or ["help"]
if words[0] == "on" and len(words) > 1 and os.path.exists("/run/netns/" + words[1]):
    command = words[2:] or ["@/shell"]
    os.environ["NETLAB_HOST"] = words[1]
    os.execvp("nsenter", ["nsenter", "--net=/run/netns/" + words[1], "--", *command])
with socket.socket(socket.AF_UNIX) as sock:
    sock.connect("@/control")
    sock.sendall(json.dumps(words).encode() + b"\n")
    answer = json.loads(sock.makefile().readline())
print(answer["text"].rstrip("\n"), file=sys.stderr if answer["failed"] else sys.stdout)
sys.exit(answer["failed"])
""".replace("@", INSIDE)

SHELL = f"""#!/bin/sh
exec bash --rcfile {INSIDE}/bashrc -i
"""
BASHRC = f"""[ -f ~/.bashrc ] && . ~/.bashrc
PATH={INSIDE}/bin:$PATH
PS1='[$NETLAB_HOST] \\w\\$ '
"""


def status(lab):
    rows = [("name", "kind", "addresses", "link up", "link down")]
    for place in lab.scenario.places():
        seat = lab.plan.seats[place.name]
        kind = getattr(place, "kind", None) or (f"behind {place.behind}" if place.behind else "on the WAN")
        link = lab.links.get(place.name)
        numbers = ["", ""] if link is None else [
            f"{n.delay_us / 1000:g}ms~{n.jitter_us / 1000:g} {n.loss_ppm / 10000:g}% {n.rate_kbit or 'any '}kbit"
            for n in (link.up, link.down)]
        rows.append((place.name, kind, " ".join(map(str, seat.addresses)), *numbers))
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip() for row in rows]
    for name, process in lab.processes.items():
        code = process.poll()
        lines.append(f"process {name}: " + ("runs" if code is None else f"ended with {code}"))
    for name, counters in lab.stats()["links"].items():
        lines.append(f"{name}: " + ", ".join(f"{value} {what}" for what, value in counters.items()))
    return "\n".join(lines)


def measure(lab, host):
    def is_eye(place):
        return sum(address.version == 4 for address in lab.plan.seats[place.name].addresses) > 1 and place.name != host
    eye = next((place.name for place in lab.scenario.hosts.values() if is_eye(place)), None)
    if eye is None:
        raise LabError("probing needs a host with two public addresses: host eye ipv4=203.0.113.10,203.0.113.11")
    if host not in lab.scenario.hosts or lab.address(host, 4) is None:
        raise LabError(f"expected a host with IPv4, not \"{host}\"")
    with probe.Observer(lab, eye) as observer:
        way = probe.udp_way(lab, host, observer)
        if way != "open":
            return f"UDP is {way}"
        return (f"mapping {probe.mapping(lab, host, observer)}, filtering {probe.filtering(lab, host, observer)}, "
                f"hairpinning {'yes' if probe.hairpins(lab, host, observer) else 'no'}")


def answer(lab, words):
    if words[0] == "help":
        return HELP
    if words[0] == "status":
        return status(lab)
    if words[0] == "probe" and len(words) == 2:
        return measure(lab, words[1])
    if words[0] == "on":
        raise LabError(f"expected a host or box: {', '.join(lab.plan.seats)}")
    lab.do_words(words)
    return "done"


def serve(lab, listener):
    while True:
        connection, _ = listener.accept()
        with connection:
            try:
                text, failed = answer(lab, json.loads(connection.makefile().readline())), 0
            except (LabError, OSError, ValueError) as error:
                text, failed = f"lab: {error}", 1
            try:
                connection.sendall(json.dumps({"text": text, "failed": failed}).encode() + b"\n")
            except OSError:
                pass  # whoever asked has gone


def furnish(lab):
    """What the shells need, in the lab's own /run."""
    inside = pathlib.Path(lab.outside(INSIDE))
    (inside / "bin").mkdir()
    for name, text in (("bin/lab", CLIENT), ("shell", SHELL), ("bashrc", BASHRC)):
        (inside / name).write_text(text, encoding="utf-8")
        (inside / name).chmod(0o755)
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(inside / "control"))
    listener.listen()
    threading.Thread(target=serve, args=(lab, listener), daemon=True).start()


def main():
    parser = argparse.ArgumentParser(prog="netlab", description="Opens a lab and a shell on one of its hosts.")
    parser.add_argument("scenario", help="a file of the scenario language (docs/netlab.md)")
    parser.add_argument("host", nargs="?", help="where the shell or command runs (the first host)")
    parser.add_argument("command", nargs=argparse.REMAINDER, help="instead of a shell")
    arguments = parser.parse_args()
    try:
        lab = Lab.from_file(arguments.scenario)
        host = arguments.host or next(iter(lab.scenario.hosts), None)
        if host not in lab.plan.seats:
            raise LabError(f"expected a host or box: {', '.join(lab.plan.seats)}, not \"{host}\"")
        with lab:
            furnish(lab)
            lab.play(lambda text: print(f"\r[lab] {text}", file=sys.stderr))
            if not arguments.command:
                print(f"{lab.scenario.name}: {', '.join(lab.plan.seats)}; `lab help`, and exit to end it", file=sys.stderr)
            path = f"{INSIDE}/bin:{os.environ.get('PATH', '/usr/bin:/bin:/usr/sbin:/sbin')}"
            process = lab.start(host, arguments.command or [f"{INSIDE}/shell"],
                                env={**os.environ, "NETLAB_HOST": host, "PATH": path})
            while True:
                try:
                    return process.wait()
                except KeyboardInterrupt:
                    pass  # it is the shell's, which has it, too
    except (LabError, OSError) as error:
        print(f"netlab: {error}", file=sys.stderr)
        return 1
