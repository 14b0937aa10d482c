#!/bin/bash
# build.sh PRESET [TARGET...]: installs what is missing, configures build/PRESET and builds it (or the targets).
set -eu
cd "$(dirname "$0")/.."
preset=${1:?usage: build.sh PRESET [TARGET...]}
shift

scripts/install-deps.sh
log=$(mktemp)
trap 'rm -f "$log"' EXIT
if ! cmake --preset "$preset" >"$log" 2>&1; then
  cat "$log" >&2
  exit 1
fi
targets=()
if [ $# -gt 0 ]; then
  targets=(--target "$@")
fi
# Keeps going after an error: what can be built is, and every error is shown. In a log only the errors are.
flags=(-k 0)
if [ ! -t 1 ]; then
  flags+=(--quiet)
fi
cmake --build "build/$preset" -j "$(nproc)" "${targets[@]}" -- "${flags[@]}"
