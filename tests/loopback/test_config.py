"""The overlay document of running daemons: replaced, fetched, expired; types of applications."""
import datetime
import http.server
import ipaddress
import json
import os
import re
import ssl
import subprocess
import threading
import time

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from torcnet import AUTHORITY, BUILD, ROOT, OVERLAY, TORCD, Failure, free_port, run, wait_for

SIGNATURE = re.compile(rb"<\?torc-signature [^?]*\?>\s*$")
BOARD = "0xF00010,board,dictionary,own-key,20,512,86400"


def document(net):
    return net.authority / "overlay.xml"


def change(net, *options):
    """The authority's next version of the document, signed."""
    return run(AUTHORITY, "config", "set", net.authority, *options).stdout


def config(peer):
    return peer.control.call("config")


def sequence(peer):
    return config(peer)["configuration"]["sequence"]


def wait_sequence(peers, number):
    for peer in peers:
        wait_for(lambda p=peer: sequence(p) == number, 20, lambda p=peer: config(p))


def last_kept(peer):
    """Why the last document was not taken."""
    events = [e for e in peer.events() if e["event"] == "torcd:configuration_kept"]
    return events[-1]["why"] if events else None


# ---- the file ----

def test_GAP_130_GAP_143_a_replaced_file_gives_running_peers_a_new_type(net):
    peers = net.start(3)
    refused = peers[0].control.ask("store", name="plaza", type="board", key=peers[0].user, value="x")
    assert not refused["ok"] and "board" in refused["error"]
    assert "sequence 2, signed" in change(net, "--type", BOARD)
    wait_sequence(peers, 2)
    for peer in peers:
        assert peer.has_event("torcd:configuration_taken")
        assert config(peer)["configuration"]["restart_for"] == []
        assert "type board (0xF00010) is new" in [e.get("what") for e in peer.events()]
    for peer in peers:
        peer.torc("store", "plaza", f"from {peer.name}", "--type", "board", "--key", peer.user)
    said = peers[2].torc("fetch", "plaza", "--type", "board").stdout
    assert all(f"{p.user} = from {p.name}" in said for p in peers), said


def test_USG_03_SEC_10_own_key_admits_every_member_under_its_own_key_only(net):
    change(net, "--type", BOARD)
    one, other = net.start(2)
    one.torc("store", "plaza", "mine", "--type", "board", "--key", f"peer:{one.id}")
    for key in (other.user, "somebody@example.org", f"peer:{other.id}", "", one.user.upper()):
        done = one.torc("store", "plaza", "not mine", "--type", "board", "--key", key, check=False)
        assert done.returncode == 1 and "403" in done.stderr, (key, done.stderr)
    gone = other.torc("remove", "plaza", "--type", "board", "--key", f"peer:{one.id}", check=False)
    assert gone.returncode == 1 and "403" in gone.stderr
    assert "mine" in other.torc("fetch", "plaza", "--type", "board", "--key", f"peer:{one.id}").stdout
    one.torc("remove", "plaza", "--type", "board", "--key", f"peer:{one.id}")
    assert other.torc("fetch", "plaza", "--type", "board", check=False).returncode == 1


def test_GAP_130_torc_config_reload_says_what_changed_and_what_waits(net):
    peer = net.start(1)[0]
    before = peer.torc("config").stdout
    assert "sequence       1" in before and "0xF00001 note: single, user-match" in before
    path = document(net)
    text = path.read_text(encoding="utf-8")
    text = re.sub(r'  <torc:type id="0xF00005"[^>]*/>\n', "", text)
    text = text.replace('name="dict" model="dictionary"', 'name="dict" model="array"')
    text = text.replace('max-size="4096"', 'max-size="64"').replace("chord-128-2-8", "chord-128-2-24")
    text = text.replace("<torc:type", "<torc:t1>700</torc:t1>\n<torc:type", 1)
    draft = net.dir / "draft.xml"
    draft.write_text(text, encoding="utf-8")
    run(AUTHORITY, "config", "sign", net.authority, draft)
    wait_sequence([peer], 2)
    restart = config(peer)["configuration"]["restart_for"]
    assert restart == ["dht: chord-128-2-24 instead of chord-128-2-8",
                       "type dict (0xF00003) has another data model or access rule",
                       "type here (0xF00005) is gone"]
    assert [e["what"] for e in peer.events() if e["event"] == "torcd:configuration_needs_restart"] == restart
    changed = [e["what"] for e in peer.events() if e["event"] == "torcd:configuration_changed"]
    assert changed == ["type note (0xF00001) has other limits or another name", "t1: 700 instead of the default"]
    too_long = peer.torc("store", peer.user, "x" * 65, "--type", "note", check=False)
    assert too_long.returncode == 1 and "413" in too_long.stderr
    peer.torc("store", peer.user, "v", "--type", "dict", "--key", "still a dictionary")
    again = peer.torc("config", "reload").stdout
    assert "needs restart  dht: chord-128-2-24" in again and "changed" not in again
    assert peer.status()["configuration"]["restart_for"] == restart
    assert peer.stop() == 0
    peer.start().wait_joined()
    assert config(peer)["configuration"]["restart_for"] == []
    assert config(peer)["algorithm"] == "chord-128-2-24"


