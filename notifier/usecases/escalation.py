"""What is sent next: the clock looks at notices whose time has come, and orders what their plan wants by now.

Looking again changes nothing: who looks holds the matter's chain, and the notice says when it is next looked at.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final, cast
from uuid import UUID, uuid4

import structlog
from sqlalchemy import text

from notifier.core.errors import Invalid
from notifier.core.events import EventType
from notifier.core.ledger import Draft, Json, timestamp
from notifier.core.model import Channel, TaskKind
from notifier.core.plan import History, Ordered, PlannedAttempt, next_attempts, next_look, next_tasks, stopped_rows
from notifier.core.policy import Packs, PlanRow, household_gap_of, plan_of
from notifier.core.status import AttemptEvent
from notifier.store.attempts import NewAttempt, database_now, open_work, plan_attempts
from notifier.store.engine import Database, Tx
from notifier.store.ledger import append, draft, lock_chains
from notifier.store.looks import NoticeRow, hold_notices, notices_to_look, put_off, set_looks
from notifier.store.vault import Vault
from notifier.usecases.histories import Told, read_histories
from notifier.usecases.matters import bound_packs, find_matter
from notifier.usecases.progress import Change, record
from notifier.usecases.stops import stopped_channels, stops_in_force
from notifier.usecases.tasks import PLAN, open_review, open_task
from notifier.usecases.timing import Timing, Wanted, shared_contacts, timing_of

LIMIT: Final = 500  # notices in one handful
PUT_OFF: Final = timedelta(minutes=1)
WHILE_STOPPED: Final = timedelta(hours=1)
WITHOUT_PACK: Final = timedelta(hours=1)  # somebody has to install it
PATIENCE: Final = "set local lock_timeout = '500ms'"  # a chain that somebody holds for long is left for later
CALLED_WITHIN: Final = timedelta(days=2)
HELPED_WITHIN: Final = timedelta(days=1)  # nothing that we sent has reached this person

log = structlog.get_logger()


def look(
    db: Database, agency_id: UUID, *, packs: Packs, carrier_of: Mapping[Channel, str], vault: Vault, now: datetime
) -> int:
    """Look at a handful of notices of one agency whose time has come; returns how many there were.

    Each matter in a transaction of its own: what is wrong with one, or holds it, keeps no other waiting.
    """
    with db.transaction(agency_id) as tx:
        found = notices_to_look(tx, limit=LIMIT)
    for matter_id in sorted(found):
        try:
            with db.transaction(agency_id) as tx:
                tx.conn.execute(text(PATIENCE))
                look_at(tx, matter_id, found[matter_id], packs=packs, carrier_of=carrier_of, vault=vault, now=now)
        except Exception as error:  # noqa: BLE001 # looked at again in a minute
            log.error("escalation.matter_left", matter=str(matter_id), error=type(error).__name__)  # noqa: TRY400 # a traceback may hold values
            with db.transaction(agency_id) as tx:
                put_off(tx, found[matter_id], PUT_OFF)
    return sum(map(len, found.values()))


def look_at(
    tx: Tx,
    matter_id: UUID,
    notice_ids: Collection[UUID],
    *,
    packs: Packs,
    carrier_of: Mapping[Channel, str],
    vault: Vault,
    now: datetime,
) -> None:
    """Look at notices of one matter.

    (1) take the chain, then the notices: what another clock has looked at meanwhile is left; (2) read what has been
    done and seen, by the matter's clock; (3) read the plan; (4) order messages and
    tasks, take back what the person has answered before it left, and say when to look again.
    Without the packs that the matter is bound to nothing is ordered, and a caseworker is told.
    """
    lock_chains(tx, [matter_id])  # (1)
    notices = hold_notices(tx, notice_ids)
    if not notices:
        return
    matter = find_matter(tx, matter_id)
    at = now + cast("timedelta", matter.clock_offset)
    try:
        bound = bound_packs(tx, matter_id, packs)
    except Invalid:  # by what it is not bound to nothing is sent
        open_review(tx, matter_id, now=now)
        set_looks(tx, {notice.notice_id: WITHOUT_PACK for notice in notices})
        return
    told = read_histories(tx, matter_id, notices, now=now, at=at)  # (2)
    reading = _Reading(plan_of(bound), carrier_of, at)
    steps = [reading.step(notice, told[notice.notice_id]) for notice in notices]  # (3)
    if stopped_channels(stops_in_force(tx, matter_id)) == frozenset(Channel):
        steps = [step.while_stopped() for step in steps]
    timing = timing_of(tx, matter.mode, gap=household_gap_of(bound), vault=vault, letters_apart=True)
    new = _attempts(tx, matter_id, steps, carrier_of=carrier_of, timing=timing, at=at)  # (4)
    plan_attempts(tx, matter_id, new, now=now)
    open_work(tx, matter_id, sorted({attempt.channel for attempt in new}))
    clock = database_now(tx)
    append(tx, matter_id, [_draft(attempt, at + (attempt.due_at - clock)) for attempt in new], at=at)
    unwanted = [Change(one, AttemptEvent.CANCELLED, PLAN) for step in steps for one in step.unwanted]
    record(tx, matter_id, unwanted, now=now)
    for step in steps:
        _open_tasks(tx, matter_id, step, now=now)
    if any(step.unserved for step in steps):
        open_review(tx, matter_id, now=now)
    set_looks(tx, {step.notice.notice_id: step.look_in for step in steps})


@dataclass(frozen=True, slots=True)
class _Step:
    """What one look at one notice comes to."""

    notice: NoticeRow
    attempts: Sequence[PlannedAttempt[UUID]]
    tasks: Sequence[TaskKind]
    look_in: timedelta | None
    unserved: bool
    unwanted: Collection[UUID]
    came_back: Collection[UUID]

    def while_stopped(self) -> "_Step":
        """Messages are held where they are claimed; a human who is asked to call or to find somebody is not."""
        if not self.tasks:
            return self
        look_in = WHILE_STOPPED if self.look_in is None else min(WHILE_STOPPED, self.look_in)
        return replace(self, tasks=(), look_in=look_in)


class _Reading:
    """The plan of a matter, read at one moment of its clock."""

    def __init__(self, plan: Sequence[PlanRow], carrier_of: Mapping[Channel, str], at: datetime) -> None:
        self._plan = [row for row in plan if row.channel is None or row.channel in carrier_of]
        self._unserved = [row for row in plan if row not in self._plan]
        self._at = at

    def step(self, notice: NoticeRow, told: Told) -> _Step:
        """What is to be done now. Somebody whom nothing reached, and for whom nothing is left, is a caseworker's."""
        at, history = self._at, told.history
        attempts = next_attempts(self._plan, told.contacts, history, now=at)
        tasks = next_tasks(self._plan, history, now=at)
        ordered = [*history.attempts, *(Ordered(one.contact, one.row, at + one.due_in) for one in attempts)]
        after = History(history.evidence, ordered, [*history.tasks, *tasks])
        is_over = told.nothing_reached and not attempts
        look = next_look(self._plan, told.contacts, after, now=at, word_may_come=not is_over)
        unserved = bool(next_attempts(self._unserved, told.contacts, history, now=at))
        if told.nothing_reached and not attempts and look is None and (history.attempts or not unserved):
            tasks = (*tasks, TaskKind.NOT_REACHED)
        wait = None if look is None else look - at
        stopped = stopped_rows(self._plan, history)
        unwanted = [attempt_id for attempt_id, row in told.waiting.items() if row in stopped]
        return _Step(notice, attempts, tasks, wait, unserved, unwanted, told.came_back)


