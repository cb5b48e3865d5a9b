"""A carrier's own network, in memory: it takes messages, loses answers and tells of what it has, as it is told to."""

import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum, auto
from uuid import UUID, uuid4

from notifier.carriers.base import Callback, CarrierReceipt, Finding, Found, Message, Outcome, SendResult, Sought
from notifier.core.model import Channel
from notifier.core.status import AttemptEvent, Reason


class Fate(Enum):
    """What becomes of one call."""

    TAKEN = auto()
    REFUSED = auto()
    THROTTLED = auto()
    NOT_CONNECTED = auto()
    TAKEN_AND_LOST = auto()  # it has it, and the answer never came
    LOST = auto()  # nothing arrived there, and nobody knows
    TAKEN_AND_BROKEN = auto()  # it has it, and our own code breaks on the answer


class Answers(Enum):
    """How the carrier answers when it is asked what it has."""

    TRULY = auto()
    LATE = auto()  # its list does not show yet what it has
    NOT = auto()


class Broken(Exception):
    """The adapter breaks its contract."""


@dataclass
class Network:
    """What the carrier has: the truth that our rows are held against."""

    agency_id: UUID
    rng: random.Random
    has: Counter[UUID] = field(default_factory=Counter)
    refs: dict[UUID, str] = field(default_factory=dict)
    refused: set[UUID] = field(default_factory=set)
    answers: Answers = Answers.TRULY

    def take(self, message: Message) -> str:
        """The message is there, whatever we hear of it."""
        self.has[message.attempt_id] += 1
        return self.refs.setdefault(message.attempt_id, f"SM{uuid4().hex}")

    def receipt(self, attempt_id: UUID, event: AttemptEvent) -> CarrierReceipt:
        """One thing that it can say of something it has; said twice it is the same."""
        ref = self.refs[attempt_id]
        bad = event in {AttemptEvent.REFUSED, AttemptEvent.BOUNCED}
        return CarrierReceipt(
            dedupe=f"{ref}:{event.value}",
            carrier_word=event.value,
            event=event,
            agency_id=self.agency_id,
            attempt_id=attempt_id,
            raw=f"MessageSid={ref}&MessageStatus={event.value}".encode(),
            carrier_ref=ref,
            reason=Reason.UNREACHABLE if bad else None,
        )


@dataclass
class NetworkCarrier:
    """The adapter of that network. `fates` come in order, the last one for all that follow."""

    network: Network
    fates: Sequence[Fate]
    slug: str = "twilio_sms"
    channel: Channel = Channel.SMS

    async def send(self, messages: Sequence[Message]) -> list[SendResult]:
        return [self._one(message) for message in messages]

    async def close(self) -> None:
        """Nothing is open."""

    async def find(self, sought: Sequence[Sought]) -> list[Found]:
        """What its list shows: what it has, under ids that nobody else holds."""
        found = []
        for one in sought:
            attempt_id = one.message.attempt_id
            if self.network.answers is Answers.NOT:
                found.append(Found(attempt_id, Finding.UNSURE))
            elif self.network.has[attempt_id] and self.network.answers is Answers.TRULY:
                found.append(Found(attempt_id, Finding.THERE, self.network.refs[attempt_id]))
            else:
                found.append(Found(attempt_id, Finding.ABSENT))
        return found

    def _one(self, message: Message) -> SendResult:
        fate = self.fates[self.network.rng.randrange(len(self.fates))]
        key = message.attempt_id
        if fate in {Fate.TAKEN, Fate.TAKEN_AND_LOST, Fate.TAKEN_AND_BROKEN}:
            ref = self.network.take(message)
            if fate is Fate.TAKEN_AND_BROKEN:
                raise Broken
            if fate is Fate.TAKEN:
                return SendResult(key, Outcome.HANDED_OVER, ref)
            return SendResult(key, Outcome.UNKNOWN, reason=Reason.TIMED_OUT)
        if fate is Fate.REFUSED:
            self.network.refused.add(key)
            return SendResult(key, Outcome.REFUSED, reason=Reason.INVALID_ADDRESS, carrier_code="21211")
        if fate is Fate.LOST:
            return SendResult(key, Outcome.UNKNOWN, reason=Reason.TIMED_OUT)
        reason = Reason.RATE_LIMITED if fate is Fate.THROTTLED else Reason.CARRIER_ERROR
        return SendResult(key, Outcome.NOT_SENT, reason=reason, retry_after=0.0)


def posted(body: bytes, at: datetime) -> Callback:
    """A callback as it came, its signature proved already."""
    return Callback("https://agency.example.org/callbacks/twilio_sms", {"x": "y"}, body, at)
