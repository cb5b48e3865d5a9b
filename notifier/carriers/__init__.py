"""Every carrier by its slug. Adding one is one file and one row here (and its section in config/carriers.toml)."""

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from types import MappingProxyType
from typing import cast

from notifier.carriers.base import Carrier, InboundReader, ReceiptReader
from notifier.core.model import Channel


@dataclass(frozen=True, slots=True)
class Entry:
    """One carrier. `carrier`, `reader` and `inbound` are "module:class", imported on first use: an SDK costs 50 MB.

    All are None for the mailroom: nobody is called, and its word comes from officers. `inbound` is None where people
    cannot write back.
    """

    channel: Channel
    carrier: str | None
    reader: str | None
    inbound: str | None = None


CARRIERS: Mapping[str, Entry] = MappingProxyType(
    {
        "twilio_sms": Entry(
            Channel.SMS,
            "notifier.carriers.twilio_sms:TwilioSms",
            "notifier.carriers.twilio_receipts:TwilioReceipts",
            "notifier.carriers.twilio_inbound:TwilioInbound",
        ),
        "sendgrid_email": Entry(
            Channel.EMAIL,
            "notifier.carriers.sendgrid_email:SendGridEmail",
            "notifier.carriers.sendgrid_receipts:SendGridReceipts",
        ),
        "lob_letter": Entry(
            Channel.LETTER,
            "notifier.carriers.lob_letter:LobLetter",
            "notifier.carriers.lob_receipts:LobReceipts",
        ),
        "mailroom_letter": Entry(Channel.LETTER, None, None),
    }
)


def open_carrier(slug: str, /, **settings: object) -> Carrier:
    """Build a carrier; call it inside the running loop that will use it. `settings` are its constructor's keywords.

    Raises:
        KeyError: there is no such carrier, or it is not called.
    """
    return cast("Carrier", _find(slug, CARRIERS[slug].carrier)(**settings))


def open_reader(slug: str, /, **settings: object) -> ReceiptReader:
    """Build the receiving half of a carrier. `settings` are its constructor's keywords.

    Raises:
        KeyError: there is no such carrier, or it sends no receipts.
    """
    return cast("ReceiptReader", _find(slug, CARRIERS[slug].reader)(**settings))


def open_inbound(slug: str) -> InboundReader | None:
    """Build what reads the messages that people send to a carrier's number of ours; None where they cannot."""
    entry = CARRIERS.get(slug)
    return cast("InboundReader", _find(slug, entry.inbound)()) if entry and entry.inbound else None


def _find(slug: str, dotted: str | None) -> type:
    if dotted is None:
        raise KeyError(slug)
    module, _, name = dotted.partition(":")
    return cast("type", getattr(import_module(module), name))
