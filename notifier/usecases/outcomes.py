"""What a carrier's answer means: for the attempt, for the next try, and for the carrier itself."""

import random
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from notifier.carriers.base import Outcome, SendResult
from notifier.carriers.timetable import Wire
from notifier.core.model import Actor, ActorKind
from notifier.core.status import AttemptEvent, Reason
from notifier.usecases.compose import Unwritten
from notifier.usecases.progress import Change
from notifier.usecases.writing import Outgoing

Happened = tuple[UUID, Change]
"""The matter, and what happened to one of its attempts."""

OUTCOME_EVENT: Final = {
    Outcome.HANDED_OVER: AttemptEvent.HANDED_OVER,
    Outcome.REFUSED: AttemptEvent.REFUSED,
    Outcome.NOT_SENT: AttemptEvent.NOT_SENT,
    Outcome.UNKNOWN: AttemptEvent.LOST_TRACK,
}

# No message's own fault: it waits for as long as the trouble lasts, and nobody is given up for it.
NOT_ITS_FAULT: Final = frozenset({Reason.CARRIER_ERROR, Reason.RATE_LIMITED, Reason.MISCONFIGURED, Reason.WORKER_LOST})
# Not sent for these: the carrier is away, or takes nothing from us. With any other word it is at work.
LEFT_ALONE_FOR: Final = frozenset({Reason.CARRIER_ERROR, Reason.MISCONFIGURED, Reason.TIMED_OUT})


def given_up(item: Unwritten) -> Happened:
    """What cannot be written is refused by ourselves."""
    change = Change(item.claimed.attempt_id, AttemptEvent.REFUSED, Actor.system("dispatch"), reason=item.reason)
    return item.claimed.matter_id, change


def happened_to(
    item: Outgoing, result: SendResult, *, wire: Wire, carrier: str, edition: str, now: datetime
) -> Happened:
    """What a result makes of an attempt; `now` is on the database's clock.

    What was not sent is tried again after a back-off with full jitter; about what may have been sent the carrier is
    asked when it is time for the sweep.
    """
    claimed, retry = item.parcel.claimed, wire.retry
    event = OUTCOME_EVENT[result.outcome]
    retry_at = check_at = None
    if event is AttemptEvent.NOT_SENT:
        if claimed.tries >= retry.tries and result.reason not in NOT_ITS_FAULT:
            event = AttemptEvent.REFUSED
        else:
            wait = max(result.retry_after or 0.0, random.uniform(0, retry.delay_seconds(claimed.tries)))  # noqa: S311 # jitter
            retry_at = now + timedelta(seconds=wait)
    elif event is AttemptEvent.LOST_TRACK:
        check_at = now + timedelta(seconds=wire.sweep_after_seconds)
    left = event in {AttemptEvent.HANDED_OVER, AttemptEvent.LOST_TRACK}
    change = Change(
        claimed.attempt_id,
        event,
        Actor.system("dispatch") if result.reason is Reason.WORKER_LOST else Actor(ActorKind.CARRIER, carrier),
        reason=result.reason,
        carrier_code=result.carrier_code,
        carrier_ref=result.carrier_ref,
        retry_at=retry_at,
        check_at=check_at,
        more={"edition": edition} if left else {},
        values={"text": item.text} if left else {},
        cipher=item.parcel.cipher,
    )
    return claimed.matter_id, change


def lost(item: Outgoing) -> SendResult:
    """The result of a call that was given up: it may have been sent."""
    return SendResult(item.message.attempt_id, Outcome.UNKNOWN, reason=Reason.WORKER_LOST)


def unsent(item: Outgoing) -> SendResult:
    """The result of a call that was not begun."""
    return SendResult(item.message.attempt_id, Outcome.NOT_SENT, reason=Reason.WORKER_LOST)


def shows_at_work(results: Iterable[SendResult]) -> bool | None:
    """Whether the answer to one call shows the carrier at work; None when it says nothing about the carrier."""
    said = {_at_work(result) for result in results if result.reason is not Reason.WORKER_LOST}
    return None if not said else True in said


def _at_work(result: SendResult) -> bool:
    if result.outcome is Outcome.NOT_SENT:
        return result.reason not in LEFT_ALONE_FOR
    return result.outcome is not Outcome.UNKNOWN


def slow_down(results: Iterable[SendResult]) -> float | None:
    """For how long the carrier wants to be left alone: seconds, 0 when it did not say; None when it does not."""
    waits = [result.retry_after or 0.0 for result in results if result.reason is Reason.RATE_LIMITED]
    return max(waits, default=None)
