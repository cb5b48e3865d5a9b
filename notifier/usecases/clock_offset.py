"""Walking a test matter through time: weeks in seconds, never in a live matter, never back."""

from datetime import datetime, timedelta
from typing import cast
from uuid import UUID

from sqlalchemy import text

from notifier.core.errors import Forbidden, Invalid
from notifier.core.events import EventType
from notifier.core.model import Actor, Mode
from notifier.store.engine import Tx
from notifier.store.ledger import append, draft, lock_chains
from notifier.store.looks import pull_nearer
from notifier.store.unknown import ask_sooner
from notifier.usecases.matters import take_matter


def advance_clock(tx: Tx, matter_id: UUID, by: timedelta, *, now: datetime) -> datetime:
    """Move a test matter's clock forward; returns its new time. What waits for its time waits so much less.

    Raises:
        NotFound: no such matter.
        Forbidden: `live-clock`: a live matter keeps real time.
        Invalid: `clock-goes-back`.
    """
    if by <= timedelta(0):
        raise Invalid("clock-goes-back", "A clock only moves forward.")
    row = take_matter(tx, matter_id)
    if row.mode != Mode.TEST.value:
        raise Forbidden("live-clock", "A live matter keeps real time.")
    offset = cast("timedelta", row.clock_offset) + by
    tx.conn.execute(
        text("update matter set clock_offset = :offset where agency_id = :agency and matter_id = :matter"),
        {"agency": tx.agency_id, "matter": matter_id, "offset": offset},
    )
    lock_chains(tx, [matter_id])
    pull_nearer(tx, matter_id, by)
    ask_sooner(tx, matter_id, by)
    data = {"seconds": int(by.total_seconds())}
    append(tx, matter_id, [draft(EventType.MATTER_CLOCK_ADVANCED, Actor.system("cli"), data)], at=now + offset)
    return now + offset
