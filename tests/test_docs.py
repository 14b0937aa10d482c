"""What the documents name is there: configuration keys, metrics, control commands, make targets, files."""
import pathlib
import re

import pytest

ROOT = pathlib.Path(__file__).resolve().parent.parent


def read(*names):
    return "\n".join((ROOT / name).read_text(encoding="utf-8") for name in names)


CONFIGURATIONS = {"torcd": "src/io/conf.c", "torc-authority": "src/authority/settings.c"}


def configuration_keys(program):
    """{section: keys} as the program takes them."""
    source = read(CONFIGURATIONS[program])
    found = re.findall(r'(?:TEXT|COUNT)\("(\w+)", "([\w-]+)"', source)
    found += re.findall(r'\.section = "(\w+)",\s+\.name = "([\w-]+)"', source)
    found += [("timers", name) for name in re.findall(r'DURATION\("([\w-]+)"', source)]
    keys = {}
    for section, name in found:
        keys.setdefault(section, set()).add(name)
    assert sum(map(len, keys.values())) > 15
    return keys


@pytest.mark.parametrize("program", CONFIGURATIONS)
def test_example_configuration_has_every_key_and_no_other(program):
    keys, section = {}, None
    for line in read(f"packaging/{program}.conf").splitlines():
        if match := re.match(r"\[(\w+)\]$", line):
            section = match.group(1)
        elif match := re.match(r";?([a-z][a-z0-9-]*) = ", line):
            keys.setdefault(section, set()).add(match.group(1))
    assert keys == configuration_keys(program)


@pytest.mark.parametrize("program", CONFIGURATIONS)
def test_manual_page_has_every_key_and_no_other(program):
    keys, section, is_term = {}, None, False
    for line in read(f"packaging/man/{program}.conf.5").replace("\\-", "-").splitlines():
        if match := re.match(r"\.SH \[(\w+)\]$", line):
            section = match.group(1)
        elif line.startswith(".SH"):
            section = None
        elif section and is_term:
            keys.setdefault(section, set()).update(re.sub(r'"[^"]*"', "", line).split()[1:])
        is_term = line == ".TP"
    assert keys == configuration_keys(program)


def counters():
    names = set(re.findall(r"X\((\w+)\)", read("src/overlay/node/counters.h")))
    names |= set(re.findall(r'each\(ctx, "(\w+)"', read("src/overlay/node/view.c", "src/overlay/node/rings.c")))
    names |= {f"io_{name}" for name in
              re.findall(r"X\((\w+)\)", read("src/io/net_impl.h", "src/io/peer_impl.h", "src/io/multicast.h"))}
    names |= {f"control_{name}" for name in re.findall(r"X\((\w+)\)", read("src/io/control.h"))}
    return names | set(re.findall(r'add_counter\(\w+, "(\w+)"', read("src/io/metrics_text.c")))


def present():
    """What is shown beside the counters and goes up and down."""
    return set(re.findall(r'each\(ctx, "(\w+)",', read("src/io/peer.c", "src/io/net.c")))


def test_metrics_in_the_documents_exist():
    gauges = set(re.findall(r'add_gauge\(p, "(\w+)"', read("src/io/metrics_text.c")))
    held = present()
    text = read("docs/operations.md")
    assert len(held) == 15 and all(f"`{name}`" in text for name in held)
    metrics = gauges | {f"torc_{name}_total" for name in counters()} | {f"torc_{name}" for name in held}
    named = set(re.findall(r"\btorc_[a-z_*]+_total\b|`(?:torc|process)_[a-z_]+`", text))
    named = {name.strip("`") for name in named} - {"torc_node", "torc_peer", "torc_peer_counters",
                                                "torc_peer_gauges"}
    assert len(named) > 10 and gauges <= named
    for name in named:
        pattern = re.compile(name.replace("*", r"\w+") + "$")
        assert any(map(pattern.match, metrics)), name
    limits = re.search(r"^## Limits$.*?^## ", read("docs/links.md"), re.M | re.S).group(0)
    cells = [row.split("|")[4] for row in limits.splitlines() if row.startswith("| ") and not row.startswith("| limit")]
    named = {name for cell in cells for name in re.findall(r"`(\w+)`", cell)}
    assert len(named) > 15 and named <= counters() | {name.removeprefix("io_") for name in counters()}


def test_control_commands_are_those_of_the_reference():
    table = re.search(r"static const struct \{.*?\} handlers\[\] = \{(.*?)\n\};", read("src/io/control.c"), re.S).group(1)
    rows = re.search(r"^\| cmd \|.*?\n\n", read("docs/operations.md"), re.M | re.S).group(0)
    assert set(re.findall(r"^\| `(\w+)`", rows, re.M)) == set(re.findall(r'\{"(\w+)"', table))


def test_make_targets_and_files_named_in_the_documents_exist():
    targets = set(re.findall(r"^([a-z-]+):", read("Makefile"), re.M))
    pages = [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")]
    for page in pages:
        text = page.read_text(encoding="utf-8")
        shown = "\n".join(re.findall(r"^```\w*\n(.*?)^```$", text, re.M | re.S))
        for target in re.findall(r"`make ([a-z-]+)", text) + re.findall(r"^make ([a-z-]+)", shown, re.M):
            assert target in targets, (page.name, target)
        if page.name in ("design.md", "style.md"):  # the plan names what is still to come
            continue
        for name in re.findall(r"`((?:src|docs|tests|scripts|fuzz|cmake|include|packaging|examples)/[\w./-]+)`", text):
            assert (ROOT / name).exists(), (page.name, name)


def test_metrics_of_the_authority_are_those_of_the_page():
    table = re.search(r"const metric list\[\] = \{(.*?)\n  \};", read("src/authority/http/handle.c"), re.S).group(1)
    names = re.findall(r'\{"(\w+)"', table)
    page = re.search(r"^## Watching$(.*?)Worth an alarm", read("docs/enrolment.md"), re.M | re.S).group(1)
    assert len(names) > 10 and re.findall(r"`([a-z_]+)`", page.split("behind the name:")[1]) == names
