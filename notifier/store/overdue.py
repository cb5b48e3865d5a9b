"""Attempts that time alone has something to say about: their worker is gone, or their carrier is silent."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import text

from notifier.core.model import Channel
from notifier.core.status import AWAITS_WORD
from notifier.store.engine import Tx


@dataclass(frozen=True, slots=True)
class Expired:
    """An attempt whose worker has been silent past its lease. `sealed` is the text it may have sent."""

    matter_id: UUID
    attempt_id: UUID
    person_id: UUID
    sealed: bytes | None = field(repr=False)


def expired_leases(tx: Tx, *, limit: int) -> list[Expired]:
    """Attempts that nobody holds any more, the oldest first."""
    rows = tx.conn.execute(
        text(
            "select a.matter_id, a.attempt_id, a.person_id, c.sealed from attempt a"
            " left join content c on c.agency_id = a.agency_id and c.attempt_id = a.attempt_id"
            " where a.agency_id = :agency and a.status = 'sending' and a.lease_until < now()"
            " order by a.lease_until limit :limit"
        ),
        {"agency": tx.agency_id, "limit": limit},
    )
    return [Expired(*row) for row in rows]


# What is silent by real time is silent by any matter's clock, which only ever runs ahead: a plain range of an index.
# The few matters whose clock was advanced are looked at one by one.
_SILENT = text(
    """
    select a.matter_id, a.attempt_id from attempt a
    where a.agency_id = :agency and a.channel = :channel and a.status in ('handed_over', 'accepted')
      and a.status = any(:waiting) and a.handed_over_at <= cast(:now as timestamptz) - cast(:after as interval)
    union
    select a.matter_id, a.attempt_id from matter m
    join attempt a on a.agency_id = m.agency_id and a.matter_id = m.matter_id
    where m.agency_id = :agency and m.mode = 'test' and m.clock_offset > interval '0'
      and a.channel = :channel and a.status = any(:waiting)
      and a.handed_over_at <= cast(:now as timestamptz) + m.clock_offset - cast(:after as interval)
    limit :limit
    """
)


def silent_attempts(
    tx: Tx, channel: Channel, *, after: timedelta, now: datetime, limit: int
) -> list[tuple[UUID, UUID]]:
    """(matter, attempt) of what a carrier took and has said nothing final about for `after`, by each matter's clock."""
    rows = tx.conn.execute(
        _SILENT,
        {
            "agency": tx.agency_id,
            "channel": channel.value,
            "waiting": [status.value for status in AWAITS_WORD[channel]],
            "now": now,
            "after": after,
            "limit": limit,
        },
    )
    return [(row.matter_id, row.attempt_id) for row in rows]
