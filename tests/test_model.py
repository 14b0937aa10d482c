"""The model check of the ring (docs/model.md): every variant of tests/model/variants has the verdict it should have."""
import pathlib
import subprocess

import pytest

ROOT = pathlib.Path(__file__).resolve().parent.parent

# variant: the rows it speaks for
ROWS = {
    "join": "JOI-01 JOI-02 JOI-03 JOI-04 JOI-08 CHD-10 CHD-14 CHD-16 GAP-109",
    "die": "CHD-24 CHD-35 CHD-41 D-13 GAP-122",
    "leave": "LEA-01 LEA-04 CHD-46 CHD-47",
    "join-die": "JOI-02 CHD-24 CHD-26 R-51",
    "two-joins": "JOI-02 CHD-29 CHD-30 GAP-114 GAP-117",
    "two-joins-write": "GAP-114 D-13",
    "join-write": "CHD-06 CHD-07 CHD-15 GAP-114 D-13",
    "handover-die": "GAP-101 GAP-114 CHD-24",
    "handover-before": "GAP-114 D-13",
    "handover-leave": "LEA-04 GAP-114 GAP-119",
    "two-die": "CHD-22 CHD-25 CHD-35 CHD-42 D-13",
    "slow": "GAP-110 GAP-114 CHD-31",
    "restart": "GAP-116 GAP-119 CHD-35 D-13",
    "five": "CHD-21 CHD-22 CHD-25",
    # without a safeguard
    "no-copy": "",
    "deaf": "",
    "no-range": "",
    "no-candidates": "",
    "no-replication": "",
    "two-at-once": "",
    "dead-neighbour": "",
    "given-up-late": "",
    "dead-border": "",
    "given-away": "",
    "drop": "",
}


@pytest.fixture(scope="module")
def verdicts():
    """{variant: its line of run.sh}; all of them in one run, two at a time."""
    run = subprocess.run([ROOT / "tests/model/run.sh"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, check=False)
    lines = {line.split()[0].rstrip(":"): line for line in run.stdout.splitlines() if line}
    return lines, run.stderr


@pytest.mark.long
@pytest.mark.parametrize("variant", [pytest.param(name, id=f"{name} {rows}".strip()) for name, rows in ROWS.items()])
def test_model(verdicts, variant):
    lines, errors = verdicts
    assert variant in lines, errors
    assert "WRONG" not in lines[variant] and ("holds" in lines[variant] or "violated" in lines[variant]), lines[variant]


def test_every_variant_is_named():
    named = [line.split()[0] for line in (ROOT / "tests/model/variants").read_text(encoding="utf-8").splitlines()
             if line.split() and line.split()[0] != "#" and line.split()[1] == "check"]
    assert sorted(named) == sorted(ROWS)
