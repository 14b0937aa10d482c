"""torc demo in its variants: tells its story, ends with 0, leaves no process and no file behind."""
import os
import pathlib
import re
import signal
import subprocess
import time

import pytest

from torcnet import TORC, run, wait_for

STEPS = ["1. An authority", "2. ", "The ring is whole after", "3. alice stores", "4. bob fetches it", "5. Two of the three",
         "6. bob fetches again", "It is still there", "7. The ring closes", "Done in"]


def processes_of(directory):
    """The torcd processes whose configuration lies in `directory`."""
    found = []
    for entry in pathlib.Path("/proc").iterdir():
        try:
            words = (entry / "cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        if any(word.startswith(os.fsencode(directory) + b"/") for word in words):
            found.append(int(entry.name))
    return found


def check_story(text):
    at = 0
    for step in STEPS:
        assert step in text[at:], f"{step!r} is missing:\n{text}"
        at = text.index(step, at)
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
    stored = text[text.index("3. alice stores"):text.index("4. bob")]
    holders = re.findall(r"^     (\w+) +(?:responsible|holds a copy)", stored, re.M)
    killed = re.findall(r"^     (\w+) +pid \d+", text[text.index("5. Two"):text.index("6. bob")], re.M)
    assert len(holders) == 3 and len(killed) == 2
    assert "bob" not in holders and set(killed) == set(holders[:2])
    answered = re.findall(r"answered by (\w+)", text)
    assert answered[0] in holders and answered[1] not in killed


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
        assert "6 peers" in run(TORC, "ring", "--socket", directory / "bob.sock").stdout
        stop = re.search(r"^  (kill .*)$", done.stdout, re.M).group(1)
        subprocess.run(stop, shell=True, check=True, timeout=60)
        assert not directory.exists()
        wait_for(lambda: processes_of(directory) == [], 10, "the end of all processes")
    finally:
        for pid in processes_of(directory):
            os.kill(pid, signal.SIGKILL)


@pytest.mark.parametrize("when", ["1. An authority", "2. ", "3. alice"])
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
        wait_for(lambda: len(processes_of(directory)) >= 8, 30, "running peers")
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
