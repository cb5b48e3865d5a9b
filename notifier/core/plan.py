"""What to send next, to which contact point: reads a plan table. Asking again changes nothing.

A row of the plan and a contact point make at most one attempt, ever. Rows whose conditions could still change are
planned only when they fall due, because they are judged by what is known then; `next_look` says when to ask again.
"""

from bisect import insort
from collections import Counter, defaultdict
from collections.abc import Collection, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Generic, TypeVar

from notifier.core.model import CHANNEL_OF, Channel, ContactPoint, PostService, TaskKind
from notifier.core.policy import Evidence, PlanRow, Reach

Id = TypeVar("Id", bound=Hashable)

AT_ONCE = timedelta(0)

# Nobody tells us when these begin to hold: the path of an ordinary delivered message is kept free of it.
UNTOLD = frozenset({Evidence.HANDED_OVER, Evidence.DELIVERED})
SOONEST_LOOK = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Ordered(Generic[Id]):
    """A message that was ordered. `at` is when it left; of one that waits, the earliest time at which it can leave."""

    contact: Id
    row: str
    at: datetime


@dataclass(frozen=True, slots=True)
class History(Generic[Id]):
    """What has been done and seen for one notice.

    `attempts` is everything ordered so far, whatever became of it; `evidence` is when each fact began to hold; `tasks`
    are the kinds that its plan has opened.
    """

    evidence: Mapping[Evidence, datetime]
    attempts: Collection[Ordered[Id]] = ()
    tasks: Collection[TaskKind] = ()


@dataclass(frozen=True, slots=True)
class PlannedAttempt(Generic[Id]):
    """One message to send. `contact` is the caller's own id of the contact point; `due_in` is counted from `now`."""

    contact: Id
    channel: Channel
    row: str
    due_in: timedelta
    service: PostService | None = None


def next_attempts(
    plan: Sequence[PlanRow], contacts: Mapping[Id, ContactPoint], history: History[Id], *, now: datetime
) -> tuple[PlannedAttempt[Id], ...]:
    """What is to be planned now and is not planned yet, in the order of the plan and then of the contacts.

    Args:
        plan: rows with distinct ids (`policy.plan_of`).
        contacts: by index or id, the safest for the household first; unusable ones are passed over.
        history: of this one notice.
        now: with a time zone, like the times of the history.
    """
    done = _Done(history.attempts)
    found: list[PlannedAttempt[Id]] = []
    for row in plan:
        begins = _begins(row, history.evidence)
        if row.channel is None or begins is None:
            continue
        for contact in done.left(row, contacts):
            due = done.free_at(contact, row, max(now, begins))
            if due > now and row.unless:
                continue
            done.add(contact, row.id, due)
            found.append(PlannedAttempt(contact, row.channel, row.id, due - now, row.service))
    return tuple(found)


def next_tasks(plan: Sequence[PlanRow], history: History[Id], *, now: datetime) -> tuple[TaskKind, ...]:
    """The kinds of task that the plan wants opened now; each kind once for a notice, ever."""
    due = [
        row.task
        for row in plan
        if row.task is not None
        and row.task not in history.tasks
        and (begins := _begins(row, history.evidence)) is not None
        and begins <= now
    ]
    return tuple(dict.fromkeys(due))


def stopped_rows(plan: Sequence[PlanRow], history: History[Id]) -> frozenset[str]:
    """The rows that something stops by now: what they ordered and has not left yet is not wanted any more."""
    return frozenset(row.id for row in plan if row.unless & history.evidence.keys())


def next_look(
    plan: Sequence[PlanRow],
    contacts: Mapping[Id, ContactPoint],
    history: History[Id],
    *,
    now: datetime,
    word_may_come: bool = True,
) -> datetime | None:
    """When to ask again, after what falls due now has been ordered; None when nothing falls due by time alone.

    Whoever records a failure, a return, or what the person did asks anew by itself; for what nobody tells (`UNTOLD`)
    the plan is looked at again when its row could be due at the earliest, and then ever more rarely. Without
    `word_may_come` nothing is under way that could be handed over or arrive.
    """
    done = _Done(history.attempts)
    untold = UNTOLD if word_may_come else frozenset[Evidence]()
    looks = [look for row in plan for look in _looks(row, contacts, history, done, now, untold)]
    return min(looks, default=None)


def _looks(
    row: PlanRow,
    contacts: Mapping[Id, ContactPoint],
    history: History[Id],
    done: "_Done[Id]",
    now: datetime,
    untold: frozenset[Evidence],
) -> Iterator[datetime]:
    evidence = history.evidence
    if row.unless & evidence.keys() or (row.task is not None and row.task in history.tasks):
        return
    left = () if row.channel is None else done.left(row, contacts)
    if row.channel is not None and not left:
        return
    missing = ({row.after} | row.needs) - evidence.keys()
    if missing:
        if missing <= untold:
            delay = row.delay if row.after in missing else AT_ONCE
            yield now + max(delay, SOONEST_LOOK, now - evidence.get(Evidence.APPROVAL, now))
        return
    begins = evidence[row.after] + row.delay
    if row.channel is None:
        yield max(begins, now)
    yield from (done.free_at(contact, row, max(now, begins)) for contact in left)


def _begins(row: PlanRow, evidence: Mapping[Evidence, datetime]) -> datetime | None:
    """When the row falls due by what is known; None while it waits for something or is stopped."""
    begun = evidence.get(row.after)
    if begun is None or not row.needs <= evidence.keys() or row.unless & evidence.keys():
        return None
    return begun + row.delay


class _Done(Generic[Id]):
    """What each contact point and each row has had."""

    def __init__(self, attempts: Collection[Ordered[Id]]) -> None:
        self._planned: set[tuple[Id, str]] = set()
        self._rows: set[str] = set()
        self._had: Counter[Id] = Counter()
        self._times: defaultdict[Id, list[datetime]] = defaultdict(list)
        for one in attempts:
            self.add(one.contact, one.row, one.at)

    def add(self, contact: Id, row: str, at: datetime) -> None:
        """One more. A message that was ordered again for the same row counts once."""
        if (contact, row) not in self._planned:
            self._planned.add((contact, row))
            self._rows.add(row)
            self._had[contact] += 1
        insort(self._times[contact], at)

    def free_at(self, contact: Id, row: PlanRow, at: datetime) -> datetime:
        """The first time from `at` on that is far enough from the contact point's other messages."""
        for other in self._times[contact]:
            if abs(at - other) < row.min_spacing:
                at = other + row.min_spacing
        return at

    def left(self, row: PlanRow, contacts: Mapping[Id, ContactPoint]) -> tuple[Id, ...]:
        """The contact points that this row may still write to."""
        if row.contacts is not Reach.ALL and row.id in self._rows:
            return ()
        usable = [key for key, point in contacts.items() if point.usable and CHANNEL_OF[point.kind] is row.channel]
        if row.contacts is Reach.FIRST:
            usable = usable[:1]
        elif row.contacts is Reach.NEXT:
            usable = [key for key in usable if not self._had[key]][:1]
        return tuple(key for key in usable if (key, row.id) not in self._planned and self._had[key] < row.max_attempts)
