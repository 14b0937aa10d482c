"""5,000 random small rings: no seed breaks what must hold [CHD-04, D-13, D-14]."""
import os
import pathlib
import subprocess

import pytest

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
BUILD = pathlib.Path(os.environ.get("TORC_BUILD_DIR", ROOT / "build/release"))
SEEDS, STEP = 5000, 250


@pytest.mark.parametrize("first", range(1001, 1001 + SEEDS, STEP))
def test_no_seed_breaks_what_must_hold(first):
    result = subprocess.run([str(BUILD / "torc"), "sim", "search", "--from", str(first), "--seeds", str(STEP), "--all"],
                            capture_output=True, text=True, check=False, timeout=3000)
    assert result.returncode == 0, result.stderr
