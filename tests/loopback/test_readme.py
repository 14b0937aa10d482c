"""The commands of the README's "A ring of your own" do what it says, as they stand there."""
import os
import pathlib
import re
import subprocess

from torcnet import BUILD, free_port, wait_for

README = pathlib.Path(__file__).resolve().parents[2] / "README.md"


def test_ring_of_your_own(tmp_path):
    section = README.read_text(encoding="utf-8").split("## A ring of your own")[1]
    block = re.search(r"```\n(.*?)```", section, re.S).group(1).replace("6084", str(free_port()))
    install, rest = block.split("cd ~/ring\n")
    assert install.splitlines() == ["make install && ldconfig", "mkdir ~/ring && "]
    before, start, after = re.fullmatch(r"(.*\n)(torcd [^\n]*) &\n(.*)", rest, re.S).groups()
    env = {**os.environ, "PATH": f"{BUILD}:{os.environ['PATH']}"}

    def run(text):
        return subprocess.run(["bash", "-e", "-c", text], cwd=tmp_path, env=env, capture_output=True, text=True, timeout=60,
                              check=True).stdout

    run(before)
    with subprocess.Popen(start.split(), cwd=tmp_path, env=env) as daemon:
        try:
            log = tmp_path / "alice.log"
            wait_for(lambda: log.exists() and "torcd:joined" in log.read_text(encoding="utf-8"), 30, "torcd:joined")
            assert "back at nine" in run(after)
        finally:
            daemon.terminate()
    assert daemon.returncode == 0
