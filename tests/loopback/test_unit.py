"""The daemons under what their systemd units leave them."""
import ctypes
import errno
import platform
import os
import re
import shutil
import signal
import socket
import subprocess

import pytest

import torcnet

UNITS = torcnet.ROOT / "packaging/systemd"
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


def setting_of(unit, name):
    return re.search(rf"^{name}=(.*)$", (UNITS / unit).read_text(encoding="utf-8"), re.M).group(1)


def families_of(unit):
    return [int(getattr(socket, name)) for name in setting_of(unit, "RestrictAddressFamilies").split()]


KNOWN = pytest.mark.skipif(platform.machine() not in SOCKET_CALL, reason="the number of socket() is not known here")


@KNOWN
def test_peers_that_listen_on_every_address_find_each_other_under_the_unit(net):
    confined = only_families(families_of("torcd.service"))
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


@KNOWN
def test_D_17_the_authority_serves_under_its_unit_and_tells_the_service_manager(make_authority):
    one = make_authority()
    one.add("alice", f"alice@{torcnet.OVERLAY}")
    only_these = only_families(families_of("torc-authority.service"))
    mask = int(setting_of("torc-authority.service", "UMask"), 8)

    def confine():
        os.umask(mask)
        only_these()
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(one.root / "notify"))
        manager.settimeout(20)
        one.start(env={"NOTIFY_SOCKET": str(one.root / "notify")}, before=confine)
        assert "READY=1" in manager.recv(4096).decode().splitlines()
        one.must_enrol("alice", [f"alice@{torcnet.OVERLAY}"])
        (one.dir / "audit.jsonl").rename(one.dir / "audit.jsonl.1")
        assert "are read again" in one.reload()
        assert [manager.recv(4096).decode() for _ in range(2)] == ["RELOADING=1", "READY=1"]
        one.must_enrol("alice", [f"alice@{torcnet.OVERLAY}"])
        assert one.stop(getattr(signal, setting_of("torc-authority.service", "KillSignal"))) == 0
        assert manager.recv(4096).decode() == "STOPPING=1"
    for name in ("authority.db", "audit.jsonl"):
        assert (one.dir / name).stat().st_mode & 0o077 == 0, name


def test_D_17_a_wrong_configuration_ends_with_what_the_unit_does_not_repeat(make_authority):
    one = make_authority()
    one.configure({"policy": {"days": "4000"}})
    assert str(one("serve", check=False).returncode) == setting_of("torc-authority.service", "RestartPreventExitStatus")


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed")
@pytest.mark.parametrize("unit", sorted(path.name for path in UNITS.glob("*.service")))
def test_D_17_D_42_systemd_reads_the_units(unit, tmp_path):
    text = (UNITS / unit).read_text(encoding="utf-8")
    text = re.sub(r"^(Exec\w+=)/usr/bin/torc", rf"\g<1>{torcnet.BUILD}/torc", text, flags=re.M)
    (tmp_path / unit).write_text(text, encoding="utf-8")
    read = subprocess.run(["systemd-analyze", "verify", "--man=no", tmp_path / unit], capture_output=True, text=True, check=False)
    assert read.returncode == 0 and unit not in read.stderr, read.stderr
