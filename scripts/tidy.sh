#!/bin/bash
# tidy.sh BUILD_DIR [FILE...]: clang-tidy (.clang-tidy) over every file of ours in BUILD_DIR/compile_commands.json,
# one job per core. Fails on the first kind of warning it finds; prints them all.
set -u
cd "$(dirname "$0")/.." || exit 1
build=${1:?usage: tidy.sh BUILD_DIR [FILE...]}
shift
if [ $# -gt 0 ]; then
  files=("$@")
else
  mapfile -t files < <(/usr/bin/python3 - "$build/compile_commands.json" <<'PY'
import json, sys
print("\n".join(sorted({entry["file"] for entry in json.load(open(sys.argv[1]))})))
PY
  )
fi
printf '%s\0' "${files[@]}" | xargs -0 -n 4 -P "$(nproc)" clang-tidy --quiet -p "$build" 2>/dev/null
