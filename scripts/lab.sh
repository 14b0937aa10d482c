#!/bin/bash
# lab.sh [SCENARIO [HOST [COMMAND...]]]: opens a lab (docs/netlab.md) and a shell, or a command, on one of its hosts.
set -eu
root=$(cd "$(dirname "$0")/.." && pwd)
if [ $# -eq 0 ]; then
  set -- "$root/tests/netlab/scenarios/two-homes.lab"
fi
"$root/scripts/build.sh" release netlab_wan
export PYTHONPATH=$root/tests/netlab PYTHONDONTWRITEBYTECODE=1 TORC_BUILD_DIR=$root/build/release
exec "$root/tests/netlab/as_root.sh" /usr/bin/python3 -m netlab "$@"
