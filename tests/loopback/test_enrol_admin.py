"""Administration: accounts, backup and restore, the document, metrics, the audit log, reload, wrong configurations."""
import json
import os
import re
import signal
import socket
import ssl
import threading

import pytest

from enrolnet import CONFIG, CREDENTIAL, GUEST, PASSWORD, certificate_of, make_csr, peer_of, users_of, write_tls
from torcnet import AUTHORITY, OVERLAY, run, wait_for

ALICE = f"alice@{OVERLAY}"
BOB = f"bob@{OVERLAY}"


def test_D_17_accounts(make_authority):
    one = make_authority()
    one.add("alice", ALICE)
    assert "there is an account alice already" in one("user add", "alice", "--user", f"x@{OVERLAY}", stdin=PASSWORD, check=False).stderr
    taken = one("user add", "mallory", "--user", ALICE, stdin=PASSWORD, check=False)
    assert taken.returncode == 1 and "belongs to the account alice for ever" in taken.stderr
    assert one("user add", BOB, stdin=PASSWORD + "\n")  # the account's own name
    assert one("user grant", BOB, "--user", f"office@{OVERLAY}", "--user", f"bobby@{OVERLAY}")
    assert one("user grant", "nobody", "--user", f"n@{OVERLAY}", check=False).returncode == 1
    assert one("user grant", BOB, check=False).returncode == 2
    made = json.loads(one("user add", "carol", "--user", f"carol@{OVERLAY}", "--generate", "--json").stdout)
    assert re.fullmatch(r"[A-Za-z0-9]{20}", made["password"])
    one("user add", "robot", "--user", f"robot@{OVERLAY}", "--no-password")
    one("user disable", "carol")
    for short, word in (("1234567", "at least 8 bytes"), ("x" * 300, "at most 256 bytes"), ("", "standard input")):
        refused = one("user passwd", "alice", stdin=short, check=False)
        assert refused.returncode == 1 and word in refused.stderr
    for name in ("a:b", 'a"b', "a b", "", "é"):
        assert one("user add", name, "--user", f"y@{OVERLAY}", stdin=PASSWORD, check=False).returncode == 1
    listed = {line["account"]: line["state"] for line in json.loads(one("user list", "--json").stdout)}
    assert listed == {"alice": "enabled", BOB: "enabled", "carol": "disabled", "robot": "no-password"}
    assert "carol" in one("user list").stdout
    one.start()
    assert one.enrol("carol", make_csr([f"carol@{OVERLAY}"]), password=made["password"]).status == 401
    one("user enable", "carol")  # while it serves
    assert one.enrol("carol", make_csr([f"carol@{OVERLAY}"]), password=made["password"]).status == 200
    assert users_of(one.must_enrol(BOB, [BOB, f"office@{OVERLAY}"])) == [BOB, f"office@{OVERLAY}"]
    assert one.enrol("robot", make_csr([f"robot@{OVERLAY}"]), password="").status == 401
    events = [line["event"] for line in one.audit()]
    assert events.count("account-added") == 4 and {"account-granted", "account-disabled", "account-enabled"} <= set(events)
    secrets = (PASSWORD, made["password"])
    stored = (one.dir / "audit.jsonl").read_bytes() + (one.dir / "authority.db").read_bytes()
    assert not any(secret.encode() in stored for secret in secrets)


def test_ENR_35_R_52_the_command_and_the_service_have_one_registry(authority):
    done = json.loads(run(AUTHORITY, "issue", authority.dir, "--user", ALICE, "--account", "alice", "--out",
                          authority.root / "laptop", "--json").stdout)
    renewed = authority.must_enrol("alice", [ALICE], peer=done["peer"])  # over the network, what the command gave
    assert peer_of(renewed) == done["peer"]
    taken = run(AUTHORITY, "issue", authority.dir, "--user", BOB, "--account", "alice", "--out", authority.root / "x", check=False)
    assert taken.returncode == 1 and "belongs to the account bob for ever" in taken.stderr
    lines = authority.issued()
    assert [line["account"] for line in lines] == ["alice", "alice"]
    assert authority("issued", "--account", "bob", "--json").stdout == ""
    assert done["peer"] in authority("issued").stdout
    sources = [line["source"] for line in authority.audit() if line["event"] == "issued"]
    assert sources[1] == "127.0.0.1" and sources[0].startswith("user ")


