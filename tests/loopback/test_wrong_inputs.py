"""What a daemon is given wrongly: configuration, files, ports, certificates. Each ends with a clear message."""
import os
import shutil
import socket
import ssl
import subprocess

import pytest
from cryptography import x509

import torcnet
from forge import forge
from torcnet import AUTHORITY, TORCD, Net, run

GOOD = """[overlay]
file = /nonexistent/overlay.xml
[identity]
cert = /nonexistent/a.crt
key = /nonexistent/a.key
[node]
listen = 127.0.0.1:0
"""

CONFIG_ERRORS = [
    ("unknown section", GOOD + "[nodes]\nrole = peer\n", 8, "there is no section 'nodes'"),
    ("unknown empty section", "[nothing]\n" + GOOD, 1, "there is no section 'nothing'"),
    ("unknown key", GOOD + "rôle = peer\n", 8, "there is no key 'rôle' in section [node]"),
    ("key of another section", GOOD + "level = info\n", 8, "there is no key 'level' in section [node]"),
    ("no equals sign", GOOD + "role peer\n", 8, "expected 'name = value', found 'role peer'"),
    ("section never closed", GOOD + "[log\n", 8, "the ']' of the section is missing"),
    ("key before any section", "role = peer\n" + GOOD, 1, "'role' stands before the first [section]"),
    ("bad role", GOOD + "role = boss\n", 8, "role = 'boss': expected peer or client"),
    ("bad address", GOOD + "listen = localhost:6084\n", 8, "listen = 'localhost:6084': expected ADDRESS:PORT"),
    ("port too large", GOOD + "listen = 127.0.0.1:65536\n", 8, "expected ADDRESS:PORT"),
    ("IPv6 without brackets", GOOD + "listen = ::1:6084\n", 8, "expected ADDRESS:PORT"),
    ("given twice", GOOD + "role = peer\nrole = peer\n", 9, "'role' is given twice"),
    ("indented and given twice", GOOD + "  role = peer\n  role = peer\n", 9, "'role' is given twice"),
    ("empty value", GOOD + "state-dir =\n", 8, "state-dir = '': expected 1 to 255 bytes of text"),
    ("bad level", GOOD + "[log]\nlevel = loud\n", 9, "level = 'loud': expected error, warn, info, debug or trace"),
    ("bad format", GOOD + "[log]\nformat = xml\n", 9, "expected json or text"),
    ("bad flag", GOOD + "sync-disk = maybe\n", 8, "expected yes or no"),
    ("bad count", GOOD + "[limits]\nlinks = -1\n", 9, "links = '-1': expected 8 to 65536"),
    ("bad size", GOOD + "[limits]\nstored-bytes = 1T\n", 9, "expected a size of 1M to 16384G"),
    ("bad duration", GOOD + "[timers]\nupdate-period = 10 weeks\n", 9, "update-period = '10 weeks': expected 100ms to 24h"),
    ("duration out of range", GOOD + "[timers]\nt1 = 11s\n", 9, "expected 10ms to 10s"),
    ("metrics for everybody", GOOD + "[metrics]\nlisten = 0.0.0.0:9466\n", 9, "of this machine only"),
    ("line too long", GOOD + "# " + "x" * 300 + "\n", 8, "the line has more than"),
    ("nine listen addresses", GOOD + "listen = 127.0.0.1:1\n" * 8, 15, "at most 8"),
]


@pytest.mark.parametrize("text,line,message", [case[1:] for case in CONFIG_ERRORS], ids=[case[0] for case in CONFIG_ERRORS])
def test_D_42_configuration_error_has_line_and_reason(tmp_path, text, line, message):
    path = tmp_path / "torcd.conf"
    path.write_text(text, encoding="utf-8")
    done = run(TORCD, "--config", path, check=False, timeout=10)
    assert done.returncode == 2
    assert f"{path}:{line}: " in done.stderr and message in done.stderr, done.stderr
    checked = run(TORCD, "--check-config", "--config", path, check=False, timeout=10)
    assert checked.returncode == 2 and checked.stderr == done.stderr


