"""The WAN's numbers as a host feels them, and what changes while it runs."""
import math
import socket
import time

import pytest

from netlab import Lab, LabError, probe

WORLD = """
seed 11
wan {wan}
host a
host b ipv4=203.0.113.50
box home full-cone ipv6=firewall
host c behind home
"""


def lab_with(wan):
    return Lab.from_text(WORLD.format(wan=wan))


class Echo:
    """Two UDP sockets of this process on two hosts; what one sends the other gets and returns."""

    def __init__(self, lab, left, right, version=4):
        self.near, self.far = (probe.udp(lab, name, version) for name in (left, right))
        self.target = (str(lab.address(right, version)), self.far.getsockname()[1])

    def __enter__(self):
        return self

    def __exit__(self, *unused):
        self.near.close(), self.far.close()

    def rtt(self, timeout_s=probe.ANSWER_S):
        """Milliseconds there and back."""
        start = time.monotonic()
        self.near.sendto(b"ping", self.target)
        data, source = probe.receive(self.far, timeout_s)
        self.far.sendto(data, source)
        probe.receive(self.near, timeout_s)
        return (time.monotonic() - start) * 1000


@pytest.mark.parametrize("version", [4, 6])
@pytest.mark.parametrize("left,right", [("a", "b"), ("c", "a")])
def test_round_trip_is_never_shorter_than_set(left, right, version):
    with lab_with("rtt=50ms") as lab, Echo(lab, left, right, version) as echo:
        times = sorted(echo.rtt() for _ in range(12))
        assert 50 <= times[0] < 60, times


def test_ipv6_goes_into_a_box_unasked_only_where_it_is_open():
    with Lab.from_text("host a\nbox shut port ipv6=firewall\nhost b behind shut\nbox wide public\nhost c behind wide") as lab:
        with Echo(lab, "a", "c", 6) as echo:
            echo.rtt()
        with Echo(lab, "a", "b", 6) as echo, pytest.raises(probe.Silence):
            echo.rtt(probe.SILENCE_S)
        with Echo(lab, "b", "a", 6) as echo:
            echo.rtt()


def test_numbers_of_one_link_and_one_direction():
    with lab_with("delay=5ms") as lab, Echo(lab, "a", "b") as ab, Echo(lab, "c", "b") as cb:
        lab.link("a", **{"up.delay": "40ms"})
        assert 55 <= min(ab.rtt() for _ in range(5)) < 65
        assert 20 <= min(cb.rtt() for _ in range(5)) < 30
        lab.do("link all delay=1ms jitter=0ms")
        assert 4 <= min(ab.rtt() for _ in range(5)) < 15


def test_loss_is_within_binomial_bounds():
    num, loss = 4000, 0.05
    with lab_with("delay=1ms") as lab, probe.udp(lab, "a") as a, probe.udp(lab, "b") as b:
        lab.link("b", **{"down.loss": "5%"})
        target = (str(lab.address("b")), b.getsockname()[1])
        b.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 22)
        for number in range(num):
            a.sendto(str(number).encode(), target)
            if number % 50 == 49:
                time.sleep(0.001)  # a pace the buffers of a loaded machine follow
        lab.link("b", **{"down.loss": "0%"})
        a.sendto(b"end", target)
        got = 0
        while probe.receive(b)[0] != b"end":
            got += 1
        counters = lab.stats()["links"]
        assert counters["a"]["entered"] >= num and counters["b"]["lost"] == num - got
        deviation = math.sqrt(num * loss * (1 - loss))
        assert abs(num - got - num * loss) < 5 * deviation


def test_the_same_seed_loses_the_same():
    def lost():
        with Lab.from_text("seed 5\nhost a ipv6=none\nhost b ipv6=none up.loss=0% down.loss=50%") as lab:
            with probe.udp(lab, "a") as a, probe.udp(lab, "b") as b:
                for number in range(40):
                    a.sendto(bytes([number]), (str(lab.address("b")), b.getsockname()[1]))
                lab.link("b", loss="0%")
                a.sendto(b"end", (str(lab.address("b")), b.getsockname()[1]))
                got = []
                while got[-1:] != [b"end"]:
                    got.append(probe.receive(b)[0])
                return got
    first = lost()
    assert 10 < len(first) < 32 and first == lost()


