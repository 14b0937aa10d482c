"""A lab leaves nothing behind, whoever is killed; labs do not meet; who may not make one is told why."""
import ctypes
import os
import pathlib
import signal
import subprocess
import sys

import pytest

from netlab import Lab, LabError, probe, wait_until

HERE = pathlib.Path(__file__).resolve().parent

# Opens a lab with a process on every host, says which processes it has, and waits.
OPEN_ONE = """
import sys, time
sys.path.insert(0, sys.argv[1])
from netlab import Lab
lab = Lab.from_text("host a\\nbox home port\\nhost b behind home").__enter__()
stubborn = ["sh", "-c", "trap '' TERM HUP INT; sleep 1000 & echo up; wait"]
for host in "a", "b":
    lab.start(host, ["setsid"] + stubborn, stdout=-1).stdout.readline()
print(lab._world._keeper.pid, flush=True)
time.sleep(1000)
"""


def in_namespace(namespace):
    """The processes of a process namespace."""
    found = []
    for pid in filter(str.isdecimal, os.listdir("/proc")):
        try:
            if os.readlink(f"/proc/{pid}/ns/pid") == namespace:
                found.append(int(pid))
        except OSError:
            pass
    return found


def root_view():
    """What a lab might change of the machine it runs on."""
    links = subprocess.run(["ip", "-o", "addr"], capture_output=True, text=True, check=True).stdout
    names = {line.split()[1] for line in links.splitlines()}
    with open("/proc/self/mounts", encoding="utf-8") as mounts:
        return names, mounts.read(), pathlib.Path("/run/netns").exists() and sorted(os.listdir("/run/netns"))


class Opener:
    """Another process with a lab open."""

    def __init__(self, prefix=()):
        self.process = subprocess.Popen([*prefix, sys.executable, "-B", "-c", OPEN_ONE, str(HERE)], stdout=subprocess.PIPE,
                                        stderr=subprocess.PIPE, text=True)
        line = self.process.stdout.readline()
        assert line, self.process.stderr.read()
        self.keeper = int(line)
        self.namespace = os.readlink(f"/proc/{self.keeper}/ns/pid_for_children")

    def close(self):
        self.process.kill()
        self.process.wait()
        self.process.stdout.close(), self.process.stderr.close()


@pytest.fixture(autouse=True)
def orphans_are_ours():
    """The processes of a killed lab become this one's children, not those of an init that may reap them late."""
    libc, set_child_subreaper = ctypes.CDLL(None), 36
    libc.prctl(set_child_subreaper, 1, 0, 0, 0)
    yield
    libc.prctl(set_child_subreaper, 0, 0, 0, 0)


def reap(pids):
    for pid in pids:
        try:
            os.waitpid(pid, os.WNOHANG)
        except ChildProcessError:
            pass  # not ours, or not yet


def gone(opener):
    reap([*in_namespace(opener.namespace), opener.keeper])
    return not in_namespace(opener.namespace) and not os.path.exists(f"/proc/{opener.keeper}")


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_nothing_is_left_of_a_killed_lab(number):
    before = root_view()
    opener = Opener()
    try:
        assert len(in_namespace(opener.namespace)) >= 6  # keeper, router, two shells and their sleeps
        assert root_view() == before
        opener.process.send_signal(number)
        opener.process.wait()
        wait_until("the lab is gone", lambda: gone(opener))
        assert root_view() == before
    finally:
        opener.close()


def test_nothing_is_left_when_the_keeper_is_killed():
    opener = Opener()
    try:
        os.kill(opener.keeper, signal.SIGKILL)
        # The namespace's first process waits for those whose parent, alive outside, has not reaped them.
        wait_until("the others are dead", lambda: sum(not is_zombie(pid) for pid in in_namespace(opener.namespace)) <= 1)
        opener.process.kill()
        opener.process.wait()
        wait_until("the lab is gone", lambda: gone(opener))
    finally:
        opener.close()


def is_zombie(pid):
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8") as stat:
            return stat.read().rsplit(")", 1)[1].split()[0] == "Z"
    except OSError:
        return True


def test_closing_ends_every_process():
    with Lab.from_text("host a\nhost b") as lab:
        process = lab.start("a", ["sh", "-c", "trap '' TERM; sleep 1000 & echo up; wait"], stdout=subprocess.PIPE)
        assert process.stdout.readline() == b"up\n"
        namespace = os.readlink(f"/proc/{process.pid}/ns/pid")
        assert process.pid in in_namespace(namespace)
    assert process.returncode == -signal.SIGKILL and not in_namespace(namespace)
    with pytest.raises(LabError, match="not open"):
        lab.run("a", ["true"])


