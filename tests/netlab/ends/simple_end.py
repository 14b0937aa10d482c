#!/usr/bin/python3 -B
"""A simple end for `make natlab`: punches by UDP, dials by TCP from one port (active, passive and both at once), and
relays by TURN, all at the same time. The first direct path that works in both directions wins; the relay counts when
none does within DIRECT_S. The protocol with natlab is in docs/netlab.md.

SPDX-License-Identifier: Apache-2.0
"""
import json
import os
import select
import socket
import sys
import threading
import time

import turn

DIRECT_S = 4.0
LINGER_S = 0.5
TICK_S = 0.05
# A message says whether its sender has heard the other: "0" or "1".
HEARD = {False: b"0", True: b"1"}


def server(version):
    host = os.environ.get("NETLAB_SERVER" if version == 4 else "NETLAB_SERVER6")
    return (host, int(os.environ["NETLAB_PORT"]))


def has_family(version):
    family = socket.AF_INET if version == 4 else socket.AF_INET6
    with socket.socket(family, socket.SOCK_DGRAM) as sock:
        try:
            sock.connect(server(version))
        except OSError:
            return False
        return True


class Path:
    """One way to the other end."""
    kind, transport = "direct", "udp"

    def __init__(self):
        self.heard = False
        self.works_at = None

    def take(self, data):
        """A message of the other end."""
        self.heard = True
        if data[:1] == HEARD[True] and self.works_at is None:
            self.works_at = time.monotonic()


class Punch(Path):
    """UDP between the mappings that the server saw, and whatever the other end shows itself as."""

    def __init__(self, version):
        super().__init__()
        self.sock = socket.socket(socket.AF_INET if version == 4 else socket.AF_INET6, socket.SOCK_DGRAM)
        self.sock.bind(("", 0))
        self.mapped = self._ask(server(version))
        self.targets = set()

    def _ask(self, end):
        transaction = os.urandom(12)
        for wait_s in turn.REPEATS_S:
            self.sock.sendto(turn.message(turn.BINDING, transaction, []), end)
            if select.select([self.sock], [], [], wait_s)[0]:
                got = turn.parse(self.sock.recv(2048))
                if got and got[1] == transaction:
                    return turn.unxored(got[2][turn.MAPPED], transaction)
        return None

    def tick(self):
        for target in self.targets:
            self.sock.sendto(b"punch" + HEARD[self.heard], target)

    def read(self):
        data, source = self.sock.recvfrom(2048)
        if data[:5] == b"punch":
            self.targets.add(source[:2])
            self.take(data[5:])
            self.sock.sendto(b"punch" + HEARD[True], source)

    def sockets(self):
        return [self.sock]


class Dial(Path):
    """TCP from and to one port."""
    transport = "tcp"

    def __init__(self):
        super().__init__()
        self.port = 0
        self.listener = self._bound()
        self.port = self.listener.getsockname()[1]
        # The mapping the server sees is that of this port, and lives as long as the connection.
        self.to_server = turn.Channel(server(4), "tcp", local_port=self.port)
        self.mapped = self.to_server.ask(turn.BINDING, [])[1][turn.MAPPED]
        self.listener.listen()
        self.dialled = {}
        self.open = []
        self.targets = set()

    def _bound(self):
        sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        sock.setblocking(False)
        sock.bind(("", self.port))
        return sock

    def tick(self):
        for target in self.targets:
            if target not in self.dialled:
                self.dialled[target] = self._bound()
                self.dialled[target].connect_ex(target)
        for sock in self.open:
            self._say(sock)

    def _say(self, sock):
        try:
            sock.send(HEARD[self.heard])
        except OSError:
            pass  # it is read as closed

    def read(self):
        for sock in select.select([self.listener, *self.open], [], [], 0)[0]:
            if sock is self.listener:
                self.open.append(self.listener.accept()[0])
                continue
            try:
                data = sock.recv(100)
            except OSError:
                data = b""
            if not data:
                self.open.remove(sock)
                continue
            self.take(data[-1:])
            self._say(sock)
        for target, sock in self.dialled.items():
            if sock is not None and sock not in self.open and select.select([], [sock], [], 0)[1]:
                if sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == 0:
                    self.open.append(sock)
                    self._say(sock)
                    self.dialled[target] = None
                else:
                    del self.dialled[target]  # refused: again
                    break

    def sockets(self):
        return [self.listener, *self.open]


