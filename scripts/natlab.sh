#!/bin/bash
# natlab.sh [OPTION...]: the NAT matrix (docs/netlab.md): which kinds of box connect to which, and how fast. --help lists the options.
set -eu
root=$(cd "$(dirname "$0")/.." && pwd)
"$root/scripts/build.sh" release netlab_wan netlab_ice_end netlab_nice_end
export PYTHONPATH=$root/tests/netlab PYTHONDONTWRITEBYTECODE=1 TORC_BUILD_DIR=$root/build/release
exec "$root/tests/netlab/as_root.sh" /usr/bin/python3 -m netlab.matrix "$@"
