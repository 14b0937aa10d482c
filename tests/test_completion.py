"""The shells' completions offer the commands and options that the programs' own help names, no fewer and no more."""
import os
import pathlib
import pty
import re
import select
import shutil
import subprocess
import time

import pytest

ROOT = pathlib.Path(__file__).resolve().parent.parent
BUILD = pathlib.Path(os.environ.get("TORC_BUILD_DIR", ROOT / "build/release"))
COMPLETION = ROOT / "packaging/completion"
OPTION = re.compile(r"--[a-z-]+")
ZSH_SETUP = """
fpath=($COMPLETION $fpath)
autoload -Uz compinit
compinit -u -D
compadd() {
  local -a found
  if [[ "$*" != *(-[OAD] )* ]]; then
    builtin compadd -O found "$@"
    print -rl -- $found >>$OFFERED
  fi
  builtin compadd "$@"
}
_offer() {
  _main_complete
  print END >>$OFFERED
}
zle -C offer list-choices _offer
bindkey '^I' offer
print END >>$OFFERED
"""


def usage_of(*command):
    """The lines of the help that show how the command is called."""
    result = subprocess.run([BUILD / command[0], *command[1:], "--help"], capture_output=True, text=True, check=True)
    first, *rest = result.stdout.splitlines()
    return [first.removeprefix("usage: ")] + [line.strip() for line in rest if line.startswith(" ")]


def options_in(lines):
    return set(OPTION.findall(" ".join(lines)))


def expected():
    """{what is typed: what may follow}"""
    commands = {line.split()[1] for line in usage_of("torc") if re.match("torc [a-z]", line)}
    offers = {"torc ": commands | {"help"}, "torc version --": {"--json"}, "torcd --": options_in(usage_of("torcd"))}
    for command in commands - {"version"}:
        offers[f"torc {command} --"] = options_in(usage_of("torc", command)) | {"--help"}
    authority = {}
    for line in usage_of("torc-authority"):
        if line.startswith("torc-authority "):
            name = line.split()[1]
        authority.setdefault(name, []).append(line)
    offers["torc-authority --"] = options_in(authority.pop("--version"))
    offers["torc-authority "] = set(authority)
    for name, lines in authority.items():
        offers[f"torc-authority {name} --"] = options_in(lines)
    return offers


def bash(typed, _):
    script = ('. "$1"; while IFS= read -r line; do read -r -a COMP_WORDS <<<"$line"; '
              '[[ $line == *" " ]] && COMP_WORDS+=(""); COMP_CWORD=$((${#COMP_WORDS[@]} - 1)); COMPREPLY=(); '
              '"_${COMP_WORDS[0]//-/_}"; echo "${COMPREPLY[@]}"; done')
    result = subprocess.run(["bash", "-c", script, "bash", COMPLETION / "torc.bash"], text=True, capture_output=True,
                            input="".join(f"{line}\n" for line in typed), check=True, timeout=60)
    assert result.stderr == ""
    return [set(line.split()) for line in result.stdout.splitlines()]


def fish(typed, _):
    script = "source $argv[1]; for line in $argv[2..-1]; complete -C $line; echo END; end"
    result = subprocess.run(["fish", "--no-config", "-c", script, COMPLETION / "torc.fish", *typed], text=True,
                            capture_output=True, check=True, timeout=60)
    assert result.stderr == ""
    answers = result.stdout.split("END\n")[:-1]
    return [{line.split("\t")[0] for line in answer.splitlines()} for answer in answers]


def zsh(typed, directory):
    """zsh completes only where it reads keys: it gets a terminal, and writes down what it offers there."""
    offered = directory / "offered"
    (directory / "setup").write_text(ZSH_SETUP, encoding="utf-8")
    master, slave = pty.openpty()
    environment = {**os.environ, "OFFERED": str(offered), "COMPLETION": str(COMPLETION), "TERM": "dumb"}
    shell = subprocess.Popen(["zsh", "-f", "-i"], stdin=slave, stdout=slave, stderr=slave, env=environment,
                             start_new_session=True)
    os.close(slave)

    def press(keys):
        offered.write_text("", encoding="utf-8")
        os.write(master, keys.encode())
        until = time.monotonic() + 30
        while not offered.read_text(encoding="utf-8").endswith("END\n"):
            assert time.monotonic() < until, f"zsh has not answered to {keys!r}"
            if select.select([master], [], [], 0.02)[0]:
                os.read(master, 65536)
        return set(offered.read_text(encoding="utf-8").split()) - {"END"}

    try:
        press(f"source {directory / 'setup'}\n")
        return [press(f"\x15{line}\t") for line in typed]
    finally:
        shell.kill()
        shell.wait()
        os.close(master)


@pytest.mark.parametrize("shell", [bash, fish, zsh], ids=lambda shell: shell.__name__)
def test_completion_offers_what_help_names(shell, tmp_path):
    if shutil.which(shell.__name__) is None:
        pytest.skip(f"{shell.__name__} is not installed")
    wanted = expected()
    assert len(wanted) > 15 and all(wanted.values())
    got = shell(list(wanted), tmp_path)
    # Where a command may stand, a shell may offer the options as well.
    assert {typed: {word for word in words if typed.endswith("--") or not word.startswith("-")}
            for typed, words in zip(wanted, got, strict=True)} == wanted
