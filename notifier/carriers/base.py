"""The contract of a carrier: send, authenticate a callback, parse its receipts. One file a carrier."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum, auto
from typing import Protocol, runtime_checkable
from uuid import UUID

from notifier.core.model import Channel, InboundKind, PostalAddress, PostService
from notifier.core.status import AttemptEvent, Reason


class Outcome(StrEnum):
    """What one try to hand a message over came to."""

    HANDED_OVER = auto()  # the carrier says that it has it
    REFUSED = auto()  # permanent: this message to this address will never be sent
    NOT_SENT = auto()  # proved not to have been sent; trying again is safe
    UNKNOWN = auto()  # it may have been sent


@dataclass(frozen=True, slots=True)
class Post:
    """What a letter is besides its text: the file as rendered, who it goes to, and how.

    `withdrawn` is the carrier's id of an earlier piece of the same attempt, if one was taken back before it was mailed.
    """

    pdf: bytes = field(repr=False)
    name: str = field(repr=False)
    address: PostalAddress = field(repr=False)
    sender: str = field(repr=False)
    return_address: PostalAddress = field(repr=False)
    service: PostService
    withdrawn: str | None = None


@dataclass(frozen=True, slots=True)
class Message:
    """One message for one recipient. Nothing here is ever logged."""

    agency_id: UUID
    attempt_id: UUID
    to: str = field(repr=False)  # E.164 or a mailbox; "" for a letter
    text: str = field(repr=False)
    subject: str = field(default="", repr=False)  # email only
    html: str = field(default="", repr=False)  # email only
    language: str = field(default="en", repr=False)
    post: Post | None = field(default=None, repr=False)  # letters only


@dataclass(frozen=True, slots=True)
class SendResult:
    """The outcome of one message. `carrier_ref` is the carrier's own id, `carrier_code` its own error code."""

    attempt_id: UUID
    outcome: Outcome
    carrier_ref: str | None = None
    reason: Reason | None = None
    carrier_code: str | None = None
    retry_after: float | None = None  # seconds, when the carrier said so


@dataclass(frozen=True, slots=True)
class Callback:
    """One HTTP request from a carrier, as received. `url` is the public one, rebuilt from our own configuration."""

    url: str
    headers: Mapping[str, str]  # names in lower case
    body: bytes = field(repr=False)
    received_at: datetime


@dataclass(frozen=True, slots=True)
class CarrierReceipt:
    """One thing a carrier told us about one attempt.

    `event` is None when the carrier's word is known and means nothing for the status, or is unknown to us; it is
    stored all the same. `agency_id` and `attempt_id` are None when it names none of ours. `dedupe` is the same for
    the same fact told twice. `raw` is the element as it came. `is_known` is False for a word or an element we cannot
    read.
    """

    dedupe: str
    carrier_word: str
    event: AttemptEvent | None
    agency_id: UUID | None
    attempt_id: UUID | None
    raw: bytes = field(repr=False)
    carrier_ref: str | None = None
    occurred_at: datetime | None = None
    reason: Reason | None = None
    carrier_code: str | None = None
    is_known: bool = True


class CallbackRefused(Exception):
    """The request is not proved to come from the carrier; `code` is safe to log."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


class Carrier(Protocol):
    """One way out. Built once at the edge, inside the running loop that uses it."""

    @property
    def slug(self) -> str:
        """Its name in tables, URLs and events: `twilio_sms`."""

    @property
    def channel(self) -> Channel:
        """The channel it serves."""

    async def send(self, messages: Sequence[Message]) -> list[SendResult]:
        """Hand messages over, concurrently; one result per message, in any order.

        A carrier's answer, an error and a time-out are results, never exceptions.
        """

    async def close(self) -> None:
        """Give connections back."""


class Finding(StrEnum):
    """What a carrier knows of a message whose answer was lost."""

    THERE = auto()  # it has it
    NEVER = auto()  # proved: it was not sent, and sending the same attempt again cannot double it
    ABSENT = auto()  # its list does not show it; that is no proof
    UNSURE = auto()  # it could not be asked, or more than one message fits


@dataclass(frozen=True, slots=True)
class Sought:
    """A message that may have been sent: what it was, when it left us at the earliest, and ids that are spoken for."""

    message: Message
    since: datetime
    taken: frozenset[str] = frozenset()  # carrier's ids that other attempts of ours hold


@dataclass(frozen=True, slots=True)
class Found:
    """What asking came to. `event` is what the carrier says of a message that is THERE, at least handed over."""

    attempt_id: UUID
    finding: Finding
    carrier_ref: str | None = None
    event: AttemptEvent = AttemptEvent.HANDED_OVER
    reason: Reason | None = None
    carrier_code: str | None = None


@runtime_checkable
class Reconciler(Protocol):
    """A carrier that can be asked whether it has a message. One without it is settled by receipts alone."""

    async def find(self, sought: Sequence[Sought]) -> list[Found]:
        """Ask for each, concurrently; one result per message. Never raises for what the carrier answers."""


class Recall(StrEnum):
    """What taking a message back came to."""

    WITHDRAWN = auto()  # proved: the carrier will not send it
    TOO_LATE = auto()  # it goes out
    UNSURE = auto()  # it could not be asked; asking again does no harm


@runtime_checkable
class Recaller(Protocol):
    """A carrier that gives back, for a while, what was handed over to it."""

    async def cancel(self, carrier_ref: str) -> Recall:
        """Take one message back, by the carrier's own id. Never raises for what the carrier answers."""


class ReceiptReader(Protocol):
    """The receiving half of a carrier; needs no loop and no connection."""

    @property
    def slug(self) -> str:
        """The same slug as its carrier's."""

    def authenticate(self, callback: Callback) -> None:
        """Prove that the carrier sent it.

        Raises:
            CallbackRefused: it is not proved.
        """

    def parse(self, callback: Callback) -> list[CarrierReceipt]:
        """What it says, one receipt per element; a broken element becomes one with `is_known` False."""


@dataclass(frozen=True, slots=True)
class InboundMessage:
    """A message that somebody sent to us. `dedupe` is the same when the carrier says it again; `sender` as it wrote it.

    `raw` is the request's body.
    """

    dedupe: str
    kind: InboundKind
    sender: str = field(repr=False)
    text: str = field(repr=False)
    raw: bytes = field(repr=False)


class InboundReader(Protocol):
    """Reads what people send to a carrier's number of ours; the carrier's `ReceiptReader` has proved it."""

    slug: str

    def read(self, callback: Callback) -> InboundMessage | None:
        """The message; None for what cannot be read as one. Never raises for what the carrier sends."""