def test_rate_and_queue():
    """100 datagrams of 1000 bytes and their headers at 2 Mbit/s take 0.41 s; a queue of 100 ms holds a quarter."""
    with lab_with("delay=1ms") as lab, probe.udp(lab, "a") as a, probe.udp(lab, "b") as b:
        target = (str(lab.address("b")), b.getsockname()[1])
        lab.link("a", **{"up.rate": "2mbit", "up.queue": "1s"})
        start = time.monotonic()
        for _ in range(100):
            a.sendto(bytes(1000), target)
        for _ in range(100):
            probe.receive(b)
        assert 100 * 1028 * 8 / 2e6 <= time.monotonic() - start < 0.8
        lab.link("a", **{"up.queue": "100ms"})
        before = lab.stats()["links"]["a"]["full"]
        for _ in range(100):
            a.sendto(bytes(1000), target)
        first = probe.receive(b)
        assert first and 60 <= lab.stats()["links"]["a"]["full"] - before <= 76


def test_cut_and_mended():
    with lab_with("delay=1ms") as lab, Echo(lab, "a", "b") as echo:
        echo.rtt()
        lab.cut("b")
        with pytest.raises(probe.Silence):
            echo.rtt(probe.SILENCE_S)
        lab.mend("b")
        echo.rtt()
        assert lab.stats()["links"]["b"]["cut"] == 1


def test_a_new_public_address():
    with lab_with("delay=1ms") as lab, probe.udp(lab, "c") as c, probe.udp(lab, "b") as b, probe.udp(lab, "a") as a:
        end = (str(lab.address("b")), b.getsockname()[1])

        def seen(sock):
            sock.sendto(b"hello", end)
            return probe.receive(b)[1]
        old_a, old_home = str(lab.address("a")), str(lab.address("home"))
        assert seen(a)[0] == old_a and seen(c)[0] == old_home
        old_mapping = seen(c)
        lab.move("a", None)
        lab.do("move home 203.0.113.77")
        assert seen(a)[0] == str(lab.address("a")) != old_a
        assert seen(c)[0] == "203.0.113.77" == str(lab.public_address("c"))
        b.sendto(b"to where you were", old_mapping)
        seen(c)
        assert probe.drain(c) == []
        before = lab.address("a", 6)
        lab.do("move a 2001:db8::77")
        with Echo(lab, "c", "a", 6) as echo:
            echo.rtt()
        with probe.udp(lab, "a", 6) as new, pytest.raises(OSError):
            new.bind((str(before), 0))
            raise AssertionError("the old address is still there")


def test_a_new_lan_address():
    with lab_with("delay=1ms") as lab, probe.udp(lab, "b") as b:
        old = lab.address("c")
        lab.do("move c 192.168.1.99")
        assert str(lab.address("c")) == "192.168.1.99" and lab.public_address("c") == lab.address("home")
        with probe.udp(lab, "c") as c:
            c.sendto(b"hello", (str(lab.address("b")), b.getsockname()[1]))
            assert probe.receive(b)[1][0] == str(lab.address("home"))
        with probe.udp(lab, "c") as c, pytest.raises(OSError):
            c.bind((str(old), 0))


@pytest.mark.parametrize("action,why", [
    ("move a 203.0.113.50", "203.0.113.50 is taken"),
    ("move c 192.168.2.5", "c is behind home, in 192.168.1.0/24: 192.168.2.5 cannot be its address"),
    ("move c 192.168.1.1", "192.168.1.1 cannot be its address"),
    ("kind home public", "home cannot become public from full-cone"),
    ("kind home ipv6-only", "its hosts would need other addresses"),
    ("cut c", "expected a link (home, a, b, all), not \"c\""),
    ("forget a", "expected a box (home, all), not \"a\""),
    ("kill torcd", "expected a process (there is none), not \"torcd\""),
    ("explode", "expected an action (link, cut, mend, forget, move, kind, run, kill), not \"explode\""),
])
def test_actions_that_cannot_be(action, why):
    with lab_with("delay=1ms") as lab:
        with pytest.raises(LabError) as error:
            lab.do(action)
        assert why in str(error.value)
        with Echo(lab, "c", "b") as echo:
            echo.rtt()
