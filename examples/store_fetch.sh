#!/bin/bash
# Runs store_fetch against an overlay of one peer. Arguments: the program, the directory of torcd and torc-authority.
set -eu
program=$1
bin=$2
dir=$(mktemp -d)
pid=
cleanup() {
  if [ -n "$pid" ]; then
    kill "$pid" 2>/dev/null || true
    wait "$pid" 2>/dev/null || true
  fi
  rm -rf "$dir"
}
trap cleanup EXIT

port=$(/usr/bin/python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
"$bin/torc-authority" init "$dir/authority" --overlay example.torc --bootstrap "127.0.0.1:$port" \
  --type 0xF00001,note,single,user-match,1,4096,86400
for user in alice bob; do
  "$bin/torc-authority" issue "$dir/authority" --user "$user@example.torc" --out "$dir/$user" >/dev/null
done
cat >"$dir/torcd.conf" <<CONF
[overlay]
file = $dir/authority/overlay.xml
[identity]
cert = $dir/alice.crt
key = $dir/alice.key
[node]
listen = 127.0.0.1:$port
[control]
socket = $dir/torcd.sock
CONF
"$bin/torcd" --config "$dir/torcd.conf" 2>"$dir/log" &
pid=$!

said=$("$program" "$dir/authority/overlay.xml" "$dir/bob.crt" "$dir/bob.key" bob@example.torc note "hello ring")
echo "$said"
[ "$said" = '"hello ring" signed by bob@example.torc' ]