@pytest.mark.parametrize("without,message", [
    ("file =", "[overlay] file is missing"), ("cert =", "[identity] cert is missing"),
    ("key =", "[identity] key is missing"), ("listen =", "[node] listen is missing")])
def test_D_42_what_must_be_configured_is_named(tmp_path, without, message):
    path = tmp_path / "torcd.conf"
    path.write_text("".join(line for line in GOOD.splitlines(True) if not line.startswith(without)), encoding="utf-8")
    done = run(TORCD, "--config", path, check=False, timeout=10)
    assert done.returncode == 2 and message in done.stderr


def test_D_42_missing_files_are_named(tmp_path):
    path = tmp_path / "torcd.conf"
    done = run(TORCD, "--config", path, check=False, timeout=10)
    assert done.returncode == 2 and f"cannot open the configuration {path}" in done.stderr
    path.write_text(GOOD, encoding="utf-8")
    done = run(TORCD, "--config", path, check=False, timeout=10)
    assert done.returncode == 2 and "/nonexistent/overlay.xml" in done.stderr


def test_D_42_check_config_accepts_what_is_usable(net):
    peer = net.add("p1").write_conf()
    done = run(TORCD, "--check-config", "--config", peer.conf, timeout=10)
    assert "usable; overlay ring.example.org, user p1@ring.example.org" in done.stdout
    assert not (peer.state / "lock").exists()


def test_GAP_127_broken_overlay_document_has_line_and_reason(net):
    peer = net.add("p1")
    path = net.authority / "overlay.xml"
    text = path.read_text(encoding="utf-8").split("<?torc-signature")[0]
    for broken, message in ((text.replace('max-size="4096"', 'max-size="lots"'), "max-size"),
                            (text.replace("</overlay>", ""), "not well-formed"),
                            (text.replace('name="dict"', 'name="CERTIFICATE"'), "a standard type has this name"),
                            (text.replace('model="dictionary"', 'model="single"'), "a type of model single has max-count 1")):
        assert broken != text
        path.write_text(broken, encoding="utf-8")
        said = peer.refuses_to_start(code=2)
        assert "overlay.xml: line " in said and message in said, said
        checked = run(TORCD, "--check-config", "--config", peer.conf, check=False, timeout=10)
        assert checked.returncode == 2 and message in checked.stderr
    path.write_text(text.replace("chord-128-2-8", "chord-96-2-8"), encoding="utf-8")
    assert "the algorithm 'chord-96-2-8' is not known: Only chord with 128 bits" in peer.refuses_to_start(code=2)


@pytest.mark.parametrize("text,message", [
    ("0xF00001,note,single,user-match,5,100", "a type of model single has max-count 1"),
    ("0xF00001,Turn-Service,array,user-match,5,100", "a standard type has this name already"),
    ("0xF00001,list,array,user-node-match,5,100", "user-node-match needs the model dictionary")])
def test_USG_01_authority_refuses_types_that_peers_refuse(tmp_path, text, message):
    done = run(AUTHORITY, "init", tmp_path / "ring", "--overlay", "ring.example.org", "--type", text, check=False)
    assert done.returncode == 2 and message in done.stderr
    assert not (tmp_path / "ring").exists()
    twice = ["--type", "0xF00001,list,array,user-match,5,100", "--type", "0xF00002,LIST,array,user-match,5,100"]
    done = run(AUTHORITY, "init", tmp_path / "ring", "--overlay", "ring.example.org", *twice, check=False)
    assert done.returncode == 2 and "another type has this id or name already" in done.stderr


# ---- the machine ----

def test_D_42_port_in_use(net):
    peer = net.add("p1")
    with socket.socket() as other:
        other.bind(("127.0.0.1", net.port))
        other.listen()
        said = peer.refuses_to_start()
    assert f"127.0.0.1:{net.port}" in said and "in use" in said