def test_ENR_35_R_52_backup_and_restore(authority):
    """The copy is made while others enrol; what came after it is put back from the audit log."""
    stop = threading.Event()
    before = authority.must_enrol("alice", [ALICE])

    def enrol():
        while not stop.is_set():
            authority.must_enrol("bob", [BOB], peer=peer_of(first))
    first = authority.must_enrol("bob", [BOB])
    busy = threading.Thread(target=enrol)
    busy.start()
    authority("backup", authority.root / "copy.db")
    stop.set()
    busy.join()
    assert (authority.root / "copy.db").stat().st_mode & 0o777 == 0o600
    again = authority("backup", authority.root / "copy.db", check=False)
    assert again.returncode == 1 and "File exists" in again.stderr
    after = authority.must_enrol("alice", [ALICE])
    authority.add("late", f"late@{OVERLAY}")
    issued = authority.issued()
    refused = authority("restore", authority.root / "copy.db", check=False)
    assert refused.returncode == 1 and "stop the service" in refused.stderr
    authority.stop()
    damaged = bytearray((authority.root / "copy.db").read_bytes())
    damaged[5000:40000] = bytes(35000)
    (authority.root / "damaged.db").write_bytes(damaged)
    refused = authority("restore", authority.root / "damaged.db", check=False)
    assert refused.returncode == 1 and "no undamaged database" in refused.stderr
    (authority.dir / "authority.db").write_bytes(b"the disk is broken")
    done = json.loads(authority("restore", authority.root / "copy.db", "--json").stdout)
    assert os.path.exists(done["kept"]) and done["later_certificates"] >= 1
    restored = authority.issued()
    assert {line["serial"] for line in restored} == {line["serial"] for line in issued} and len(restored) == len(issued)
    authority.start()
    for known in (before, after):  # peer-ids, accounts and passwords are those of before
        assert peer_of(authority.must_enrol("alice", [ALICE], peer=peer_of(known))) == peer_of(known)
    taken = authority("user add", "thief", "--user", f"late@{OVERLAY}", stdin=PASSWORD, check=False)
    assert "belongs to the account late for ever" in taken.stderr


