"""Claiming attempts: fair between matters, under a lease, skipping what is held. A claim writes no event."""

import json
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Final, cast
from uuid import UUID

from sqlalchemy import text

from notifier.core.model import Channel, Mode, PostService
from notifier.core.status import AttemptStatus
from notifier.store.bulk import insert_rows
from notifier.store.engine import Tx


@dataclass(frozen=True, slots=True)
class Claimed:
    """An attempt that this worker holds until its lease ends."""

    attempt_id: UUID
    matter_id: UUID
    notice_id: UUID
    person_id: UUID
    contact_id: UUID
    tries: int


# One probe of a partial index per open matter until the handful is full, instead of sorting everything that is due.
# Each open matter has a share, whoever was served least in front, so that a long one does not keep a short one waiting;
# the handful is counted in attempts, so that matters with nothing due take no place in it. What is looked up for each
# matter is no join: of an agency that the statistics do not know yet the planner believes that it has one row, and
# would compare everything with everything. Tries have a ceiling: an outage may outlast a smallint.
_CLAIM = text(
    """
    with work as (
      select w.agency_id, w.matter_id, w.channel,
        least(cast(:chunk as int), greatest(1, cast(:chunk as int) * :whole / count(*) over ())) as share,
        coalesce(cast(cast(:served as jsonb) ->> cast(w.matter_id as text) as int), 0) as served
      from work_to_do w
      where w.agency_id = :agency and w.channel = :channel and (
        select m.mode from matter m where m.agency_id = w.agency_id and m.matter_id = w.matter_id) = any(:modes)
    ), due as (
      select d.attempt_id
      from (select * from work order by served, random()) w
      cross join lateral (
        select a.attempt_id from attempt a
        where a.agency_id = w.agency_id and a.matter_id = w.matter_id and a.channel = w.channel
          and a.status = 'planned' and a.due_at <= now() and a.blob_id is null
        order by a.due_at limit w.share for update skip locked
      ) d
      limit :chunk
    )
    update attempt a
    set status = 'sending', tries = least(a.tries, 9999) + 1, lease_until = now() + :lease, updated_at = now()
    where a.agency_id = :agency and a.attempt_id = any(array(select attempt_id from due))
    returning a.attempt_id, a.matter_id, a.notice_id, a.person_id, a.contact_id, a.tries,
      (select min(share) from work) as share
    """
)
_EVERYTHING: Final = 32_000  # times a share: whoever has more may fill what others left of the handful


def claim(
    tx: Tx,
    channel: Channel,
    *,
    chunk: int,
    lease: timedelta,
    served: Mapping[UUID, int] = MappingProxyType({}),
    modes: Collection[Mode] = tuple(Mode),
) -> list[Claimed]:
    """Take up to `chunk` due attempts of one channel, of matters of these modes.

    Each open matter has the same share of it, those in front that were served least, by `served`. What then is left of
    the handful is filled by whoever has more.
    """
    values = {"agency": tx.agency_id, "channel": channel.value, "lease": lease, "modes": [mode.value for mode in modes]}
    taken, share = _claim(tx, values, chunk=chunk, served=served, whole=1)
    had = Counter(item.matter_id for item in taken)
    left = chunk - len(taken)
    if left and share < chunk and max(had.values(), default=0) >= share:
        taken += _claim(tx, values, chunk=left, served=had + Counter(served), whole=_EVERYTHING)[0]
    return taken


def _claim(
    tx: Tx, values: Mapping[str, object], *, chunk: int, served: Mapping[UUID, int], whole: int
) -> tuple[list[Claimed], int]:
    """What was taken, and the share that each open matter had of it."""
    by_matter = json.dumps({str(matter_id): count for matter_id, count in served.items()})
    rows = tx.conn.execute(_CLAIM, {**values, "served": by_matter, "chunk": chunk, "whole": whole}).all()
    return [Claimed(*row[:-1]) for row in rows], rows[0].share if rows else chunk


def stopped_since(tx: Tx, channel: Channel, claimed: Sequence[Claimed]) -> set[UUID]:
    """The matters of claimed attempts that a stop has come to hold since they were claimed."""
    rows = tx.conn.execute(
        text(
            "select m from unnest(cast(:matters as uuid[])) m where not exists (select from work_to_do w"
            " where w.agency_id = :agency and w.matter_id = m and w.channel = :channel)"
        ),
        {
            "agency": tx.agency_id,
            "channel": channel.value,
            "matters": list({item.matter_id for item in claimed}),
        },
    )
    return set(rows.scalars())