def test_D_42_two_daemons_on_one_state_directory(net):
    first = net.add("p1").start()
    second = net.add("p2")
    second.sections["node"]["state-dir"] = first.state
    said = second.refuses_to_start()
    assert f"{first.state} is in use by another process (pid {first.process.pid})" in said
    assert first.status()["pid"] == first.process.pid


def test_D_42_two_daemons_on_one_control_socket(net):
    first = net.add("p1").start()
    second = net.add("p2")
    second.sections["control"]["socket"] = first.socket
    said = second.refuses_to_start()
    assert f"another torcd answers on the control socket {first.socket}" in said
    first.kill()
    first.process.wait()
    assert first.socket.exists()  # left behind by kill -9, and replaced
    second.socket = first.socket
    second.start()
    assert second.status()["peer"] == second.id


def as_nobody(net, peer):
    """Runs torcd as a user without rights; everything but the state directory belongs to that user."""
    nobody = 65534
    program = net.dir / "torcd"
    shutil.copy(TORCD, program)
    for path in (net.dir, net.authority, peer.cert, peer.key, peer.conf, net.authority / "overlay.xml"):
        os.chown(path, nobody, nobody)
    return subprocess.run([str(program), "--config", str(peer.conf)], capture_output=True, text=True, check=False,
                          timeout=20, user=nobody, group=nobody, extra_groups=[])


def test_D_42_state_directory_that_is_not_writable(net):
    peer = net.add("p1").write_conf()
    peer.sections["log"]["file"] = None
    peer.write_conf()
    if os.geteuid() == 0:
        done = as_nobody(net, peer)
    else:
        peer.state.chmod(0o500)
        done = run(TORCD, "--config", peer.conf, check=False, timeout=20)
    assert done.returncode == 1
    assert str(peer.state) in done.stderr and "Permission denied" in done.stderr


def test_D_42_a_key_that_others_can_read_is_refused(net):
    peer = net.add("p1")
    peer.key.chmod(0o644)
    said = peer.refuses_to_start(code=2)
    assert str(peer.key) in said and "chmod 600" in said


# ---- certificates ----

def own_certificate_refused(net, message, **forged):
    peer = net.add("p1")
    cert, key = forge(net, "forged", **forged)
    peer.sections["identity"] = {"cert": cert, "key": key}
    said = peer.refuses_to_start(code=2)
    assert str(cert) in said and message in said, said


def test_GAP_135_expired_certificate(net):
    own_certificate_refused(net, "expired", days=(-20, -1))


def test_GAP_135_certificate_that_is_not_valid_yet(net):
    own_certificate_refused(net, "not valid", days=(5, 20))


def test_GAP_134_certificate_without_a_peer_id(net):
    own_certificate_refused(net, "peer-id", peer=None)


def test_GAP_134_certificate_of_another_overlay(net):
    own_certificate_refused(net, "overlay", overlay="elsewhere.example.org")


def test_SEC_17_certificate_of_another_authority(net, make_net):
    from forge import authority_of
    own_certificate_refused(net, "usable in this overlay", signer=authority_of(make_net()))


def test_R_38_certificate_with_unknown_critical_extension(net):
    own_certificate_refused(net, "usable in this overlay", extra=(x509.ObjectIdentifier("1.3.6.1.4.1.99999.1"), b"\x05\x00"))


def test_D_42_key_of_another_certificate(net):
    peer = net.add("p1")
    other = net.add("p2")
    peer.sections["identity"]["key"] = other.key
    said = peer.refuses_to_start(code=2)
    assert str(other.key) in said and "belong" in said


def client_context(cert, key):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    if cert:
        context.load_cert_chain(cert, key)
    return context


def is_turned_away(port, cert, key):
    """Connects with the certificate and sends the first bytes of a message; true if the peer closed the link."""
    with socket.create_connection(("127.0.0.1", port), timeout=10) as raw:
        try:
            with client_context(cert, key).wrap_socket(raw) as tls:
                tls.sendall(b"RELO")
                return tls.recv(1) == b""
        except ConnectionError:
            return True
        except ssl.SSLError as error:
            return not isinstance(error, ssl.SSLWantReadError)