def test_GAP_130_GAP_143_a_new_type_with_the_name_of_one_that_is_gone_waits(net):
    peer = net.start(1)[0]
    peer.torc("store", peer.user, "old", "--type", "note")
    text = document(net).read_text(encoding="utf-8")
    text = text.replace('id="0xF00001" name="note" model="single"', 'id="0xF00021" name="note" model="array"')
    text = text.replace("<torc:type", "<torc:t1>700</torc:t1>\n<torc:type", 1)
    draft = net.dir / "draft.xml"
    draft.write_text(text, encoding="utf-8")
    run(AUTHORITY, "config", "sign", net.authority, draft)
    wait_sequence([peer], 2)
    assert config(peer)["configuration"]["restart_for"] == [
        "type note (0xF00001) is gone", "type note (0xF00021) has the name of a type that is still there"]
    peer.torc("store", peer.user, "still single", "--type", "note")
    peer.torc("config", "reload")  # and again, with the same outcome
    assert len(config(peer)["configuration"]["restart_for"]) == 2
    assert peer.stop() == 0
    peer.start().wait_joined()
    assert config(peer)["configuration"]["restart_for"] == []
    peer.torc("store", peer.user, "a list now", "--type", "note", "--append")


def edited(net, old, new, is_signed=True):
    """The document with other bytes, its signature kept as it was or taken off."""
    data = document(net).read_bytes()
    if not is_signed:
        data = SIGNATURE.sub(b"", data)
    assert old in data
    return data.replace(old, new)


def foreign(make_net):
    other = make_net()
    return document(other).read_bytes()


REFUSED = {
    "unsigned": (lambda net, make_net: edited(net, b"6084", b"6084", False)
                 if b"6084" in document(net).read_bytes() else SIGNATURE.sub(b"", document(net).read_bytes()),
                 "the document is not signed"),
    "changed after signing": (lambda net, make_net: edited(net, b'max-size="4096"', b'max-size="4097"'),
                              "the signature of the document does not hold"),
    "signature damaged": (lambda net, make_net: edited(net, b"<?torc-signature MII", b"<?torc-signature AII"),
                          "the signature of the document is damaged"),
    "another authority's": (lambda net, make_net: foreign(make_net), "the signature of the document does not hold"),
    "half written": (lambda net, make_net: document(net).read_bytes()[:400], "the document is not signed"),
    "not XML": (lambda net, make_net: b"\x00" * 300, "the document is not signed"),
    "1 MiB and more": (lambda net, make_net: b" " * (1 << 20) + document(net).read_bytes(), "1 MiB"),
}


@pytest.mark.parametrize("case", REFUSED, ids=list(REFUSED))
def test_GAP_130_GAP_131_a_document_that_is_not_the_authoritys_is_not_taken(net, make_net, case):
    make, message = REFUSED[case]
    peer = net.start(1)[0]
    data = make(net, make_net)
    document(net).write_bytes(data)
    wait_for(lambda: last_kept(peer), 20, "a refusal in the log")
    assert message in last_kept(peer), last_kept(peer)
    done = peer.torc("config", "reload", check=False)
    assert done.returncode == 1 and message in done.stderr, done.stderr
    assert message in config(peer)["configuration"]["error"]
    assert sequence(peer) == 1
    peer.torc("store", peer.user, "still here", "--type", "note")


