"""What to send next, to which contact point: reads a plan table. Asking again changes nothing.

A row of the plan and a contact point make at most one attempt, ever. Rows whose conditions could still change are
planned only when they fall due, because they are judged by what is known then; whoever keeps the time asks again.
"""

from collections import Counter
from collections.abc import Collection, Hashable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Generic, TypeVar

from notifier.core.model import CHANNEL_OF, Channel, ContactPoint
from notifier.core.policy import Evidence, PlanRow

Id = TypeVar("Id", bound=Hashable)

AT_ONCE = timedelta(0)


@dataclass(frozen=True, slots=True)
class History(Generic[Id]):
    """What has been done and seen for one notice.

    `attempts` are (contact, plan row id) of everything planned so far, whatever became of it; `evidence` is when each
    fact began to hold.
    """

    evidence: Mapping[Evidence, datetime]
    attempts: Collection[tuple[Id, str]] = ()


@dataclass(frozen=True, slots=True)
class PlannedAttempt(Generic[Id]):
    """One message to send. `contact` is the caller's own id of the contact point; `due_in` is counted from `now`."""

    contact: Id
    channel: Channel
    row: str
    due_in: timedelta


def next_attempts(
    plan: Sequence[PlanRow], contacts: Mapping[Id, ContactPoint], history: History[Id], *, now: datetime
) -> tuple[PlannedAttempt[Id], ...]:
    """What is to be planned now and is not planned yet, in the order of the plan and then of the contacts.

    Args:
        plan: rows with distinct ids (`policy.plan_of`).
        contacts: by index or id; unusable ones are passed over.
        history: of this one notice.
        now: with a time zone, like the times of the history.
    """
    planned = set(history.attempts)
    had = Counter(contact for contact, _ in planned)
    found: list[PlannedAttempt[Id]] = []
    for row in plan:
        due_in = _due_in(row, history.evidence, now)
        if due_in is None:
            continue
        for contact, point in contacts.items():
            if not point.usable or CHANNEL_OF[point.kind] is not row.channel:
                continue
            if (contact, row.id) in planned or had[contact] >= row.max_attempts:
                continue
            had[contact] += 1
            found.append(PlannedAttempt(contact, row.channel, row.id, due_in))
    return tuple(found)


def _due_in(row: PlanRow, evidence: Mapping[Evidence, datetime], now: datetime) -> timedelta | None:
    """How long until the row is due; None when it is not to be planned now."""
    begun = evidence.get(row.after)
    if begun is None or not row.needs <= evidence.keys() or row.unless & evidence.keys():
        return None
    due_in = max(AT_ONCE, begun + row.delay - now)
    return None if due_in and row.unless else due_in