def test_R_38_BGAP_04_the_document_is_checked_before_it_is_served(authority, make_authority):
    document = authority.dir / "overlay.xml"
    text = document.read_text(encoding="utf-8")
    assert authority("config show").stdout == run(AUTHORITY, "config", "show", document).stdout
    assert json.loads(authority("config show", "--json").stdout)["name"] == OVERLAY
    assert json.loads(authority("config check", "--json").stdout) == {
        "ok": True, "overlay": OVERLAY, "sequence": 1, "signed": True}
    assert "peers accept" in authority("config sign-check").stdout
    other = make_authority(name="other")
    wrong = {"nonsense": ("<nonsense/>", "no overlay element"),
             "foreign root": ((other.dir / "overlay.xml").read_text(encoding="utf-8"), "is no root-cert beside those of"),
             "another name": (text.replace(f'name="{OVERLAY}"', 'name="other.example.org"'), "the document is of the overlay")}
    for content, reason in wrong.values():
        (authority.root / "new.xml").write_text(content, encoding="utf-8")
        refused = authority("config sign", authority.root / "new.xml", check=False)
        assert refused.returncode == 1 and reason in refused.stderr, refused.stderr
        assert document.read_text(encoding="utf-8") == text
    root = re.search(r"<root-cert>.*?</root-cert>", (other.dir / "overlay.xml").read_text(encoding="utf-8"), re.S).group(0)
    (authority.root / "new.xml").write_text(text.replace("<root-cert>", root + "\n  <root-cert>", 1), encoding="utf-8")
    done = json.loads(authority("config sign", authority.root / "new.xml", "--json").stdout)
    assert done["sequence"] == 2 and done["file"] == str(document)
    assert open(done["kept"], encoding="utf-8").read() == text
    both = document.read_text(encoding="utf-8")
    assert both.count("<root-cert>") == 2 and root in both and "<?torc-signature " in both
    assert authority.ask("GET", CONFIG).text == text  # until it is told
    authority.process.send_signal(signal.SIGHUP)
    wait_for(lambda: authority.ask("GET", CONFIG).text == both, 20, "the new document")
    assert [line["event"] for line in authority.audit()].count("document-set") == 1
    # Two issuing CAs: the first that is valid issues, each is a root-cert.
    authority.stop()
    for file in ("ca.crt", "ca.key"):
        (authority.dir / f"second-{file}").write_bytes((other.dir / file).read_bytes())
        (authority.dir / f"second-{file}").chmod(0o600)
    authority.configure({"issuer": {"cert": ["second-ca.crt", "ca.crt"], "key": ["second-ca.key", "ca.key"]}})
    assert json.loads(authority("config sign-check", "--json").stdout) == {"ok": True, "issuers": 2}
    authority.start()
    certificate = authority.must_enrol("alice", [ALICE])
    shown = json.loads(run(AUTHORITY, "show", other.dir / "ca.crt", "--json").stdout)
    assert certificate.issuer.rfc4514_string() == shown["subject"]
    # Peers know both roots by now: the first one's key signs.
    assert "sequence 3, signed" in authority("config set", "--expiration", "86400").stdout
    assert "are read again" in authority.reload()
    assert authority.ask("GET", CONFIG).headers["Cache-Control"] == "max-age=69120"


def test_R_38_what_issuing_keys_sign_is_checked_before_the_document_is_replaced(authority, make_authority):
    other = make_authority(name="other")
    for file in ("ca.crt", "ca.key"):
        (authority.dir / f"second-{file}").write_bytes((other.dir / file).read_bytes())
        (authority.dir / f"second-{file}").chmod(0o600)
    authority.configure({"issuer": {"cert": ["ca.crt", "second-ca.crt"], "key": ["ca.key", "second-ca.key"]}})
    before = (authority.dir / "overlay.xml").read_bytes()
    for command in ("config sign", "config set", "config sign-check"):
        refused = authority(command, check=False)
        assert refused.returncode == 1 and "is it a root-cert of the document?" in refused.stderr
    assert (authority.dir / "overlay.xml").read_bytes() == before
    assert not list(authority.dir.glob("overlay.xml.old-*"))
    # Nobody with the present document could know a signature of the second key.
    authority.configure({"issuer": {"cert": ["second-ca.crt"], "key": ["second-ca.key"]}})
    root = re.search(rb"<root-cert>.*?</root-cert>", (other.dir / "overlay.xml").read_bytes(), re.S).group(0)
    (authority.root / "new.xml").write_bytes(before.replace(b"<root-cert>", root + b"\n  <root-cert>", 1))
    refused = authority("config sign", authority.root / "new.xml", check=False)
    assert refused.returncode == 1 and "peers know no root whose key is here" in refused.stderr
    assert (authority.dir / "overlay.xml").read_bytes() == before


