"""Attempts that time alone has something to say about: their worker is gone, or their carrier is silent."""

from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import text

from notifier.core.model import Channel
from notifier.core.status import AttemptStatus
from notifier.store.engine import Tx


@dataclass(frozen=True, slots=True)
class Glance:
    """What waits in one agency right now.

    `channels`: something could be claimed there, or is to be asked about. `has_lost`: a lease has ended. `has_work`:
    something is open, if not due yet.
    """

    channels: tuple[Channel, ...]
    has_receipts: bool
    has_lost: bool
    has_work: bool


# Each of them is a probe of a partial index. In one statement, because a clock asks for each agency again and again.
_GLANCE = text(
    """
    select
      array(
        select c from unnest(cast(:channels as text[])) c
        where exists (
          select from work_to_do w where w.agency_id = :agency and w.channel = c and exists (
            select from attempt a where a.agency_id = w.agency_id and a.matter_id = w.matter_id
              and a.channel = w.channel and a.status = 'planned' and a.due_at <= now()))
        or exists (
          select from attempt a where a.agency_id = :agency and a.channel = c
            and a.status = 'unknown' and a.check_at <= now())),
      exists (select from receipt where agency_id = :agency and applied_at is null),
      exists (select from attempt where agency_id = :agency and status = 'sending' and lease_until < now()),
      exists (select from open_work where agency_id = :agency)
    """
)


def glance(tx: Tx) -> Glance:
    """What waits in one agency."""
    row = tx.conn.execute(_GLANCE, {"agency": tx.agency_id, "channels": [channel.value for channel in Channel]}).one()
    return Glance(tuple(map(Channel, row[0])), *row[1:])


@dataclass(frozen=True, slots=True)
class Expired:
    """An attempt whose worker has been silent past its lease. `sealed` is the text it may have sent."""

    matter_id: UUID
    attempt_id: UUID
    person_id: UUID
    carrier: str
    sealed: bytes | None = field(repr=False)


def expired_leases(tx: Tx, *, limit: int) -> list[Expired]:
    """Attempts that nobody holds any more, the oldest first."""
    rows = tx.conn.execute(
        text(
            "select a.matter_id, a.attempt_id, a.person_id, a.carrier, c.sealed from attempt a"
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
    where a.agency_id = :agency and a.channel = :channel and a.carrier = :carrier
      and a.status in ('handed_over', 'accepted')
      and a.status = any(:waiting) and a.handed_over_at <= cast(:now as timestamptz) - cast(:after as interval)
    union
    select a.matter_id, a.attempt_id from matter m
    join attempt a on a.agency_id = m.agency_id and a.matter_id = m.matter_id
    where m.agency_id = :agency and m.mode = 'test' and m.clock_offset > interval '0'
      and a.channel = :channel and a.carrier = :carrier and a.status = any(:waiting)
      and a.handed_over_at <= cast(:now as timestamptz) + m.clock_offset - cast(:after as interval)
    limit :limit
    """
)


def silent_attempts(
    tx: Tx,
    channel: Channel,
    carrier: str,
    *,
    waiting: Collection[AttemptStatus],
    after: timedelta,
    now: datetime,
    limit: int,
) -> list[tuple[UUID, UUID]]:
    """(matter, attempt) of what a carrier took and has said nothing final about for `after`, by each matter's clock.

    `waiting` are the statuses in which its word is awaited.
    """
    rows = tx.conn.execute(
        _SILENT,
        {
            "agency": tx.agency_id,
            "channel": channel.value,
            "carrier": carrier,
            "waiting": [status.value for status in waiting],
            "now": now,
            "after": after,
            "limit": limit,
        },
    )
    return [(row.matter_id, row.attempt_id) for row in rows]
