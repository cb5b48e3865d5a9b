"""Claiming attempts: fair between matters, under a lease, skipping what is held. A claim writes no event."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import cast
from uuid import UUID

from sqlalchemy import text

from notifier.core.model import Channel, Mode
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
# Matters come in any order, so that a long one does not keep a short one waiting; the handful is counted in attempts,
# so that matters with nothing due take no place in it. Tries have a ceiling: an outage may outlast a smallint.
_CLAIM = text(
    """
    with work as (
      select w.agency_id, w.matter_id, w.channel
      from work_to_do w join matter m on m.agency_id = w.agency_id and m.matter_id = w.matter_id
      where w.agency_id = :agency and w.channel = :channel and m.mode = any(:modes)
      order by random()
    ), due as (
      select d.attempt_id
      from work w
      cross join lateral (
        select a.attempt_id from attempt a
        where a.agency_id = w.agency_id and a.matter_id = w.matter_id and a.channel = w.channel
          and a.status = 'planned' and a.due_at <= now() and a.blob_id is null
        order by a.due_at limit :per_matter for update skip locked
      ) d
      limit :chunk
    )
    update attempt a
    set status = 'sending', tries = least(a.tries, 9999) + 1, lease_until = now() + :lease, updated_at = now()
    from due
    where a.agency_id = :agency and a.attempt_id = due.attempt_id
    returning a.attempt_id, a.matter_id, a.notice_id, a.person_id, a.contact_id, a.tries
    """
)


def claim(
    tx: Tx, channel: Channel, *, chunk: int, per_matter: int, lease: timedelta, modes: Collection[Mode] = tuple(Mode)
) -> list[Claimed]:
    """Take up to `chunk` due attempts of one channel, at most `per_matter` of any matter, of matters of these modes."""
    rows = tx.conn.execute(
        _CLAIM,
        {
            "agency": tx.agency_id,
            "channel": channel.value,
            "chunk": chunk,
            "per_matter": per_matter,
            "lease": lease,
            "modes": [mode.value for mode in modes],
        },
    )
    return [Claimed(*row) for row in rows]


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


def give_back(tx: Tx, claimed: Sequence[Claimed]) -> None:
    """Give attempts back untried, in the transaction that took them."""
    tx.conn.execute(
        text(
            "update attempt set status = 'planned', lease_until = null, tries = greatest(tries - 1, 0)"
            " where agency_id = :agency and attempt_id = any(:ids)"
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


def channels_with_due_work(tx: Tx) -> list[Channel]:
    """The channels on which something could be claimed right now."""
    rows = tx.conn.execute(
        text(
            "select distinct w.channel from work_to_do w where w.agency_id = :agency and exists"
            " (select from attempt a where a.agency_id = w.agency_id and a.matter_id = w.matter_id"
            "  and a.channel = w.channel and a.status = 'planned' and a.due_at <= now())"
        ),
        {"agency": tx.agency_id},
    )
    return [Channel(channel) for channel in rows.scalars()]


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
            "updated_at": ("timestamptz", [now] * count),
        },
    )


_LETTERS = """
    select a.attempt_id, a.matter_id, a.notice_id, a.person_id, a.contact_id, a.tries
    from work_to_do w
    join matter m on m.agency_id = w.agency_id and m.matter_id = w.matter_id and m.mode = any(:modes)
    cross join lateral (
      select * from attempt a
      where a.agency_id = w.agency_id and a.matter_id = w.matter_id and a.channel = w.channel
        and a.status = 'planned' and a.due_at <= now() and (a.blob_id is not null) = :composed
      order by a.due_at limit :chunk for update skip locked
    ) a
    where w.agency_id = :agency and w.channel = 'letter'
    limit :chunk
"""


def letters_to_compose(tx: Tx, *, chunk: int) -> list[Claimed]:
    """Hold due letters that are not written yet, until this transaction ends: nothing leaves while they are written."""
    modes = [mode.value for mode in Mode]
    rows = tx.conn.execute(text(_LETTERS), {"agency": tx.agency_id, "chunk": chunk, "composed": False, "modes": modes})
    return [Claimed(*row) for row in rows]


def some_letter_is_unwritten(tx: Tx) -> bool:
    """True while a due letter waits to be written, also where another worker is at it."""
    row = tx.conn.execute(
        text(
            "select from work_to_do w join attempt a on a.agency_id = w.agency_id and a.matter_id = w.matter_id"
            " and a.channel = w.channel where w.agency_id = :agency and w.channel = 'letter'"
            " and a.status = 'planned' and a.due_at <= now() and a.blob_id is null limit 1"
        ),
        {"agency": tx.agency_id},
    )
    return row.first() is not None


@dataclass(frozen=True, slots=True)
class WrittenLetter:
    """A letter that this transaction holds for its print batch."""

    attempt_id: UUID
    matter_id: UUID
    person_id: UUID
    blob_id: UUID


def claim_written_letters(tx: Tx, mode: Mode, *, chunk: int) -> list[WrittenLetter]:
    """Take written letters of one mode for a print batch, within this transaction."""
    rows = tx.conn.execute(
        text(
            f"with due as ({_LETTERS}) update attempt a set status = 'sending', tries = a.tries + 1, updated_at = now()"  # noqa: S608 # our own constant
            " from due where a.agency_id = :agency and a.attempt_id = due.attempt_id"
            " returning a.attempt_id, a.matter_id, a.person_id, a.blob_id"
        ),
        {"agency": tx.agency_id, "chunk": chunk, "composed": True, "modes": [mode.value]},
    )
    return [WrittenLetter(*row) for row in rows]


def keep_letters(tx: Tx, blobs: Sequence[tuple[UUID, UUID]]) -> None:
    """Say which file each written letter is: (attempt, blob)."""
    tx.conn.execute(
        text(
            "update attempt a set blob_id = u.blob_id, updated_at = now()"
            " from unnest(cast(:attempts as uuid[]), cast(:blobs as uuid[])) u(attempt_id, blob_id)"
            " where a.agency_id = :agency and a.attempt_id = u.attempt_id"
        ),
        {
            "agency": tx.agency_id,
            "attempts": [attempt for attempt, _ in blobs],
            "blobs": [blob for _, blob in blobs],
        },
    )
