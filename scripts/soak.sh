#!/bin/bash
# Runs the hour-long criteria: C tests of the label "soak", tests/soak (the simulator's search over 5,000 seeds, the NAT
# matrix), and the larger models. Results in build/release/results-soak.
set -u
cd "$(dirname "$0")/.." || exit 1
. scripts/steps.sh
build=$PWD/build/release
results=$build/results-soak

c_soak() {
  ctest --test-dir "$build" -C Soak -L soak --output-on-failure --output-junit "$results/ctest.xml"
}

python_soak() {
  TORC_BUILD_DIR=$build PYTHONDONTWRITEBYTECODE=1 /usr/bin/python3 -m pytest -p no:cacheprovider -q \
    --junitxml="$results/pytest.xml" tests/soak
}

rm -rf "$results"
mkdir -p "$results"
counted_step "build release" scripts/build.sh release
counted_step "C soak" c_soak
if [ -d tests/soak ]; then
  counted_step "soak" python_soak
fi
counted_step "model" tests/model/run.sh --soak
print_steps
scripts/summary.py "$results" "${step_results[@]}"
