"""torcd under what its systemd unit leaves it."""
import ctypes
import errno
import platform
import re
import socket
import subprocess

import pytest

import torcnet

UNIT = torcnet.ROOT / "packaging/systemd/torcd.service"
SOCKET_CALL = {"x86_64": 41, "aarch64": 198}
PR_SET_SECCOMP, PR_SET_NO_NEW_PRIVS, MODE_FILTER = 22, 38, 2
LOAD, EQUAL, RETURN = 0x20, 0x15, 0x06  # BPF_LD+W+ABS, BPF_JMP+JEQ+K, BPF_RET+K
ALLOW, REFUSE = 0x7FFF0000, 0x00050000 | errno.EAFNOSUPPORT


class Instruction(ctypes.Structure):
    _fields_ = [("code", ctypes.c_uint16), ("yes", ctypes.c_uint8), ("no", ctypes.c_uint8), ("k", ctypes.c_uint32)]


class Program(ctypes.Structure):
    _fields_ = [("len", ctypes.c_uint16), ("filter", ctypes.POINTER(Instruction))]


def only_families(families):
    """What RestrictAddressFamilies does to a process: no socket of another family."""
    lines = [(LOAD, 0, 0, 0), (EQUAL, 1, 0, SOCKET_CALL[platform.machine()]), (RETURN, 0, 0, ALLOW), (LOAD, 0, 0, 16)]
    lines += [(EQUAL, len(families) - i, 0, family) for i, family in enumerate(families)]
    lines += [(RETURN, 0, 0, REFUSE), (RETURN, 0, 0, ALLOW)]
    array = (Instruction * len(lines))(*(Instruction(*line) for line in lines))
    program = Program(len(lines), array)
    libc = ctypes.CDLL(None, use_errno=True)

    def install():
        if libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) or libc.prctl(PR_SET_SECCOMP, MODE_FILTER, ctypes.byref(program)):
            raise OSError(ctypes.get_errno(), "seccomp")
    return install


@pytest.mark.skipif(platform.machine() not in SOCKET_CALL, reason="the number of socket() is not known here")
def test_peers_that_listen_on_every_address_find_each_other_under_the_unit(net):
    names = re.search(r"^RestrictAddressFamilies=(.*)$", UNIT.read_text(encoding="utf-8"), re.M).group(1).split()
    confined = only_families([int(getattr(socket, name)) for name in names])
    for i in range(4):
        peer = net.add(f"p{i}")
        port = net.port if i == 0 else 0
        peer.sections["node"]["listen"] = f"0.0.0.0:{port}"
        peer.write_conf()
        with open(peer.dir / f"{peer.name}.err", "ab") as err:
            peer.process = subprocess.Popen([torcnet.TORCD, "--config", peer.conf], stdin=subprocess.DEVNULL,
                                            stdout=err, stderr=err, preexec_fn=confined)
        peer.connect().wait_joined()
    net.wait_whole(30)  # links beside those to the first one are made with CONNECT, which carries addresses
