#!/bin/bash
# bench.sh [ARGUMENT...]: builds and runs the benchmarks, one JSON line a case (bench/run.py says which there are).
set -eu
cd "$(dirname "$0")/.."
scripts/build.sh bench
TORC_BUILD_DIR=$PWD/build/bench exec bench/run.py "$@"
