#!/bin/bash
# bench.sh [ARGUMENT...]: builds and runs the benchmarks; one JSON line per case (bench/run says which there are).
set -eu
cd "$(dirname "$0")/.."
scripts/build.sh bench
exec bench/run build/bench "$@"
