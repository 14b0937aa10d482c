"""torc demo in its variants: tells its story, ends with 0, leaves no process and no file behind."""
import json
import os
import pathlib
import re
import signal
import subprocess
import tempfile
import time

import pytest

from torcnet import TORC, run, wait_for

STEPS = ["1. An authority", "SRV", r"2. \d+ users enrol", "All have what they need", "are stopped", r"3. \d+ torcd",
         "The ring is whole after", "4. alice stores", r"5. \w+ fetches it", "6. Two of the three", r"7. \w+ fetches again",
         "It is still there", "8. The ring closes", "Done in"]


def processes_of(directory, program=None):
    """What runs with files in `directory`, in all or of one program."""
    found = []
    for entry in pathlib.Path("/proc").iterdir():
        try:
            words = (entry / "cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        if any(word.startswith(os.fsencode(directory) + b"/") for word in words) and (
                program is None or pathlib.Path(os.fsdecode(words[0])).name == program):
            found.append(int(entry.name))
    return found


def check_story(text):
    at = 0
    for step in STEPS:
        found = re.compile(step).search(text, at)
        assert found, f"{step!r} is missing:\n{text}"
        at = found.end()
    assert text.count("signed by alice@demo.torc.example, the signature holds") == 2


@pytest.mark.parametrize("options", [
    [], ["--algorithm", "full-mesh"], ["--signature", "rsa"], ["--peers", "3"], ["--peers", "4"],
    pytest.param(["--peers", "32"], marks=pytest.mark.long)], ids=" ".join)
def test_CHD_01_D_12_D_10_demo(tmp_path, options):
    directory = tmp_path / "d"
    done = run(TORC, "demo", "--dir", directory, *options, timeout=280)
    check_story(done.stdout)
    assert done.stderr == ""
    assert not directory.exists()
    assert processes_of(directory) == []


def test_D_13_demo_shows_three_holders_and_kills_two_neighbours(tmp_path):
    text = run(TORC, "demo", "--dir", tmp_path / "d", timeout=120).stdout
    stored = text[text.index("4. alice stores"):text.index("\n5. ")]
    reader = re.search(r"^5\. (\w+) fetches it", text, re.M).group(1)
    holders = re.findall(r"^     (\w+) +(?:responsible|holds a copy)", stored, re.M)
    killed = re.findall(r"^     (\w+) +pid \d+", text[text.index("6. Two"):text.index("8. The")], re.M)
    assert len(holders) == 3 and len(killed) == 2
    assert reader not in holders and set(killed) == set(holders[:2])
    answered = re.findall(r"answered by (\w+)", text)
    assert answered[0] in holders and answered[1] not in killed


def test_ENR_05_ENR_09_demo_starts_from_a_name_and_nothing_is_copied(tmp_path):
    """Every peer has a document, a key and a certificate of its own making, which `torc enroll` wrote."""
    directory = tmp_path / "d"
    text = run(TORC, "demo", "--keep", "--dir", directory, timeout=120).stdout
    try:
        port = re.search(r"_p2p_enroll\._tcp\.demo\.torc\.example SRV 0 0 (\d+) auth", text).group(1)
        assert f"https://127.0.0.1:{port}/p2psip/enroll" in text
        told = [json.loads((directory / f"{name}.enrolled").read_text(encoding="utf-8")) for name in ("alice", "heidi")]
        assert all(one["srv"] and one["server"] == f"auth.demo.torc.example (127.0.0.1:{port})" for one in told)
        named = dict(re.findall(r"^     (\w+) +is peer ([0-9a-f]{32})$", text, re.M))
        assert len(named) == 8 and [named["alice"], named["heidi"]] == [one["peer"] for one in told]
        for name in named:
            conf = (directory / f"{name}.conf").read_text(encoding="utf-8")
            used = re.findall(r"^(?:file|cert|key) = (\S+)$", conf, re.M)
            assert used == [f"{directory}/{name}/{file}" for file in ("overlay.xml", "node.crt", "node.key")]
        assert processes_of(directory, "torc-authority") == processes_of(directory, "knotd") == []
        assert not list((directory / "authority").glob("*/node.key"))
    finally:
        for pid in processes_of(directory):
            os.kill(pid, signal.SIGKILL)


def test_D_01_demo_as_anybody_with_nothing_in_the_path(tmp_path):
    """knotd and openssl are found where Debian has them, by a user who may do nothing special."""
    if os.getuid() != 0:
        pytest.skip("only root can become somebody else")
    with tempfile.TemporaryDirectory(prefix="torc-demo-") as base:
        os.chmod(base, 0o777)
        nobody = {"user": 65534, "group": 65534, "extra_groups": []}
        if subprocess.run([TORC, "--version"], check=False, capture_output=True, **nobody).returncode != 0:
            pytest.skip("the build directory is not for everybody")
        done = subprocess.run([TORC, "demo", "--peers", "4"], check=False, capture_output=True, text=True, timeout=120,
                              env={"PATH": "/nowhere", "TMPDIR": base}, **nobody)
        assert done.returncode == 0, done.stderr
        check_story(done.stdout)
        assert not os.listdir(base)


def fake(directory, name, text):
    """A program that `torc demo` finds first."""
    path = directory / name
    path.write_text(f"#!/bin/sh\n{text}\n", encoding="utf-8")
    path.chmod(0o755)


@pytest.mark.parametrize("name, text, said", [
    ("knotd", "echo no room for zones; exit 1", "knotd has ended: no room for zones"),
    ("openssl", "echo no entropy; exit 1", "no entropy")])
