"""Certificates an authority would never issue, signed with its key all the same."""
import datetime
import os
import stat

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID


def authority_of(net):
    """The root certificate and key of an overlay."""
    cert = x509.load_pem_x509_certificate((net.authority / "ca.crt").read_bytes())
    key = serialization.load_pem_private_key((net.authority / "ca.key").read_bytes(), None)
    return cert, key


def forge(net, name, peer="5" * 32, user="mallory@ring.example.org", overlay="ring.example.org", days=(-1, 30),
          signer=None, usages=(ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.SERVER_AUTH), extra=None):
    """Writes NAME.crt and NAME.key into the net's directory; returns their paths. days: from and until, from now."""
    root, root_key = signer or authority_of(net)
    key = ec.generate_private_key(ec.SECP256R1())
    now = datetime.datetime.utcnow()
    names = []
    if user:
        names.append(x509.RFC822Name(user))
    if peer:
        names.append(x509.UniformResourceIdentifier(f"reload://{peer}@{overlay}"))
    builder = (x509.CertificateBuilder()
               .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "forged")]))
               .issuer_name(root.subject).public_key(key.public_key())
               .serial_number(x509.random_serial_number())
               .not_valid_before(now + datetime.timedelta(days=days[0]))
               .not_valid_after(now + datetime.timedelta(days=days[1]))
               .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True))
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    if usages:
        builder = builder.add_extension(x509.ExtendedKeyUsage(list(usages)), critical=False)
    if extra:
        builder = builder.add_extension(x509.UnrecognizedExtension(*extra), critical=True)
    cert = builder.sign(root_key, hashes.SHA256())
    cert_file, key_file = net.dir / f"{name}.crt", net.dir / f"{name}.key"
    cert_file.write_bytes(cert.public_bytes(serialization.Encoding.PEM))
    key_file.write_bytes(key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8,
                                           serialization.NoEncryption()))
    os.chmod(key_file, stat.S_IRUSR | stat.S_IWUSR)
    return cert_file, key_file
