# bash completion of torc-authority: it is with that of torc.
if ! declare -F _torc_authority >/dev/null; then
  . "${BASH_SOURCE[0]%/*}/torc"
fi
