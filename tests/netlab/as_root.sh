#!/bin/sh
# as_root.sh COMMAND...: runs a command that makes labs, as root or, for another user, as root of a user namespace.
if [ "$(id -u)" -eq 0 ]; then
  exec "$@"
fi
if unshare --user --map-root-user true 2>/dev/null; then
  exec unshare --user --map-root-user "$@"
fi
cat >&2 <<'END'
as_root: a lab needs root or a user namespace, and this system refuses the latter. Run this as root, or let root do one of
  sysctl -w kernel.unprivileged_userns_clone=1
  sysctl -w kernel.apparmor_restrict_unprivileged_userns=0
END
exit 1
