"""`make natlab`: what connects to what. For each ordered pair of kinds of box a lab with a host behind either, a public
STUN and TURN server (coturn) and two programs, the ends, that try to meet; docs/netlab.md says how they are told and
what they answer.

SPDX-License-Identifier: Apache-2.0
"""
import argparse
import concurrent.futures
import json
import os
import pathlib
import shlex
import socket
import subprocess
import sys
import tempfile
import threading
import time

from .errors import LabError
from .lab import Lab, wait_until
from .nat import KINDS
from .theory import direct_way

SERVER, SERVER6 = "203.0.113.10", "2001:db8::10"
PORT, TLS_PORT = 3478, 443
USER, PASSWORD = "natlab", "natlab-password"
LIMIT_S = 45    # for both results
GRACE_S = 5     # from both results to the end of the programs
HERE = pathlib.Path(__file__).resolve().parent.parent
SIMPLE_END = f"/usr/bin/python3 -B {shlex.quote(str(HERE / 'ends' / 'simple_end.py'))}"


def world(left, right, rtt):
    server = f"wan rtt={rtt}\nhost server ipv4={SERVER} ipv6={SERVER6}\n"
    if left == right == "hairpin":
        return server + "box left hairpin isolated\nhost a behind left\nhost b behind left\n"
    return server + f"box left {left}\nhost a behind left\nbox right {right}\nhost b behind right\n"


def make_certificate(place):
    """A certificate of the server that is its own authority."""
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
                    "-keyout", place / "key.pem", "-out", place / "ca.pem", "-subj", "/CN=netlab",
                    "-addext", f"subjectAltName=IP:{SERVER},IP:{SERVER6}"], check=True, capture_output=True)
    os.chmod(place / "key.pem", 0o600)


