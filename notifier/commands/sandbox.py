"""`notifier sandbox`: stands in for the carriers on this machine, for development."""

import json
import os
import secrets
from base64 import b64decode
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import click
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from cryptography.hazmat.primitives.serialization import load_der_private_key

from notifier.carriers.sandbox.certificate import Tls
from notifier.carriers.sandbox.options import Options, Receipts
from notifier.carriers.sandbox.outbox import make_key, public_key
from notifier.carriers.sandbox.server import main as serve
from notifier.carriers.twilio_receipts import OVERRIDE
from notifier.commands.installation import read_settings
from notifier.commands.options import DEFAULT_URL
from notifier.settings import Settings

PORT: Final = 8025
SENDER: Final = "+13035550199"
MAILBOX: Final = "notices@agency.example.org"


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="Where to listen.")
@click.option("--port", type=click.IntRange(0, 65535), help=f"[default: that of TWILIO_BASE_URL, else {PORT}]")
@click.option("--delay-ms", type=click.IntRange(min=0), default=200, show_default=True, help="Between receipts.")
@click.option(
    "--hang-ms", type=click.IntRange(min=0), default=60_000, show_default=True, help="How long no answer lasts."
)
@click.option("--receipts", type=click.Choice([each.value for each in Receipts]), default="all", show_default=True)
@click.option(
    "--ca-file",
    type=click.Path(dir_okay=False, writable=True, path_type=Path),
    help="Speak TLS too, on a free port, and put the certificate there: SSL_CERT_FILE makes a program trust it.",
)
def sandbox(*, host: str, port: int | None, delay_ms: int, hang_ms: int, receipts: str, ca_file: Path | None) -> None:
    """Stand in for the carriers: speaks their wire, sends nothing to anybody, posts signed receipts back.

    With TWILIO_* and SENDGRID_* set it takes those accounts; without, it makes some up and prints what to set. It makes
    letters where LOB_* is set.
    """
    settings = read_settings()
    if settings.carriers_are_real:
        raise click.UsageError("The settings name a carrier itself; nothing would ever come to a sandbox.")
    accounts = _accounts(settings.data_dir)
    private: str = accounts.pop("webhook_key")
    port = _port(settings) if port is None else port
    public = settings.public_base_url or DEFAULT_URL
    if settings.twilio is None or settings.sendgrid is None:
        for name, value in {**_exports(accounts, private, f"http://{host}:{port}"), "PUBLIC_BASE_URL": public}.items():
            click.echo(f"export {name}='{value}'", err=True)
    options = Options(
        account_sid=settings.twilio.account_sid if settings.twilio else accounts["account_sid"],
        auth_token=settings.twilio.auth_token if settings.twilio else accounts["auth_token"],
        senders=_senders(settings, accounts),
        api_key=settings.sendgrid.api_key if settings.sendgrid else accounts["api_key"],
        mailboxes=(settings.sendgrid.sender if settings.sendgrid else MAILBOX,),
        webhook_url=f"{public}/callbacks/sendgrid_email",
        inbound_url=f"{public}/callbacks/twilio_inbound#{OVERRIDE}",
        webhook_key=private,
        lob_key=settings.lob.api_key if settings.lob else "",
        lob_secret=settings.lob.webhook_secret if settings.lob else "",
        lob_webhook_url=f"{public}/callbacks/lob_letter",
        delay_ms=delay_ms,
        hang_ms=hang_ms,
        receipts=receipts,
    )
    if settings.sendgrid is not None and settings.sendgrid.webhook_public_key != _public(private):
        click.echo(f"set SENDGRID_WEBHOOK_PUBLIC_KEY='{_public(private)}': this sandbox signs with that one", err=True)
    serve(host, port, options, tls=None if ca_file is None else Tls(0, ca_file))


def _port(settings: Settings) -> int:
    return (urlsplit(settings.twilio.base_url).port if settings.twilio else None) or PORT


def _senders(settings: Settings, accounts: dict[str, Any]) -> tuple[str, ...]:
    if settings.twilio is None:
        return SENDER, accounts["service"]
    return tuple(each for each in (settings.twilio.sender, settings.twilio.messaging_service_sid) if each)


def _accounts(data_dir: Path) -> dict[str, Any]:
    """Made-up accounts, the same at every start."""
    path = data_dir / "sandbox.json"
    if not path.exists():
        made = {
            "account_sid": f"AC{secrets.token_hex(16)}",
            "auth_token": secrets.token_hex(16),
            "service": f"MG{secrets.token_hex(16)}",
            "api_key": f"SG.{secrets.token_urlsafe(24)}",
            "webhook_key": make_key()[0],
        }
        data_dir.mkdir(parents=True, exist_ok=True)
        with os.fdopen(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "w", encoding="ascii") as file:
            json.dump(made, file)
    accounts: dict[str, Any] = json.loads(path.read_text("ascii"))
    return accounts


def _exports(accounts: dict[str, Any], private: str, url: str) -> dict[str, str]:
    return {
        "TWILIO_BASE_URL": url,
        "TWILIO_ACCOUNT_SID": accounts["account_sid"],
        "TWILIO_AUTH_TOKEN": accounts["auth_token"],
        "TWILIO_MESSAGING_SERVICE_SID": accounts["service"],
        "SENDGRID_BASE_URL": url,
        "SENDGRID_API_KEY": accounts["api_key"],
        "SENDGRID_FROM": MAILBOX,
        "SENDGRID_WEBHOOK_PUBLIC_KEY": _public(private),
    }


def _public(private: str) -> str:
    key = load_der_private_key(b64decode(private), None)
    if not isinstance(key, EllipticCurvePrivateKey):
        raise TypeError("not an elliptic curve key")
    return public_key(key)
