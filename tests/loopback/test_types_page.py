"""What docs/types.md tells developers to type."""
import os
import re
import signal
import subprocess

from torcnet import BUILD, ROOT, free_port


def test_USG_01_USG_03_GAP_143_the_page_for_developers_can_be_typed_as_it_stands(tmp_path):
    page = (ROOT / "docs/types.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```sh\n(.*?)```", page, re.DOTALL)
    assert len(blocks) == 5
    # "! command" is exempt from set -e, so it is made to count.
    lines = [f"if {line[2:]}; then exit 9; fi" if line.startswith("! ") else line
             for block in blocks for line in block.splitlines()]
    script = "set -eu\ntrap 'kill $(jobs -p); wait' EXIT\n" + "\n".join(lines) + "\n"
    process = subprocess.Popen(["bash", "-c", script], cwd=tmp_path, text=True, stdout=subprocess.PIPE,
                               stderr=subprocess.STDOUT, start_new_session=True,
                               env={**os.environ, "PATH": f"{BUILD}:{os.environ['PATH']}", "PORT": str(free_port())})
    try:
        said, _ = process.communicate(timeout=90)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    assert process.returncode == 0, said
    assert "alice@ring.example.org = hello" in said and "bob@ring.example.org = hi" in said, said
    assert "403" in said and "413" in said and "0xF00011 status: single, user-match, 1 of 64 bytes" in said
    assert "away" in said and "signed by bob@ring.example.org" in said