class Relay(Path):
    kind = "relay"

    def __init__(self):
        super().__init__()
        ca, tls_port = os.environ["NETLAB_CA"], int(os.environ["NETLAB_TLS_PORT"])
        ends = [server(version) for version in (4, 6) if has_family(version)]
        ways = [(end, transport, None) for transport in ("udp", "tcp") for end in ends]
        ways += [((end[0], tls_port), "tls", ca) for end in ends]
        self.allocation = turn.Allocation(ways, os.environ["NETLAB_USER"], os.environ["NETLAB_PASSWORD"])
        self.mapped = self.allocation.address
        self.transport = self.allocation.transport
        self.targets = set()
        self.permitted = 0.0

    def tick(self):
        for target in self.targets:
            if not self.heard:
                self.allocation.permit(target)
            self.allocation.send(target, HEARD[self.heard])

    def read(self):
        for data in self.allocation.received():
            self.take(data)

    def sockets(self):
        return [self.allocation.channel]


def gather():
    """{name: path}; the names are what the other end knows them by."""
    makers = {"relay": Relay}
    if has_family(4):
        makers.update(udp4=lambda: Punch(4), tcp=Dial)
    if has_family(6):
        makers.update(udp6=lambda: Punch(6))
    paths = {}

    def attempt(name, make):
        try:
            path = make()
        except OSError:
            return  # the box lets no such thing out
        if path.mapped is not None:
            paths[name] = path
    threads = [threading.Thread(target=attempt, args=item) for item in makers.items()]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return paths


def exchange(paths):
    """Tells where we are, and the paths where the other end is; gives those both have."""
    for name, path in paths.items():
        print("at", name, *path.mapped)
    print("done", flush=True)
    for line in sys.stdin:
        words = line.split()
        if words == ["done"]:
            return [path for path in paths.values() if path.targets]
        if words[1] in paths:
            paths[words[1]].targets.add((words[2], int(words[3])))
    return []


def step(paths):
    for path in paths:
        path.tick()
    end = time.monotonic() + TICK_S
    while time.monotonic() < end:
        ready = select.select([sock for path in paths for sock in path.sockets()], [], [], max(0, end - time.monotonic()))[0]
        for path in paths:
            if any(sock in ready for sock in path.sockets()) or path.transport == "tcp" and path.kind == "direct":
                try:
                    path.read()
                except BlockingIOError:
                    pass


def best(paths, start):
    direct = [path for path in paths if path.kind == "direct" and path.works_at]
    relayed = [path for path in paths if path.kind == "relay" and path.works_at]
    if direct:
        return min(direct, key=lambda path: path.works_at)
    may_be_direct = any(path.kind == "direct" for path in paths) and time.monotonic() < start + DIRECT_S
    return relayed[0] if relayed and not may_be_direct else None


def main():
    paths = exchange(gather())
    start = time.monotonic()
    winner = None
    while paths and winner is None and time.monotonic() < start + 2 * DIRECT_S:
        step(paths)
        winner = best(paths, start)
    if winner is None:
        print(json.dumps({"path": "none"}), flush=True)
        return
    print(json.dumps({"path": winner.kind, "transport": winner.transport, "ms": round((winner.works_at - start) * 1000, 1)}),
          flush=True)
    end = time.monotonic() + LINGER_S
    while time.monotonic() < end:  # the other end may not have heard that we have
        step(paths)


if __name__ == "__main__":
    main()
