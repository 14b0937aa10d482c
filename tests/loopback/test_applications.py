"""Connections and messages of applications between real daemons: torc connect, listen, tunnel."""
import hashlib
import json
import os
import random
import signal
import socket
import subprocess
import threading
import time

import pytest

import torcnet

APP = 7000
LIMIT = 60
BIG = 100 << 20
# What is freed stays with a daemon under AddressSanitizer.
IS_SANITIZED = b"__asan_init" in torcnet.TORCD.read_bytes()


@pytest.fixture(scope="module")
def net():
    own = torcnet.Net()
    own.start(5)
    own.wait_whole()
    yield own
    own.close()


class Command:
    """A torc that runs beside the test; ends with it."""

    def __init__(self, peer, *arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE):
        self.process = subprocess.Popen([str(torcnet.TORC), *map(str, arguments), "--socket", str(peer.socket)],
                                        stdin=stdin, stdout=stdout, stderr=subprocess.PIPE)
        self.said = []
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()

    def _read(self):
        for line in self.process.stderr:
            self.said.append(line.decode())

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait(LIMIT)
        for stream in (self.process.stdin, self.process.stdout):
            if stream:
                try:
                    stream.close()
                except OSError:
                    pass

    @property
    def text(self):
        return "".join(self.said)

    def wait_for(self, word):
        torcnet.wait_for(lambda: word in self.text, LIMIT, f"'{word}' in {self.text!r}")
        return self

    def end(self):
        """The exit code; all of standard error has been read then."""
        code = self.process.wait(LIMIT)
        self.reader.join(LIMIT)
        return code

    def send(self, data):
        self.process.stdin.write(data)
        self.process.stdin.flush()
        return self

    def send_all(self, data=b""):
        self.process.stdin.write(data)
        self.process.stdin.close()
        return self

    def receive(self, num):
        got = b""
        while len(got) < num:
            part = os.read(self.process.stdout.fileno(), num - len(got))
            if not part:
                break
            got += part
        return got


def listen(peer, *more, application=APP):
    return Command(peer, "listen", "--application", application, *more).wait_for("listening")


def connect(peer, whom, *more, application=APP):
    return Command(peer, "connect", whom, "--application", application, *more)


def gauge(peer, name="connections"):
    return peer.counters().get(name, 0)


def standing(peer):
    """Connections of applications that the daemon holds now."""
    return peer.counters()["connections_made"] + peer.counters()["connections_taken"] \
        - peer.counters()["connections_ended"]


def wait_none(*peers):
    for peer in peers:
        torcnet.wait_for(lambda p=peer: standing(p) == 0, LIMIT, f"no connection at {peer.name}")


def test_CON_01_bytes_go_both_ways_and_each_side_ends_for_itself(net):
    a, b = net.peers[1], net.peers[2]
    with listen(b) as there, connect(a, b.user) as here:
        here.wait_for(f"connected with {b.user} (device 1 of 1, peer {b.id})")
        there.wait_for(f"connection of peer {a.id}")
        here.send_all(b"question")
        assert there.receive(8) == b"question"
        assert there.receive(1) == b""  # the end of file arrives; the other direction stays open
        there.send_all(b"answer")
        assert here.receive(100) == b"answer"
        assert (here.end(), there.end()) == (0, 0)
    wait_none(a, b)


def test_CON_01_a_peer_id_does_as_well_and_a_link_is_not_needed_or_made(net):
    a, b = net.peers[3], net.peers[1]
    links = {view["peer"] for view in a.control.call("links")["links"]}
    with listen(b) as there, connect(a, b.id) as here:
        here.send_all(b"x")
        there.send_all()
        assert there.receive(2) == b"x"
        assert (here.end(), there.end()) == (0, 0)
    assert {view["peer"] for view in a.control.call("links")["links"]} == links


