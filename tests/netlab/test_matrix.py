"""`make natlab`: that the simple end connects as theory has it, who is asked what, and what the table says."""
import json
import os
import pathlib
import shlex
import subprocess
import sys

import pytest

from netlab import LabError, matrix, program

HERE = pathlib.Path(__file__).resolve().parent
# One of each way: by UDP, by one port of a router, by TCP dialled and dialled by both, by relay over UDP, TCP and TLS.
PAIRS = {
    ("port", "address"): "udp",
    ("hairpin", "hairpin"): "udp",
    ("public", "ipv6-only"): "udp",
    ("udp-reject", "full-cone"): "tcp",
    ("udp-drop", "port"): "tcp-so",
    ("port", "symmetric"): "relay",
    ("ipv6-only", "tls443"): "relay",
}


@pytest.fixture(name="place", scope="module")
def certificate(tmp_path_factory):
    place = tmp_path_factory.mktemp("natlab")
    matrix.make_certificate(place)
    return place


def simple_ends():
    return [shlex.split(matrix.SIMPLE_END)] * 2


@pytest.mark.long
@pytest.mark.parametrize("left,right", PAIRS)
def test_the_simple_end_connects_as_theory_has_it(left, right, place):
    pair = matrix.meet(left, right, simple_ends(), "20ms", place)
    text, expected = matrix.judge(pair)
    assert pair["theory"] == PAIRS[left, right] and expected, pair
    assert text.split()[0] == pair["theory"].removesuffix("-so")
    assert left == "hairpin" or all(end["ms"] >= 10 for end in pair["ends"])


@pytest.mark.long
@pytest.mark.parametrize("left,right", [("port", "address"), ("symmetric", "port")])
def test_libnice_connects_as_theory_has_it(left, right, place):
    pair = matrix.meet(left, right, [[program("netlab_nice_end"), "udp"]] * 2, "20ms", place)
    assert matrix.judge(pair)[1], pair


# TCP is preferred where both go, if it is there in time.
@pytest.mark.parametrize("left,right,ways", [("port", "address", ("tcp", "udp")), ("udp-drop", "public", ("tcp",)),
                                             ("udp-drop", "port", ("tcp",)), ("symmetric", "port", ("relay",)),
                                             ("hairpin", "hairpin", ("tcp", "udp")), ("tls443", "ipv6-only", ("relay",))])
def test_ICE_02_ICE_16_our_agent_connects_as_theory_has_it(left, right, ways, place):
    pair = matrix.meet(left, right, [[program("netlab_ice_end")]] * 2, "20ms", place)
    text, expected = matrix.judge(pair)
    assert expected and text.split()[0] in ways, pair


def test_ends_are_told_who_they_are_and_hear_each_other(place):
    script = """echo "I am $NETLAB_ROLE behind $NETLAB_KIND"; read line
        test -f "$NETLAB_CA" && echo "{\\"path\\": \\"direct\\", \\"transport\\": \\"$line at $NETLAB_SERVER:$NETLAB_PORT\\", \\"ms\\": 7}\""""
    pair = matrix.meet("port", "public", [["sh", "-c", script]] * 2, "0ms", place)
    assert [end["transport"] for end in pair["ends"]] == [
        "I am controlled behind public at 203.0.113.10:3478", "I am controlling behind port at 203.0.113.10:3478"]


@pytest.mark.parametrize("script,why", [("echo oh no >&2", "oh no"), ("true", "it said nothing"), ("echo '{bad'", "no JSON: {bad")])
def test_an_end_that_fails_is_heard(script, why, place):
    pair = matrix.meet("port", "port", [["sh", "-c", script]] * 2, "0ms", place)
    assert [end["error"] for end in pair["ends"]] == [why, why] and matrix.judge(pair) == ("no", False)


def pair_of(left, right, theory, *ends):
    return {"left": left, "right": right, "theory": theory, "ends": list(ends)}


def test_the_table():
    direct = {"path": "direct", "transport": "udp", "ms": 51.4}
    later = {"path": "direct", "transport": "tcp", "ms": 120}
    relay = {"path": "relay", "transport": "tls", "ms": 200}
    pairs = [pair_of("public", "public", "udp", direct, direct), pair_of("public", "port", "udp", direct, relay),
             pair_of("port", "public", "relay", relay, relay), pair_of("port", "port", "udp", direct, later)]
    assert [matrix.judge(pair) for pair in pairs] == [
        ("udp 51", True), ("relay 200", False), ("relay 200", True), ("tcp/udp 120", True)]
    assert matrix.table(pairs, ["public", "port"]).split("\n") == [
        "             public       port", "public       udp 51       relay 200!", "port         relay 200    tcp/udp 120"]


def natlab(*argv):
    return subprocess.run([sys.executable, "-B", "-m", "netlab.matrix", *argv], env={**os.environ, "PYTHONPATH": str(HERE)},
                          capture_output=True, text=True, timeout=100, check=False)


def test_the_command(tmp_path):
    result = natlab("--kinds", "public,port", "--rtt", "10ms", "--json", str(tmp_path / "out"), "--strict", "--jobs", "2")
    assert result.returncode == 0, result.stderr
    assert "4 of 4 pairs as theory has it" in result.stdout
    lines = (tmp_path / "out").read_text(encoding="utf-8").splitlines()
    assert {(pair["left"], pair["right"]) for pair in map(json.loads, lines)} == {
        (left, right) for left in ("public", "port") for right in ("public", "port")}
    result = natlab("--kinds", "public", "--end", "false", "--strict")
    assert result.returncode == 1 and "public  no!" in result.stdout and "0 of 1 pairs" in result.stdout


def test_the_command_refuses():
    assert "there is no kind cone; there are public, full-cone" in natlab("--kinds", "cone").stderr
    assert "two ends at most" in natlab("--end", "a", "--end", "b", "--end", "c").stderr


def test_a_server_that_ends_is_no_hang(place, tmp_path, monkeypatch):
    (tmp_path / "turnserver").write_text("#!/bin/sh\nexit 3\n", encoding="utf-8")
    (tmp_path / "turnserver").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    with pytest.raises(LabError, match="turnserver ended with 3"):
        matrix.meet("public", "public", [["true"]] * 2, "0ms", place)
