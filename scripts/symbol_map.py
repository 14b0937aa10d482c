#!/usr/bin/python3
"""symbol_map.py [--list] HEADER...: the linker's version script, which exports exactly the functions that the public
headers declare; with --list their names, one per line."""
import pathlib
import re
import sys


def functions(path):
    """Names declared as functions: torc_x( outside comments, macros and parameter lists."""
    text = path.read_text(encoding="utf-8")
    text = re.sub(r"/\*.*?\*/", " ", text, flags=re.S)
    text = re.sub(r"^\s*#(?:.*\\\n)*.*$", "", text, flags=re.M)
    text = re.sub(r"static inline\b[^{]*\{.*?\n\}", " ", text, flags=re.S)
    return set(re.findall(r"\b(torc_\w+)\s*\(", text))


def main(arguments):
    as_list = "--list" in arguments
    names = sorted(set().union(*(functions(pathlib.Path(a)) for a in arguments if a != "--list")))
    if as_list:
        print("\n".join(names))
    else:
        print("TORC_0 {\n  global:")
        print("\n".join(f"    {name};" for name in names))
        print("  local:\n    *;\n};")


if __name__ == "__main__":
    main(sys.argv[1:])