def test_orphans_are_reaped():
    with Lab.from_text("host a") as lab:
        lab.run("a", ["sh", "-c", "(sleep 0.01 &)"])
        namespace = os.readlink(f"/proc/{lab._world._keeper.pid}/ns/pid_for_children")
        wait_until("only keeper and router are there", lambda: len(in_namespace(namespace)) == 2)


def test_a_failed_start_leaves_nothing():
    before = root_view()
    lab = Lab.from_text("host a")
    lab.plan.script = lambda: "echo it cannot be; exit 1"
    with pytest.raises(LabError, match="it cannot be"):
        lab.open()
    assert root_view() == before and lab._world is None


def test_labs_of_the_same_names_do_not_meet():
    text = "host a\nhost b\nbox home port\nhost c behind home"
    with Lab.from_text(text) as one, Lab.from_text(text) as other:
        with probe.udp(one, "b") as b1, probe.udp(other, "b") as b2, probe.udp(one, "c") as c1:
            c1.sendto(b"one", (str(one.address("b")), b2.getsockname()[1]))
            c1.sendto(b"one", (str(one.address("b")), b1.getsockname()[1]))
            assert probe.receive(b1)[0] == b"one"
            assert probe.drain(b2) == []
        other.close()
        assert one.run("c", ["ping", "-c", "1", str(one.address("b"))]).returncode == 0


def test_commands_and_their_errors():
    with Lab.from_text("host a") as lab:
        assert lab.run("a", ["cat"], input="text").stdout == "text"
        assert lab.run("a", ["sh", "-c", "pwd; exit 3"], check=False, cwd="/tmp").returncode == 3
        with pytest.raises(LabError, match="a: sh -c echo no >&2; false: 1: no"):
            lab.run("a", ["sh", "-c", "echo no >&2; false"])
        with pytest.raises(LabError, match="there is no host z"):
            lab.run("z", ["true"])
        with pytest.raises(subprocess.TimeoutExpired):
            lab.run("a", ["sleep", "1000"], timeout=0.1)
        lab.start("a", ["sleep", "1000"], "sleeper")
        with pytest.raises(LabError, match="sleeper runs already"):
            lab.start("a", ["sleep", "1000"], "sleeper")
        lab.do("kill sleeper")
        lab.start("a", ["sleep", "1000"], "sleeper")
        lab.wan.process.kill()
        with pytest.raises(LabError, match="the WAN router has ended"):
            lab.cut("a")
            lab.cut("a")


def as_nobody(*argv, tun="666"):
    """argv as a user without rights, on a machine whose /dev/net/tun has these permissions."""
    if os.geteuid() != 0 or open("/proc/self/uid_map", encoding="ascii").read().split()[2] == "1":
        pytest.skip("only root can become another user")
    script = (f"mount -t tmpfs none /dev/net && mknod -m {tun} /dev/net/tun c 10 200 && chmod {tun} /dev/net/tun && exec "
              'setpriv --reuid 65534 --regid 65534 --clear-groups env HOME=/ "$@"')
    return ["unshare", "--mount", "sh", "-c", script, "sh", *argv]


def visible_to_all(path):
    return all(os.stat(parent).st_mode & 0o005 == 0o005 for parent in [path, *path.parents] if parent.is_dir())


def test_without_root_in_a_user_namespace():
    if not visible_to_all(HERE):
        pytest.skip(f"another user cannot read {HERE}")
    opener = Opener(as_nobody(str(HERE / "as_root.sh")))
    try:
        assert len(in_namespace(opener.namespace)) >= 6
    finally:
        opener.close()
    wait_until("the lab is gone", lambda: gone(opener))


@pytest.mark.parametrize("prefix,tun,why", [([], "666", "needs root or a user namespace"),
                                            (["unshare", "--user", "--map-root-user"], "600", "needs /dev/net/tun")])
def test_without_rights_it_says_what_to_do(prefix, tun, why):
    if not visible_to_all(HERE):
        pytest.skip(f"another user cannot read {HERE}")
    result = subprocess.run(as_nobody(*prefix, sys.executable, "-B", "-c", OPEN_ONE, str(HERE), tun=tun), capture_output=True,
                            text=True, timeout=60, check=False)
    assert result.returncode == 1 and why in result.stderr, result.stderr