def test_CON_01_a_hundred_megabytes_in_both_directions_at_once(net, tmp_path):
    a, b = net.peers[1], net.peers[2]
    files = {}
    for name in ("up", "down"):
        data = random.Random(name).randbytes(BIG)
        (tmp_path / name).write_bytes(data)
        files[name] = hashlib.sha256(data).hexdigest()
    before = [peer.status()["rss_bytes"] for peer in (a, b)]
    with open(tmp_path / "up", "rb") as up, open(tmp_path / "down", "rb") as down, \
            open(tmp_path / "got_down", "wb") as got_down, open(tmp_path / "got_up", "wb") as got_up:
        there = Command(b, "listen", "--application", APP, stdin=down, stdout=got_up).wait_for("listening")
        here = Command(a, "connect", b.user, "--application", APP, stdin=up, stdout=got_down)
        with there, here:
            assert (here.process.wait(120), there.process.wait(120)) == (0, 0), (here.text, there.text)
    for name in ("up", "down"):
        assert hashlib.sha256((tmp_path / f"got_{name}").read_bytes()).hexdigest() == files[name]
    for peer, rss in zip((a, b), before):  # nothing of it was kept
        assert IS_SANITIZED or peer.status()["rss_bytes"] - rss < 16 << 20


def test_GAP_76_a_slow_reader_does_not_make_a_daemon_grow(net):
    a, b = net.peers[1], net.peers[2]
    with listen(b), connect(a, b.user) as here:
        here.wait_for("connected")
        before = [peer.status()["rss_bytes"] for peer in (a, b)]
        sent = 0
        os.set_blocking(here.process.stdin.fileno(), False)
        chunk = bytes(65536)
        last = time.monotonic()
        while time.monotonic() - last < 1:  # until a second long nothing more goes in
            try:
                sent += os.write(here.process.stdin.fileno(), chunk)
                last = time.monotonic()
            except BlockingIOError:
                assert sent < 64 << 20
        for peer, rss in zip((a, b), before):
            assert IS_SANITIZED or peer.status()["rss_bytes"] - rss < 8 << 20
    wait_none(a, b)


def test_TUN_05_exec_serves_many_at_once_and_says_who_it_is(net):
    a, b = net.peers[1], net.peers[2]
    with listen(b, "--exec", 'echo "$TORC_PEER $TORC_USERS $TORC_APPLICATION"; exec cat') as there:
        callers = [connect(peer, b.user) for peer in (a, net.peers[3], a, net.peers[4])]
        for caller in callers:
            caller.wait_for("connected")  # all at once
        for caller, peer in zip(callers, (a, net.peers[3], a, net.peers[4])):
            with caller:
                caller.send_all(b"mine")
                assert caller.process.stdout.read() == f"{peer.id} {peer.user} {APP}\nmine".encode()
                assert caller.end() == 0, caller.text
        assert there.process.poll() is None
    wait_none(a, b)


def test_CON_01_a_program_that_ends_ends_the_connection(net):
    a, b = net.peers[1], net.peers[2]
    with listen(b, "--exec", "echo done"), connect(a, b.user) as here:
        assert here.process.stdout.read() == b"done\n"  # though this side has sent no end of file
        assert here.end() == 0, here.text


def test_CON_01_to_an_address(net):
    a, b = net.peers[1], net.peers[2]
    server = socket.create_server(("127.0.0.1", 0))
    address = f"127.0.0.1:{server.getsockname()[1]}"
    with listen(b, "--to", address), connect(a, b.user) as here:
        own, _ = server.accept()
        here.send_all(b"ping")
        assert own.recv(100) == b"ping" and own.recv(1) == b""
        own.sendall(b"pong")
        own.close()
        assert here.process.stdout.read() == b"pong"
        assert here.end() == 0, here.text
    server.close()
    with listen(b, "--to", address) as there, connect(a, b.user) as here:  # nobody there any more
        assert here.end() == 1 and "was cut" in here.text
        there.wait_for("cannot connect to")


# ---- refusals ----

def test_GAP_76_nobody_listens(net):
    a, b = net.peers[1], net.peers[2]
    with connect(a, b.user, application=7999) as here:
        assert here.end() == 4
        assert "404 Unknown Application" in here.text


