"""The issuing key in a PKCS#11 token, SoftHSM here: it never is in a file."""
import os
import pathlib
import subprocess

import pytest

from enrolnet import make_csr, users_of
from torcnet import AUTHORITY, OVERLAY, run

MODULE = pathlib.Path("/usr/lib/softhsm/libsofthsm2.so")
PIN = "1234"


@pytest.fixture
def token(tmp_path, monkeypatch):
    """A fresh token in a directory of the test."""
    (tmp_path / "tokens").mkdir()
    conf = tmp_path / "softhsm2.conf"
    conf.write_text(f"directories.tokendir = {tmp_path}/tokens\nobjectstore.backend = file\nlog.level = ERROR\n", encoding="utf-8")
    monkeypatch.setenv("SOFTHSM2_CONF", str(conf))
    monkeypatch.setenv("PKCS11_MODULE_PATH", str(MODULE))
    subprocess.run(["softhsm2-util", "--init-token", "--free", "--label", "torc", "--pin", PIN, "--so-pin", "5678"],
                   check=True, capture_output=True)
    (tmp_path / "pin").write_text(PIN, encoding="utf-8")
    (tmp_path / "pin").chmod(0o600)
    return tmp_path


def move_key_into(token, authority):
    pem = authority.dir / "ca.key"
    subprocess.run(["openssl", "pkcs8", "-topk8", "-nocrypt", "-in", pem, "-out", token / "ca.p8"], check=True)
    subprocess.run(["softhsm2-util", "--import", token / "ca.p8", "--token", "torc", "--label", "ca", "--id", "01", "--pin", PIN],
                   check=True, capture_output=True)
    (token / "ca.p8").unlink()
    pem.unlink()
    authority.configure({"issuer": {"cert": "ca.crt", "key": f"pkcs11:token=torc;object=ca;type=private?pin-source={token}/pin"}})


@pytest.mark.parametrize("signature", ["ecdsa", "rsa"])
def test_D_17_R_38_a_key_in_a_token_issues(token, make_authority, signature):
    one = make_authority(signature=signature)
    one.add("alice", f"alice@{OVERLAY}")
    move_key_into(token, one)
    assert "peers accept" in one("config sign-check").stdout
    one.start()
    certificate = one.must_enrol("alice", [f"alice@{OVERLAY}"])
    assert users_of(certificate) == [f"alice@{OVERLAY}"]
    for _ in range(5):
        one.must_enrol("alice", [f"alice@{OVERLAY}"])
        assert "issuing keys" in one.reload()  # the token is asked for the key again
    done = run(AUTHORITY, "issue", one.dir, "--user", f"bob@{OVERLAY}", "--out", one.root / "bob")
    assert "bob.key" in done.stdout
    assert "sequence 2, signed" in one("config set", "--expiration", "86400").stdout  # a peer checks what the token signed
    assert "sequence 2, signed" in one("config check").stdout
    assert not any(b"PRIVATE KEY" in path.read_bytes() for path in one.dir.iterdir())


def test_D_17_what_is_wrong_with_a_token_is_told(token, make_authority):
    one = make_authority()
    move_key_into(token, one)
    (token / "pin").write_text("9999", encoding="utf-8")
    wrong = one("config sign-check", check=False)
    assert wrong.returncode == 1 and "check object, PIN and token" in wrong.stderr
    (token / "pin").write_text(PIN, encoding="utf-8")
    missing = one("config sign-check", check=False, env={**os.environ, "PKCS11_MODULE_PATH": "/nonexistent.so"})
    assert missing.returncode == 1 and "PKCS#11" in missing.stderr
    assert "peers accept" in one("config sign-check").stdout
    assert make_csr()