def test_D_01_demo_says_what_failed(tmp_path, name, text, said):
    fake(tmp_path, name, text)
    done = run(TORC, "demo", "--dir", tmp_path / "d", check=False, timeout=60,
               env={**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"})
    assert done.returncode == 1 and said in done.stderr
    assert not (tmp_path / "d").exists() and processes_of(tmp_path / "d") == []


def test_D_01_demo_says_why_somebody_did_not_enrol(tmp_path):
    """The DNS leads elsewhere."""
    fake(tmp_path, "knotd", "sed -i 's/SRV 0 0 .*/SRV 0 0 1 auth/' \"${2%.conf}.zone\"; exec /usr/sbin/knotd \"$@\"")
    done = run(TORC, "demo", "--dir", tmp_path / "d", check=False, timeout=120,
               env={**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"})
    assert done.returncode == 1 and "torc enroll demo.torc.example --user alice failed" in done.stderr
    assert "127.0.0.1:1" in done.stderr
    assert not (tmp_path / "d").exists() and processes_of(tmp_path / "d") == []


def test_D_01_demo_keeps_the_overlay_if_asked(tmp_path):
    directory = tmp_path / "d"
    done = run(TORC, "demo", "--keep", "--dir", directory, timeout=120)
    check_story(done.stdout)
    try:
        assert len(processes_of(directory)) == 6
        commands = re.findall(r"^  (\S+/torc .*)$", done.stdout, re.M)
        assert len(commands) == 3
        for command in commands:
            said = subprocess.run(command, shell=True, capture_output=True, text=True, check=False, timeout=60)
            assert said.returncode == 0, (command, said.stderr)
        assert "6 peers" in subprocess.run(commands[0], shell=True, capture_output=True, text=True, check=True, timeout=60).stdout
        stop = re.search(r"^  (kill .*)$", done.stdout, re.M).group(1)
        subprocess.run(stop, shell=True, check=True, timeout=60)
        assert not directory.exists()
        wait_for(lambda: processes_of(directory) == [], 10, "the end of all processes")
    finally:
        for pid in processes_of(directory):
            os.kill(pid, signal.SIGKILL)


@pytest.mark.parametrize("when", ["1. An authority", "2. ", "3. ", "4. alice"])
def test_D_01_demo_interrupted_leaves_nothing(tmp_path, when):
    directory = tmp_path / "d"
    with subprocess.Popen([str(TORC), "demo", "--peers", "6", "--dir", str(directory)], stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, text=True) as demo:
        for line in demo.stdout:
            if line.startswith(when):
                break
        demo.send_signal(signal.SIGINT)
        said = demo.communicate(timeout=60)[1]
    assert demo.returncode == 130 and "interrupted" in said
    assert not directory.exists() and processes_of(directory) == []


def test_D_01_demo_killed_takes_its_peers_along(tmp_path):
    directory = tmp_path / "d"
    with subprocess.Popen([str(TORC), "demo", "--dir", str(directory)], stdout=subprocess.PIPE, text=True) as demo:
        wait_for(lambda: len(processes_of(directory, "torcd")) == 8, 30, "running peers")
        demo.kill()
        demo.wait()
    wait_for(lambda: processes_of(directory) == [], 10, "the end of all processes")


def test_D_01_demo_killed_takes_its_services_along(tmp_path):
    directory = tmp_path / "d"
    with subprocess.Popen([str(TORC), "demo", "--dir", str(directory)], stdout=subprocess.PIPE, text=True) as demo:
        wait_for(lambda: processes_of(directory, "knotd") and processes_of(directory, "torc-authority"), 30, "services")
        demo.kill()
        demo.wait()
    wait_for(lambda: processes_of(directory) == [], 10, "the end of all processes")


def test_D_01_demo_refuses_what_it_cannot_do(tmp_path):
    cases = [(["--peers", "2"], 2, "--peers is 3 to 32"), (["--peers", "33"], 2, "--peers is 3 to 32"),
             (["--peers", "8x", "--dir", tmp_path / "d"], 2, "--peers is 3 to 32"),
             (["--dir", tmp_path / "with blank"], 1, "letters, digits"),
             (["extra"], 2, "an argument too many"), (["--dir", tmp_path], 1, "File exists"),
             (["--dir", tmp_path / "a" / "b"], 1, "No such file"),
             (["--algorithm", "kademlia", "--dir", tmp_path / "d"], 1, "known algorithms"),
             (["--signature", "sha1", "--dir", tmp_path / "d"], 1, "expected ecdsa or rsa")]
    for options, code, message in cases:
        start = time.monotonic()
        done = run(TORC, "demo", *options, check=False, timeout=60)
        assert done.returncode == code and message in done.stderr, (options, done.stderr)
        assert time.monotonic() - start < 30
        assert not (tmp_path / "d").exists()


def test_D_01_demo_nobody_reads_keeps_nothing(tmp_path):
    directory = tmp_path / "d"
    with subprocess.Popen([str(TORC), "demo", "--keep", "--dir", str(directory)], stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, text=True) as demo:
        demo.stdout.readline()
        demo.stdout.close()
        said = demo.stderr.read()
        assert demo.wait(timeout=120) == 1 and "standard output" in said
    assert not directory.exists() and processes_of(directory) == []


def test_D_01_answers_that_nobody_gets_are_no_success():
    with open("/dev/full", "w", encoding="utf-8") as full:
        for words in (["version"], ["help"], ["version", "--json"]):
            done = subprocess.run([str(TORC), *words], stdout=full, stderr=subprocess.PIPE, text=True, check=False)
            assert done.returncode == 1 and "standard output" in done.stderr, words
