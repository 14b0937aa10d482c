"""The whole NAT matrix: the simple end connects every pair as theory has it; libnice agrees wherever it has the means."""
import json
import os
import pathlib
import subprocess

import pytest

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
BUILD = pathlib.Path(os.environ.get("TORC_BUILD_DIR", ROOT / "build/release"))
UDP_KINDS = "public,full-cone,address,port,symmetric,hairpin"


def matrix(place, *options):
    result = subprocess.run([ROOT / "tests/netlab/as_root.sh", "/usr/bin/python3", "-B", "-m", "netlab.matrix", "--json",
                             place / "pairs", *options], env={**os.environ, "PYTHONPATH": str(ROOT / "tests/netlab")},
                            capture_output=True, text=True, timeout=3000, check=False)
    assert result.returncode == 0, result.stdout + result.stderr
    return [json.loads(line) for line in (place / "pairs").read_text(encoding="utf-8").splitlines()]


def test_every_pair_connects_as_theory_has_it(tmp_path):
    assert len(matrix(tmp_path, "--strict")) == 100


@pytest.mark.parametrize("kinds,count", [(UDP_KINDS, 36), ("public,ipv6-only", 4)])
def test_libnice_connects_as_theory_has_it(kinds, count, tmp_path):
    assert len(matrix(tmp_path, "--strict", "--kinds", kinds, "--end", f"{BUILD}/tests/netlab/netlab_nice_end udp")) == count
