# Sourced by check.sh and .ci/run: runs steps one after the other, each with its name, duration and result.
# run_step NAME COMMAND... prints them and returns the command's status; counted_step also enters the result
# into step_results for summary.py; print_steps repeats the list at the end.
step_results=()
step_lines=()

run_step() {
  local name=$1 start=$SECONDS rc
  shift
  echo "== $name"
  "$@"
  rc=$?
  local line
  if [ $rc -eq 0 ]; then
    line=$(printf '%-34s %5d s  ok' "$name" $((SECONDS - start)))
  else
    line=$(printf '%-34s %5d s  FAILED (%d)' "$name" $((SECONDS - start)) $rc)
  fi
  echo "== $line"
  step_lines+=("$line")
  return $rc
}

counted_step() {
  if run_step "$@"; then
    step_results+=(--step "ok:$1")
    return 0
  fi
  step_results+=(--step "failed:$1")
  return 1
}

print_steps() {
  local line
  echo "== steps"
  for line in "${step_lines[@]}"; do
    echo "$line"
  done
}