def test_R_38_BGAP_04_issuing_keys_are_taken_while_requests_come(authority, make_authority):
    """A second issuing CA becomes the first one and the old one goes: nobody is refused meanwhile."""
    other = make_authority(name="other")
    for file in ("ca.crt", "ca.key"):
        (authority.dir / f"second-{file}").write_bytes((other.dir / file).read_bytes())
        (authority.dir / f"second-{file}").chmod(0o600)
    subjects = [json.loads(run(AUTHORITY, "show", one.dir / "ca.crt", "--json").stdout)["subject"] for one in (authority, other)]
    stop, seen, faults = threading.Event(), [], []

    def enrol(account, user):
        peer = peer_of(authority.must_enrol(account, [user]))
        while not stop.is_set():
            answer = authority.enrol(account, make_csr([user], peer=peer))
            if answer.status != 200:
                faults.append(answer)
                return
            seen.append(certificate_of(answer.body).issuer.rfc4514_string())
    clients = [threading.Thread(target=enrol, args=("alice", ALICE)), threading.Thread(target=enrol, args=("bob", BOB))]
    for client in clients:
        client.start()
    try:
        authority.configure({"issuer": {"cert": ["second-ca.crt", "ca.crt"], "key": ["second-ca.key", "ca.key"]}})
        assert "is it a root-cert of the document?" in authority.reload()  # peers would not take what it signs
        root = re.search(r"<root-cert>.*?</root-cert>", (other.dir / "overlay.xml").read_text(encoding="utf-8"), re.S).group(0)
        text = (authority.dir / "overlay.xml").read_text(encoding="utf-8")
        (authority.root / "new.xml").write_text(text.replace("<root-cert>", root + "\n  <root-cert>", 1), encoding="utf-8")
        authority("config sign", authority.root / "new.xml")
        wait_for(lambda: len(seen) >= 5, 30, "certificates of the first one")
        assert set(seen) == {subjects[0]}
        assert "issuing keys" in authority.reload()
        wait_for(lambda: subjects[1] in seen, 30, "certificates of the second one")
        authority.configure({"issuer": {"cert": "second-ca.crt", "key": "second-ca.key"}})
        for _ in range(10):
            assert "issuing keys" in authority.reload()
    finally:
        stop.set()
        for client in clients:
            client.join()
    assert not faults and seen[-1] == subjects[1]
    change = seen.index(subjects[1])  # two requests may have been under way together
    assert set(seen[change + 2:]) == {subjects[1]}


def test_D_17_SEC_22_settings_are_taken_without_a_restart(authority):
    csr = make_csr()
    assert authority.ask("POST", GUEST, csr, {"Content-Type": "application/pkcs10"}).status == 403
    authority.configure({"policy": {"guests": "yes", "certificates": "2"}, "https": {"md5": "yes"}})
    assert "are read again" in authority.reload()
    assert "wait for a restart" not in authority.log.read_text(encoding="utf-8")
    assert authority.ask("POST", GUEST, csr, {"Content-Type": "application/pkcs10"}).status == 200
    assert "algorithm=MD5" in authority.challenge(CREDENTIAL + "?algorithm=MD5")
    statuses = [authority.enrol("alice", make_csr([ALICE])).status for _ in range(3)]
    assert statuses == [200, 200, 403]
    authority.configure({"policy": {"certificates": "3"}, "limits": {"requests-per-minute": 1, "burst": 2}})
    assert "are read again" in authority.reload()
    assert authority.enrol("alice", make_csr([ALICE]), source="127.0.0.3").status == 200
    asked = [authority.ask("POST", GUEST, make_csr(), {"Content-Type": "application/pkcs10"}, source="127.0.0.2").status
             for _ in range(3)]
    assert asked == [200, 200, 429]
    authority.configure({"policy": {"days": "4000"}})
    assert "expected 1 to 3650" in authority.reload()
    authority.configure({"policy": {"days": "30"}, "https": {"threads": "3"}, "audit": {"file": "other.jsonl"}})
    assert "are read again" in authority.reload()
    assert "these wait for a restart: [https] threads, [audit] file" in authority.log.read_text(encoding="utf-8")
    assert authority.ask("GET", CONFIG).status == 200 and not (authority.dir / "other.jsonl").exists()


