"""The scripts that decide whether a change passes must themselves be seen failing."""
import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "scripts"))
sys.dont_write_bytecode = True

import check_includes  # noqa: E402
import summary  # noqa: E402
import symbol_map  # noqa: E402
import trace as torc_trace  # noqa: E402

CMOCKA = """<?xml version="1.0" encoding="UTF-8" ?>
<testsuites>
  <testsuite name="a" time="0.0" tests="3" failures="1" errors="0" skipped="1" >
    <testcase name="HDR-01 takes <b> & "c"" time="0.0" >
    </testcase>
    <testcase name="HDR-02 differs" time="0.0" >
      <failure><![CDATA[1 != 2]]></failure>
    </testcase>
    <testcase name="HDR-03 later" time="0.0" >
      <skipped/>
    </testcase>
  </testsuite>
</testsuites>
"""
CTEST = """<testsuite name="x">
  <testcase name="wire_header_test" status="fail"><failure message="Failed"/></testcase>
  <testcase name="wire_crash_test" status="fail"><failure message="SEGFAULT"/></testcase>
  <testcase name="rooms: no include crosses rooms" status="run"/>
</testsuite>
"""


def tree(root, files):
    (root / "cmake").mkdir()
    (root / "cmake/rooms.cmake").write_text((ROOT / "cmake/rooms.cmake").read_text(encoding="utf-8"), encoding="utf-8")
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return check_includes.check_includes(root)


def test_include_check_accepts_what_the_table_allows(tmp_path):
    assert tree(tmp_path, {
        "include/torc/types.h": "",
        "src/base/id.h": '#include <stdint.h>\n#include "torc/types.h"\n',
        "src/wire/header.c": '#include <string.h>\n#include "base/id.h"\n',
        "src/overlay/usage/usage.h": '#include "wire/../base/id.h"\n',
        "src/overlay/storage/store.c": '#include "overlay/usage/usage.h"\n',
        "src/io/loop.c": '#include <uv.h>\n#include "overlay/usage/usage.h"\n',
    }) == []


def test_include_check_names_every_crossing(tmp_path):
    faults = tree(tmp_path, {
        "src/base/id.h": "#include <unistd.h>\n",
        "src/wire/header.h": "",
        "src/base/map.c": '#include "wire/header.h"\n',
        "src/overlay/node/node.h": "",
        "src/overlay/usage/usage.c": '#include "overlay/node/node.h"\n',
        "src/overlay/topology/chord.c": '#include "storage/store.h"\n  #  include "overlay/node/node.h"\n',
        "src/io/loop.h": "#include <uv.h>\n",
        "src/overlay/node/node.c": '#include "io/loop.h"\n#include <openssl/evp.h>\n',
    })
    assert [fault.split(": ", 1)[0] for fault in faults] == [
        "src/base/id.h:1", "src/base/map.c:1", "src/overlay/node/node.c:1", "src/overlay/node/node.c:2",
        "src/overlay/topology/chord.c:1", "src/overlay/topology/chord.c:2", "src/overlay/usage/usage.c:1"]


def test_header_check_refuses_other_headers_and_needs(tmp_path):
    (tmp_path / "include/torc").mkdir(parents=True)
    (tmp_path / "include/torc/a.h").write_text("#include <stdio.h>\nuint32_t x(void);\n", encoding="utf-8")
    (tmp_path / "include/torc/b.h").write_text("#include <stdint.h>\nuint32_t new_one(void);\n", encoding="utf-8")
    (tmp_path / "include/torc/c.h").write_text("#include <stdint.h>\nuint8_t take(int new);\n", encoding="utf-8")
    faults = check_includes.check_headers(tmp_path)
    assert any("a.h:1" in fault for fault in faults)
    assert not any("b.h" in fault for fault in faults)
    assert [fault for fault in faults if "c.h" in fault and "g++" in fault]


def test_summary_counts_each_test_once(tmp_path):
    (tmp_path / "wire_header_test.xml").write_text(CMOCKA, encoding="utf-8")
    (tmp_path / "ctest.xml").write_text(CTEST, encoding="utf-8")
    command = [ROOT / "scripts/summary.py", tmp_path, "--step", "ok:build", "--step", "failed:demo"]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.stdout.splitlines()[-1] == "3 passed, 3 failed"
    assert "FAILED ctest: wire_crash_test" in result.stdout
    assert result.returncode == 1
    cases = list(summary.cases(tmp_path / "wire_header_test.xml"))
    assert [(case[2], case[3]) for case in cases] == [(False, False), (True, False), (False, True)]


def test_summary_of_nothing_fails(tmp_path):
    result = subprocess.run([ROOT / "scripts/summary.py", tmp_path], capture_output=True, text=True, check=False)
    assert (result.stdout, result.returncode) == ("0 passed, 0 failed\n", 1)


def test_trace_reads_ranges_lists_and_deviations():
    rows = dict.fromkeys(["HDR-06", "HDR-07", "HDR-08", "GAP-45", "R-22", "FRG-06", "MST-001"], "")
    text = ("[HDR-06..08] [HDR-06 deviates] x[i] [FRG-06], [GAP-45] [HDR-07, 08] [-> 400, R-22] [MST-001] [GAP-45 -> 413] "
            "[HDR-99]")
    found = list(torc_trace.cited_in(text, rows))
    assert [row for row, bracket in found if bracket is not None] == [
        "HDR-06", "HDR-07", "HDR-08", "HDR-06", "FRG-06", "GAP-45", "HDR-07", "HDR-08", "R-22", "MST-001", "GAP-45"]
    assert [row for row, bracket in found if bracket is None] == ["HDR-99"]


def test_trace_counts_only_tests_that_passed(tmp_path):
    rows = torc_trace.read_rows()
    (tmp_path / "wire_header_test.xml").write_text(CMOCKA, encoding="utf-8")
    (tmp_path / "pytest.xml").write_text(
        '<testsuites><testsuite><testcase classname="t" name="test_STO_08_STO_09_stores[R-22]"/>'
        '<testcase classname="t" name="test_FET_01"><failure/></testcase></testsuite></testsuites>', encoding="utf-8")
    tested = torc_trace.read_tests(tmp_path, rows)
    assert sorted(tested) == ["HDR-01", "R-22", "STO-08", "STO-09"]


def test_scope_and_reasons_name_rows_that_exist():
    rows = torc_trace.read_rows()
    scope = torc_trace.read_scope(rows, None)
    assert {"HDR-01", "R-22", "D-13", "GAP-124", "BST-13", "SEC-06", "MIG-05"} <= scope
    assert not {"FRG-01", "ICE-01", "SEC-20", "D-20", "R-54"} & scope
    assert all(len(reason) > 20 for reason in torc_trace.read_reasons(rows).values())


def test_symbol_map_sees_functions_only(tmp_path):
    header = tmp_path / "a.h"
    header.write_text("/* torc_comment(x) */\n#define TORC_X(a) torc_macro(a)\ntypedef struct torc_s {\n"
                      "  int (*cb)(void *ctx);\n} torc_s;\nint torc_one(int a,\n  int b);\n"
                      "static inline int torc_inl(int a) {\n  return torc_one(a, a);\n}\n", encoding="utf-8")
    assert symbol_map.functions(header) == {"torc_one"}
