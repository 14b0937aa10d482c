"""`make install` into an empty tree: what an embedding program gets, built and run through pkg-config.

Every examples/<name>.c is compiled with nothing but `pkg-config torc`, against the shared and against the static
library. If examples/<name>.sh exists it runs the program (arguments: the program, the installation's bin directory);
it must leave no process behind.
"""
import os
import pathlib
import re
import subprocess

import pytest

ROOT = pathlib.Path(__file__).resolve().parent.parent
BUILD = pathlib.Path(os.environ.get("TORC_BUILD_DIR", ROOT / "build/release"))
EXAMPLES = sorted((ROOT / "examples").glob("*.c"))


def run(*command, **more):
    result = subprocess.run([str(word) for word in command], capture_output=True, text=True, check=False, **more)
    assert result.returncode == 0, f"{command}\n{result.stdout}\n{result.stderr}"
    return result.stdout


def is_sanitized():
    return "TORC_SANITIZE:BOOL=ON" in (BUILD / "CMakeCache.txt").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    """DESTDIR/usr of an installation with PREFIX=/usr."""
    destdir = tmp_path_factory.mktemp("install")
    run("cmake", "--install", BUILD, "--prefix", "/usr", env={**os.environ, "DESTDIR": str(destdir)})
    return destdir / "usr"


def pkg_config(tree, *options):
    libdir = next(tree.glob("lib*/**/pkgconfig"))
    environment = {**os.environ, "PKG_CONFIG_PATH": str(libdir)}
    return run("pkg-config", *options, "torc", env=environment).split()


def library_directory(tree):
    return next(tree.glob("lib*/**/libtorc.so")).parent


def test_library_exports_what_the_headers_declare(tree):
    declared = set(run(ROOT / "scripts/symbol_map.py", "--list", *sorted((tree / "include/torc").glob("*.h"))).split())
    symbols = run("nm", "-D", "--defined-only", library_directory(tree) / "libtorc.so")
    exported = {line.split()[2].split("@")[0] for line in symbols.splitlines()}
    assert exported - {"TORC_0"} == declared


def test_every_installed_file_is_where_it_belongs(tree):
    for name in ("bin/torc", "bin/torcd", "bin/torc-authority", "include/torc/torc.h"):
        assert (tree / name).is_file(), name
    pages = {path.name for path in tree.glob("share/man/man*/*")}
    assert {"torc.1", "torcd.8", "torc-authority.8", "torcd.conf.5", "torc-authority.conf.5"} <= pages
    units = list(tree.glob("lib/systemd/system/*.service"))
    assert units
    for unit in units:
        for program in re.findall(r"^ExecStart=-?(\S+)", unit.read_text(encoding="utf-8"), re.M):
            assert (tree.parent / program.lstrip("/")).is_file(), program
    for name in ("share/bash-completion/completions/torc", "share/zsh/site-functions/_torc",
                 "share/fish/vendor_completions.d/torc.fish", "share/torc/torcd.conf", "share/torc/torc-authority.conf", "lib/sysusers.d/torc.conf",
                 "share/torc/examples/Makefile", "share/torc/scenarios/growth.sim"):
        assert (tree / name).is_file(), name


def test_installed_programs_run(tree):
    for name in ("torc", "torcd", "torc-authority"):
        assert run(tree / "bin" / name, "--version").strip()


@pytest.mark.skipif(not EXAMPLES, reason="no examples")
@pytest.mark.parametrize("linkage", ["shared", "static"])
@pytest.mark.parametrize("example", EXAMPLES, ids=[path.stem for path in EXAMPLES])
def test_example_builds_and_runs(tree, tmp_path, example, linkage):
    program = tmp_path / example.stem
    flags = pkg_config(tree, "--cflags")
    libraries = pkg_config(tree, "--libs", *(["--static"] if linkage == "static" else []))
    if linkage == "static":
        libraries = [str(library_directory(tree) / "libtorc.a") if word == "-ltorc" else word for word in libraries]
    sanitizer = ["-fsanitize=address,undefined"] if is_sanitized() else []
    run("gcc", "-std=c11", "-Wall", "-Wextra", "-Werror", *sanitizer, *flags, example, "-o", program, *libraries)
    script = example.with_suffix(".sh")
    if script.exists():
        environment = {**os.environ, "LD_LIBRARY_PATH": str(library_directory(tree))}
        print(run("bash", script, program, tree / "bin", env=environment, timeout=120))


@pytest.mark.skipif(not EXAMPLES, reason="no examples")
def test_headers_compile_as_cplusplus(tree, tmp_path):
    source = tmp_path / "all.cc"
    source.write_text('#include <torc/torc.h>\nint main() { return torc_strerror(0) == nullptr; }\n', encoding="utf-8")
    libraries = pkg_config(tree, "--cflags", "--libs")
    sanitizer = ["-fsanitize=address,undefined"] if is_sanitized() else []
    run("g++", "-std=c++17", "-Wall", "-Wextra", "-Werror", *sanitizer, source, "-o", tmp_path / "all", *libraries)
    run(tmp_path / "all", env={**os.environ, "LD_LIBRARY_PATH": str(library_directory(tree))})
