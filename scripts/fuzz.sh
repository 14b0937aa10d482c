#!/bin/bash
# fuzz.sh BUILD_DIR SECONDS [TARGET...]: shares SECONDS of wall time among all fuzz targets of BUILD_DIR (or those
# named), one per core at a time, and prints a line for each. Fails if one crashed, hung or used too much memory; the
# input is kept in BUILD_DIR/fuzz/artifacts. Corpora grow in BUILD_DIR/fuzz/corpus.
set -u
usage="usage: fuzz.sh BUILD_DIR SECONDS [TARGET...]"
root=$(cd "$(dirname "$0")/.." && pwd)
build=${1:?$usage}
seconds=${2:?$usage}
shift 2
build=$(cd "$build" && pwd) || exit 1
export work=$build/fuzz
if [ $# -gt 0 ]; then
  targets=("$@")
else
  mapfile -t targets < <(cd "$work" && find . -maxdepth 1 -type f -perm -u+x -name 'fuzz_*' -printf '%f\n' | sort)
fi
if [ ${#targets[@]} -eq 0 ]; then
  echo "fuzz.sh: no targets in $work; build the preset fuzz first" >&2
  exit 1
fi
/usr/bin/python3 "$root/scripts/make_corpus.py" "$work/seeds" || exit 1
cores=$(nproc)
export share=$((seconds * cores / ${#targets[@]}))
[ "$share" -ge 1 ] || share=1

run_one() {
  name=$1
  short=${name#fuzz_}
  max_len=4096
  case $short in node_* | document_*) max_len=65536 ;; esac
  mkdir -p "$work/corpus/$short" "$work/seeds/$short" "$work/artifacts/$short" "$work/logs"
  log=$work/logs/$short.txt
  "$work/$name" -max_total_time="$share" -timeout=10 -rss_limit_mb=2048 -max_len=$max_len -print_final_stats=1 \
    -artifact_prefix="$work/artifacts/$short/" "$work/corpus/$short" "$work/seeds/$short" >"$log" 2>&1
  rc=$?
  runs=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")
  cover=$(sed -n 's/.* cov: \([0-9]*\) .*/\1/p' "$log" | tail -1)
  if [ $rc -eq 0 ]; then
    printf '%-24s ok      %12s runs  coverage %5s  %4s s\n' "$short" "${runs:-?}" "${cover:-?}" "$share"
  else
    printf '%-24s FAILED  exit %s, %s\n' "$short" "$rc" "$(sed -n 's/.*Test unit written to //p' "$log" | tail -1)"
    grep -E '^==|SUMMARY|ERROR|^ *#[0-9]|^[a-z_]+: ' "$log" | tail -20 | sed 's/^/    /'
  fi
  return $rc
}
export -f run_one
printf '%s\0' "${targets[@]}" | xargs -0 -n 1 -P "$cores" bash -c 'run_one "$1"' fuzz.sh
exit $?