def test_R_52_nobody_of_that_name(net):
    with connect(net.peers[1], "nobody@ring.example.org") as here:
        assert here.end() == 3
        assert "nobody is known as nobody@ring.example.org" in here.text


def test_CON_01_a_peer_that_is_not_there(net):
    with connect(net.peers[1], "11" * 16) as here:
        assert here.end() == 4, here.text
        assert "device 1 of 1" in here.text


@pytest.mark.parametrize("words", [
    ("connect", "x"), ("listen",), ("listen", "--application", "0"), ("listen", "--application", "70000"),
    ("listen", "--application", "7000", "--exec", "cat", "--to", "127.0.0.1:1"),
    ("listen", "--application", "7000", "--to", "nowhere"), ("tunnel", "--application", "7000"),
    ("tunnel", "x", "--listen", "--application", "7000"), ("tunnel", "x"),
], ids=" ".join)
def test_wrong_usage(net, words):
    more = ["--application", "x"] if words == ("connect", "x") else []
    done = net.peers[1].torc(*words, *more, check=False)
    assert done.returncode == 2 and done.stderr, done


def test_GAP_76_two_cannot_listen_for_one_application(net):
    with listen(net.peers[1]):
        done = net.peers[1].torc("listen", "--application", APP, check=False)
        assert done.returncode == 1 and "somebody listens" in done.stderr
    torcnet.wait_for(lambda: net.peers[1].control.ask("listen", application=APP)["ok"], LIMIT, "the place to be free")
    assert net.peers[1].control.ask("listen", application=APP, on=False)["ok"]


# ---- deaths ----

def test_CON_01_a_killed_command_is_told_to_the_other_side(net):
    a, b = net.peers[1], net.peers[2]
    for dies in range(2):
        with listen(b) as there, connect(a, b.user) as here:
            here.wait_for("connected")
            there.wait_for("connection of")
            here.send(b"some")
            assert there.receive(4) == b"some"
            victim, survivor = ((here, there), (there, here))[dies]
            victim.process.send_signal(signal.SIGKILL)
            assert survivor.end() == 1
            assert "the connection was cut" in survivor.text
        wait_none(a, b)


def test_CON_01_a_killed_listener_frees_its_application(net):
    a, b = net.peers[1], net.peers[2]
    with listen(b, "--exec", "cat") as there, connect(a, b.user) as here:
        here.wait_for("connected").send(b"some")
        assert here.receive(4) == b"some"
        there.process.send_signal(signal.SIGKILL)
        assert here.end() == 1 and "the connection was cut" in here.text
    with listen(b):
        pass


def test_CON_01_a_killed_daemon_ends_the_commands_of_both_sides(make_net):
    own = make_net()
    own.start(4)
    own.wait_whole()
    a, b = own.peers[1], own.peers[2]
    with listen(b) as there, connect(a, b.user) as here:
        here.wait_for("connected")
        there.wait_for("connection of")
        b.kill()
        b.reap()
        assert there.end() == 1 and "is gone" in there.text
        assert here.end() == 1 and "the connection was cut" in here.text
    wait_none(a)


def test_CON_01_interrupting_is_a_cut(net):
    a, b = net.peers[1], net.peers[2]
    with listen(b) as there, connect(a, b.user) as here:
        here.wait_for("connected")
        there.wait_for("connection of")
        here.process.send_signal(signal.SIGINT)
        assert here.end() == -signal.SIGINT
        assert there.end() == 1 and "was cut" in there.text


# ---- the control socket itself ----

def test_GAP_76_what_a_client_took_ends_with_it(net):
    a, b = net.peers[1], net.peers[2]
    owner = torcnet.Control(b.socket)
    owner.call("listen", application=APP)
    with connect(a, b.user) as here:
        event = owner.receive()
        assert (event["event"], event["peer"], event["users"]) == ("connection", a.id, [a.user])
        refused = owner.ask("carry", connection=event["connection"])  # not on the owner's own socket
        assert not refused["ok"] and "socket of its own" in refused["error"]
        here.wait_for("connected")
        owner.close()  # it was never carried
        assert here.end() == 1 and "was cut" in here.text
    for wrong in ({}, {"connection": "zz"}, {"connection": "0000000000000001"}):
        assert not b.control.ask("carry", **wrong)["ok"]
    wait_none(a, b)