def test_GAP_130_an_older_document_is_not_taken(net):
    old = document(net).read_bytes()
    change(net, "--type", BOARD)
    peer = net.start(1)[0]
    assert sequence(peer) == 2
    document(net).write_bytes(old)
    done = peer.torc("config", "reload", check=False)
    assert done.returncode == 1 and "it is older than what this peer runs with: sequence 1 after 2" in done.stderr


def test_GAP_130_bootstrap_peers_of_a_new_document_are_dialled(make_net):
    """A client that has lost its only bootstrap peer finds the ring by the one in the new document."""
    net = make_net(num_bootstrap=2)
    path = document(net)
    text = path.read_text(encoding="utf-8")
    first = net.dir / "first.xml"
    first.write_text(re.sub(rf'  <bootstrap-peer[^>]*port="{net.ports[1]}"/>\n', "", text), encoding="utf-8")
    run(AUTHORITY, "config", "sign", net.authority, first)
    peers = net.start(2, wait=False)
    client = net.add("c1", role="client")
    client.sections["node"]["state-dir"] = None
    peers[0].wait_joined()
    client.start().wait_joined()
    peers[0].kill()
    peers[0].process.wait()
    change(net, "--bootstrap", f"127.0.0.1:{net.ports[1]}")
    wait_sequence([peers[1], client], 3)
    assert f"bootstrap-peer 127.0.0.1 port {net.ports[1]} is new" in [e.get("what") for e in client.events()]
    wait_for(lambda: client.status()["joined"] and client.status()["links"] > 0, 60, "the client in the ring again")


# ---- over HTTPS ----

def server_certificate(net, host="127.0.0.1"):
    """Certificate and key of the authority's web server, issued by the overlay's root."""
    ca_key = serialization.load_pem_private_key((net.authority / "ca.key").read_bytes(), None)
    ca = x509.load_pem_x509_certificate((net.authority / "ca.crt").read_bytes())
    key = ec.generate_private_key(ec.SECP256R1())
    now = datetime.datetime.utcnow()
    names = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(host))])
    cert = (x509.CertificateBuilder().subject_name(x509.Name([])).issuer_name(ca.subject)
            .public_key(key.public_key()).serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(hours=1)).not_valid_after(now + datetime.timedelta(days=1))
            .add_extension(names, critical=True)
            .add_extension(x509.ExtendedKeyUsage([x509.oid.ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(ca.public_key()), critical=False)
            .sign(ca_key, hashes.SHA256()))
    path = net.dir / f"https-{host}.pem"
    path.write_bytes(key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8,
                                       serialization.NoEncryption()) + cert.public_bytes(serialization.Encoding.PEM))
    return path


class Server:
    """Serves the document of a net over HTTPS."""

    def __init__(self, net, certificate=None, kind="application/p2p-overlay+xml"):
        outer = self
        self.net = net
        self.kind = kind
        self.data = None
        self.served = 0
        self.date = None

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                body = outer.data if outer.data is not None else document(outer.net).read_bytes()
                outer.served += 1
                self.send_response(200)
                self.send_header("Content-Type", outer.kind)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def date_time_string(self, timestamp=None):
                return outer.date or super().date_time_string(timestamp)

            def log_message(self, *arguments):
                pass

        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate or server_certificate(net))
        self.http = http.server.ThreadingHTTPServer(("127.0.0.1", free_port()), Handler)
        self.http.socket = context.wrap_socket(self.http.socket, server_side=True)
        self.url = f"https://127.0.0.1:{self.http.server_address[1]}/p2psip/enroll"
        self.thread = threading.Thread(target=self.http.serve_forever, kwargs={"poll_interval": 0.05})
        self.thread.start()

    def close(self):
        if self.thread:
            self.http.shutdown()
            self.http.server_close()
            self.thread.join()
            self.thread = None


@pytest.fixture
def serve(request):
    servers = []

    def make(net, **options):
        servers.append(Server(net, **options))
        return servers[-1]
    yield make
    for server in servers:
        server.close()


def lives(net, seconds, source=None):
    """A document that is good for some seconds, fewer than the authority would give it."""
    path = document(net)
    text = path.read_text(encoding="utf-8").split("<?torc-signature")[0]
    text = re.sub(r' expiration="\d+"', "", text).replace("<overlay ", f'<overlay expiration="{seconds}" ', 1)
    if source and "torc:source" not in text:
        text = text.replace("<torc:type", f'<torc:source url="{source}"/>\n  <torc:type', 1)
    draft = net.dir / "draft.xml"
    draft.write_text(text, encoding="utf-8")
    run(AUTHORITY, "config", "sign", net.authority, draft)


