#!/usr/bin/python3
"""check_includes.py [--includes] [--headers] [--root DIR]: what a room may include.

--includes  reads the table in cmake/rooms.cmake and every #include under the rooms: a room sees include/torc, itself
            and the rooms the table gives it; sub-rooms likewise; only the rooms named there see the operating
            system, every other one an allow-list of C standard headers.
--headers   compiles each public header alone as C11 and as C++17 and checks that it includes nothing but
            stdbool, stddef, stdint and other public headers.
With neither, both. Prints each fault as file:line and exits 1 if there is one.
"""
import argparse
import pathlib
import re
import subprocess
import sys

STANDARD = {
    "assert.h", "errno.h", "inttypes.h", "limits.h", "stdalign.h", "stdarg.h", "stdbool.h", "stddef.h",
    "stdint.h", "stdio.h", "stdlib.h", "string.h",
}
PUBLIC_STANDARD = {"stdbool.h", "stddef.h", "stdint.h"}
INCLUDE = re.compile(r'^\s*#\s*include\s*(["<])([^">]+)[">]')


def room_table(root):
    """The TORC_ lines of cmake/rooms.cmake as {name: [word...]}."""
    text = (root / "cmake/rooms.cmake").read_text(encoding="utf-8")
    text = re.sub(r"#.*", "", text)
    table = {}
    for name, words in re.findall(r"^set\(TORC_(\w+)\s+([^)]*)\)", text, re.M):
        table[name] = [word for word in words.split() if word != '""']
    if not table.get("ROOM_LIST"):
        sys.exit("check_includes: cmake/rooms.cmake has no TORC_ROOM_LIST")
    return table


def includes(path):
    for number, line in enumerate(path.read_text(encoding="utf-8", errors="replace").splitlines(), 1):
        match = INCLUDE.match(line)
        if match:
            yield number, match.group(1) == "<", match.group(2)


class Rooms:
    def __init__(self, root):
        self.root = root
        self.table = room_table(root)
        self.directories = {room: root / self.table.get("DIR_" + room, ["src/" + room])[0]
                            for room in self.table["ROOM_LIST"]}

    def files(self, room):
        directory = self.directories[room]
        return sorted([*directory.rglob("*.c"), *directory.rglob("*.h")])

    def target(self, path, name):
        """The file a quoted include names: beside the includer, under src, or under include."""
        for base in (path.parent, self.root / "src", self.root / "include", self.root):
            if (base / name).is_file():
                return (base / name).resolve()
        return None

    def room_of(self, path):
        for room, directory in self.directories.items():
            if path.is_relative_to(directory.resolve()):
                return room
        return None

    def subroom_of(self, room, path):
        parts = path.relative_to(self.directories[room].resolve()).parts
        return parts[0] if len(parts) > 1 and f"SUBROOM_{room}_{parts[0]}" in self.table else None

    def fault(self, room, path, system, name):
        """Why `path` of `room` may not include `name`; None if it may."""
        target = None if system and not name.startswith("torc/") else self.target(path, name)
        if target is None:
            if room in self.table.get("ROOMS_WITH_OS", []) or name in STANDARD:
                return None
            return f"room {room} may not include {name}" if system else f"there is no file {name}"
        if target.is_relative_to((self.root / "include").resolve()):
            return None
        other = self.room_of(target)
        if other is None:
            return f"{name} is in no room"
        if other != room:
            allowed = self.table.get("ROOM_" + room, [])
            return None if other in allowed else f"room {room} may not include room {other}: {name}"
        mine = self.subroom_of(room, path.resolve())
        theirs = self.subroom_of(room, target)
        if mine is None or theirs is None or mine == theirs:
            return None
        if theirs in self.table[f"SUBROOM_{room}_{mine}"]:
            return None
        return f"sub-room {room}/{mine} may not include {room}/{theirs}: {name}"


def check_includes(root):
    rooms = Rooms(root)
    faults = []
    for room in rooms.directories:
        for path in rooms.files(room):
            for number, system, name in includes(path):
                why = rooms.fault(room, path, system, name)
                if why:
                    faults.append(f"{path.relative_to(root)}:{number}: {why}")
    return faults


def check_headers(root):
    faults = []
    for path in sorted((root / "include").rglob("*.h")):
        shown = path.relative_to(root)
        for number, system, name in includes(path):
            if name not in PUBLIC_STANDARD and not name.startswith("torc/"):
                faults.append(f"{shown}:{number}: a public header may not include {name}")
        for language, standard, compiler in (("c", "c11", "gcc"), ("c++", "c++17", "g++"), ("c", "c11", "clang")):
            command = [compiler, "-x", language, "-std=" + standard, "-Wall", "-Wextra", "-Wundef", "-Werror",
                       "-pedantic", "-fsyntax-only", "-I", str(root / "include"), "-include", str(path), "/dev/null"]
            result = subprocess.run(command, capture_output=True, text=True, check=False)
            if result.returncode != 0:
                faults.append(f"{shown}: does not compile alone with {compiler} as {standard}:\n{result.stderr}")
    return faults


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--includes", action="store_true")
    parser.add_argument("--headers", action="store_true")
    parser.add_argument("--root", type=pathlib.Path, default=pathlib.Path(__file__).resolve().parent.parent)
    options = parser.parse_args()
    both = not options.includes and not options.headers
    faults = []
    if options.includes or both:
        faults += check_includes(options.root.resolve())
    if options.headers or both:
        faults += check_headers(options.root.resolve())
    for fault in faults:
        print(fault)
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
