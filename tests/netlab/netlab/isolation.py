"""A private world for a lab: mount, network and process namespaces that end with whoever made them.

A keeper, the first process of the process namespace, reads from a pipe. The pipe ends when the process that holds
its other end does, however it ends; the keeper then ends, and the kernel kills everything in its namespace. The
network namespaces are bound in a private mount namespace, so nothing is left of them either. No file and no device
of the machine is touched.

SPDX-License-Identifier: Apache-2.0
"""
import ctypes
import os
import socket
import subprocess
import threading

from .errors import LabError

CLONE_NEWPID = 0x20000000
CLONE_NEWNET = 0x40000000
NO_RIGHTS = """a lab makes network namespaces, which needs root or a user namespace. Run it as root, or so:
  unshare --user --map-root-user COMMAND...
(where that is refused: sysctl -w kernel.unprivileged_userns_clone=1, or kernel.apparmor_restrict_unprivileged_userns=0)"""
NO_TUN = """a lab needs /dev/net/tun, which this user may not open. Run it as root, or let root do:
  modprobe tun; chmod 666 /dev/net/tun"""
# With SIGCHLD ignored the kernel reaps the orphans that become its children.
KEEPER = """
mount -t tmpfs -o mode=755 netlab /run && mkdir /run/netns && ip link set lo up && echo ready &&
exec env --ignore-signal=CHLD cat >/dev/null
"""

_libc = ctypes.CDLL(None, use_errno=True)


def _enter(fd, kind):
    if _libc.setns(fd, kind) != 0:
        raise LabError(f"cannot enter a namespace: {os.strerror(ctypes.get_errno())}")


def _inside(fd, kind, make):
    """What `make` gives in a namespace, called by a thread that enters it and ends: going back would need rights over
    the namespace one came from."""
    result, errors = [], []

    def work():
        try:
            _enter(fd, kind)
            result.append(make())
        except BaseException as error:
            errors.append(error)
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    if errors:
        raise errors[0]
    return result[0]


def check_rights():
    if os.geteuid() != 0:
        raise LabError(NO_RIGHTS)
    try:
        os.close(os.open("/dev/net/tun", os.O_RDWR))
    except OSError as error:
        raise LabError(NO_TUN) from error


class World:
    """Namespaces, and processes in them that the caller waits for and signals as its own children."""

    def __init__(self):
        check_rights()
        self._keeper = subprocess.Popen(
            ["unshare", "--mount", "--net", "--pid", "--fork", "--kill-child=KILL", "--mount-proc", "sh", "-c", KEEPER],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True)
        if self._keeper.stdout.readline() != b"ready\n":
            self._keeper.stdin.close()
            raise LabError(f"cannot make namespaces: {self._keeper.stderr.read().decode().strip()}\n{NO_RIGHTS}")
        pid = self._keeper.pid
        self._pids = os.open(f"/proc/{pid}/ns/pid_for_children", os.O_RDONLY)
        self._mount = f"/proc/{pid}/ns/mnt"
        self._root = f"/proc/{pid}/root"

    def popen(self, netns, argv, cwd=None, **popen):
        """Popen of `argv` in a named network namespace (None: the one the names are known in)."""
        net = f"/proc/{self._keeper.pid}/ns/net" if netns is None else f"{self._root}/run/netns/{netns}"
        enter = ["nsenter", f"--mount={self._mount}", f"--net={net}", f"--wdns={cwd or os.getcwd()}", "--"]
        if self._keeper.poll() is not None:
            raise LabError("the lab has ended")
        argv = enter + [os.fspath(word) for word in argv]
        return _inside(self._pids, CLONE_NEWPID, lambda: subprocess.Popen(argv, **popen))

    def socket(self, netns, family, kind):
        """A socket of this process that lives in a named network namespace."""
        fd = os.open(f"{self._root}/run/netns/{netns}", os.O_RDONLY)
        try:
            return _inside(fd, CLONE_NEWNET, lambda: socket.socket(family, kind))
        finally:
            os.close(fd)

    def close(self, processes=()):
        """Ends every process in it. The keeper's end waits until the caller has reaped those that are its children."""
        self._keeper.stdin.close()
        for process in processes:
            process.wait()
        self._keeper.wait()
        self._keeper.stdout.close()
        self._keeper.stderr.close()
        os.close(self._pids)
