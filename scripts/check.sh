#!/bin/bash
# check.sh [--sanitize] [--full]: every test of the release build and a build with the second compiler; with
# --sanitize the same tests under AddressSanitizer and UBSan, those marked "long" only with --full.
# Leaves JUnit XML in build/<preset>/results. The last line is "N passed, N failed"; fails if anything did.
set -u
cd "$(dirname "$0")/.." || exit 1
. scripts/steps.sh

preset=release
full=0
for argument in "$@"; do
  case $argument in
    --sanitize) preset=asan ;;
    --full) full=1 ;;
    *) echo "usage: check.sh [--sanitize] [--full]" >&2; exit 2 ;;
  esac
done
if [ $preset = release ]; then
  full=1
fi
wrap=()
select=()
if [ $full -eq 0 ]; then
  select=(-m "not long")
fi
build=$PWD/build/$preset
results=$build/results

c_tests() {
  ctest --test-dir "$build" -j "$(nproc)" --output-on-failure --timeout 300 --no-tests=error \
    --output-junit "$results/ctest.xml"
}

# pytest ends with 5 when it finds no test: no failure of a directory that is still empty.
python_tests() {
  local places=() rc
  for place in tests/loopback tests/interop tests/test_*.py; do
    if [ -e "$place" ]; then
      places+=("$place")
    fi
  done
  if [ ${#places[@]} -eq 0 ]; then
    return 0
  fi
  run_pytest pytest.xml "${places[@]}"
  rc=$?
  if [ $rc -eq 5 ]; then
    return 0
  fi
  return $rc
}

run_pytest() {
  local xml=$1
  shift
  TORC_BUILD_DIR=$build TORC_SHORT=$((1 - full)) PYTHONDONTWRITEBYTECODE=1 timeout 2400 \
    "${wrap[@]}" /usr/bin/python3 -m pytest -p no:cacheprovider -q --junitxml="$results/$xml" \
    "${select[@]}" "$@"
}

# These make network namespaces (docs/netlab.md).
netlab_tests() {
  local wrap=(tests/netlab/as_root.sh)
  run_pytest pytest-netlab.xml tests/netlab
}

# A failing suite whose results show no failure (it was killed, or could not start) is a failure of its own.
suite() {
  local name=$1 before after
  shift
  before=$(failures)
  run_step "$name" "$@" && return 0
  after=$(failures)
  if [ "$before" = "$after" ]; then
    step_results+=(--step "failed:$name")
  fi
}

failures() {
  scripts/summary.py "$results" | grep -c '^FAILED'
}

rm -rf "$results"
mkdir -p "$results"
counted_step "build $preset" scripts/build.sh $preset
if [ $preset = release ]; then
  counted_step "build clang" scripts/build.sh clang
fi
if [ -f "$build/build.ninja" ]; then
  suite "C tests" c_tests
  suite "loopback and interop" python_tests
  suite "netlab" netlab_tests
fi
print_steps
scripts/summary.py "$results" "${step_results[@]}"