def test_SEC_17_TLS_06_peers_turn_away_who_has_no_usable_certificate(net, make_net):
    from forge import authority_of
    peer = net.add("p1").start()
    client = net.add("c1", role="client")
    cases = {
        "none": (None, None),
        "expired": forge(net, "expired", days=(-20, -1)),
        "not-yet": forge(net, "future", days=(5, 20)),
        "no-peer-id": forge(net, "nopeer", peer=None),
        "elsewhere": forge(net, "elsewhere", overlay="elsewhere.example.org"),
        "other-authority": forge(net, "foreign", signer=authority_of(make_net())),
        "half-usage": forge(net, "half", usages=(x509.oid.ExtendedKeyUsageOID.CLIENT_AUTH,)),
        "odd-extension": forge(net, "odd", extra=(x509.ObjectIdentifier("1.3.6.1.4.1.99999.1"), b"\x05\x00")),
        "long-uri": forge(net, "long", peer="5" * 3000),
    }
    for name, (cert, key) in cases.items():
        assert is_turned_away(net.port, cert, key), name
    assert peer.status()["links"] == 0
    client.start().wait_joined()  # and those who have one are welcome
    assert peer.is_running


def test_R_18_GAP_48_half_a_message_and_noise_do_no_harm(net):
    peer = net.add("p1").start().wait_joined()
    good = net.add("c1", role="client")
    for noise in (b"\x00" * 65536, b"GET / HTTP/1.1\r\n\r\n", b""):
        with socket.create_connection(("127.0.0.1", net.port), timeout=10) as raw:
            raw.sendall(noise)
    context = client_context(good.cert, good.key)
    with socket.create_connection(("127.0.0.1", net.port), timeout=10) as raw:
        with context.wrap_socket(raw) as tls:
            tls.sendall(b"NOTRELOAD" * 10)
            assert tls.recv(1) == b""
    held = socket.create_connection(("127.0.0.1", net.port), timeout=10)  # says nothing, and stays
    good.start().wait_joined()
    assert good.control.call("ping", route=[peer.id])["responder"] == peer.id
    held.close()


def test_GAP_162_strangers_and_noise_write_nothing_into_the_log(net):
    peer = net.add("p1")
    peer.sections["log"]["level"] = "info"
    peer.start().wait_joined()
    good = net.add("c1", role="client")
    context = client_context(good.cert, good.key)
    before = peer.log.read_text(encoding="utf-8")
    for noise in (b"\x00" * 100, b"GET / HTTP/1.1\r\n\r\n"):
        with socket.create_connection(("127.0.0.1", net.port), timeout=10) as raw:
            raw.sendall(noise)
            while raw.recv(100):
                pass
    with socket.create_connection(("127.0.0.1", net.port), timeout=10) as raw:
        with context.wrap_socket(raw) as tls:
            tls.sendall(b"NOTRELOAD" * 10)
            assert tls.recv(1) == b""
    assert peer.log.read_text(encoding="utf-8") == before


def test_ARC_20_peers_of_another_overlay_do_not_meet(make_net):
    one = make_net()
    one.start(1)
    other = Net()
    try:
        stranger = other.add("p1")
        stranger.sections["node"]["listen"] = "127.0.0.1:0"
        path = other.authority / "overlay.xml"
        text = path.read_text(encoding="utf-8").replace(f'port="{other.port}"', f'port="{one.port}"')
        text = text.split("<?torc-signature")[0]  # it would not hold
        path.write_text(text, encoding="utf-8")
        stranger.start()
        torcnet.wait_for(lambda: stranger.counters()["bootstrap_failures"] >= 2, 30, "two refused tries")
        assert stranger.status()["joined"] is False
        assert one.peers[0].status()["links"] == 0
    finally:
        other.close()