def separate(net, peer):
    """Gives a peer a file of its own, which nobody replaces."""
    own = net.dir / f"{peer.name}.xml"
    own.write_bytes(document(net).read_bytes())
    peer.sections["overlay"]["file"] = own
    return own


def test_GAP_130_ENR_09_a_peer_fetches_the_next_document_before_the_old_one_expires(net, serve):
    server = serve(net)
    lives(net, 8, server.url)
    peer = net.add("p1")
    separate(net, peer)
    peer.start().wait_joined()
    change(net, "--type", BOARD)
    wait_sequence([peer], 3)
    assert server.served >= 1
    state = config(peer)
    assert state["source"] == server.url and state["configuration"]["state"] == "valid"
    kept = peer.state / "overlay.xml"
    assert kept.read_bytes() == document(net).read_bytes()
    assert abs(kept.stat().st_mtime - state["received"]) < 1
    assert not peer.has_event("torcd:configuration_expired")
    peer.torc("store", "plaza", "x", "--type", "board", "--key", peer.user)
    server.close()
    assert peer.stop() == 0
    peer.start()  # with the one it has kept, which still is good
    assert sequence(peer) == 3 and config(peer)["source"] == str(kept)


def test_GAP_130_ENR_17_after_the_expiry_peers_run_on_and_refuse_joins_later(net, serve):
    server = serve(net)
    lives(net, 4, server.url)
    peer = net.add("p1")
    own = separate(net, peer)
    server.close()
    peer.start().wait_joined()
    wait_for(lambda: config(peer)["configuration"]["state"] == "expired", 20, "the expiry")
    peer.torc("store", peer.user, "still works", "--type", "note")
    wait_for(lambda: "error" in config(peer)["configuration"], 30, "a try that failed")
    assert "127.0.0.1" in config(peer)["configuration"]["error"]
    wait_for(lambda: config(peer)["configuration"]["state"] == "long expired", 20, "twice the period")
    wait_for(lambda: [e["joins"] for e in peer.events() if e["event"] == "torcd:configuration_expired"]
             == ["accepted", "refused"], 10, "both in the log")
    late = net.add("p2")  # has a good document, but nobody to be admitted by
    text = document(net).read_text(encoding="utf-8").split("<?torc-signature")[0]
    draft = net.dir / "draft.xml"
    draft.write_text(text.replace('expiration="4"', 'expiration="86400"'), encoding="utf-8")
    run(AUTHORITY, "config", "sign", net.authority, draft)
    late.start()
    wait_for(lambda: peer.counters()["error_503"] >= 1, 30, "a refused JOIN")
    assert late.status()["joined"] is False
    own.write_bytes(document(net).read_bytes())  # a new one, and all is well
    wait_for(lambda: config(peer)["configuration"]["state"] == "valid", 20, "the new document")
    late.wait_joined(90)


def test_ENR_17_nobody_starts_with_an_expired_document(net, serve):
    server = serve(net)
    lives(net, 60, server.url)
    peer = net.add("p1")
    path = separate(net, peer)
    old = time.time() - 3600
    os.utime(path, (old, old))
    server.close()
    said = peer.refuses_to_start(code=2)
    assert f"the overlay configuration {path} expired on " in said and "by this machine's clock" in said
    assert f"fetching a new one from {server.url} fails" in said
    again = serve(net)  # with the authority there, it gets a new one by itself
    text = path.read_text(encoding="utf-8")
    lives(net, 60)
    fresh = document(net).read_text(encoding="utf-8").split("<?torc-signature")[0].replace(server.url, again.url)
    (net.dir / "draft.xml").write_text(fresh, encoding="utf-8")
    run(AUTHORITY, "config", "sign", net.authority, net.dir / "draft.xml")
    path.write_text(document(net).read_text(encoding="utf-8"), encoding="utf-8")
    os.utime(path, (old, old))
    change(net, "--type", BOARD)
    peer.start().wait_joined()
    assert text != path.read_text(encoding="utf-8") and "board" in [t["name"] for t in config(peer)["types"]]


