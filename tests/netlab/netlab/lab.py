"""A running lab: hosts and boxes in network namespaces around a WAN, for tests, benchmarks and people.

    with Lab.from_file("scenarios/two-homes.lab") as lab:
        server = lab.start("rendezvous", ["turnserver", ...])
        lab.run("alice", ["ping", "-c", "3", str(lab.address("rendezvous"))])
        lab.do("forget all")

SPDX-License-Identifier: Apache-2.0
"""
import json
import os
import pathlib
import signal
import socket
import subprocess
import threading
import time
from dataclasses import replace

from . import nat
from .errors import LabError, ScenarioError
from .isolation import World
from .plan import Plan
from .scenario import Action, Link, check_action, parse_action, parse_action_words, parse_scenario, read_numbers, with_numbers

ROOT = pathlib.Path(__file__).resolve().parents[3]
INSIDE = "/run/netlab"  # in the lab's own mount namespace: logs, sockets; goes with it


def wait_until(what, condition, timeout_s=30):
    """Gives what `condition` gives once that is true."""
    end = time.monotonic() + timeout_s
    while True:
        result = condition()
        if result:
            return result
        if time.monotonic() > end:
            raise LabError(f"{what}: not within {timeout_s} s")
        time.sleep(0.01)


def program(name):
    """What was built for the lab."""
    build = pathlib.Path(os.environ.get("TORC_BUILD_DIR", ROOT / "build" / "release"))
    path = build / "tests" / "netlab" / name
    if not path.exists():
        raise LabError(f"{path} is not built; TORC_BUILD_DIR names the build directory")
    return path


class Wan:
    """The router's commands; each waits for its answer."""

    def __init__(self, world, seed):
        self._lock = threading.Lock()
        self.process = world.popen(None, [program("netlab_wan"), "--seed", str(seed)], stdin=subprocess.PIPE,
                                   stdout=subprocess.PIPE, text=True)

    def ask(self, *lines):
        """Sends all of them at once; gives the last answer."""
        with self._lock:
            try:
                self.process.stdin.write("".join(line + "\n" for line in lines))
                self.process.stdin.flush()
            except OSError as error:
                raise LabError("the WAN router has ended") from error
            answer = ""
            for line in lines:
                answer = self.process.stdout.readline().rstrip("\n")
                if not answer:
                    raise LabError("the WAN router has ended")
                if answer.startswith("error "):
                    raise LabError(f"WAN router: {line}: {answer[6:]}")
            return answer


