"""What the compiled rooms show: the core calls no operating system and keeps nothing between calls in globals."""
import os
import pathlib
import subprocess

import pytest

ROOT = pathlib.Path(__file__).resolve().parent.parent
BUILD = pathlib.Path(os.environ.get("TORC_BUILD_DIR", ROOT / "build/release"))
CORE = ["base", "wire", "overlay", "ice", "bootstrap"]
ALL = CORE + ["io", "authority"]
# Memory, bytes and text; what the compiler adds. No clock, socket, file, thread, random or environment.
PURE = {
    "malloc", "realloc", "free", "memchr", "memcmp", "memcpy", "memmove", "memset", "strchr", "strcmp", "strlen",
    "strncmp", "strnlen", "qsort", "bsearch", "snprintf", "vsnprintf", "strtoul", "strtoull",
    "__memcpy_chk", "__memmove_chk", "__memset_chk", "__snprintf_chk", "__vsnprintf_chk", "__stack_chk_fail",
    "__assert_fail", "_GLOBAL_OFFSET_TABLE_",
}

pytestmark = pytest.mark.skipif("TORC_SANITIZE:BOOL=ON" in (BUILD / "CMakeCache.txt").read_text(encoding="utf-8"),
                                reason="sanitizers add symbols and data of their own")


def output(*command):
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def archive(room):
    path = BUILD / f"libtorc_{room}.a"
    assert path.is_file()
    return str(path)


@pytest.mark.parametrize("room", CORE)
def test_ARC_21_D_40_core_calls_no_operating_system(room):
    words = [line.split() for line in output("nm", archive(room)).splitlines()]
    undefined = {line[1] for line in words if len(line) == 2 and line[0] == "U"}
    assert {name for name in undefined if not name.startswith("torc_")} <= PURE


@pytest.mark.parametrize("room", ALL)
def test_no_global_changes(room):
    found, member = [], None
    for line in output("size", "-A", archive(room)).splitlines():
        if " (ex " in line or line.endswith("):") or "   (" in line:
            member = line.split()[0]
        section, *numbers = line.split() or [""]
        is_data = section in (".data", ".bss", ".tdata", ".tbss") or section.startswith((".data.", ".bss."))
        if is_data and not section.startswith(".data.rel.ro") and int(numbers[0]) > 0:
            found.append((member, section, int(numbers[0])))
    assert found == []
