"""Text messages that people send to our number: prove them as any callback of Twilio's, read them.

1. The form is signed as status callbacks are (`twilio_receipts`); it names no attempt of ours.
2. What Twilio's own opt-out has made of it (`OptOutType`) goes before our reading: it is what Twilio acts upon.
3. Otherwise a word is a command when it is the whole message. "please stop" is for a human to read.

Source: twilio.com/docs/messaging/guides/webhook-request, support article on STOP, START and HELP.
"""

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Final
from urllib.parse import parse_qsl

from notifier.carriers.base import Callback, InboundMessage
from notifier.carriers.twilio_receipts import MAX_FIELDS, MESSAGE_ID
from notifier.core.model import InboundKind

WORDS: Final[Mapping[str, InboundKind]] = MappingProxyType(
    {
        **dict.fromkeys(
            ("stop", "unsubscribe", "end", "quit", "stopall", "revoke", "optout", "cancel"), InboundKind.STOP
        ),
        **dict.fromkeys(("start", "unstop", "yes"), InboundKind.START),
        **dict.fromkeys(("help", "info"), InboundKind.HELP),
    }
)


class TwilioInbound:
    """The reader of inbound messages; whoever uses it has had `TwilioReceipts` prove them."""

    slug = "twilio_sms"

    def read(self, callback: Callback) -> InboundMessage | None:
        """The message; None for what is none."""
        try:
            fields = _fields(callback.body)
        except ValueError:
            return None
        sid, sender = fields.get("MessageSid", ""), fields.get("From", "")
        if not MESSAGE_ID.match(sid) or not sender:
            return None
        text = fields.get("Body", "")
        return InboundMessage(sid, kind_of(text, fields.get("OptOutType", "")), sender, text, callback.body)


def kind_of(text: str, opt_out_type: str = "") -> InboundKind:
    """What a message is: one of the commands, or text for a human."""
    asked = WORDS.get(opt_out_type.strip().casefold())
    return asked or WORDS.get(text.strip().casefold(), InboundKind.TEXT)


def _fields(body: bytes) -> dict[str, str]:
    """Each field once; ValueError for what is no form, or says a thing twice."""
    found: dict[str, str] = {}
    pairs: Iterable[tuple[str, str]] = parse_qsl(
        body.decode("ascii"), keep_blank_values=True, encoding="utf-8", errors="strict", max_num_fields=MAX_FIELDS
    )
    for name, value in pairs:
        if found.setdefault(name, value) != value:
            raise ValueError("a field has two values")
    return found
