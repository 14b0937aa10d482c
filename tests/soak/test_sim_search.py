"""5,000 random small rings: no seed breaks what must hold [CHD-04, D-13, D-14]."""
import concurrent.futures
import os
import pathlib
import subprocess

import pytest

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
BUILD = pathlib.Path(os.environ.get("TORC_BUILD_DIR", ROOT / "build/release"))
FIRST, SEEDS, STEP = 1001, 5000, 250
LAST_S = 3000  # a block takes about a minute


def search(first):
    """The outcome of a block of seeds: nothing if all hold, else which broke, what, and the command to repeat it."""
    command = [str(BUILD / "torc"), "sim", "search", "--from", str(first), "--seeds", str(STEP), "--all"]
    try:
        result = subprocess.run(command, capture_output=True, text=True, check=False, timeout=LAST_S)
    except subprocess.TimeoutExpired as error:
        return f"no end after {LAST_S} s: {' '.join(command)}\n{(error.stderr or b'').decode()}"
    if result.returncode == 0 and f"{STEP} seeds from {first}: all hold" in result.stdout:
        return ""
    return f"exit code {result.returncode}: {' '.join(command)}\n{result.stdout}{result.stderr}"


@pytest.fixture(scope="module", name="blocks")
def all_blocks():
    """As many blocks at a time as there are cores."""
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        blocks = {first: pool.submit(search, first) for first in range(FIRST, FIRST + SEEDS, STEP)}
        yield blocks
        for block in blocks.values():
            block.cancel()


@pytest.mark.parametrize("first", range(FIRST, FIRST + SEEDS, STEP))
def test_no_seed_breaks_what_must_hold(blocks, first):
    broken = blocks[first].result()
    if broken:
        pytest.fail(broken, pytrace=False)
