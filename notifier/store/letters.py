"""Letters: what is to be written, and of the mailroom's what is written and waits, and goes into a print batch."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Final
from uuid import UUID

from sqlalchemy import text

from notifier.core.model import Mode, PostService
from notifier.store.attempts import Claimed
from notifier.store.engine import Tx

CARRIER: Final = "mailroom_letter"

# For an attempt `a` of a matter `w`: a letter of this carrier's whose time has come, and which is not written yet.
_UNWRITTEN: Final = """
a.agency_id = w.agency_id and a.matter_id = w.matter_id and a.channel = 'letter' and a.carrier = :carrier
and a.status = 'planned' and a.due_at <= now() and a.blob_id is null
"""

# Matters in any order, an equal share for each, so that a long one does not keep a short one waiting. One probe of
# the index for each open matter: without the order the planner reads the table, for it takes every matter for long.
_TO_COMPOSE: Final = text(
    f"""
    with work as materialized (
      select w.agency_id, w.matter_id from work_to_do w
      cross join lateral (select from attempt a where {_UNWRITTEN} order by a.due_at limit 1) due
      where w.agency_id = :agency and w.channel = 'letter'
      order by random() limit :chunk
    )
    select a.attempt_id, a.matter_id, a.notice_id, a.person_id, a.contact_id, a.tries
    from work w
    cross join lateral (
      select a.* from attempt a
      where {_UNWRITTEN} and pg_try_advisory_xact_lock(hashtextextended(cast(a.attempt_id as text), 1))
      order by a.due_at limit greatest(1, :chunk / (select count(*) from work))
    ) a
    limit :chunk
    """  # noqa: S608 # our own constants
)

_SOME_UNWRITTEN: Final = text(
    f"""
    select from work_to_do w
    cross join lateral (select from attempt a where {_UNWRITTEN} order by a.due_at limit 1) due
    where w.agency_id = :agency and w.channel = 'letter' limit 1
    """  # noqa: S608 # our own constants
)

# Written letters that no stop keeps back, and whether their matter has others that are still to be written.
_WAITING: Final = f"""
    letter as materialized (
      select a.attempt_id, a.matter_id, a.person_id, a.blob_id, a.updated_at, m.mode,
        coalesce(a.service, 'first_class') as service
      from attempt a
      join work_to_do w on w.agency_id = a.agency_id and w.matter_id = a.matter_id and w.channel = 'letter'
      join matter m on m.agency_id = a.agency_id and m.matter_id = a.matter_id
      where a.agency_id = :agency and a.status = 'planned' and a.blob_id is not null and a.channel = 'letter'
        and a.carrier = :carrier
    ), run as materialized (
      select w.matter_id, coalesce(due.found, false) as is_going_on
      from (select distinct cast(:agency as uuid) as agency_id, matter_id from letter) w
      left join lateral (
        select true as found from attempt a where {_UNWRITTEN} order by a.due_at limit 1
      ) due on true
    )
