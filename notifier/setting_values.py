"""What one setting may look like: text in, value out. Readers raise ValueError; its text never quotes the value."""

import ipaddress
import os
import re
from base64 import b64decode
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from urllib.parse import SplitResult, parse_qs, urlsplit

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePublicKey
from cryptography.hazmat.primitives.serialization import load_der_public_key
from redis import ConnectionPool

SURFACES = ("api", "callbacks", "public")
LOG_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR")
CARRIER_DOMAINS = ("twilio.com", "sendgrid.com", "sendgrid.net", "lob.com")
HIGHEST_PORT = 65535


def text(value: str) -> str:
    """Any text."""
    return value


def webhook_secret(value: str) -> str:
    """A secret that is one: the vendor's debugger signs with the word itself."""
    if value.lower() == "secret":
        raise ValueError("must not be the vendor's example: anybody could sign with it")
    return value


def matching(pattern: str, shape: str) -> Callable[[str], str]:
    """A reader of texts that match `pattern` as a whole; `shape` says in words what they look like."""

    def read(value: str) -> str:
        if re.fullmatch(pattern, value) is None:
            raise ValueError(f"must be {shape}")
        return value

    return read


def database_url(value: str) -> str:
    """A libpq URL with a database's name; a driver's name in its scheme is dropped."""
    url = _split(value)
    if url.scheme not in {"postgresql", "postgres", "postgresql+psycopg"} or len(url.path) < len("/x"):
        raise ValueError("must look like postgresql://user:password@host/database")
    return url._replace(scheme="postgresql").geturl()


def redis_url(value: str) -> str:
    """A URL of Redis, over TCP, TLS or a Unix socket."""
    url = _split(value)
    if url.scheme not in {"redis", "rediss", "unix"} or not (url.path if url.scheme == "unix" else url.hostname):
        raise ValueError("must look like redis://host:6379/0, rediss://host:6379/0 or unix:///path/of/a.sock")
    try:
        ConnectionPool.from_url(value).make_connection()  # nothing is opened yet
    except (TypeError, ValueError):
        raise ValueError("has an option or a value that the client does not know") from None
    return value


def carrier_url(*, ends_with: str = "", ends_without: str = "") -> Callable[[str], str]:
    """A reader of carriers' base URLs: https when the host is the carrier's own, `ends_with` the version or without."""

    def read(value: str) -> str:
        url = _web(value)
        if url.scheme != "https" and is_carriers_own(value):
            raise ValueError("must be https")
        path = url.path.rstrip("/")
        if not path.endswith(ends_with):
            raise ValueError(f"must end with {ends_with}")
        if ends_without and path.endswith(ends_without):
            raise ValueError(f"must not end with {ends_without}: the SDK adds it")
        return value.rstrip("/")

    return read


def public_url(value: str) -> str:
    """The address under which people and carriers reach us."""
    url = _web(value)
    if "_" in (url.hostname or ""):
        raise ValueError("its host must not hold an underscore: Twilio refuses to call back there")
    return value.rstrip("/")


def is_carriers_own(url: str) -> bool:
    """Whether the URL leads to a carrier itself: its domain or one below."""
    host = (urlsplit(url).hostname or "").rstrip(".")
    return any(host == domain or host.endswith("." + domain) for domain in CARRIER_DOMAINS)


def is_loopback(url: str) -> bool:
    """Whether the URL's host is this machine."""
    host = urlsplit(url).hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def bind(value: str) -> str:
    """An address to listen on, host:port; an IPv6 host in brackets."""
    host, _, port = value.rpartition(":")
    if not re.fullmatch(r"\[[0-9a-fA-F:.]+\]|[A-Za-z0-9.-]+", host):
        raise ValueError("must be host:port, an IPv6 host in brackets")
    if not (port.isascii() and port.isdigit() and 1 <= int(port) <= HIGHEST_PORT):
        raise ValueError("must end with a port from 1 to 65535")
    return value


def surfaces(value: str) -> frozenset[str]:
    """The HTTP surfaces that this process serves."""
    chosen = [word.strip() for word in value.split(",")]
    if not set(chosen) <= set(SURFACES) or len(set(chosen)) != len(chosen):
        raise ValueError(f"must be one or more of {', '.join(SURFACES)}, with commas between and none twice")
    return frozenset(chosen)


def log_level(value: str) -> str:
    """How much is logged."""
    if value.upper() not in LOG_LEVELS:
        raise ValueError(f"must be one of {', '.join(LOG_LEVELS)}")
    return value.upper()


def folder(value: str) -> Path:
    """A folder that need not exist yet."""
    if not Path(value).is_absolute():
        raise ValueError("must be an absolute path")
    return Path(os.path.normpath(value))


def existing_folder(value: str) -> Path:
    """A folder that exists."""
    with suppress(OSError):
        if Path(value).is_dir():
            return folder(value)
    raise ValueError("must be a folder that exists")


def p256_public_key(value: str) -> str:
    """A public key as SendGrid shows it: base64 of DER, on the curve P-256."""
    with suppress(ValueError, UnsupportedAlgorithm):  # binascii's error is a ValueError
        key = load_der_public_key(b64decode(value, validate=True))
        if isinstance(key, EllipticCurvePublicKey) and isinstance(key.curve, SECP256R1):
            return value
    raise ValueError("must be a public key on P-256, in base64 as SendGrid shows it")


def without_password(value: str) -> str:
    """A database's or Redis's URL as it may be shown: no password, and of its parameters only the host."""
    url = urlsplit(value)
    where = url.netloc.rpartition("@")[2]
    user = f"{url.username}@" if url.username else ""
    host = parse_qs(url.query).get("host")
    return url._replace(netloc=user + where, query=f"host={host[0]}" if host else "", fragment="").geturl()


def _split(value: str) -> SplitResult:
    """The parts of a URL, or ValueError without the value that the library would quote."""
    try:
        url = urlsplit(value)
        _ = url.port  # refuses what is no number
    except ValueError:
        raise ValueError("is not a URL") from None
    return url


def _web(value: str) -> SplitResult:
    url = _split(value)
    if url.scheme not in {"http", "https"} or not url.hostname:
        raise ValueError("must start with http:// or https:// and name a host")
    if url.query or url.fragment or url.username is not None or value.endswith(("?", "#")):
        raise ValueError("must hold no user, no query and no fragment")
    return url
