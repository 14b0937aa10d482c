"""torc enroll without a DNS: an address as the overlay's name, and multicast DNS, in network namespaces of their own.

Two namespaces are joined by a cable (veth). The enrolment server and the responder are in one, torc is in the other.
"""
import json
import os
import pathlib
import subprocess
import sys
import threading

import pytest

HERE = pathlib.Path(__file__).resolve()
sys.path.insert(0, str(HERE.parent))

from enrolnet import Enrolment, PASSWORD, write_tls  # noqa: E402
from namenet import a, ptr, serve_multicast, srv  # noqa: E402
from torcnet import AUTHORITY, TORC, run  # noqa: E402

SERVER, CLIENT = "10.11.12.1", "10.11.12.2"
SERVER6, CLIENT6 = "fd11:12::1", "fd11:12::2"
LOCAL = "ring.local"
SERVICE = f"_p2p_menroll._tcp.{LOCAL}"
PORT = 8443
RECORDS = {
    "an SRV record": {(SERVICE, 33): [srv(0, 0, PORT, "host.local")], ("host.local", 1): [a(SERVER)]},
    "an instance": {(SERVICE, 12): [ptr(f"alice.{SERVICE}")], (f"alice.{SERVICE}", 33): [srv(0, 0, PORT, "host.local")],
                    ("host.local", 1): [a(SERVER)]},
    "only an address": {(LOCAL, 1): [a(SERVER)]},
    "nothing": {},
}


# ---- inside the namespaces ----

def ip(*words):
    subprocess.run(["ip", *words], check=True, timeout=20)


def address(interface, own, own6):
    ip("link", "set", "lo", "up")
    ip("addr", "add", f"{own}/24", "dev", interface)
    ip("addr", "add", f"{own6}/64", "dev", interface, "nodad")
    ip("link", "set", interface, "up")
    ip("route", "add", "224.0.0.0/4", "dev", interface)


def serve(directory, what):
    """The server's side: the cable is plugged in when a line comes."""
    print("here", flush=True)
    sys.stdin.readline()
    address("v1", SERVER, SERVER6)
    service = subprocess.Popen([AUTHORITY, "serve", f"{directory}/authority"], stdin=subprocess.DEVNULL,
                               stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        line = service.stdout.readline()
        assert "serving" in line, line
        reader, writer = os.pipe()
        threading.Thread(target=serve_multicast, args=(RECORDS[what], SERVER, writer), daemon=True).start()
        os.read(reader, 1)
        print("ready", flush=True)
        sys.stdin.readline()
    finally:
        service.terminate()
        service.wait(timeout=20)


def enroll(directory, what, overlay):
    """The client's side, which makes the other one."""
    other = subprocess.Popen(["unshare", "-n", sys.executable, str(HERE), "serve", directory, what], text=True,
                             stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        assert other.stdout.readline() == "here\n"
        ip("link", "add", "v0", "type", "veth", "peer", "name", "v1", "netns", str(other.pid))
        address("v0", CLIENT, CLIENT6)
        print(file=other.stdin, flush=True)
        assert other.stdout.readline() == "ready\n"
        done = subprocess.run([TORC, "enroll", overlay, "--user", f"alice@{overlay}", "--account", "alice", "--dir",
                               f"{directory}/alice", "--password-file", f"{directory}/password", "--ca-file",
                               f"{directory}/authority-tls.crt", "--json"], check=False, timeout=60)
    finally:
        other.stdin.close()
        other.wait(timeout=30)
    sys.exit(done.returncode)


# ---- the tests ----

def prepare(tmp_path, overlay, port, *words):
    """What Enrolment makes, for another overlay and address; the service is started inside."""
    made = Enrolment(tmp_path, settings={"https": {"listen": [f"{SERVER}:{port}", f"[{SERVER6}]:{port}"]}})
    for name in ("ca.key", "ca.crt", "overlay.xml"):
        (made.dir / name).unlink()
    run(AUTHORITY, "init", made.dir, "--overlay", overlay, "--bootstrap", f"{SERVER}:6084", "--force", *words)
    made.add("alice", f"alice@{overlay}")
    write_tls(tmp_path, "authority-tls", overlay)
    (tmp_path / "password").write_text(PASSWORD, encoding="utf-8")
    (tmp_path / "password").chmod(0o600)


def enrolled(tmp_path, what, overlay):
    return subprocess.run(["unshare", "-rn", sys.executable, str(HERE), "enroll", str(tmp_path), what, overlay],
                          capture_output=True, text=True, check=False, timeout=120)


def test_ENR_04_GAP_125_a_name_that_is_an_address(tmp_path):
    prepare(tmp_path, SERVER, 443)
    done = enrolled(tmp_path, "nothing", SERVER)
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert said["server"] == f"{SERVER} ({SERVER}:443)" and said["users"] == [f"alice@{SERVER}"]


@pytest.mark.parametrize("port", [443, PORT])
def test_ENR_26_a_credential_server_by_its_IPv6_address(port, tmp_path):
    at = f"[{SERVER6}]" if port == 443 else f"[{SERVER6}]:{port}"
    prepare(tmp_path, LOCAL, port, "--credential-server", f"https://{at}/p2psip/credential")
    done = enrolled(tmp_path, "only an address" if port == 443 else "an SRV record", LOCAL)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["server"].endswith(f"([{SERVER6}]:{port})")


@pytest.mark.parametrize("what", [what for what in RECORDS if what != "nothing"])
def test_ENR_06_GAP_125_a_local_name_by_multicast(what, tmp_path):
    port = 443 if what == "only an address" else PORT
    prepare(tmp_path, LOCAL, port)
    done = enrolled(tmp_path, what, LOCAL)
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert said["server"].endswith(f"({SERVER}:{port})") and said["srv"] is (port == PORT)
    assert said["users"] == [f"alice@{LOCAL}"] and said["dnssec"] == "not checked"


def test_ENR_06_nobody_answers_for_a_local_name(tmp_path):
    prepare(tmp_path, LOCAL, PORT)
    done = enrolled(tmp_path, "nothing", LOCAL)
    assert done.returncode == 1 and f"nobody on this network answers for {LOCAL}" in done.stderr


if __name__ == "__main__":
    {"serve": serve, "enroll": enroll}[sys.argv[1]](*sys.argv[2:])
