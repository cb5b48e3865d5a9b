"""A number that is known from another matter: it is not tried again there where it will fail again."""

from collections import defaultdict
from collections.abc import Iterable
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from sqlalchemy import Row, text

from notifier.core.flags import SHARED
from notifier.core.model import Actor, ContactFlag
from notifier.store.engine import Tx
from notifier.usecases.contact_marks import doomed_by, mark
from notifier.usecases.progress import record, refusals

INHERITED: Final = Actor.system("contact_flags")

KnownRow = Row[Any]  # contact_id, person_id, matter_id, kind, flag, source

_KNOWN: Final = text(
    """
    select c.contact_id, c.person_id, p.matter_id, c.kind, f.flag, min(f.contact_id::text) as source
    from matter here
    join contact_flag f on f.agency_id = here.agency_id and f.lifted_at is null and f.flag = any(:shared)
    join matter m on m.agency_id = f.agency_id and m.matter_id = f.matter_id and m.mode = here.mode
    join contact_point o on o.agency_id = f.agency_id and o.contact_id = f.contact_id
    join contact_point c on c.agency_id = o.agency_id and c.blind = o.blind
    join person p on p.agency_id = c.agency_id and p.person_id = c.person_id and p.matter_id = here.matter_id
    where here.agency_id = :agency and here.matter_id = :matter and not exists (
      select from contact_flag own
      where own.agency_id = c.agency_id and own.contact_id = c.contact_id and own.flag = f.flag
    )
    group by 1, 2, 3, 4, 5 order by 1, 5
    """
)


def known_elsewhere(tx: Tx, matter_id: UUID) -> list[KnownRow]:
    """The contact points of a matter whose number or mailbox is known from another: they are not planned for.

    Somebody who sent STOP about one matter is not texted about the next. Known from matters of the same agency and
    mode; a contact point of which an officer or START has lifted the flag stays usable. The cost is that of the flags
    there are, however long the list.
    """
    values = {"agency": tx.agency_id, "matter": matter_id, "shared": sorted(SHARED)}
    return list(tx.conn.execute(_KNOWN, values))


def inherit_flags(tx: Tx, matter_id: UUID, known: Iterable[KnownRow], *, at: datetime) -> None:
    """Flag what is `known_elsewhere` here too; the matter's chain is held."""
    by_flag: dict[ContactFlag, dict[UUID, KnownRow]] = defaultdict(dict)
    for row in known:
        by_flag[ContactFlag(row.flag)][row.contact_id] = row
    for flag in sorted(by_flag):
        points = by_flag[flag]
        sources = {contact_id: row.source for contact_id, row in points.items()}
        mark(tx, matter_id, list(points.values()), flag, sources=sources, actor=INHERITED, at=at)


def refuse_flagged(tx: Tx, matter_id: UUID, *, now: datetime) -> int:
    """Fail what is planned to flagged contact points of a matter whose chain is held; returns how many there were.

    For whoever plans a whole list and takes the chain last: a STOP may have come in while the list was planned.
    """
    rows = tx.conn.execute(
        text(
            "select c.contact_id, c.person_id, f.matter_id, c.kind, f.flag from contact_flag f"
            " join contact_point c on c.agency_id = f.agency_id and c.contact_id = f.contact_id"
            " where f.agency_id = :agency and f.matter_id = :matter and f.lifted_at is null"
        ),
        {"agency": tx.agency_id, "matter": matter_id},
    ).all()
    refused = 0
    for flag in sorted({ContactFlag(row.flag) for row in rows}):
        doomed = doomed_by(tx, [row for row in rows if row.flag == flag], flag).get(matter_id, [])
        record(tx, matter_id, refusals(doomed), now=now)
        refused += len(doomed)
    return refused
