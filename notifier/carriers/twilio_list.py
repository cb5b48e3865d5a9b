"""Which message of Twilio's list is the one whose answer was lost. Pure: the list is fetched by twilio_sms.py.

A message fits when it went to that number with those very words, was created no earlier than it can have left us, and
is no other attempt's. One that fits two of ours, or two that fit one, prove nothing. That none fits proves nothing
either: the list may not show it yet.

Source: carriers.md 1.6; twilio.com/docs/messaging/api/message-resource. The list cannot be filtered by the time of
creation, and what was not sent yet has no DateSent.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from notifier.carriers.base import Finding, Found, Sought
from notifier.carriers.twilio_receipts import EVENTS
from notifier.core.status import AttemptEvent, Reason

SKEW: Final = timedelta(seconds=60)  # between their clock and ours; theirs has whole seconds only


@dataclass(frozen=True, slots=True)
class Listed:
    """One message of the list, as far as it matters here."""

    sid: str
    to: str = field(repr=False)
    body: str = field(repr=False)
    created_at: datetime | None
    status: str
    error_code: str | None


def match(sought: Sequence[Sought], listed: Iterable[Listed], codes: Mapping[str, Reason]) -> list[Found]:
    """One finding for each message that is sought, from all messages of their numbers."""
    messages = list(listed)
    fitting = {one.message.attempt_id: [message for message in messages if fits(one, message)] for one in sought}
    claims = Counter(message.sid for candidates in fitting.values() for message in candidates)
    found = []
    for attempt_id, candidates in fitting.items():
        if not candidates:
            found.append(Found(attempt_id, Finding.ABSENT))
        elif len(candidates) > 1 or claims[candidates[0].sid] > 1:
            found.append(Found(attempt_id, Finding.UNSURE))
        else:
            found.append(_there(attempt_id, candidates[0], codes))
    return found


def fits(one: Sought, message: Listed) -> bool:
    """Whether this message may be the one."""
    return (
        message.to == one.message.to
        and message.body == one.message.text
        and message.created_at is not None
        and message.created_at >= one.since - SKEW
        and message.sid not in one.taken
    )


def _there(attempt_id: UUID, message: Listed, codes: Mapping[str, Reason]) -> Found:
    event = EVENTS.get(message.status) or AttemptEvent.HANDED_OVER
    reason = codes.get(message.error_code or "", Reason.UNSPECIFIED) if event is AttemptEvent.REFUSED else None
    code = message.error_code if event is AttemptEvent.REFUSED else None
    return Found(attempt_id, Finding.THERE, message.sid, event, reason, code)
