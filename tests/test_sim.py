"""torc sim on the command line: list, show, a run, JSON, sweeps, reports, the search, and what it refuses."""
import json
import os
import pathlib
import re
import shutil
import subprocess

import pytest

ROOT = pathlib.Path(__file__).resolve().parent.parent
BUILD = pathlib.Path(os.environ.get("TORC_BUILD_DIR", ROOT / "build/release"))
TORC = BUILD / "torc"
SHORT = os.environ.get("TORC_SHORT") == "1"
LIBRARY = ["growth", "churn", "churn-heavy", "mass-failure", "rolling-restart", "partition", "flash-crowd", "lossy",
           "datagrams", "hostile", "refresh", "migration", "browsers", "clients"]
SUMMARY_KEYS = {"peers", "algorithm", "hops_mean", "hops_p50", "hops_p95", "hops_p99", "half_log2", "success", "wrong",
                "lost", "lost_held", "lost_gone", "lost_share", "markov_share", "stale", "resurrected", "unended",
                "messages", "bytes", "methods", "whole_s", "load_p50", "load_p99", "load_max", "bytes_per_node",
                "events", "events_per_s", "wall_s", "virtual_s", "seed", "threads", "ok"}
QUICK = """about a small ring
param lookups 20/s
peers 12
t1 100ms
keepalive 5s
update 10s
interval 2s
at 0s join peers over=2s
after 0s expect ring=consistent within=60s
after 1s lookups $lookups for=3s
after 5s expect success>=1
"""


def sim(*words, code=0, **more):
    result = subprocess.run([str(TORC), "sim", *map(str, words)], capture_output=True, text=True, check=False,
                            timeout=900, **more)
    assert result.returncode == code, f"{words}\n{result.stdout}\n{result.stderr}"
    return result


@pytest.fixture
def quick(tmp_path):
    path = tmp_path / "quick.sim"
    path.write_text(QUICK, encoding="utf-8")
    return path


def test_list_has_a_line_for_every_scenario():
    lines = sim("list").stdout.splitlines()
    names = [line.split()[0] for line in lines]
    assert sorted(names) == sorted(LIBRARY)
    assert all(len(line.split()) > 3 for line in lines)
    assert sorted(entry["name"] for entry in json.loads(sim("list", "--json").stdout)) == sorted(LIBRARY)


def test_every_scenario_has_a_page():
    index = (ROOT / "docs/scenarios/README.md").read_text(encoding="utf-8")
    for name in LIBRARY:
        page = (ROOT / f"docs/scenarios/{name}.md").read_text(encoding="utf-8")
        assert f"torc sim {name}" in page
        assert f"({name}.md)" in index


def test_show_prints_the_file():
    assert sim("show", "growth").stdout == (ROOT / "sim/scenarios/growth.sim").read_text(encoding="utf-8")


def test_json_lines_end_with_the_sum(quick):
    lines = [json.loads(line) for line in sim(quick, "--json", "--threads", 1, "--seed", 9).stdout.splitlines()]
    kinds = [line["kind"] for line in lines]
    assert kinds.count("interval") >= 3 and kinds.count("expect") == 2 and kinds[-1] == "summary"
    last = lines[-1]
    assert SUMMARY_KEYS <= last.keys()
    assert last["peers"] == 12 and last["seed"] == 9 and last["ok"] is True and last["threads"] == 1
    assert last["algorithm"] == "chord-128-2-8" and last["success"] == 1 and last["lookups"] == 60
    assert 0 < last["hops_mean"] < 3 and last["bytes_per_node"] > 1000 and last["lost_share"] is None
    assert last["methods"]["PING"]["requests"] > 60


def test_GAP_90_asking_the_replicas_gets_past_hostile_peers(tmp_path):
    def run(*words):
        return json.loads(sim("hostile", "--peers", 100, "--seed", 3, "--json", *words).stdout.splitlines()[-1])
    asked = run("--trace", tmp_path / "one", "--threads", 1)
    assert asked["asks"] == 6000 and asked["ask_ok"] >= 0.99 and asked["fetch_ok"] < 0.92 and asked["forged"] == 0
    run("--trace", tmp_path / "three", "--threads", 3)
    assert (tmp_path / "one").read_bytes() == (tmp_path / "three").read_bytes()
    assert run("--ask", "none")["asks"] == 0


def test_threads_and_runs_change_no_figure(quick):
    def figures(threads):
        lines = sim(quick, "--json", "--threads", threads).stdout.splitlines()
        last = json.loads(lines[-1])
        for name in ("wall_s", "events_per_s", "threads", "bytes_per_node", "engine_bytes", "store_bytes"):
            del last[name]
        return lines[:-1], last
    assert figures(1) == figures(1) == figures(2)


def test_one_seed_is_one_trace(quick, tmp_path):
    traces = []
    for run, threads in enumerate((1, 2)):
        path = tmp_path / f"trace{run}"
        sim(quick, "--threads", threads, "--trace", path)
        traces.append(path.read_bytes())
    assert traces[0] == traces[1] and len(traces[0]) > 10000


