"""Every carrier by its slug. Adding one is one file and one row here (and its section in config/carriers.toml)."""

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from types import MappingProxyType
from typing import cast

from notifier.carriers.base import Carrier, ReceiptReader
from notifier.core.model import Channel


@dataclass(frozen=True, slots=True)
class Entry:
    """One carrier. `carrier` and `reader` are "module:class", imported on first use: an SDK costs 50 MB to load.

    Both are None for the mailroom: nobody is called, and its word comes from officers.
    """

    channel: Channel
    carrier: str | None
    reader: str | None


CARRIERS: Mapping[str, Entry] = MappingProxyType(
    {
        "twilio_sms": Entry(
            Channel.SMS,
            "notifier.carriers.twilio_sms:TwilioSms",
            "notifier.carriers.twilio_receipts:TwilioReceipts",
        ),
        "sendgrid_email": Entry(
            Channel.EMAIL,
            "notifier.carriers.sendgrid_email:SendGridEmail",
            "notifier.carriers.sendgrid_receipts:SendGridReceipts",
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


def _find(slug: str, dotted: str | None) -> type:
    if dotted is None:
        raise KeyError(slug)
    module, _, name = dotted.partition(":")
    return cast("type", getattr(import_module(module), name))