HOSTILE = {
    "unsigned": ({}, lambda data: SIGNATURE.sub(b"", data), "the document is not signed"),
    "of another type": ({"kind": "text/html"}, None, "the answer is text/html, not application/p2p-overlay+xml"),
    "too large": ({}, lambda data: b" " * (1 << 20) + data, "larger than 1 MiB"),
    "a bomb that is not signed": ({}, lambda data: b"<!DOCTYPE a [<!ENTITY b 'c'>]><a>&b;</a>", "is not signed"),
}


@pytest.mark.parametrize("case", HOSTILE, ids=list(HOSTILE))
def test_GAP_130_GAP_127_what_a_server_may_not_give(net, serve, case):
    options, make, message = HOSTILE[case]
    server = serve(net, **options)
    run(AUTHORITY, "config", "set", net.authority, "--source", server.url)
    peer = net.start(1)[0]
    server.data = make(document(net).read_bytes()) if make else None
    done = peer.torc("config", "reload", "--fetch", check=False)
    assert done.returncode == 1 and message in done.stderr, done.stderr
    assert peer.is_running and not (peer.state / "overlay.xml").exists()


def test_GAP_126_ENR_08_a_server_with_another_name_is_not_believed(net, serve):
    server = serve(net, certificate=server_certificate(net, "127.0.0.2"))
    run(AUTHORITY, "config", "set", net.authority, "--source", server.url)
    peer = net.start(1)[0]
    done = peer.torc("config", "reload", "--fetch", check=False)
    assert done.returncode == 1 and "127.0.0.1" in done.stderr and server.served == 0, done.stderr


def test_GAP_130_ENR_13_charset_of_the_answer_and_a_clock_that_differs(net, serve):
    server = serve(net, kind='application/p2p-overlay+xml; charset="utf-8"')
    server.date = "Thu, 01 Jan 2026 00:00:00 GMT"
    run(AUTHORITY, "config", "set", net.authority, "--source", server.url)
    peer = net.start(1)[0]
    assert "changed" not in peer.torc("config", "reload", "--fetch").stdout
    assert config(peer)["received"] == 1767225600
    event = [e for e in peer.events() if e["event"] == "torcd:clock_differs"][0]
    assert event["server"] == "2026-01-01 00:00:00 UTC" and "set the clock" in event["advice"]


def test_GAP_130_a_server_that_dates_its_answers_back_is_not_asked_all_the_time(net, serve):
    server = serve(net)
    server.date = "Thu, 01 Jan 2026 00:00:00 GMT"
    lives(net, 86400, server.url)
    peer = net.start(1)[0]
    peer.torc("config", "reload", "--fetch")
    state = config(peer)
    assert state["received"] == 1767225600 and state["next_try"] > time.time() + 60, state


def test_GAP_130_ENR_17_a_file_from_the_future_is_followed_in_time(net, serve):
    server = serve(net)
    lives(net, 86400, server.url)
    peer = net.add("p1")
    own = separate(net, peer)
    future = time.time() + 400 * 86400
    os.utime(own, (future, future))
    peer.start().wait_joined()
    assert config(peer)["next_try"] <= time.time() + 86400
    change(net, "--type", BOARD)
    own.write_bytes(document(net).read_bytes())
    os.utime(own, (future, future))
    wait_sequence([peer], 3)
    assert config(peer)["next_try"] <= time.time() + 86400


# ---- a clock that is wrong ----

@pytest.fixture(scope="module")
def wrong_clock(tmp_path_factory):
    """Environment of a program whose clock is wrong by so many seconds."""
    library = tmp_path_factory.mktemp("clock") / "clock.so"
    source = ROOT / "tests/loopback/clock.c"
    subprocess.run(["cc", "-shared", "-fPIC", "-O1", "-o", str(library), str(source)], check=True)
    return lambda seconds: {"LD_PRELOAD": str(library), "CLOCK_OFFSET": str(seconds),
                            "ASAN_OPTIONS": "verify_asan_link_order=0"}


def starts_wrongly(peer, env):
    peer.write_conf()
    done = run(TORCD, "--config", peer.conf, check=False, env=env, timeout=20)
    assert done.returncode == 2, (done.returncode, done.stderr)
    return done.stderr


def test_GAP_130_GAP_135_a_clock_that_is_a_day_behind_is_told(net, wrong_clock):
    peer = net.add("p1")
    said = starts_wrongly(peer, wrong_clock(-86400))
    assert "was signed on" in said and "by this machine's clock it is only" in said and "set the clock" in said


