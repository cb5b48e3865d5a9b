"""Attempts of which nobody knows whether they went out, and what is known about messages like theirs."""

from collections import defaultdict
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import text

from notifier.core.model import Channel, Mode, PostService
from notifier.store.attempts import Claimed
from notifier.store.engine import Tx


@dataclass(frozen=True, slots=True)
class Doubt:
    """An attempt of unknown outcome, with times on the database's clock: it left us after `since`, lost `lost_at`.

    `blind` is the same for the same number or mailbox; `is_due` says that the carrier is to be asked about it now.
    """

    claimed: Claimed
    plan_row: str
    carrier: str
    since: datetime
    lost_at: datetime
    is_due: bool
    blind: bytes = field(repr=False)
    sealed: bytes | None = field(repr=False)
    service: PostService | None = None  # of a letter


_TAKE = text(
    """
    with due as (
      select a.attempt_id, a.contact_id from attempt a
      join matter m on m.agency_id = a.agency_id and m.matter_id = a.matter_id and m.mode = any(:modes)
      where a.agency_id = :agency and a.channel = :channel and a.status = 'unknown' and a.check_at <= now()
      order by a.check_at limit :limit for update of a skip locked
    ), held as (
      update attempt a set check_at = now() + :hold from due
      where a.agency_id = :agency and a.attempt_id = due.attempt_id
    )
    select a.attempt_id, a.matter_id, a.notice_id, a.person_id, a.contact_id, a.tries, a.plan_row, a.carrier,
      a.due_at, a.updated_at, a.attempt_id in (select attempt_id from due), c.blind, k.sealed,
      a.service
    from contact_point c
    join attempt a on a.agency_id = c.agency_id and a.person_id = c.person_id and a.contact_id = c.contact_id
    left join content k on k.agency_id = a.agency_id and k.attempt_id = a.attempt_id
    where c.agency_id = :agency and a.channel = :channel and a.status = 'unknown' and a.check_at is not null
      and c.blind in (
        select o.blind from contact_point o join due on due.contact_id = o.contact_id where o.agency_id = :agency)
    order by a.attempt_id
    """
)


def take_doubts(
    tx: Tx, channel: Channel, *, limit: int, hold: timedelta, modes: Collection[Mode] = tuple(Mode)
) -> list[Doubt]:
    """Attempts whose carrier is to be asked now, and all others of unknown outcome to the same numbers or mailboxes.

    Nobody else gets those that are due for the time of `hold`.
    """
    values = {"agency": tx.agency_id, "channel": channel.value, "limit": limit, "hold": hold}
    rows = tx.conn.execute(_TAKE, {**values, "modes": [mode.value for mode in modes]})
    return [Doubt(Claimed(*row[:6]), *row[6:13], *(PostService(name) for name in row[13:] if name)) for row in rows]


def refs_taken(tx: Tx, channel: Channel, blinds: Collection[bytes]) -> Mapping[bytes, frozenset[str]]:
    """The carrier's references that attempts to these numbers or mailboxes hold."""
    rows = tx.conn.execute(
        text(
            "select c.blind, a.carrier_ref from contact_point c"
            " join attempt a on a.agency_id = c.agency_id and a.person_id = c.person_id and a.contact_id = c.contact_id"
            " where c.agency_id = :agency and c.blind = any(:blinds) and a.channel = :channel"
            " and a.carrier_ref is not null"
        ),
        {"agency": tx.agency_id, "channel": channel.value, "blinds": list(set(blinds))},
    )
    found: defaultdict[bytes, set[str]] = defaultdict(set)
    for row in rows:
        found[row.blind].add(row.carrier_ref)
    return {blind: frozenset(refs) for blind, refs in found.items()}


def still_unknown(tx: Tx, attempt_id: UUID) -> bool:
    """Whether an attempt's outcome is unknown still, holding it; its matter's chain is held already."""
    rows = tx.conn.execute(
        text(
            "select from attempt where agency_id = :agency and attempt_id = :attempt and status = 'unknown'"
            " for no key update"
        ),
        {"agency": tx.agency_id, "attempt": attempt_id},
    )
    return rows.first() is not None


def set_check(tx: Tx, checks: Mapping[UUID, datetime | None]) -> None:
    """When the carrier is next asked about each; None: not any more. What is known by now is left as it is."""
    tx.conn.execute(
        text(
            "update attempt a set check_at = u.at"
            " from unnest(cast(:ids as uuid[]), cast(:at as timestamptz[])) u(attempt_id, at)"
            " where a.agency_id = :agency and a.attempt_id = u.attempt_id and a.status = 'unknown'"
        ),
        {"agency": tx.agency_id, "ids": list(checks), "at": list(checks.values())},
    )


def ask_sooner(tx: Tx, matter_id: UUID, by: timedelta) -> None:
    """A matter's clock was advanced: what waits for its carrier to be asked has waited so much longer."""
    tx.conn.execute(
        text(
            "update attempt set check_at = check_at - :by, updated_at = updated_at - :by"
            " where agency_id = :agency and matter_id = :matter and status = 'unknown' and check_at is not null"
        ),
        {"agency": tx.agency_id, "matter": matter_id, "by": by},
    )


def times_ordered_again(tx: Tx, doubt: Doubt) -> int:
    """How often this message was ordered anew already, because nobody knew what became of it."""
    rows = tx.conn.execute(
        text(
            "select count(*) from attempt where agency_id = :agency and person_id = :person and notice_id = :notice"
            " and contact_id = :contact and plan_row = :row and linked_from is not null"
        ),
        {
            "agency": tx.agency_id,
            "person": doubt.claimed.person_id,
            "notice": doubt.claimed.notice_id,
            "contact": doubt.claimed.contact_id,
            "row": doubt.plan_row,
        },
    )
    return int(rows.scalar_one())


def is_flagged(tx: Tx, contact_id: UUID) -> bool:
    """Whether a contact point gets no more messages."""
    rows = tx.conn.execute(
        text("select from contact_flag where agency_id = :agency and contact_id = :id and lifted_at is null limit 1"),
        {"agency": tx.agency_id, "id": contact_id},
    )
    return rows.first() is not None
