#!/usr/bin/python3
"""trace.py [--all] [--json] [--issue N] [--results DIR]: from requirement to code to test.

Reads the rows of docs/spec (registers, decisions, rulings), the rows cited in code as [HDR-06], [HDR-06 deviates],
[HDR-06..09] or [HDR-06, 07], and the rows in the names of the tests that passed in the last `make check` (JUnit XML).
Prints the rows in scope (docs/spec/scope.txt) without code or without a test, and exits 1 if one has neither a test
nor a written reason (docs/spec/untested.md). --all looks at every row of the documents and fails for none.
"""
import argparse
import json
import pathlib
import re
import sys

import summary

ROOT = pathlib.Path(__file__).resolve().parent.parent
SPEC = ROOT / "docs/spec"
DOCUMENTS = ["requirements-reload.md", "requirements-bootstrap-return.md", "decisions.md", "rulings.md"]
CODE = ["include", "src", "cmd", "sim", "cmake"]
CODE_ENDINGS = {".c", ".h", ".cmake", ".ts", ".py"}
ROW = re.compile(r"^\|\s*([A-Z]{1,5}-\d{1,3})\s*\|\s*(.*)$")
BRACKET = re.compile(r"\[([^\[\]\n]*[A-Z]-\d[^\[\]\n]*)\]")
CITED = re.compile(r"(?:(?<![A-Za-z0-9])([A-Z]{1,5})-(\d{1,3})|(?<=[,;])\s*(\d{2,3}))(?:\s*\.\.\s*(?:[A-Z]{1,5}-)?(\d{1,3}))?(?!\d)")
NAMED = re.compile(r"(?<![A-Za-z0-9])([A-Z]{1,5})[-_](\d{1,3})(?:\.\.(?:[A-Z]{1,5}[-_])?(\d{1,3}))?(?!\d)")


def read_rows():
    """{id: what the row demands}, in the order of the documents; of gaps and rulings that is the last column."""
    rows = {}
    for document in DOCUMENTS:
        for line in (SPEC / document).read_text(encoding="utf-8").splitlines():
            match = ROW.match(line)
            if match:
                cells = match.group(2).rstrip(" |").split(" | ")
                is_answer = match.group(1).startswith(("R-", "GAP-", "BGAP-"))
                rows.setdefault(match.group(1), cells[-1 if is_answer else 0].replace("**", ""))
    return rows


def numbered(area, first, last, rows):
    """The existing rows area-first .. area-last; numbers keep the width the document gives them."""
    wanted = range(int(first), int(last or first) + 1)
    found = []
    for number in wanted:
        for name in (f"{area}-{number:02d}", f"{area}-{number:03d}"):
            if name in rows:
                found.append(name)
    return found


def cited_in(text, rows):
    """Yields (id, rest of the bracket) for every row cited in one bracket or more."""
    for bracket in BRACKET.finditer(text):
        area = None
        for match in CITED.finditer(bracket.group(1)):
            area = match.group(1) or area
            number = match.group(2) or match.group(3)
            if area is None:
                continue
            found = numbered(area, number, match.group(4), rows)
            for row in found:
                yield row, bracket.group(1)
            if not found and match.group(1):
                yield f"{area}-{number}", None


def read_code(rows):
    """({id: [file:line...]}, [citations of rows that do not exist])."""
    places, unknown = {}, []
    for directory in CODE:
        for path in sorted((ROOT / directory).rglob("*")):
            if path.suffix not in CODE_ENDINGS:
                continue
            for number, line in enumerate(path.read_text(encoding="utf-8", errors="replace").splitlines(), 1):
                for row, bracket in cited_in(line, rows):
                    place = f"{path.relative_to(ROOT)}:{number}"
                    if bracket is None:
                        unknown.append(f"{place}: [{row}]")
                    else:
                        places.setdefault(row, []).append(place)
    return places, unknown


def read_tests(results, rows):
    """{id: [names of passed tests]}."""
    tests = {}
    for _, name, failed, skipped in summary.collect(results):
        if failed or skipped:
            continue
        for area, first, last in NAMED.findall(name):
            for row in numbered(area, first, last, rows):
                tests.setdefault(row, []).append(name)
    return tests


def read_scope(rows, issue):
    """The rows of every issue up to `issue` (default: the one the file calls `now`)."""
    lines = []
    for line in (SPEC / "scope.txt").read_text(encoding="utf-8").splitlines():
        line = line.split("#")[0].strip()
        if not line:
            continue
        key, words = line.split(":", 1)
        if key == "now":
            issue = int(words) if issue is None else issue
        else:
            lines.append((int(key), words.split()))
    scope = set()
    for number, words in lines:
        if number > issue:
            continue
        for word in words:
            found = set()
            match = re.fullmatch(r"(-?)([A-Z]+)(?:-(\d+)(?:\.\.(\d+))?)?", word)
            if not match:
                sys.exit(f"trace: scope.txt: cannot read {word}")
            minus, area, first, last = match.groups()
            if first is None:
                found = {row for row in rows if row.rsplit("-", 1)[0] == area}
            else:
                found = set(numbered(area, first, last, rows))
            if not found:
                sys.exit(f"trace: scope.txt: {word} names no row")
            scope = scope - found if minus else scope | found
    return scope


def read_reasons(rows):
    reasons = {}
    for line in (SPEC / "untested.md").read_text(encoding="utf-8").splitlines():
        match = re.match(r"^\|\s*([A-Z]{1,5}-\d[^|]*?)\s*\|\s*(.*?)\s*\|\s*$", line)
        if not match:
            continue
        for area, first, last in NAMED.findall(match.group(1)):
            found = numbered(area, first, last, rows)
            if not found:
                sys.exit(f"trace: untested.md: there is no row {area}-{first}")
            for row in found:
                reasons[row] = match.group(2)
    return reasons


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--all", action="store_true")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--issue", type=int)
    parser.add_argument("--results", type=pathlib.Path, default=ROOT / "build/release/results")
    options = parser.parse_args()
    rows = read_rows()
    code, unknown = read_code(rows)
    tests = read_tests(options.results, rows)
    reasons = read_reasons(rows)
    scope = set(rows) if options.all else read_scope(rows, options.issue)
    table = [{"id": row, "text": text, "code": code.get(row, []), "tests": tests.get(row, []),
              "reason": reasons.get(row)} for row, text in rows.items() if row in scope]
    no_code = [entry for entry in table if not entry["code"] and not entry["reason"]]
    excused = [entry for entry in table if not entry["tests"] and entry["reason"]]
    missing = [entry for entry in table if not entry["tests"] and not entry["reason"]]
    if options.json:
        json.dump({"rows": table, "unknown": unknown}, sys.stdout, indent=1)
        print()
    else:
        for title, entries in (("rows without code", no_code), ("rows without a passed test", missing)):
            if entries:
                print(title + ":")
            for entry in entries:
                print(f"  {entry['id']:9} {entry['text'][:100]}")
        for place in unknown:
            print("cites a row that does not exist:", place)
        if not tests:
            print(f"no passed test in {options.results}: run `make check` first")
        print(f"{len(table)} rows: {len(table) - len(no_code)} with code or a reason, "
              f"{len(table) - len(missing) - len(excused)} with a passed test, {len(excused)} with a reason why not, "
              f"{len(missing)} missing")
    return 1 if not options.all and (missing or unknown) else 0


if __name__ == "__main__":
    sys.exit(main())
