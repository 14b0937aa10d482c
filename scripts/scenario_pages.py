#!/usr/bin/python3
"""scenario_pages.py [NAME...]: runs the scenarios of the simulator (all, or those named) with their own settings and puts
what they measured, with one plot, into docs/scenarios/NAME.md between its two markers. Needs build/release/torc and
gnuplot."""
import pathlib
import re
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent
PAGES = ROOT / "docs/scenarios"
PLOTS = {"growth": "Hops of a lookup", "clients": "Hops of a lookup", "lossy": "Hops of a lookup", "datagrams": "Hops of a lookup",
         "churn": "Values that no live peer holds", "churn-heavy": "Values that no live peer holds",
         "mass-failure": "Calls answered", "rolling-restart": "Nodes", "partition": "Calls answered", "flash-crowd": "Nodes",
         "hostile": "Calls answered", "migration": "Calls answered", "refresh": "Values that no live peer holds", "browsers": "Values that no live peer holds"}
BLOCK = re.compile(r"(<!-- measured -->\n).*?(<!-- end -->)", re.S)


def figure(page, title):
    for svg in re.findall(r"<figure>(<svg.*?</svg>)", page, re.S):
        if title in svg:
            return '<?xml version="1.0" encoding="utf-8"?>\n' + svg + "\n"
    sys.exit(f"scenario_pages: no plot '{title}'")


def main():
    for name in sys.argv[1:] or PLOTS:
        with tempfile.TemporaryDirectory() as directory:
            report = pathlib.Path(directory) / "report.html"
            command = ["torc", "sim", name, "--report", str(report)]
            result = subprocess.run([str(ROOT / "build/release/torc"), *command[1:]], capture_output=True, text=True, check=False)
            if result.returncode not in (0, 1):
                sys.exit(result.stderr)
            (PAGES / f"{name}.svg").write_text(figure(report.read_text(encoding="utf-8"), PLOTS[name]), encoding="utf-8")
        path = PAGES / f"{name}.md"
        measured = f"```\n$ torc sim {name}\n{result.stdout.strip()}\n```\n\n![{PLOTS[name]}]({name}.svg)\n"
        path.write_text(BLOCK.sub(lambda block: block[1] + measured + block[2], path.read_text(encoding="utf-8")),
                        encoding="utf-8")
        print(name, "ok" if result.returncode == 0 else "an expectation failed", flush=True)


main()
