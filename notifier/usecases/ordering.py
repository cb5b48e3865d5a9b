"""Ordering the initial notices of a list: what each person gets first, and when the plan is looked at next."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID, uuid4

from notifier.core.events import EventType
from notifier.core.ledger import Draft, Json
from notifier.core.model import Channel, ContactKind, ContactPoint, NoticeKind
from notifier.core.plan import AT_ONCE, History, Ordered, PlannedAttempt, next_attempts, next_look
from notifier.core.policy import Evidence, PlanRow
from notifier.store.attempts import NewAttempt, plan_attempts
from notifier.store.bulk import insert_rows
from notifier.store.engine import Tx
from notifier.store.ledger import draft
from notifier.usecases.access import Principal
from notifier.usecases.timing import Place, Timing, Wanted

_NOBODY: Final[Mapping[UUID, Place]] = {}


@dataclass(frozen=True, slots=True)
class Listed:
    """A person to tell, with the ids and kinds of the contact points that can be used, in the order of the plan."""

    person_id: UUID
    recipient_id: UUID
    contacts: Sequence[UUID]
    kinds: Sequence[str]


@dataclass(frozen=True, slots=True)
class Clock:
    """One moment: as the process, the database and the matter tell it."""

    now: datetime
    database: datetime
    legal: datetime


class Orders:
    """Orders notices chunk by chunk and counts what it ordered.

    People with contact points of the same kinds get the same: the plan is read once for each such set.
    """

    def __init__(
        self,
        matter_id: UUID,
        edition: str,
        plan: Sequence[PlanRow],
        *,
        carrier_of: Mapping[Channel, str],
        principal: Principal,
        clock: Clock,
        timing: Timing | None,
        places: Mapping[UUID, Place] = _NOBODY,
    ) -> None:
        """`plan` may hold rows for channels that no carrier serves: they are counted in `without_carrier`."""
        self._matter_id = matter_id
        self._edition = edition
        self._plan = [row for row in plan if row.channel is None or row.channel in carrier_of]
        self._unserved = [row for row in plan if row not in self._plan]
        self._carrier_of = carrier_of
        self._principal = principal
        self._clock = clock
        self._timing = timing
        self._places = places
        self._read: dict[tuple[str, ...], _First] = {}
        self.persons = 0
        self.unreachable = 0
        self.without_carrier = 0
        self.attempts: Counter[str] = Counter()

    def order(self, tx: Tx, chunk: Sequence[Listed]) -> list[Draft]:
        """One notice a person, with its first attempts; returns what the ledger says of them."""
        notices: list[tuple[UUID, Listed, datetime | None]] = []
        wanted: list[tuple[UUID, Listed, PlannedAttempt[int]]] = []
        for listed in chunk:
            first = self._first(tuple(listed.kinds))
            notice_id = uuid4()
            look_in = AT_ONCE if first.is_unreachable else first.look_in  # the first look tells a caseworker
            look_at = None if look_in is None else self._clock.database + look_in
            notices.append((notice_id, listed, look_at))
            wanted += [(notice_id, listed, planned) for planned in first.attempts]
            self.unreachable += not first.attempts
            self.without_carrier += first.without_carrier
        new = self._times(tx, wanted)
        by_notice: dict[UUID, list[NewAttempt]] = {}
        for attempt in new:
            by_notice.setdefault(attempt.notice_id, []).append(attempt)
        drafts = [self._draft(notice_id, listed, by_notice.get(notice_id, ())) for notice_id, listed, _ in notices]
        self.persons += len(chunk)
        self.attempts.update(item.channel.value for item in new)
        self._insert_notices(tx, notices)
        plan_attempts(tx, self._matter_id, new, now=self._clock.now)
        return drafts

    def _first(self, kinds: tuple[str, ...]) -> "_First":
        found = self._read.get(kinds)
        if found is None:
            found = self._read[kinds] = _read_plan(self._plan, self._unserved, kinds, self._clock.legal)
        return found

    def _times(self, tx: Tx, wanted: Sequence[tuple[UUID, Listed, PlannedAttempt[int]]]) -> list[NewAttempt]:
        legal = self._clock.legal
        if self._timing is None:
            waits = [planned.due_in for _, _, planned in wanted]
        else:
            asked = [
                Wanted(listed.person_id, listed.contacts[planned.contact], planned.channel, legal + planned.due_in)
                for _, listed, planned in wanted
            ]
            waits = [at - legal for at in self._timing.times(tx, asked, self._places)]
        return [
            NewAttempt(
                uuid4(),
                notice_id,
                listed.person_id,
                listed.contacts[planned.contact],
                planned.row,
                planned.channel,
                self._carrier_of[planned.channel],
                self._clock.database + wait,
                planned.service,
            )
            for (notice_id, listed, planned), wait in zip(wanted, waits, strict=True)
        ]

    def _draft(self, notice_id: UUID, listed: Listed, attempts: Sequence[NewAttempt]) -> Draft:
        named: list[Json] = [
            {"id": str(item.attempt_id), "channel": item.channel.value, "contact": str(item.contact_id)}
            for item in attempts
        ]
        data: dict[str, Json] = {
            "notice": str(notice_id),
            "kind": NoticeKind.INITIAL.value,
            "recipient": str(listed.recipient_id),
            "edition": self._edition,
            "attempts": named,
        }
        return draft(EventType.NOTICE_ORDERED, self._principal.actor, data, person=listed.person_id)

    def _insert_notices(self, tx: Tx, notices: Sequence[tuple[UUID, Listed, datetime | None]]) -> None:
        count = len(notices)
        insert_rows(
            tx,
            "notice",
            {
                "notice_id": ("uuid", [notice_id for notice_id, _, _ in notices]),
                "matter_id": ("uuid", [self._matter_id] * count),
                "person_id": ("uuid", [listed.person_id for _, listed, _ in notices]),
                "recipient_id": ("uuid", [listed.recipient_id for _, listed, _ in notices]),
                "kind": ("text", [NoticeKind.INITIAL.value] * count),
                "edition": ("text", [self._edition] * count),
                "ordered_at": ("timestamptz", [self._clock.legal] * count),
                "ordered_by": ("uuid", [self._principal.officer_id] * count),
                "look_at": ("timestamptz", [look_at for _, _, look_at in notices]),
            },
        )


@dataclass(frozen=True, slots=True)
class _First:
    """What the plan gives at once to somebody with contact points of some kinds; a contact is its place among them."""

    attempts: tuple[PlannedAttempt[int], ...]
    look_in: timedelta | None
    without_carrier: bool

    @property
    def is_unreachable(self) -> bool:
        return not self.attempts and not self.without_carrier


def _read_plan(plan: Sequence[PlanRow], unserved: Sequence[PlanRow], kinds: Sequence[str], at: datetime) -> _First:
    contacts = {place: ContactPoint(ContactKind(kind), "") for place, kind in enumerate(kinds)}
    evidence = {Evidence.APPROVAL: at}
    attempts = next_attempts(plan, contacts, History(evidence), now=at)
    ordered = [Ordered(planned.contact, planned.row, at + planned.due_in) for planned in attempts]
    look = next_look(plan, contacts, History(evidence, ordered), now=at)
    missed = next_attempts(unserved, contacts, History(evidence), now=at)
    return _First(attempts, None if look is None else look - at, bool(missed))