"""  # noqa: S608 # our own constants


@dataclass(frozen=True, slots=True)
class Waiting:
    """Written letters of one mode and service. `done` of them are of matters with nothing left to write.

    `done_since`: how long the first of those has waited.
    """

    mode: Mode
    service: PostService
    letters: int
    done: int
    done_since: timedelta


@dataclass(frozen=True, slots=True)
class WrittenLetter:
    """A letter that waits for its print batch."""

    attempt_id: UUID
    matter_id: UUID
    person_id: UUID
    blob_id: UUID


def letters_to_compose(tx: Tx, *, chunk: int, carrier: str = CARRIER) -> list[Claimed]:
    """Due letters that are not written yet, and that no other worker is writing until this transaction ends.

    Their rows are not held: writing takes long, and whoever holds a matter's chain may change them meanwhile.
    """
    values = {"agency": tx.agency_id, "chunk": chunk, "carrier": carrier}
    return [Claimed(*row) for row in tx.conn.execute(_TO_COMPOSE, values)]


def some_letter_is_unwritten(tx: Tx) -> bool:
    """True while a due letter waits to be written, also where another worker is at it."""
    return tx.conn.execute(_SOME_UNWRITTEN, {"agency": tx.agency_id, "carrier": CARRIER}).first() is not None


def waiting_letters(tx: Tx) -> list[Waiting]:
    """What waits for a print batch, by mode and service."""
    rows = tx.conn.execute(
        text(
            f"with {_WAITING} select l.mode, l.service, count(*) as letters,"  # noqa: S608 # our own constant
            " count(*) filter (where not r.is_going_on) as done,"
            " coalesce(now() - min(l.updated_at) filter (where not r.is_going_on), interval '0') as since"
            " from letter l join run r using (matter_id) group by 1, 2 order by 1, 2"
        ),
        {"agency": tx.agency_id, "carrier": CARRIER},
    )
    return [Waiting(Mode(row.mode), PostService(row.service), row.letters, row.done, row.since) for row in rows]


def still_unwritten(tx: Tx, attempt_ids: Sequence[UUID]) -> set[UUID]:
    """Those letters that nothing has happened to; held from now on. Their matters' chains are held already."""
    rows = tx.conn.execute(
        text(
            "select attempt_id from attempt where agency_id = :agency and attempt_id = any(:ids)"
            " and status = 'planned' and blob_id is null order by attempt_id for update"
        ),
        {"agency": tx.agency_id, "ids": list(attempt_ids)},
    )
    return set(rows.scalars())


def certified_among(tx: Tx, attempt_ids: Sequence[UUID]) -> set[UUID]:
    """Those of these letters that are to go by certified mail."""
    rows = tx.conn.execute(
        text(
            "select attempt_id from attempt"
            " where agency_id = :agency and attempt_id = any(:ids) and service = :certified"
        ),
        {"agency": tx.agency_id, "ids": list(attempt_ids), "certified": PostService.CERTIFIED.value},
    )
    return set(rows.scalars())


def written_letters(tx: Tx, mode: Mode, service: PostService, *, chunk: int) -> list[WrittenLetter]:
    """Written letters for a print batch, not held yet; those of matters that are done come first."""
    rows = tx.conn.execute(
        text(
            f"with {_WAITING} select l.attempt_id, l.matter_id, l.person_id, l.blob_id"  # noqa: S608 # our own constant
            " from letter l join run r using (matter_id) where l.mode = :mode and l.service = :service"
            " order by r.is_going_on, l.matter_id limit :chunk"
        ),
        {
            "agency": tx.agency_id,
            "carrier": CARRIER,
            "mode": mode.value,
            "service": service.value,
            "chunk": chunk,
        },
    )
    return [WrittenLetter(*row) for row in rows]


def take_letters(tx: Tx, letters: Sequence[WrittenLetter]) -> bool:
    """Take these for a print batch, or none when one is not what it was. Their matters' chains are held already."""
    values = {
        "agency": tx.agency_id,
        "attempts": [letter.attempt_id for letter in letters],
        "blobs": [letter.blob_id for letter in letters],
    }
    held = tx.conn.execute(
        text(
            "select from unnest(cast(:attempts as uuid[]), cast(:blobs as uuid[])) u(attempt_id, blob_id)"
            " join attempt a on a.agency_id = :agency and a.attempt_id = u.attempt_id and a.blob_id = u.blob_id"
            " where a.status = 'planned' order by a.attempt_id for update of a"
        ),
        values,
    ).all()
    if len(held) < len(letters):
        return False
    tx.conn.execute(
        text(
            "update attempt set status = 'sending', tries = least(tries, 9999) + 1, updated_at = now()"
            " where agency_id = :agency and attempt_id = any(:attempts)"
        ),
        values,
    )
    return True


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


def hold_the_printer(tx: Tx) -> bool:
    """Whether this transaction, and no other of the agency, may close print batches now."""
    lock = int.from_bytes(tx.agency_id.bytes[8:], signed=True)
    return bool(tx.conn.execute(text("select pg_try_advisory_xact_lock(:lock)"), {"lock": lock}).scalar_one())