def test_GAP_76_one_peer_has_at_most_64(net):
    a, b = net.peers[1], net.peers[2]
    owner, caller = torcnet.Control(b.socket), torcnet.Control(a.socket)
    owner.call("listen", application=APP)
    for _ in range(64):
        assert caller.ask("connect", application=APP, route=[b.id])["ok"]
    refused = caller.ask("connect", application=APP, route=[b.id])
    assert not refused["ok"] and "too many" in refused["error"]
    caller.close()
    for _ in range(64):
        assert owner.receive()["event"] == "connection"
    for _ in range(64):
        event = owner.receive()
        assert (event["event"], event["ok"]) == ("closed", False)
    owner.close()
    wait_none(a, b)


def descriptors(peer):
    return len(os.listdir(f"/proc/{peer.process.pid}/fd"))


def test_GAP_76_many_short_connections_leave_nothing_behind(net):
    a, b = net.peers[1], net.peers[2]
    before = [descriptors(peer) for peer in (a, b)]
    with listen(b, "--exec", "cat"):
        caller = torcnet.Control(a.socket)
        for i in range(300):
            made = caller.ask("connect", application=APP, route=[b.id])
            assert made["ok"], made
            caller.send("end", connection=made["connection"], cut=i % 2 == 0)
            lines = [caller.receive(), caller.receive()]  # the answer, and that it is closed
            assert {line.get("event") for line in lines} == {None, "closed"}
        caller.close()
    wait_none(a, b)
    for peer, num in zip((a, b), before):
        torcnet.wait_for(lambda p=peer, n=num: descriptors(p) <= n, LIMIT, f"{num} descriptors of {peer.name}")
        assert peer.counters()["io_app_connections"] == 0 and peer.counters()["io_app_bytes"] == 0


# ---- messages ----

def test_TUN_01_a_message_over_the_overlay(net):
    a, b = net.peers[1], net.peers[2]
    with Command(b, "tunnel", "--listen", "--application", APP).wait_for("listening") as there:
        with Command(a, "tunnel", b.user, "--application", APP, "--dialog", "d7") as here:
            here.send_all(b"one message")
            assert here.end() == 0, here.text
        assert there.receive(12) == b"one message\n"
        there.wait_for(f"from {a.user} (peer {a.id}), dialog d7")
        with Command(a, "tunnel", b.id, "--application", APP, "--lines") as here:
            here.send_all(b"1\n2\n3")
            assert here.end() == 0, here.text
        assert there.receive(6) == b"1\n2\n3\n"
        with Command(a, "tunnel", b.id, "--application", APP) as here:  # as large as one may be
            here.send_all(bytes(range(256)) * 250)
            assert here.end() == 0, here.text
        assert there.receive(64001) == bytes(range(256)) * 250 + b"\n"
    with Command(a, "tunnel", b.user, "--application", APP) as here:
        here.send_all(b"too late")
        assert here.end() == 4 and "404 Unknown Application" in here.text


def test_TUN_05_messages_as_json(net):
    a, b = net.peers[1], net.peers[2]
    with Command(b, "tunnel", "--listen", "--application", APP, "--json").wait_for("listening") as there:
        with Command(a, "tunnel", b.user, "--application", APP) as here:
            here.send_all(b"\xff\x00")
            assert here.end() == 0, here.text
        event = json.loads(there.process.stdout.readline())
        assert (event["peer"], event["users"], event["message_base64"]) == (a.id, [a.user], "/wA=")


def test_TUN_03_a_message_that_is_too_long(net):
    with Command(net.peers[1], "tunnel", net.peers[2].id, "--application", APP) as here:
        here.send_all(bytes(65001))
        assert here.end() == 1 and "at most 65000 bytes" in here.text