def give_back(tx: Tx, claimed: Collection[Claimed]) -> None:
    """Give attempts back untried, that whoever calls this has taken and has not begun to hand over."""
    if not claimed:
        return
    tx.conn.execute(
        text(
            "update attempt set status = 'planned', lease_until = null, tries = greatest(tries - 1, 0)"
            " where agency_id = :agency and attempt_id = any(:ids) and status = 'sending'"
        ),
        {"agency": tx.agency_id, "ids": [item.attempt_id for item in claimed]},
    )


def open_work(tx: Tx, matter_id: UUID, channels: Sequence[Channel]) -> None:
    """Say that a matter has something to send on these channels.

    The update changes nothing; unlike "do nothing" it waits for `close_idle_work`, which may be deleting that very row.
    """
    tx.conn.execute(
        text(
            "insert into open_work (agency_id, matter_id, channel)"
            " select :agency, :matter, c from unnest(cast(:channels as text[])) c"
            " on conflict (agency_id, matter_id, channel) do update set channel = excluded.channel"
        ),
        {"agency": tx.agency_id, "matter": matter_id, "channels": [channel.value for channel in channels]},
    )


# Two conditions, because each of them has an index of its own.
_IDLE = """
    not exists (select from attempt a where a.agency_id = w.agency_id and a.matter_id = w.matter_id
                and a.channel = w.channel and a.status = 'planned')
    and not exists (select from attempt a where a.agency_id = w.agency_id and a.matter_id = w.matter_id
                    and a.channel = w.channel and a.status = 'sending')
"""
_HOLD_IDLE = text(
    f"select w.matter_id, w.channel from open_work w where w.agency_id = :agency and {_IDLE} for update skip locked"  # noqa: S608 # our own constant
)
_FORGET_IDLE = text(
    "delete from open_work w using unnest(cast(:matters as uuid[]), cast(:channels as text[])) h(matter_id, channel)"  # noqa: S608 # as above
    f" where w.agency_id = :agency and w.matter_id = h.matter_id and w.channel = h.channel and {_IDLE}"
)


def close_idle_work(tx: Tx) -> None:
    """Forget matters with nothing left to send.

    Two statements: the idle rows are held first, so that whoever plans new attempts waits and then writes its row anew;
    what was planned before that is seen by the second.
    """
    held = tx.conn.execute(_HOLD_IDLE, {"agency": tx.agency_id}).all()
    if held:
        matters, channels = zip(*held, strict=True)
        tx.conn.execute(_FORGET_IDLE, {"agency": tx.agency_id, "matters": list(matters), "channels": list(channels)})


def database_now(tx: Tx) -> datetime:
    """The database's clock: leases and due times are counted on it."""
    return cast("datetime", tx.conn.execute(text("select now()")).scalar_one())


@dataclass(frozen=True, slots=True)
class NewAttempt:
    """An attempt to plan. `plan_row` names the row of the plan that wants it; `due_at` is on the database's clock."""

    attempt_id: UUID
    notice_id: UUID
    person_id: UUID
    contact_id: UUID
    plan_row: str
    channel: Channel
    carrier: str
    due_at: datetime
    service: PostService | None = None
    linked_from: UUID | None = None


def plan_attempts(tx: Tx, matter_id: UUID, new: Sequence[NewAttempt], *, now: datetime) -> None:
    """Store new attempts of one matter."""
    count = len(new)
    insert_rows(
        tx,
        "attempt",
        {
            "attempt_id": ("uuid", [item.attempt_id for item in new]),
            "matter_id": ("uuid", [matter_id] * count),
            "notice_id": ("uuid", [item.notice_id for item in new]),
            "person_id": ("uuid", [item.person_id for item in new]),
            "contact_id": ("uuid", [item.contact_id for item in new]),
            "plan_row": ("text", [item.plan_row for item in new]),
            "channel": ("text", [item.channel.value for item in new]),
            "carrier": ("text", [item.carrier for item in new]),
            "status": ("text", [AttemptStatus.PLANNED.value] * count),
            "due_at": ("timestamptz", [item.due_at for item in new]),
            "service": ("text", [item.service and item.service.value for item in new]),
            "linked_from": ("uuid", [item.linked_from for item in new]),
            "updated_at": ("timestamptz", [now] * count),
        },
    )