def test_GAP_130_GAP_135_a_document_of_an_authority_whose_clock_is_ahead_is_not_taken(net, wrong_clock):
    """Or every peer that is restarted before that day would refuse to start with what it has kept."""
    peer = net.start(1)[0]
    run(AUTHORITY, "config", "set", net.authority, "--type", BOARD, env=wrong_clock(2 * 86400))
    wait_for(lambda: "was signed on" in (last_kept(peer) or ""), 20, lambda: config(peer))
    assert "by this machine's clock it is only" in last_kept(peer) and sequence(peer) == 1
    change(net, "--type", "0xF00011,status,single,user-match,1,64,3600")
    wait_sequence([peer], 3)


def test_GAP_130_ENR_17_a_clock_that_is_a_day_ahead_is_told(net, wrong_clock):
    lives(net, 3600)
    peer = net.add("p1")
    said = starts_wrongly(peer, wrong_clock(86400))
    assert "expired on" in said and "by this machine's clock" in said


def test_GAP_135_a_certificate_that_is_not_valid_yet_shows_both_times(net, wrong_clock):
    path = document(net)
    path.write_bytes(SIGNATURE.sub(b"", path.read_bytes()))
    peer = net.add("p1")
    said = starts_wrongly(peer, wrong_clock(-86400))
    assert "is not valid before" in said and "by this machine's clock it is" in said


# ---- which keys an overlay admits ----

def test_D_10_a_key_of_a_kind_the_overlay_does_not_admit(net):
    path = document(net)
    text = path.read_text(encoding="utf-8").split("<?torc-signature")[0]
    draft = net.dir / "draft.xml"
    draft.write_text(text.replace("<torc:type", '<torc:signature-algorithm name="rsa-sha256"/>\n<torc:type', 1), encoding="utf-8")
    running = net.start(1)[0]
    run(AUTHORITY, "config", "sign", net.authority, draft)
    wait_sequence([running], 2)
    assert "signature-algorithm: others than before, for certificates seen from now on" in [
        e.get("what") for e in running.events()]
    late = net.add("p2")
    said = late.refuses_to_start(code=2)
    assert "its key signs with an algorithm that the overlay does not admit" in said
    own = net.dir / "old.xml"
    own.write_text(text, encoding="utf-8")  # and who starts with the old document is turned away
    late.sections["overlay"]["file"] = own
    late.start()
    wait_for(lambda: running.counters()["io_handshakes_failed"] >= 1, 20, "a refused link")
    assert late.status()["joined"] is False


def test_GAP_130_a_new_authority_comes_beside_the_old_one_and_takes_over(net, make_net):
    """A root is replaced in three documents, each signed by a root of the one before; peers never stop."""
    other = make_net()
    first = net.start(2)
    old_root = re.search(r"<root-cert>.*?</root-cert>", document(net).read_text(encoding="utf-8"), re.S).group(0)
    new_root = re.search(r"<root-cert>.*?</root-cert>", document(other).read_text(encoding="utf-8"), re.S).group(0)
    draft = net.dir / "draft.xml"
    text = document(net).read_text(encoding="utf-8").split("<?torc-signature")[0]
    draft.write_text(text.replace(old_root, old_root + new_root), encoding="utf-8")
    run(AUTHORITY, "config", "sign", net.authority, draft)  # both, signed by the old one
    wait_sequence(first, 2)
    document(other).write_bytes(document(net).read_bytes())
    late = net.add("late")
    run(AUTHORITY, "issue", other.authority, "--user", "late@ring.example.org", "--out", net.dir / "late", "--force")
    late.id = None
    late.start().wait_joined()  # with a certificate of the new one
    run(AUTHORITY, "config", "sign", other.authority, document(net))  # both, signed by the new one
    document(net).write_bytes(document(other).read_bytes())
    wait_sequence(first + [late], 3)
    text = document(other).read_text(encoding="utf-8").split("<?torc-signature")[0]
    draft.write_text(text.replace(old_root, ""), encoding="utf-8")
    run(AUTHORITY, "config", "sign", other.authority, draft)
    document(net).write_bytes(document(other).read_bytes())
    wait_sequence(first + [late], 4)
    for peer in first + [late]:
        assert config(peer)["configuration"]["restart_for"] == [
            "a root-cert is gone; what it issued is believed until the restart"]
    late.torc("store", late.user, "here", "--type", "note")
