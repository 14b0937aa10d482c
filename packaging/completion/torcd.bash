# bash completion of torcd: it is with that of torc.
if ! declare -F _torcd >/dev/null; then
  . "${BASH_SOURCE[0]%/*}/torc"
fi
