"""`make lab`: a command on a host, and `lab` in it."""
import os
import pathlib
import subprocess
import sys

import pytest

HERE = pathlib.Path(__file__).resolve().parent


@pytest.fixture(name="netlab")
def netlab_command(tmp_path):
    def run(scenario, *argv):
        path = tmp_path / "my.lab"
        path.write_text(scenario, encoding="utf-8")
        return subprocess.run([sys.executable, "-B", "-m", "netlab", str(path), *argv], env={**os.environ, "PYTHONPATH": str(HERE)},
                              capture_output=True, text=True, timeout=60, check=False, stdin=subprocess.DEVNULL)
    return run


WORLD = """host eye ipv4=203.0.113.10,203.0.113.11
box home address
host alice behind home
run alice sleeper sleep 1000
"""


def test_lab_in_its_shell(netlab):
    script = """lab probe alice && lab kind home symmetric && lab probe alice
lab on home ip -o addr show lan | grep -o '192.168.1.1/24'; lab move home 203.0.113.99
until lab status | grep -q 'process sleeper: runs'; do :; done; lab kill sleeper; lab status; exit 7"""
    result = netlab(WORLD, "alice", "sh", "-c", script)
    assert result.returncode == 7, result.stderr
    assert result.stdout.splitlines()[:4] == [
        "mapping EIM, filtering ADF, hairpinning no", "done", "mapping APDM, filtering APDF, hairpinning no",
        "192.168.1.1/24"]
    assert "203.0.113.99" in result.stdout and "process sleeper: ended with -9" in result.stdout


@pytest.mark.parametrize("words,why", [
    ("explode", "lab: expected an action (link, cut"), ("cut alice", "lab: expected a link (home, eye, all), not \"alice\""),
    ("on mars", "lab: expected a host or box: home, eye, alice"), ("probe home", "lab: expected a host with IPv4, not \"home\""),
])
def test_errors_of_lab(netlab, words, why):
    result = netlab(WORLD, "alice", "sh", "-c", "lab " + words)
    assert result.returncode == 1 and result.stderr.splitlines()[-1].startswith(why)


@pytest.mark.parametrize("scenario,argv,why", [
    ("host a\nhots b", ["a", "true"], "my.lab:2: expected wan, seed, box, host, at or an action"),
    ("host a", ["b", "true"], "netlab: expected a host or box: a, not \"b\""),
    ("host a", ["a", "no-such-command"], "No such file or directory"),
])
def test_errors_of_starting(netlab, scenario, argv, why):
    result = netlab(scenario, *argv)
    assert result.returncode != 0 and why in result.stderr