class Lab:
    def __init__(self, scenario):
        self.scenario = scenario
        self.plan = Plan(scenario)
        self.processes = {}         # those with a name
        self._all = []
        self.links = {}             # the numbers of each now
        self._stopping = threading.Event()
        self._player = None
        self._player_error = None
        self._lock = threading.RLock()
        self._world = self.wan = None

    @classmethod
    def from_file(cls, path):
        path = pathlib.Path(path)
        return cls.from_text(path.read_text(encoding="utf-8"), path.name)

    @classmethod
    def from_text(cls, text, name="scenario"):
        return cls(parse_scenario(text, name))

    def __enter__(self):
        self.open()
        return self

    def __exit__(self, kind, value, trace):
        self.close()
        if kind is None and self._player_error is not None:
            raise self._player_error

    def open(self):
        self._world = World()
        try:
            names = [place.name for place in self.scenario.places()]
            self._script(None, f"set -e\nmkdir -p {INSIDE}\n" + "".join(f"ip netns add {name}\n" for name in names))
            self.wan = Wan(self._world, self.scenario.seed)
            self._all.append(self.wan.process)
            lines = []
            for place in self.scenario.on_wan():
                link = with_numbers(with_numbers(Link(), self.scenario.wan), place.link)
                lines.append(f"add {place.name} /run/netns/{place.name}")
                lines += self._set_lines(place.name, link)
                lines += [f"route {route} {place.name}" for route in self.plan.routes(place.name)]
            if lines:
                self.wan.ask(*lines)
            self._script(None, self.plan.script())
        except BaseException:
            self.close()
            raise

    def close(self):
        """Ends every process of the lab; nothing of it is left."""
        self._stopping.set()
        if self._player is not None:
            self._player.join()
        if self._world is not None:
            self._world.close(self._all)
            self._world = None
        for process in self._all:
            for pipe in (process.stdin, process.stdout, process.stderr):
                if pipe is not None:
                    try:
                        pipe.close()
                    except BrokenPipeError:
                        pass
        self._all.clear()

    def _script(self, netns, text):
        process = self._popen(netns, ["sh"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              text=True)
        output, _ = process.communicate(text)
        self._all.remove(process)
        if process.returncode != 0:
            raise LabError(f"making the lab: {output.strip()}")

    def _popen(self, netns, argv, **popen):
        if self._world is None:
            raise LabError("the lab is not open")
        process = self._world.popen(netns, argv, **popen)
        self._all.append(process)
        return process

    # Processes

    def start(self, host, argv, name=None, **popen):
        """Popen of `argv` on a host (or box); the lab ends it, `name` lets actions kill it."""
        if host not in self.plan.seats:
            raise LabError(f"there is no host {host}")
        if name in self.processes and self.processes[name].poll() is None:
            raise LabError(f"{name} runs already")
        process = self._popen(host, argv, **popen)
        if name is not None:
            self.processes[name] = process
        return process

    def run(self, host, argv, timeout=60, check=True, **popen):
        """Runs `argv` on a host to its end; gives a CompletedProcess with its text."""
        feed = popen.pop("input", None)
        popen.setdefault("stdout", subprocess.PIPE)
        popen.setdefault("stderr", subprocess.PIPE)
        popen.setdefault("stdin", subprocess.DEVNULL if feed is None else subprocess.PIPE)
        process = self.start(host, argv, text=True, **popen)
        try:
            out, err = process.communicate(feed, timeout=timeout)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
            raise
        finally:
            self._all.remove(process)
        if check and process.returncode != 0:
            raise LabError(f"{host}: {' '.join(map(str, argv))}: {process.returncode}: {(err or out or '').strip()}")
        return subprocess.CompletedProcess(argv, process.returncode, out, err)

    def socket(self, host, family=socket.AF_INET, kind=socket.SOCK_DGRAM):
        """A socket on a host, in the hands of the caller."""
        return self._world.socket(host, family, kind)

    def kill(self, name, number=signal.SIGKILL):
        if name not in self.processes:
            raise LabError(f"there is no process {name}")
        self.processes[name].send_signal(number)
        if number == signal.SIGKILL:
            self.processes[name].wait()

    def outside(self, path):
        """A path of the lab's own /run as the rest of the machine sees it while the lab is open."""
        return f"{self._world._root}{path}"

    # What is where

    def address(self, name, version=4):
        """The address a place has: of a host behind a box the inner one."""
        return self.plan.seats[name].address(version)

    def public_address(self, name, version=4):
        """The address the WAN knows a place by."""
        host = self.scenario.hosts.get(name)
        if host is not None and host.behind is not None and version == 4 and nat.KINDS[self.scenario.boxes[host.behind].kind].nat:
            return self.address(host.behind, 4)
        return self.address(name, version)

    def stats(self):
        """The router's counters."""
        return json.loads(self.wan.ask("stats"))

    # Actions

    def do(self, text):
        """One action in the words of a scenario."""
        self._checked(parse_action(text))

    def do_words(self, words):
        self._checked(parse_action_words(words))

    def _act(self, action):
        with self._lock:
            getattr(self, "_do_" + action.verb)(action)

    def _names(self, action, everything):
        return everything if action.name == "all" else [action.name]

    def _wan_names(self, action):
        return self._names(action, [place.name for place in self.scenario.on_wan()])

    def _set_lines(self, name, link):
        self.links[name] = link
        return [f"set {name} {way} {n.delay_us} {n.jitter_us} {n.loss_ppm} {n.rate_kbit} {n.queue_us}"
                for way, n in (("up", link.up), ("down", link.down))]

    def link(self, name, **numbers):
        """lab.link("all", delay="10ms", loss="1%")"""
        self._checked(Action("link", name, read_numbers(f"{key}={value}" for key, value in numbers.items())))

    def cut(self, name):
        self._checked(Action("cut", name))

    def mend(self, name):
        self._checked(Action("mend", name))

    def forget(self, name="all"):
        """The box loses its mappings and its firewall's memory, at once."""
        self._checked(Action("forget", name))

    def move(self, name, address=None):
        """A new address, in place of the old one of that family."""
        self._checked(Action("move", name, address))

    def kind(self, name, kind):
        self._checked(Action("kind", name, kind))

    def _checked(self, action):
        check_action(self.scenario, action, self.processes)
        self._act(action)

    def _do_link(self, action):
        for name in self._wan_names(action):
            self.wan.ask(*self._set_lines(name, with_numbers(self.links[name], action.value)))

    def _do_cut(self, action):
        self.wan.ask(*(f"cut {name}" for name in self._wan_names(action)))

    def _do_mend(self, action):
        self.wan.ask(*(f"mend {name}" for name in self._wan_names(action)))

    def _do_forget(self, action):
        for name in self._names(action, list(self.scenario.boxes)):
            self._script(name, nat.FORGET)

    def _apply_rules(self, name):
        self._script(name, f"set -e\nnft -f - <<'END'\n{self.plan.ruleset(name)}END\n{nat.FORGET}")

    def _do_kind(self, action):
        box = self.scenario.boxes[action.name]
        self.scenario.boxes[action.name] = replace(box, kind=action.value)
        self._apply_rules(action.name)

    def _do_move(self, action):
        name, new = action.name, action.value
        if new is None:
            version = 4 if self.address(name, 4) is not None else 6
            new = self.plan.next_free(name, version)
        before = self.plan.routes(name)
        old = self.plan.move(name, new)
        if name in [place.name for place in self.scenario.on_wan()]:
            self.wan.ask(*(f"unroute {route}" for route in before))
            self.wan.ask(*(f"route {route} {name}" for route in self.plan.routes(name)))
        self._script(None, self.plan.move_script(name, old, new))
        if name in self.scenario.boxes:
            self._apply_rules(name)

    def _do_run(self, action):
        name, argv = action.value
        with open(self.outside(f"{INSIDE}/{name}.log"), "ab") as log:
            self.start(action.name, argv, name, stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    def _do_kill(self, action):
        self.kill(action.name, action.value)

    # Time

    def play(self, told=None):
        """Starts the scenario's clock: its actions happen at their times from now, each told to `told`."""
        self._player = threading.Thread(target=self._play, args=(told,), daemon=True)
        self._player.start()

    def _play(self, told):
        start = time.monotonic()
        for action in self.scenario.actions:
            if self._stopping.wait(max(0.0, start + action.at_us / 1e6 - time.monotonic())):
                return
            try:
                self._act(action)
            except LabError as error:
                self._player_error = ScenarioError(f"{self.scenario.name}:{action.line}: {error}")
                if told:
                    told(str(self._player_error))
                return
            if told:
                told(f"{action.at_us / 1e6:g}s {action.verb} {action.name}")

    def wait_played(self, timeout_s=60):
        self._player.join(timeout_s)
        if self._player.is_alive():
            raise LabError(f"the scenario is not over after {timeout_s} s")
        if self._player_error is not None:
            error, self._player_error = self._player_error, None
            raise error
