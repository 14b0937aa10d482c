"""A real torc-authority on loopback for tests: its directory, the service, requests, and clients that are not ours.

Every process started here is ended here, by its pid. curl and openssl are the clients, or raw HTTP where a test needs
what no well-behaved client does.
"""
import datetime
import hashlib
import http.client
import ipaddress
import json
import os
import re
import secrets
import signal
import ssl
import subprocess

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import pkcs7
from cryptography.x509.oid import NameOID

from torcnet import AUTHORITY, OVERLAY, run, wait_for

PASSWORD = "correct horse battery"
CREDENTIAL = "/p2psip/credential"
GUEST = "/p2psip/guest"
CONFIG = "/p2psip/enroll"


def new_key(kind="P-256"):
    if kind.startswith("RSA"):
        return rsa.generate_private_key(65537, int(kind[3:]))
    return ec.generate_private_key({"P-256": ec.SECP256R1, "P-384": ec.SECP384R1}[kind]())


def make_csr(users=(), key=None, peer=None, extensions=(), overlay=OVERLAY):
    """DER of a request."""
    names = [x509.RFC822Name(user) for user in users]
    if peer:
        names.append(x509.UniformResourceIdentifier(f"reload://{peer}@{overlay}"))
    builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([]))
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    for extension in extensions:
        builder = builder.add_extension(extension, critical=True)
    return builder.sign(key or new_key(), hashes.SHA256()).public_bytes(serialization.Encoding.DER)


def certificate_of(cms):
    """The one certificate of a certs-only answer."""
    found = pkcs7.load_der_pkcs7_certificates(cms)
    assert len(found) == 1
    return found[0]


def peer_of(certificate):
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    uri, = names.get_values_for_type(x509.UniformResourceIdentifier)
    return re.fullmatch(r"reload://([0-9a-f]{32})@(.*)", uri).group(1)


def users_of(certificate):
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    return names.get_values_for_type(x509.RFC822Name)


def write_tls(directory, name="tls", overlay=OVERLAY):
    """A server certificate for the overlay's name, its address if it is one, and the tests' own; it is its own root."""
    key = new_key()
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, overlay)])
    now = datetime.datetime.utcnow()
    own = (x509.IPAddress(ipaddress.ip_address(overlay)) if re.fullmatch(r"[\d.]+", overlay) else
           x509.DNSName(overlay))
    names = [own] + [x509.IPAddress(ipaddress.ip_address(text))
                     for text in ("127.0.0.1", "127.0.0.2", "127.0.0.3", "::1", "fd11:12::1")]
    certificate = (x509.CertificateBuilder().subject_name(subject).issuer_name(subject).public_key(key.public_key())
                   .serial_number(x509.random_serial_number()).not_valid_before(now - datetime.timedelta(hours=1))
                   .not_valid_after(now + datetime.timedelta(days=2))
                   .add_extension(x509.SubjectAlternativeName(names), critical=False)
                   .add_extension(x509.BasicConstraints(True, None), critical=True).sign(key, hashes.SHA256()))
    cert_file, key_file = directory / f"{name}.crt", directory / f"{name}.key"
    cert_file.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    key_file.write_bytes(key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8,
                                           serialization.NoEncryption()))
    key_file.chmod(0o600)
    return cert_file, key_file


class Answer:
    def __init__(self, status, headers, body):
        self.status = status
        self.headers = headers
        self.body = body

    @property
    def text(self):
        return self.body.decode()

    def __repr__(self):
        return f"<{self.status} {self.body[:200]!r}>"


class Digest:
    """RFC 7616 by hand, so that a nonce can be used again and a header bent."""

    def __init__(self, account, password, challenge, path=CREDENTIAL):
        fields = dict(re.findall(r'(\w+)="?([^",]+)"?', challenge))
        self.account, self.path, self.fields = account, path, fields
        algorithm = fields.get("algorithm", "MD5")
        self.hash = (lambda t: hashlib.sha256(t.encode()).hexdigest()) if "256" in algorithm else (
            lambda t: hashlib.md5(t.encode()).hexdigest())
        self.algorithm = algorithm
        self.secret = self.hash(f"{account}:{fields['realm']}:{password}")
        self.count = 0

    def header(self, count=None):
        self.count += 1
        count = self.count if count is None else count
        cnonce = secrets.token_hex(8)
        nonce = self.fields["nonce"]
        response = self.hash(f"{self.secret}:{nonce}:{count:08x}:{cnonce}:auth:{self.hash(f'POST:{self.path}')}")
        return (f'Digest username="{self.account}", realm="{self.fields["realm"]}", nonce="{nonce}", uri="{self.path}", '
                f'algorithm={self.algorithm}, qop=auth, nc={count:08x}, cnonce="{cnonce}", response="{response}"')


