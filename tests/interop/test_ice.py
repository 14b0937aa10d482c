"""Our ICE agent against libnice, on real sockets: both roles, UDP and TCP, both kinds of nomination."""
import json
import os
import pathlib
import subprocess

import pytest

BUILD = pathlib.Path(os.environ.get("TORC_BUILD_DIR", pathlib.Path(__file__).resolve().parents[2] / "build/release"))
MEET = str(BUILD / "tests/ice_meet")
PAIRS = [("torc", "nice"), ("nice", "torc"), ("torc", "nice-aggressive"), ("nice-aggressive", "torc"), ("torc", "torc")]


def meet(controlling, controlled, transport, address, *more):
    done = subprocess.run([MEET, controlling, controlled, transport, address, *map(str, more)],
                          capture_output=True, text=True, timeout=90, check=False)
    assert done.returncode == 0, (done.stdout, done.stderr)
    return json.loads(done.stdout)


def assert_met(result):
    assert result["heard"], result
    assert all(end["selected"] and not end["failed"] for end in result["ends"]), result
    assert result["ends"][0]["tcp"] == result["ends"][1]["tcp"], result


@pytest.mark.parametrize("address", ["127.0.0.1", "::1"])
@pytest.mark.parametrize("transport", ["udp", "tcp"])
@pytest.mark.parametrize("pair", PAIRS, ids="-".join)
def test_ICE_02_ICE_16_ICE_27_ICE_29_meets_libnice(pair, transport, address):
    result = meet(*pair, transport, address)
    assert_met(result)
    assert result["ends"][0]["tcp"] == (transport == "tcp")


@pytest.mark.parametrize("pair", PAIRS, ids="-".join)
def test_ICE_02_both_transports(pair):
    """Which one depends on the time both take: libnice puts UDP first, we put TCP first."""
    assert_met(meet(*pair, "both", "127.0.0.1"))


@pytest.mark.parametrize("pair", [("torc", "nice"), ("nice", "torc")], ids="-".join)
def test_ICE_33_libnice_answers_consent(pair):
    result = meet(*pair, "udp", "127.0.0.1", 20)
    assert_met(result)
    ours = pair.index("torc")
    assert result["ends"][ours]["consented"] >= 1, result