def no_follower(text, kind, other):
    """A document that peers with the one that is served would not take."""
    if kind == "1 MiB and more":
        return b" " * (1 << 20) + text
    if kind == "with a DTD":
        return text.replace(b"<overlay", b"<!DOCTYPE a [<!ENTITY b 'c'>]><overlay", 1)
    if kind == "unsigned":
        return text[:text.index(b"<?torc-signature ")]
    if kind == "changed":
        return text.replace(b'port="6084"', b'port="6085"')
    return (other.dir / "overlay.xml").read_bytes()


NOT_SERVED = {"1 MiB and more": "larger than", "with a DTD": "a document type declaration is not accepted", "unsigned": "it is not signed", "changed": "the signature of the document does not hold",
              "another authority's": "it is signed by a root that the running configuration does not list"}


@pytest.mark.parametrize("kind", NOT_SERVED)
def test_GAP_131_what_peers_would_not_take_is_not_served(authority, make_authority, kind):
    document = authority.dir / "overlay.xml"
    text = document.read_bytes()
    wrong = no_follower(text, kind, make_authority(name="other"))
    assert wrong != text
    document.write_bytes(wrong)
    said = authority.reload()
    assert "not reloaded, going on as before" in said and NOT_SERVED[kind] in said
    assert authority.ask("GET", CONFIG).body == text
    assert authority.stop() == 0
    refused = authority("serve", "--check", check=False)
    reason = "is it a root-cert of the document?" if kind == "another authority's" else NOT_SERVED[kind]
    assert refused.returncode != 0 and reason in refused.stderr
    assert "config sign" in refused.stderr or kind != "unsigned"


def test_GAP_130_an_older_document_is_not_served_again(authority):
    document = authority.dir / "overlay.xml"
    old = document.read_bytes()
    assert "sequence 2, signed" in authority("config set", "--bootstrap", "192.0.2.2:6084", "--type",
                                             "0xF00010,board,dictionary,own-key,20,512,86400").stdout
    text = document.read_bytes()
    assert text.count(b"<bootstrap-peer ") == 2 and b"board" in text
    assert "are read again" in authority.reload()
    assert authority.ask("GET", CONFIG).body == text
    document.write_bytes(old)
    assert "sequence 1 after 2" in authority.reload()
    assert authority.ask("GET", CONFIG).body == text


def test_D_17_reload_of_certificate_and_logs(authority):
    first = authority.ask("GET", CONFIG).status
    old = authority.tls_cert.read_bytes()
    write_tls(authority.root, "authority-tls")
    assert authority.tls_cert.read_bytes() != old
    (authority.dir / "audit.jsonl").rename(authority.dir / "audit.jsonl.1")
    authority.process.send_signal(signal.SIGHUP)

    def answers():  # the client trusts the new certificate only
        try:
            return authority.ask("GET", CONFIG).status
        except OSError:
            return None
    assert wait_for(answers, 20, "the new certificate") == first == 200
    wait_for((authority.dir / "audit.jsonl").exists, 20, "the new audit log")
    authority.must_enrol("alice", [ALICE])
    assert [line["event"] for line in authority.audit()] == ["issued"]
    authority.tls_key.write_text("no key", encoding="utf-8")
    authority.process.send_signal(signal.SIGHUP)
    wait_for(lambda: "not reloaded, going on as before" in authority.log.read_text(encoding="utf-8"), 20, "the complaint")
    authority.must_enrol("alice", [ALICE])
    assert authority.stop() == 0


