#!/bin/bash
# format.sh [--check]: lays out every C file with clang-format; with --check changes none, names those that differ and
# those longer than 1000 lines.
set -u
cd "$(dirname "$0")/.." || exit 1
mapfile -t files < <(git ls-files -co --exclude-standard '*.c' '*.h' '*.cc' | while read -r file; do
  if [ -f "$file" ]; then
    echo "$file"
  fi
done)
if [ "${1:-}" != --check ]; then
  exec clang-format -i "${files[@]}"
fi
rc=0
clang-format --dry-run --Werror "${files[@]}" || rc=1
for file in "${files[@]}"; do
  lines=$(wc -l <"$file")
  if [ "$lines" -gt 1000 ]; then
    echo "$file: $lines lines, more than 1000: split it" >&2
    rc=1
  fi
done
exit $rc
