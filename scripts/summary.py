#!/usr/bin/python3
"""summary.py [--quiet] RESULTS_DIR... [--step ok:NAME | --step failed:NAME]...

Adds up the JUnit XML files of the results directories and prints the failures and, as the last line,
"N passed, N failed". A cmocka executable counts by its own XML file; in ctest.xml it counts only when
it left none, or when it failed although its own file shows no failure (a crash). Steps count one each.
Exits 1 when something failed or nothing ran.
"""
import html
import pathlib
import re
import sys
import xml.etree.ElementTree as ElementTree


def cases(path):
    """Yields (suite, name, failed, skipped) for every test case of one JUnit XML file."""
    text = path.read_text(encoding="utf-8", errors="replace")
    try:
        root = ElementTree.fromstring(text)
    except ElementTree.ParseError:
        yield from cases_by_hand(path, text)
        return
    for case in root.iter("testcase"):
        failed = case.find("failure") is not None or case.find("error") is not None
        skipped = case.find("skipped") is not None or case.get("status") == "notrun"
        yield case.get("classname") or path.stem, case.get("name", "?"), failed, skipped


def cases_by_hand(path, text):
    """cmocka does not escape names, so its file may be no XML: each test case is one element all the same."""
    starts = list(re.finditer(r'<testcase name="(.*)" time="[0-9.]*"\s*(/?)>', text))
    if not starts:
        yield path.stem, "unreadable results", True, False
    for i, start in enumerate(starts):
        end = starts[i + 1].start() if i + 1 < len(starts) else len(text)
        body = text[start.end():end]
        failed = "<failure>" in body or "<error" in body
        yield path.stem, html.unescape(start.group(1)), failed, "<skipped/>" in body


def collect(directory):
    """All test cases of a results directory, those ctest reports only where nobody else did."""
    directory = pathlib.Path(directory)
    found = []
    failures_of = {}
    for path in sorted(directory.glob("*.xml")):
        if path.name == "ctest.xml":
            continue
        mine = list(cases(path))
        failures_of[path.stem] = sum(1 for case in mine if case[2])
        found += mine
    ctest = directory / "ctest.xml"
    if ctest.exists():
        for suite, name, failed, skipped in cases(ctest):
            if name not in failures_of or (failed and failures_of[name] == 0):
                found.append(("ctest", name, failed, skipped))
    return found


def main(arguments):
    passed, failed, quiet, steps = 0, [], False, False
    for argument in arguments:
        if argument == "--quiet":
            quiet = True
        elif argument == "--step":
            steps = True
        elif steps:
            steps = False
            state, name = argument.split(":", 1)
            if state == "ok":
                passed += 1
            else:
                failed.append("step: " + name)
        else:
            for suite, name, bad, skipped in collect(argument):
                if bad:
                    failed.append(f"{suite}: {name}")
                elif not skipped:
                    passed += 1
    if not quiet:
        for name in failed:
            print("FAILED", name)
    print(f"{passed} passed, {len(failed)} failed")
    return 0 if passed and not failed else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
