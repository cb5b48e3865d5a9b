"""Printed letters that nobody mails: an alarm once, a task for a caseworker, and their end."""

from datetime import datetime
from typing import Any, Final
from uuid import UUID

from sqlalchemy import Row, select, update

from notifier.core.business_days import red_from
from notifier.core.events import EventType
from notifier.core.ledger import timestamp
from notifier.core.model import Actor, Resolution, TaskKind
from notifier.store import tables as t
from notifier.store.engine import Tx
from notifier.store.ledger import append, draft
from notifier.usecases.access import Principal
from notifier.usecases.office import zone_of
from notifier.usecases.tasks import open_task, settle_task

ALARM: Final = TaskKind.BATCH_NOT_MAILED.value
CLOCK: Final = Actor.system("clock")


def raise_alarms(tx: Tx, *, now: datetime) -> list[UUID]:
    """Raise the alarm for each batch that has turned red since the last time; returns them."""
    open_ones = select(t.print_batch.c.batch_id, t.print_batch.c.closed_at).where(
        t.print_batch.c.agency_id == tx.agency_id,
        t.print_batch.c.declared_at.is_(None),
        t.print_batch.c.voided_at.is_(None),
        t.print_batch.c.alarmed_at.is_(None),
    )
    rows = tx.conn.execute(open_ones.order_by(t.print_batch.c.closed_at).with_for_update(skip_locked=True)).all()
    if not rows:
        return []
    zone = zone_of(tx)
    red = [(row.batch_id, due) for row in rows if (due := red_from(row.closed_at, zone)) <= now]
    for batch_id, due in red:
        tx.conn.execute(
            update(t.print_batch)
            .where(t.print_batch.c.agency_id == tx.agency_id, t.print_batch.c.batch_id == batch_id)
            .values(alarmed_at=now)
        )
        said = {"alarm": ALARM, "batch": str(batch_id), "due": timestamp(due)}
        append(tx, tx.agency_id, [draft(EventType.ALARM_RAISED, CLOCK, said)], at=now)
        open_task(
            tx,
            TaskKind.BATCH_NOT_MAILED,
            subject_id=batch_id,
            matter_id=None,
            person_id=None,
            due_at=now,
            actor=CLOCK,
            now=now,
        )
    return [batch_id for batch_id, _ in red]


def settle_alarm(tx: Tx, batch: Row[Any], *, principal: Principal, now: datetime) -> None:
    """Say that a batch is red no more: an officer has declared it mailed, or voided it."""
    if batch.alarmed_at is None:
        return
    said = {"alarm": ALARM, "batch": str(batch.batch_id)}
    append(tx, tx.agency_id, [draft(EventType.ALARM_CLEARED, principal.actor, said)], at=now)
    settle_task(
        tx,
        TaskKind.BATCH_NOT_MAILED,
        subject_id=batch.batch_id,
        resolution=Resolution.DONE,
        principal=principal,
        now=now,
    )


def count_open(tx: Tx, *, now: datetime) -> tuple[int, int]:
    """How many batches of an agency wait for an officer's word, and how many of those are red."""
    closed = select(t.print_batch.c.closed_at).where(
        t.print_batch.c.agency_id == tx.agency_id,
        t.print_batch.c.declared_at.is_(None),
        t.print_batch.c.voided_at.is_(None),
    )
    times = tx.conn.execute(closed).scalars().all()
    if not times:
        return 0, 0
    zone = zone_of(tx)
    return len(times), sum(red_from(at, zone) <= now for at in times)