class Enrolment:
    """An authority's directory and its service."""

    def __init__(self, directory, name="authority", port=0, clone=None, settings=None, signature="ecdsa"):
        self.root = directory
        self.dir = directory / name
        self.tls_cert, self.tls_key = write_tls(directory, f"{name}-tls")
        self.process = None
        self.log = directory / f"{name}.log"
        self.settings = {"https": {"listen": [f"127.0.0.1:{port}"], "cert": self.tls_cert, "key": self.tls_key},
                         "metrics": {"listen": "127.0.0.1:0"},
                         "limits": {"requests-per-minute": 100000, "burst": 100000, "failures-per-minute": 1000}}
        self.dir.mkdir(mode=0o700)
        self.configure(settings or {})
        if clone:  # the same overlay and root, another directory
            for file in ("ca.key", "ca.crt", "overlay.xml"):
                (self.dir / file).write_bytes((clone.dir / file).read_bytes())
                (self.dir / file).chmod(0o600)
        else:
            run(AUTHORITY, "init", self.dir, "--overlay", OVERLAY, "--bootstrap", "127.0.0.1:6084", "--signature",
                signature)

    def configure(self, changes):
        for section, keys in changes.items():
            self.settings.setdefault(section, {}).update(keys)
        lines = []
        for section, keys in self.settings.items():
            lines.append(f"[{section}]")
            for key, value in keys.items():
                lines += [f"{key} = {one}" for one in (value if isinstance(value, list) else [value])]
        (self.dir / "torc-authority.conf").write_text("\n".join(lines) + "\n", encoding="utf-8")

    def __call__(self, command, *arguments, **more):
        """torc-authority COMMAND DIR ARGUMENTS"""
        return run(AUTHORITY, *command.split(), self.dir, *arguments, **more)

    def add(self, account, *users, password=PASSWORD):
        names = [word for user in users for word in ("--user", user)]
        return self("user add", account, *names, stdin=password + "\n")

    def start(self, env=None, before=None):
        """before: called in the child before the program."""
        with open(self.log, "ab") as log:
            mark = log.tell()
            self.process = subprocess.Popen([AUTHORITY, "serve", self.dir], stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                            env={**os.environ, **(env or {})}, preexec_fn=before)

        def ports():
            text = self.log.read_bytes()[mark:].decode()
            assert self.process.poll() is None, text
            found = re.findall(r"at https?://[^/ ]+:(\d+)/", text)
            return found if len(found) == len(self.settings["https"]["listen"]) + 1 else None
        *self.ports, self.metrics_port = map(int, wait_for(ports, 30, "the service"))
        return self

    @property
    def port(self):
        return self.ports[0]

    def stop(self, how=signal.SIGTERM):
        if self.process is not None:
            self.process.send_signal(how)
            code = self.process.wait(timeout=30)
            self.process = None
            return code
        return None

    def reload(self):
        """What the service says of the files that it is told to read again."""
        mark = len(self.log.read_text(encoding="utf-8"))
        self.process.send_signal(signal.SIGHUP)
        said = re.compile(r"^torc-authority: (?:settings, issuing keys, .* are read again|not reloaded, .*)$", re.M)

        def answer():
            text = self.log.read_text(encoding="utf-8")[mark:]
            assert self.process.poll() is None, (self.process.returncode, text)
            return said.search(text)
        return wait_for(answer, 40, "the reload").group(0)

    def url(self, path=CREDENTIAL):
        return f"https://127.0.0.1:{self.port}{path}"

    # ---- clients ----

    def curl(self, *arguments, check=True):
        done = subprocess.run(["curl", "-sS", "--max-time", "30", "--cacert", str(self.tls_cert), *map(str, arguments)],
                              capture_output=True, check=False, timeout=60)
        assert not check or done.returncode == 0, done.stderr
        return done

    def connect(self, source=None, host="127.0.0.1", port=None):
        context = ssl.create_default_context(cafile=str(self.tls_cert))
        return http.client.HTTPSConnection(host, port or self.port, context=context, timeout=30,
                                           source_address=(source, 0) if source else None)

    def ask(self, method, path, body=None, headers=None, connection=None, source=None):
        own = connection or self.connect(source)
        try:
            own.request(method, path, body, headers or {})
            response = own.getresponse()
            return Answer(response.status, response.headers, response.read())
        finally:
            if connection is None:
                own.close()

    def challenge(self, path=CREDENTIAL, connection=None):
        answer = self.ask("POST", path, b"", {"Content-Type": "application/pkcs10"}, connection)
        assert answer.status == 401
        return answer.headers["WWW-Authenticate"]

    def enrol(self, account, csr, password=PASSWORD, path=CREDENTIAL, connection=None, source=None,
              content_type="application/pkcs10"):
        """The answer to a request with a right Digest header, on one connection."""
        own = connection or self.connect(source)
        try:
            digest = Digest(account, password, self.challenge(path, own), path)
            return self.ask("POST", path, csr, {"Authorization": digest.header(), "Content-Type": content_type}, own)
        finally:
            if connection is None:
                own.close()

    def must_enrol(self, account, users, **more):
        csr = {name: more.pop(name) for name in ("key", "peer") if name in more}
        answer = self.enrol(account, make_csr(users, **csr), **more)
        assert answer.status == 200, answer
        return certificate_of(answer.body)

    # ---- what it says of itself ----

    def metrics(self):
        connection = http.client.HTTPConnection("127.0.0.1", self.metrics_port, timeout=10)
        connection.request("GET", "/metrics")
        text = connection.getresponse().read().decode()
        connection.close()
        return {name: int(value) for name, value in re.findall(r"^torc_authority_(\w+) (\d+)$", text, re.M)}

    def audit(self):
        return [json.loads(line) for line in (self.dir / "audit.jsonl").read_text(encoding="utf-8").splitlines()]

    def issued(self):
        return [json.loads(line) for line in self("issued", "--json").stdout.splitlines()]
