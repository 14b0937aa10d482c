#!/bin/bash
# run.sh [--soak | --all] [--keep] [VARIANT...]: builds and runs the variants of the model (tests/model/variants) that are
# named, by default those of `make check`. One line each: name, verdict, states, seconds. Fails if a verdict is not
# the expected one. With --keep the trace of a violation is printed. Files go to build/model.
set -u
cd "$(dirname "$0")/../.." || exit 1
root=$PWD
model=$root/tests/model
work=$root/build/model
memory=${TORC_MODEL_MIB:-1300} # of one variant, MiB
parallel=${TORC_MODEL_JOBS:-2}
kinds=" check "
keep=0
names=()
for argument in "$@"; do
  case $argument in
    --soak) kinds=" soak " ;;
    --all) kinds=" check soak " ;;
    --keep) keep=1 ;;
    -*) echo "usage: run.sh [--soak | --all] [--keep] [VARIANT...]" >&2; exit 2 ;;
    *) names+=("$argument") ;;
  esac
done

# The ring code itself, once for all variants.
build_ring() {
  local code=$work/code
  mkdir -p "$code"
  (
    flock 9
    cd "$code" || exit 1
    if [ ! -e libring.a ] || [ -n "$(find "$root/src" "$root/include" -newer libring.a -name '*.[ch]' -print -quit)" ]; then
      rm -f ./*.o libring.a
      gcc -std=c11 -O2 -I"$root/include" -I"$root/src" -c "$root"/src/overlay/topology/*.c "$root"/src/wire/*.c \
        "$root"/src/base/*.c && ar rcs libring.a ./*.o
    fi
  ) 9>"$work/lock"
}

# build_variant DEFINITION..., in its directory: BUG_<function> takes the place of torc_ring_<function>.
build_variant() {
  local definitions=() wraps=() sources=("$model"/ring_[cmnrw]*.c) definition
  rm -f ./*.trail
  for definition in "$@"; do
    definitions+=("-D$definition")
    case $definition in
      BUG_[a-z]*) wraps+=("-Wl,--wrap=torc_ring_${definition#BUG_}") ;;
    esac
  done
  if [ ${#wraps[@]} -gt 0 ]; then
    sources+=("$model/ring_bugs.c")
  fi
  cp "$model/ring.pml" . && spin -a "${definitions[@]}" ring.pml >spin.log 2>&1 || return 1
  gcc -std=gnu11 -O1 -w -I"$root/include" -I"$root/src" -I"$model" "${definitions[@]}" -DSAFETY -DNOREDUCE \
    -DMEMLIM="$memory" -o pan pan.c "${sources[@]}" "$work/code/libring.a" -Wl,--wrap=torc_rng_below "${wraps[@]}"
}

# One variant; prints its line.
run_variant() {
  local name=$1 expected=$2 start=$SECONDS found states
  shift 2
  mkdir -p "$work/$name" && cd "$work/$name" || return 1
  if ! build_variant "$@" 2>build.log; then
    echo "$name: could not be built"
    return 1
  fi
  ./pan -m100000 >pan.log 2>&1
  states=$(sed -n 's/^ *\([0-9.e+]*\) states, stored.*/\1/p' pan.log)
  if grep -q "errors: [1-9]" pan.log; then
    found=violated
  elif grep -q "errors: 0" pan.log && ! grep -qE "max search depth too small|ring_model:|out of memory|memory limit" pan.log; then
    found=holds
  else
    found=unfinished
  fi
  printf '%-24s %-10s %10s states %4d s' "$name" $found "${states:-?}" $((SECONDS - start))
  if [ $found != "$expected" ]; then
    printf '  WRONG: expected %s (%s)' "$expected" "$work/$name"
  fi
  printf '\n'
  if [ $found = violated ] && [ $keep -eq 1 ]; then
    TORC_MODEL_TRACE=1 ./pan -r 2>&1 | grep -E '^ +-?[0-9.]+  |^ +n[0-9]: |^ +predecessors' | sed -n '/  begin$/,$p'
  fi
  [ $found = "$expected" ]
}

mkdir -p "$work"
if ! command -v spin >/dev/null; then
  echo "run.sh: spin is missing (scripts/install-deps.sh)" >&2
  exit 1
fi
build_ring || exit 1
wrong=0
jobs=()
while read -r name kind expected definitions; do
  case $name in
    '' | '#'*) continue ;;
  esac
  if [ ${#names[@]} -gt 0 ]; then
    [[ " ${names[*]} " == *" $name "* ]] || continue
  else
    [[ $kinds == *" $kind "* ]] || continue
  fi
  while [ "$(jobs -rp | wc -l)" -ge "$parallel" ]; do
    wait -n
  done
  # shellcheck disable=SC2086 # one word is one definition
  run_variant "$name" "$expected" $definitions &
  jobs+=($!)
done <"$model/variants"
for job in "${jobs[@]}"; do
  wait "$job" || wrong=$((wrong + 1))
done
[ $wrong -eq 0 ]