def _attempts(
    tx: Tx,
    matter_id: UUID,
    steps: Sequence[_Step],
    *,
    carrier_of: Mapping[Channel, str],
    timing: Timing | None,
    at: datetime,
) -> list[NewAttempt]:
    wanted = [(step.notice, planned) for step in steps for planned in step.attempts]
    times = [at + planned.due_in for _, planned in wanted]
    if timing is not None and wanted:
        asked = [
            Wanted(notice.person_id, planned.contact, planned.channel, time)
            for (notice, planned), time in zip(wanted, times, strict=True)
        ]
        places = shared_contacts(tx, matter_id, of=[planned.contact for _, planned in wanted])
        times = timing.times(tx, asked, places)
    clock = database_now(tx)
    return [
        NewAttempt(
            uuid4(),
            notice.notice_id,
            notice.person_id,
            planned.contact,
            planned.row,
            planned.channel,
            carrier_of[planned.channel],
            clock + (time - at),
            planned.service,
        )
        for (notice, planned), time in zip(wanted, times, strict=True)
    ]


def _draft(new: NewAttempt, due: datetime) -> Draft:
    data: dict[str, Json] = {
        "attempt": str(new.attempt_id),
        "notice": str(new.notice_id),
        "channel": new.channel.value,
        "contact": str(new.contact_id),
        "plan_row": new.plan_row,
        "due": timestamp(due),
    }
    if new.service is not None:
        data["service"] = new.service.value
    return draft(EventType.ATTEMPT_ORDERED, PLAN, data, person=new.person_id)


def _open_tasks(tx: Tx, matter_id: UUID, step: _Step, *, now: datetime) -> None:
    for kind in step.tasks:
        open_task(
            tx,
            kind,
            subject_id=step.notice.notice_id,
            matter_id=matter_id,
            person_id=step.notice.person_id,
            due_at=now + (HELPED_WITHIN if kind is TaskKind.NOT_REACHED else CALLED_WITHIN),
            actor=PLAN,
            now=now,
        )
    for attempt_id in step.came_back:
        open_task(
            tx,
            TaskKind.MAIL_RETURNED,
            subject_id=attempt_id,
            matter_id=matter_id,
            person_id=step.notice.person_id,
            due_at=now + CALLED_WITHIN,
            actor=PLAN,
            now=now,
        )
