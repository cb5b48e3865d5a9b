"""A certificate that the sandbox makes for itself at start, so that adapters are used over TLS as in production."""

import ssl
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from tempfile import NamedTemporaryFile

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

VALID = timedelta(days=30)


@dataclass(frozen=True, slots=True)
class Tls:
    """Where TLS is spoken: the port, 0 for a free one, and the file that gets the certificate.

    `SSL_CERT_FILE` in a program's environment, naming that file, makes it trust the sandbox and nobody else.
    """

    port: int
    ca_file: Path


def self_signed(host: str, ca_file: Path) -> ssl.SSLContext:
    """A context for serving `host` (a name or an address); the certificate goes to `ca_file`, the key nowhere.

    Raises:
        OSError: the file cannot be written.
    """
    key = generate_private_key(SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "sandbox")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + VALID)
        .add_extension(x509.SubjectAlternativeName([_subject(host)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, SHA256())
        .public_bytes(Encoding.PEM)
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with NamedTemporaryFile() as both:  # Python loads a key from a file only; this one is its owner's alone
        both.write(certificate + key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        both.flush()
        context.load_cert_chain(both.name)
    ca_file.write_bytes(certificate)
    return context


def _subject(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(host))
    except ValueError:
        return x509.DNSName(host)
