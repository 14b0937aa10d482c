"""The commands of docs/enrolment.md, as they stand there: curl and openssl get a certificate that peers accept."""
import os
import re
import subprocess

from cryptography import x509

from enrolnet import PASSWORD, peer_of, users_of
from torcnet import OVERLAY, ROOT, TORCD, run


def blocks():
    text = (ROOT / "docs/enrolment.md").read_text(encoding="utf-8")
    found = re.findall(r"^```sh\n(.*?)^```$", text, re.M | re.S)
    assert len(found) == 3
    return found


def test_ENR_28_ENR_31_ENR_34_GAP_133_a_third_party_enrols(authority, tmp_path):
    script = "\n".join(blocks())
    line = f"authority={authority.url('')} account=alice password='{PASSWORD}' user=alice@{OVERLAY}\n"
    script, changed = re.subn(r"^authority=.*\n", line, script, count=1, flags=re.M)
    assert changed == 1
    work = tmp_path / "third"
    work.mkdir()
    done = subprocess.run(["bash", "-euo", "pipefail", "-c", script], cwd=work, capture_output=True, text=True, check=False,
                          env={**os.environ, "CURL_CA_BUNDLE": str(authority.tls_cert)}, timeout=120)
    assert done.returncode == 0, done.stderr + done.stdout
    assert "alice.crt: OK" in done.stdout
    first, renewed = (x509.load_pem_x509_certificate((work / name).read_bytes()) for name in ("alice.crt", "new.crt"))
    assert users_of(first) == users_of(renewed) == [f"alice@{OVERLAY}"]
    assert peer_of(first) == peer_of(renewed) and first.serial_number != renewed.serial_number
    for cert, key in (("alice.crt", "alice.key"), ("new.crt", "new.key")):
        (work / key).chmod(0o600)
        (work / "torcd.conf").write_text(f"[overlay]\nfile = {work}/overlay.xml\n[identity]\ncert = {work}/{cert}\n"
                                         f"key = {work}/{key}\n[node]\nlisten = 127.0.0.1:0\n", encoding="utf-8")
        assert run(TORCD, "--check-config", "--config", work / "torcd.conf").returncode == 0
    assert len(authority.issued()) == 2


def test_ENR_12_ENR_19_the_document_holds_the_root(authority):
    """openssl and curl need nothing that is not in the document or typed by the user."""
    text = authority.ask("GET", "/p2psip/enroll").text
    assert "<root-cert>" in text and text.startswith("<?xml") and 'encoding="UTF-8"' in text
