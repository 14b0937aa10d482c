# bash completion of torc, torcd and torc-authority.

_torc_types() {
  COMPREPLY=($(compgen -W "note CERTIFICATE SIP-REGISTRATION TURN-SERVICE" -- "$1"))
}

_torc() {
  local current=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD - 1]} command=${COMP_WORDS[1]} options
  case $previous in
    --socket | --file | --report | --trace | --password-file | --trust-anchor | --ca-file) COMPREPLY=($(compgen -f -- "$current")); return ;;
    --dir) COMPREPLY=($(compgen -d -- "$current")); return ;;
    --type) _torc_types "$current"; return ;;
    --exec) COMPREPLY=($(compgen -c -- "$current")); return ;;
    --lifetime) COMPREPLY=($(compgen -W "15m 1h 1d 7d" -- "$current")); return ;;
    --algorithm) COMPREPLY=($(compgen -W "chord-128-2-8 full-mesh" -- "$current")); return ;;
    --signature) COMPREPLY=($(compgen -W "ecdsa rsa" -- "$current")); return ;;
    --peers | --key | --index | --generation | --user | --account | --password-fd | --server | --resolver | --application | --to | --dialog) return ;;
  esac
  if [ "$COMP_CWORD" -eq 1 ]; then
    COMPREPLY=($(compgen -W "status peers counters ring route ping store fetch remove find config connect listen tunnel enroll renew demo sim key \
      version help" -- "$current"))
    return
  fi
  if [ "$command" = sim ] && [ "$COMP_CWORD" -eq 2 ] && [[ $current != -* ]]; then
    COMPREPLY=($(compgen -W "list show search $(torc sim list 2>/dev/null | cut -d ' ' -f 1)" -- "$current"))
    return
  fi
  if [ "$command" = key ] && [[ $current != -* ]]; then
    if [ "$COMP_CWORD" -eq 2 ]; then
      COMPREPLY=($(compgen -W "new" -- "$current"))
    elif [ "$previous" != --overlay ]; then
      COMPREPLY=($(compgen -f -- "$current"))
    fi
    return
  fi
  if [ "$command" = renew ] && [[ $current != -* ]]; then
    COMPREPLY=($(compgen -d -- "$current"))
    return
  fi
  options="--socket --json --help"
  case $command in
    key) options="--passphrase --overlay --help" ;;
    ping) options+=" --route-log --iterative" ;;
    store) options+=" --type --key --index --append --lifetime --generation --file" ;;
    fetch) options+=" --type --key --index --raw --replicas" ;;
    remove) options+=" --type --key --index --generation" ;;
    find) options+=" --type --walk" ;;
    config) options+=" --fetch" ;;
    connect) options+=" --application" ;;
    listen) options+=" --application --exec --to" ;;
    tunnel) options+=" --application --listen --lines --dialog" ;;
    sim)
      options="--peers --algorithm --seed --sweep --also --threads --json --report --trace --seeds --from --all --print"
      options+=" --help"
      ;;
    enroll)
      options="--user --account --password-file --password-fd --save-password --guest --dir --force --json --server"
      options+=" --resolver --trust-anchor --ca-file --help"
      ;;
    renew) options="--password-file --password-fd --json --help" ;;
    demo) options="--peers --algorithm --signature --keep --dir --help" ;;
    version) options="--json" ;;
    help) options="" ;;
  esac
  COMPREPLY=($(compgen -W "$options" -- "$current"))
}

_torcd() {
  local current=${COMP_WORDS[COMP_CWORD]}
  if [ "${COMP_WORDS[COMP_CWORD - 1]}" = --config ]; then
    COMPREPLY=($(compgen -f -- "$current"))
  else
    COMPREPLY=($(compgen -W "--config --check-config --version --help" -- "$current"))
  fi
}

_torc_authority() {
  local current=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD - 1]} options
  case $previous in
    --algorithm) COMPREPLY=($(compgen -W "chord-128-2-8 full-mesh" -- "$current")); return ;;
    --signature) COMPREPLY=($(compgen -W "ecdsa rsa" -- "$current")); return ;;
    --csr | --out) COMPREPLY=($(compgen -f -- "$current")); return ;;
    --overlay | --bootstrap | --type | --user | --account | --days | --update-period | --ping-period | --expiration | --source | --credential-server)
      return ;;
  esac
  if [ "$COMP_CWORD" -eq 1 ]; then
    COMPREPLY=($(compgen -W "init issue show serve user issued backup restore config --version --help" -- "$current"))
    return
  fi
  if [ "$COMP_CWORD" -eq 2 ] && [[ $current != -* ]]; then
    case ${COMP_WORDS[1]} in
      user) COMPREPLY=($(compgen -W "add grant passwd disable enable list" -- "$current")); return ;;
      config) COMPREPLY=($(compgen -W "show check sign set sign-check" -- "$current")); return ;;
    esac
  fi
  if [[ $current != -* ]]; then
    if [[ " show backup restore config " == *" ${COMP_WORDS[1]} "* ]]; then
      COMPREPLY=($(compgen -f -- "$current"))
    else
      COMPREPLY=($(compgen -d -- "$current"))
    fi
    return
  fi
  case ${COMP_WORDS[1]} in
    init)
      options="--overlay --algorithm --signature --bootstrap --type --update-period --ping-period --expiration --source"
      options+=" --credential-server --force --json"
      ;;
    issue) options="--user --account --out --days --csr --force --json" ;;
    config)
      options="--bootstrap --type --update-period --ping-period --expiration --source --credential-server --json"
      ;;
    serve) options="--check" ;;
    user) options="--user --generate --no-password --json" ;;
    issued) options="--account --json" ;;
    *) options="--json" ;;
  esac
  COMPREPLY=($(compgen -W "$options" -- "$current"))
}

complete -F _torc torc
complete -F _torcd torcd
complete -F _torc_authority torc-authority