def test_D_17_new_certificates_come_while_others_ask(authority):
    """Each replaces the HTTPS server; it neither dies of connections that come and go, nor is the port ever closed."""
    stop, answers, faults = threading.Event(), [], []
    answered = b"HTTP/1.1 200"
    anyone = ssl.create_default_context()
    anyone.check_hostname, anyone.verify_mode = False, ssl.CERT_NONE

    def ask():
        while not stop.is_set():
            try:
                with socket.create_connection(("127.0.0.1", authority.port), timeout=20) as raw:
                    with anyone.wrap_socket(raw) as tls:
                        tls.sendall(f"GET {CONFIG} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
                        answers.append(tls.recv(12))
            except ConnectionRefusedError as fault:
                faults.append(fault)
            except OSError:
                pass  # it was on its way when the certificate changed
    clients = [threading.Thread(target=ask) for _ in range(4)]
    for client in clients:
        client.start()
    try:
        for _ in range(100):
            write_tls(authority.root, "authority-tls")
            assert "are read again" in authority.reload()
            before = answers.count(answered)
            wait_for(lambda: answers.count(answered) > before, 20, "an answer after the reload")
    finally:
        stop.set()
        for client in clients:
            client.join()
    assert not faults, faults
    assert authority.stop() == 0, authority.log.read_text(encoding="utf-8")


def test_D_17_metrics(authority):
    authority.must_enrol("alice", [ALICE])
    authority.enrol("alice", make_csr([BOB]))
    authority.enrol("alice", b"junk")
    authority.enrol("alice", make_csr([ALICE]), password="wrong")
    authority.ask("GET", CONFIG)
    authority.ask("GET", "/nothing")
    assert authority.metrics() == {
        "certificates_issued_total": 1, "certificates_repeated_total": 0, "guest_certificates_issued_total": 0,
        "refused_request_total": 1, "refused_name_total": 1, "refused_count_total": 0, "refused_limit_total": 0,
        "refused_password_total": 1, "failed_total": 0, "documents_total": 1, "challenges_total": 5, "unknown_total": 1}


CONFIGURATIONS = {
    "no address": ({"https": {"listen": []}}, "[https] listen = ADDRESS:PORT is missing"),
    "no port": ({"https": {"listen": "127.0.0.1"}}, "expected ADDRESS:PORT"),
    "no certificate": ({"https": {"cert": "/nonexistent.crt"}}, "cannot open /nonexistent.crt"),
    "key of another": ({"https": {"key": "ca.key"}}, "no certificate and its private key"),
    "metrics for all": ({"metrics": {"listen": "0.0.0.0:9467"}}, "of this machine only"),
    "no such key": ({"https": {"md4": "yes"}}, "there is no key 'md4' in section [https]"),
    "no such section": ({"htps": {"md5": "yes"}}, "there is no section 'htps'"),
    "half a pair": ({"issuer": {"cert": "ca.crt"}}, "they belong together in pairs"),
    "no database": ({"database": {"url": "mysql://x"}}, "a database is sqlite:FILE or postgresql://"),
    "another database": ({"database": {"url": "sqlite:other.db"}}, "nothing of it would be known"),
    "days": ({"policy": {"days": "4000"}}, "expected 1 to 3650"),
    "no document": ({"overlay": {"file": "none.xml"}}, "none.xml"),
}


@pytest.mark.parametrize("name", CONFIGURATIONS)
def test_D_17_wrong_configurations_are_told(make_authority, name):
    one = make_authority()
    assert "everything is usable" in one("serve", "--check").stdout
    changes, reason = CONFIGURATIONS[name]
    one.configure(changes)
    if name == "no database":
        (one.dir / "authority.db").unlink()
    refused = one("serve", "--check", check=False)
    assert refused.returncode in (1, 2) and reason in refused.stderr, refused.stderr


def test_ENR_35_the_ledger_of_an_older_version_is_taken_over(make_authority):
    one = make_authority()
    (one.dir / "ledger.jsonl").write_text(
        '{"issued":1700000000,"serial":"' + "41" * 16 + '","peer":"' + "42" * 16 + '","account":"alice","users":["' + ALICE +
        '"],"not_after":1900000000}\n', encoding="utf-8")
    taken = one("user add", "mallory", "--user", ALICE, stdin=PASSWORD, check=False)
    assert "belongs to the account alice for ever" in taken.stderr
    assert not (one.dir / "ledger.jsonl").exists() and (one.dir / "ledger.jsonl.imported").exists()
    one("user passwd", "alice", stdin=PASSWORD)
    one.start()
    assert peer_of(one.must_enrol("alice", [ALICE], peer="42" * 16)) == "42" * 16
