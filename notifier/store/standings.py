"""Where attempts stand: read under a lock, and written back together."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final, TypeAlias
from uuid import UUID

from sqlalchemy import Row, text

from notifier.core.status import AttemptStatus
from notifier.store.bulk import driver
from notifier.store.engine import Tx

Attempt: TypeAlias = "Row[tuple[UUID, UUID, str, str, str, int, str | None, str | None]]"
"""A row of `read_attempts`."""


@dataclass(slots=True)
class Standing:
    """What one attempt's row becomes. None leaves a column as it is, except what tells why it stands there."""

    matter_id: UUID
    carrier_ref: str | None = None
    reason: str | None = None
    carrier_code: str | None = None
    retry_at: datetime | None = None
    check_at: datetime | None = None
    batch_id: UUID | None = None
    has_moved: bool = False
    was_handed_over: bool = False
    is_withdrawn: bool = False  # it lies in no batch any more, and nobody has it


def read_attempts(tx: Tx, attempt_ids: Collection[UUID]) -> dict[UUID, Attempt]:
    """Attempts by id, held until this transaction ends; their matters' chains are held already."""
    rows = tx.conn.execute(
        text(
            "select attempt_id, person_id, channel, carrier, status, tries, carrier_ref, withdrawn_ref from attempt"
            " where agency_id = :agency and attempt_id = any(:ids) order by attempt_id for no key update"
        ),
        {"agency": tx.agency_id, "ids": list(attempt_ids)},
    )
    return {row.attempt_id: row for row in rows}


_UPDATE: Final = """
update attempt a set
  status = u.status, updated_at = now(), lease_until = null,
  carrier_ref = case when not u.withdrawn then coalesce(u.carrier_ref, a.carrier_ref) end,
  withdrawn_ref = case when u.withdrawn then a.carrier_ref else a.withdrawn_ref end,
  reason = case when u.moved then u.reason else a.reason end,
  carrier_code = case when u.moved then u.carrier_code else a.carrier_code end, due_at = coalesce(u.retry_at, a.due_at),
  check_at = case when u.moved then u.check_at else a.check_at end,
  batch_id = case when u.withdrawn then null else coalesce(u.batch_id, a.batch_id) end,
  handed_over_at = case
    when u.withdrawn then null
    when u.handed_over and (a.handed_over_at is null or u.moved and u.status = 'accepted' and a.channel = 'letter')
    then u.at else a.handed_over_at end
from unnest(%(ids)b::uuid[], %(status)b::text[], %(ref)b::text[], %(reason)b::text[], %(code)b::text[],
            %(retry)b::timestamptz[], %(batch)b::uuid[], %(over)b::bool[], %(moved)b::bool[],
            %(at)b::timestamptz[], %(withdrawn)b::bool[], %(check)b::timestamptz[])
  as u(attempt_id, status, carrier_ref, reason, carrier_code, retry_at, batch_id, handed_over, moved, at, withdrawn,
       check_at)
where a.agency_id = %(agency)b and a.attempt_id = u.attempt_id
"""


def write_standings(
    tx: Tx,
    standings: Mapping[UUID, Standing],
    status: Mapping[UUID, AttemptStatus],
    *,
    at: Mapping[UUID, datetime],
) -> None:
    """Write attempts that `read_attempts` holds. `status` is by attempt, `at` the time that counts in each matter."""
    if not standings:
        return
    rows = list(standings.values())
    with driver(tx).cursor() as cursor:
        cursor.execute(
            _UPDATE,
            {
                "agency": tx.agency_id,
                # Silence is counted on the matter's own clock, that of a letter from its mailing.
                "at": [at[row.matter_id] for row in rows],
                "ids": list(standings),
                "status": [status[attempt_id].value for attempt_id in standings],
                "ref": [row.carrier_ref for row in rows],
                "reason": [row.reason for row in rows],
                "code": [row.carrier_code for row in rows],
                "retry": [row.retry_at for row in rows],
                "batch": [row.batch_id for row in rows],
                "over": [row.was_handed_over for row in rows],
                "moved": [row.has_moved for row in rows],
                "withdrawn": [row.is_withdrawn for row in rows],
                "check": [row.check_at for row in rows],
            },
        )