def start_server(lab, place):
    process = lab.start("server", [
        "turnserver", "-n", "--no-cli", "--no-dtls", "-a", "-r", "netlab", "-u", f"{USER}:{PASSWORD}", "-L", SERVER, "-L", SERVER6,
        "-p", str(PORT), "--tls-listening-port", str(TLS_PORT), "--cert", place / "ca.pem", "--pkey", place / "key.pem",
        "--relay-threads", "1", "--pidfile", "/run/turn.pid", "--db", "/run/turn.db", "--log-file", "stdout"],
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def is_up():
        for family, host in ((socket.AF_INET, SERVER), (socket.AF_INET6, SERVER6)):
            for port in (PORT, TLS_PORT):
                with lab.socket("server", family, socket.SOCK_STREAM) as sock:
                    if process.poll() is not None:
                        raise LabError(f"turnserver ended with {process.returncode}")
                    if sock.connect_ex((host, port)) != 0:
                        return False
        return True
    wait_until("turnserver listens", is_up)


class End:
    """One of the two programs. What it prints goes to the other, but for its result, the line with an object."""

    def __init__(self, lab, host, command, environment):
        self.process = lab.start(host, command, env={**os.environ, **environment}, stdin=subprocess.PIPE,
                                 stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.other = None
        self.result = None
        self.errors = []
        self.threads = [threading.Thread(target=work, daemon=True) for work in (self._read, self._read_errors)]

    def talk_to(self, other):
        self.other = other
        for thread in self.threads:
            thread.start()

    def _read(self):
        for line in self.process.stdout:
            if line.startswith("{") and self.result is None:
                try:
                    self.result = json.loads(line)
                except ValueError:
                    self.result = {"path": "none", "error": f"no JSON: {line.strip()}"}
            elif not line.startswith("{"):
                try:
                    self.other.process.stdin.write(line)
                    self.other.process.stdin.flush()
                except (OSError, ValueError):
                    pass  # it has ended

    def _read_errors(self):
        for line in self.process.stderr:
            self.errors.append(line.strip())

    def outcome(self):
        if self.process.poll() is not None:
            for thread in self.threads:  # they read to the end
                thread.join()
        if self.result is not None:
            return self.result
        why = self.errors[-1] if self.errors else "it said nothing"
        return {"path": "none", "error": why}


def meet(left, right, commands, rtt, place):
    """What both ends say about the pair, and theory."""
    with Lab.from_text(world(left, right, rtt), f"{left} and {right}") as lab:
        start_server(lab, place)
        environment = {"NETLAB_SERVER": SERVER, "NETLAB_SERVER6": SERVER6, "NETLAB_PORT": str(PORT),
                       "NETLAB_TLS_PORT": str(TLS_PORT), "NETLAB_CA": str(place / "ca.pem"), "NETLAB_USER": USER,
                       "NETLAB_PASSWORD": PASSWORD}
        ends = [End(lab, host, command, {**environment, "NETLAB_ROLE": role, "NETLAB_KIND": kind})
                for host, command, role, kind in (("a", commands[0], "controlling", left), ("b", commands[1], "controlled", right))]
        ends[0].talk_to(ends[1])
        ends[1].talk_to(ends[0])
        limit = time.monotonic() + LIMIT_S
        while time.monotonic() < limit and any(end.result is None and end.process.poll() is None for end in ends):
            time.sleep(0.02)
        for end in ends:  # one may still answer the other
            try:
                end.process.wait(GRACE_S)
            except subprocess.TimeoutExpired:
                end.process.kill()
        results = [end.outcome() for end in ends]
    one_box = left == right == "hairpin"
    return {"left": left, "right": right, "theory": direct_way(left, right, one_box) or "relay", "ends": results}


def judge(pair):
    """(what the cell says, whether it is as theory has it)."""
    ends = pair["ends"]
    if any(end.get("path") not in ("direct", "relay") for end in ends):
        return "no", False
    direct = all(end["path"] == "direct" for end in ends)
    transports = {end.get("transport", "?") for end in ends}
    slowest = max(end.get("ms", 0) for end in ends)
    text = f"{'/'.join(sorted(transports)) if direct else 'relay'} {slowest:.0f}"
    return text, direct == (pair["theory"] != "relay")


def table(pairs, kinds):
    """Rows dial (are controlling), columns are dialled. `!`: theory has it otherwise."""
    cells = {}
    for pair in pairs:
        text, expected = judge(pair)
        cells[pair["left"], pair["right"]] = text if expected else text + "!"
    return _grid(kinds, cells)


def theory_table(kinds):
    return _grid(kinds, {(a, b): direct_way(a, b, a == b == "hairpin") or "relay" for a in kinds for b in kinds})


def _grid(kinds, cells):
    width = max(max(map(len, kinds)), max(len(text) for text in cells.values())) + 2
    lines = ["".join(text.ljust(width) for text in ["", *kinds])]
    for left in kinds:
        lines.append("".join(text.ljust(width) for text in [left, *(cells.get((left, right), "") for right in kinds)]))
    return "\n".join(line.rstrip() for line in lines)


def run(kinds, commands, rtt="50ms", jobs=2, told=None):
    """Every ordered pair; gives a list of what `meet` gives."""
    with tempfile.TemporaryDirectory(prefix="natlab-") as name, concurrent.futures.ThreadPoolExecutor(jobs) as pool:
        place = pathlib.Path(name)
        make_certificate(place)
        work = {pool.submit(meet, left, right, commands, rtt, place): (left, right) for left in kinds for right in kinds}
        pairs = []
        for future in concurrent.futures.as_completed(work):
            pairs.append(future.result())
            if told:
                told(pairs[-1])
    return pairs


def _options():
    parser = argparse.ArgumentParser(prog="natlab", description="Prints which kinds of NAT box connect to which, and how fast.")
    parser.add_argument("--end", action="append", metavar="COMMAND",
                        help="what runs on a host; given twice: on the dialling and on the dialled one (a simple end of the lab's)")
    parser.add_argument("--kinds", default=",".join(KINDS), help="those of the matrix, with commas between (all)")
    parser.add_argument("--rtt", default="50ms", help="from host to host (50ms)")
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="labs at a time")
    parser.add_argument("--json", metavar="FILE", help="the results as JSON lines")
    parser.add_argument("--strict", action="store_true", help="fail when a pair connects otherwise than theory has it")
    return parser


def main():
    parser = _options()
    options = parser.parse_args()
    kinds = options.kinds.split(",")
    ends = options.end or [SIMPLE_END]
    unknown = [kind for kind in kinds if kind not in KINDS]
    if unknown or len(ends) > 2:
        parser.error(f"there is no kind {unknown[0]}; there are {', '.join(KINDS)}" if unknown else "there are two ends at most")
    commands = [shlex.split(ends[0]), shlex.split(ends[-1])]

    def told(pair):
        text, expected = judge(pair)
        errors = "; ".join(end["error"] for end in pair["ends"] if "error" in end)
        print(f"{pair['left']} to {pair['right']}: {text}, theory {pair['theory']}{'' if expected else ' !'} {errors}".rstrip(),
              file=sys.stderr)
    try:
        start = time.monotonic()
        pairs = run(kinds, commands, options.rtt, options.jobs, told)
    except LabError as error:
        sys.exit(f"natlab: {error}")
    if options.json:
        with open(options.json, "w", encoding="utf-8") as out:
            out.writelines(json.dumps(pair) + "\n" for pair in pairs)
    as_theory = sum(judge(pair)[1] for pair in pairs)
    print(f"\nConnected, milliseconds at an RTT of {options.rtt}; rows dial. `!`: not as theory has it.\n")
    print(table(pairs, kinds))
    print(f"\nTheory: the best direct path, or relay.\n\n{theory_table(kinds)}\n")
    print(f"{as_theory} of {len(pairs)} pairs as theory has it, in {time.monotonic() - start:.0f} s")
    sys.exit(1 if options.strict and as_theory < len(pairs) else 0)


if __name__ == "__main__":
    main()
