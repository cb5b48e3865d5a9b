"""What the sandbox is started with, and what can be switched while it runs."""

from dataclasses import dataclass, field
from enum import StrEnum, auto

from notifier.carriers.sandbox.magic import OUTAGES


class Receipts(StrEnum):
    """Which receipts are posted."""

    ALL = auto()
    FINAL = auto()  # the last one of each message only
    HELD = auto()  # none yet; they are posted when this is switched back
    OFF = auto()


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """Accounts, as the vendors' consoles would show them.

    `senders` are numbers and messaging services, `mailboxes` verified senders of email. `webhook_key` is a P-256
    private key as base64 DER (PKCS #8); "" makes a new one. No `webhook_url`: no email events. No `inbound_url`: nobody
    hears what people write. No `lob_key`: no account
    for letters; no `lob_webhook_url`: no events of letters.
    """

    account_sid: str
    auth_token: str = field(repr=False)
    senders: tuple[str, ...]
    api_key: str = field(repr=False)
    mailboxes: tuple[str, ...]
    webhook_url: str = ""
    webhook_key: str = field(default="", repr=False)
    inbound_url: str = ""
    lob_key: str = field(default="", repr=False)
    lob_secret: str = field(default="", repr=False)
    lob_webhook_url: str = ""
    cancel_window_ms: int = 300_000
    letters_per_5_seconds: int = 150
    delay_ms: int = 200
    answer_delay_ms: int = 0
    hang_ms: int = 60_000
    receipts: str = "all"


@dataclass(slots=True)
class Switches:
    """What POST /control changes. `delay_ms` lies between the steps of one message."""

    delay_ms: int
    answer_delay_ms: int
    hang_ms: int
    receipts: Receipts
    webhook_url: str
    inbound_url: str
    lob_webhook_url: str
    cancel_window_ms: int  # how long a letter can be taken back
    letters_per_5_seconds: int
    outage: str  # what every request to send is answered with while the vendor is ill: a word of OUTAGES, or ""

    @classmethod
    def of(cls, options: Options) -> "Switches":
        """As started."""
        return cls(
            options.delay_ms,
            options.answer_delay_ms,
            options.hang_ms,
            Receipts(options.receipts),
            options.webhook_url,
            options.inbound_url,
            options.lob_webhook_url,
            options.cancel_window_ms,
            options.letters_per_5_seconds,
            "",
        )

    def turn(self, changes: object) -> bool:
        """Apply changes; False, and nothing changed, when one of them makes no sense."""
        if not isinstance(changes, dict):
            return False
        for name, value in changes.items():
            if name == "receipts":
                is_right = value in set(Receipts)
            elif name == "outage":
                is_right = value == "" or value in OUTAGES
            elif name in {"webhook_url", "inbound_url", "lob_webhook_url"}:
                is_right = isinstance(value, str)
            else:
                is_right = name in self.__slots__ and type(value) is int and value >= 0
            if not is_right:
                return False
        for name, value in changes.items():
            setattr(self, name, Receipts(value) if name == "receipts" else value)
        return True