def test_text_for_people(quick):
    text = sim(quick).stdout
    for word in ("ring=consistent", "hops", "log2 N / 2", "per peer and minute", "memory", "expectations  2, 0 failed"):
        assert word in text
    assert "\x1b" not in text


def test_a_failed_expectation_is_exit_code_1(quick):
    quick.write_text(QUICK + "after 0s expect hops_mean>=9\n", encoding="utf-8")
    result = sim(quick, code=1)
    assert "FAILED" in result.stdout and "hops_mean>=9, it is" in result.stdout
    last = json.loads(sim(quick, "--json", code=1).stdout.splitlines()[-1])
    assert last["ok"] is False and last["failed"] == 1


def test_settings_and_parameters_are_overridden(quick):
    out = sim(quick, "--peers", 7, "--lookups=10/s", "--algorithm", "full-mesh", "--json").stdout
    last = json.loads(out.splitlines()[-1])
    assert last["peers"] == 7 and last["lookups"] == 30 and last["algorithm"] == "full-mesh"


@pytest.mark.parametrize("words, told", [
    (["nowhere"], "torc sim list"),
    (["./nowhere.sim"], "No such file"),
    (["growth", "--peers", "many"], "--peers 'many': expected a number"),
    (["growth", "--pears", "5"], "--pears"),
    (["growth", "--threads", "0"], "--threads '0': expected 1 to 16"),
    (["growth", "--peers"], "a value behind it"),
    (["growth", "more"], "nothing more"),
    (["growth", "--sweep", "peers"], "SETTING=A,B"),
    (["search", "--peers", "5"], "only --algorithm"),
    ([], "usage: torc sim"),
    (["show"], "usage: torc sim"),
])
def test_wrong_words_are_exit_code_2(words, told):
    assert told in sim(*words, code=2).stderr


def test_a_fault_in_a_file_is_named_with_its_line(quick):
    quick.write_text(QUICK + "after 5s vanish 120%\n", encoding="utf-8")
    assert re.search(r"quick\.sim:12: '120%': expected a share of at most 100%", sim(quick, code=2).stderr)


def test_what_the_engine_refuses_is_told(quick):
    assert "quick.sim: " in sim(quick, "--algorithm", "dance", code=1).stderr


@pytest.mark.skipif(shutil.which("gnuplot") is None, reason="no gnuplot")
def test_report_of_one_run(quick, tmp_path):
    page = tmp_path / "page.html"
    sim(quick, "--report", page)
    text = page.read_text(encoding="utf-8")
    assert text.count("<svg") == text.count("</svg>") >= 6
    assert "a small ring" in text and "Hops of a lookup" in text and "after 1s lookups $lookups" in text
    assert not re.search(r"(src|href)=\"(?!#)", text), "the page needs nothing else"


@pytest.mark.skipif(shutil.which("gnuplot") is None, reason="no gnuplot")
def test_a_report_that_cannot_be_written_is_told_before_the_run(quick, tmp_path):
    result = sim(quick, "--report", tmp_path / "nowhere" / "page.html", code=1)
    assert "cannot write the report" in result.stderr and "No such file" in result.stderr
    assert result.stdout == ""


def test_report_of_a_sweep(quick, tmp_path):
    page = tmp_path / "page.html"
    out = sim(quick, "--sweep", "algorithm=chord-128-2-8,chord-128-2-24", "--sweep", "peers=6,12", "--also",
              "--sweep", "algorithm=full-mesh", "--sweep", "peers=6", "--report", page, "--json").stdout
    runs = [line for line in map(json.loads, out.splitlines()) if line["kind"] == "summary"]
    assert [(run["algorithm"], run["peers"]) for run in runs] == [
        ("chord-128-2-8", 6), ("chord-128-2-8", 12), ("chord-128-2-24", 6), ("chord-128-2-24", 12), ("full-mesh", 6)]
    text = page.read_text(encoding="utf-8")
    assert "Mean hops of a lookup" in text and text.count("<details>") == 5
    assert text.count("algorithm=chord-128-2-24 peers=12") >= 2


def test_without_gnuplot_nothing_is_run(quick, tmp_path):
    result = sim(quick, "--report", tmp_path / "page.html", code=1, env={**os.environ, "PATH": str(tmp_path)})
    assert "gnuplot-nox" in result.stderr and result.stdout == ""


def test_search_prints_a_seed_as_a_scenario(tmp_path):
    text = sim("search", "--from", 5, "--print").stdout
    path = tmp_path / "seed5.sim"
    path.write_text(text, encoding="utf-8")
    assert json.loads(sim(path, "--json").stdout.splitlines()[-1])["seed"] == 5


def test_search_holds_for_the_seeds_of_check():
    """D-13, D-14, CHD-04: what must hold in 200 random small rings; make soak runs 5,000."""
    seeds = 20 if SHORT else 200
    assert f"{seeds} seeds from 1: all hold" in sim("search", "--seeds", seeds).stdout


FOUND = sorted((ROOT / "sim/scenarios/found").glob("*.sim"))


@pytest.mark.parametrize("path", FOUND, ids=lambda path: path.stem)
def test_what_the_search_found_stays_mended(path):
    sim(path)
