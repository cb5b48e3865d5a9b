"""What is learned of a phone number, mailbox or address, and what follows from it: nothing more is sent there.

A flag stops one contact point and never a person: every other way goes on, and the plan is looked at again. What is
being sent at that moment goes on too: it may be gone already.
"""

from collections import defaultdict
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType
from typing import Final
from uuid import UUID

from sqlalchemy import text

from notifier.core.business_days import business_day_after, end_of
from notifier.core.errors import NotFound
from notifier.core.events import EventType
from notifier.core.flags import SHARED
from notifier.core.ledger import Draft
from notifier.core.model import Actor, ContactFlag, TaskKind
from notifier.store.engine import Tx
from notifier.store.ledger import append, lock_chains
from notifier.store.looks import look_again
from notifier.usecases.contact_marks import (
    PointRow,
    doomed_by,
    flag_draft,
    mark,
)
from notifier.usecases.office import zone_of
from notifier.usecases.progress import legal_now, record, refusals
from notifier.usecases.tasks import open_task

LEFT_WITHOUT: Final = MappingProxyType(
    {ContactFlag.OPTED_OUT: TaskKind.ONLY_WAY_OPTED_OUT, ContactFlag.WRONG_PERSON: TaskKind.WRONG_PERSON}
)
"""The task for somebody whose last way this was; of what the post or a carrier says the plan makes one itself."""


# Of a contact point `c`: no flag of it is in force.
NOT_FLAGGED: Final = (
    "not exists (select from contact_flag f where f.agency_id = c.agency_id and f.contact_id = c.contact_id"
    " and f.lifted_at is null)"
)


@dataclass(frozen=True, slots=True)
class Flagged:
    """A flag in force. `since` is on the matter's clock."""

    contact_id: UUID
    flag: ContactFlag
    since: datetime


def flag_contact(
    tx: Tx, contact_id: UUID, flag: ContactFlag, *, source: str | UUID | None, actor: Actor, now: datetime
) -> bool:
    """Say something of one contact point; False when it was known. `source`: the id or slug of what it is known from.

    Raises:
        NotFound: `unknown-contact`.
    """
    points = _points(tx, [contact_id])
    if not points:
        raise NotFound("unknown-contact", "There is no such contact point.")
    return bool(flag_points(tx, points, flag, source=source, actor=actor, now=now))


def flag_points(
    tx: Tx, points: Collection[PointRow], flag: ContactFlag, *, source: str | UUID | None, actor: Actor, now: datetime
) -> set[UUID]:
    """As `flag_contact` for several contact points, of any matters; returns those for which it is new.

    (1) hold the matters' chains in id order; (2) write rows and events; (3) what is planned to them fails, because it
    will not be sent; (4) a task for whoever has no other way.
    """
    lock_chains(tx, {point.matter_id for point in points})  # (1)
    by_matter: dict[UUID, list[PointRow]] = defaultdict(list)
    for point in points:
        by_matter[point.matter_id].append(point)
    new: set[UUID] = set()
    for matter_id in sorted(by_matter):
        found = by_matter[matter_id]
        sources = {} if source is None else dict.fromkeys((point.contact_id for point in found), source)
        at = legal_now(tx, matter_id, now)
        new |= mark(tx, matter_id, found, flag, sources=sources, actor=actor, at=at)  # (2)
    for matter_id, doomed in sorted(doomed_by(tx, points, flag).items()):
        record(tx, matter_id, refusals(doomed), now=now)  # (3)
    if flag in LEFT_WITHOUT:
        _open_tasks(tx, [point for point in points if point.contact_id in new], flag, actor=actor, now=now)  # (4)
    return new


def lift_flag(
    tx: Tx, contact_id: UUID, flag: ContactFlag, *, source: str | UUID | None, actor: Actor, now: datetime
) -> bool:
    """Say that a flag no longer holds; False when it was not in force.

    Nothing that failed meanwhile is sent by this. The plan of the person is looked at again, and rows of it that are
    still to come may use the contact point. What is true of the number itself is lifted at every contact point of
    this number in matters of the same mode, because it was said of all of them.

    Raises:
        NotFound: `unknown-contact`.
    """
    points = _points(tx, [contact_id])
    if not points:
        raise NotFound("unknown-contact", "There is no such contact point.")
    return bool(
        lift_points(tx, _alike(tx, contact_id) if flag in SHARED else points, flag, source=source, actor=actor, now=now)
    )


def lift_points(
    tx: Tx, points: Collection[PointRow], flag: ContactFlag, *, source: str | UUID | None, actor: Actor, now: datetime
) -> set[UUID]:
    """Lift a flag of several contact points, of any matters; returns those that had it."""
    lock_chains(tx, {point.matter_id for point in points})
    at = {matter_id: legal_now(tx, matter_id, now) for matter_id in {point.matter_id for point in points}}
    rows = tx.conn.execute(
        text(
            "update contact_flag f set lifted_at = greatest(f.since, u.at)"
            " from unnest(cast(:contacts as uuid[]), cast(:ats as timestamptz[])) u(contact, at)"
            " where f.agency_id = :agency and f.contact_id = u.contact and f.flag = :flag and f.lifted_at is null"
            " returning f.contact_id"
        ),
        {
            "agency": tx.agency_id,
            "flag": flag.value,
            "contacts": [point.contact_id for point in points],
            "ats": [at[point.matter_id] for point in points],
        },
    )
    lifted = set(rows.scalars())
    drafts: dict[UUID, list[Draft]] = defaultdict(list)
    people: dict[UUID, set[UUID]] = defaultdict(set)
    event = EventType.CONTACT_FLAG_LIFTED
    for point in points:
        if point.contact_id in lifted:
            one = flag_draft(event, flag, point.contact_id, point.person_id, source=source, actor=actor)
            drafts[point.matter_id].append(one)
            people[point.matter_id].add(point.person_id)
    for matter_id in sorted(drafts):
        append(tx, matter_id, drafts[matter_id], at=at[matter_id])
        look_again(tx, people=people[matter_id])
    return lifted


def flags_of(tx: Tx, person_ids: Collection[UUID]) -> dict[UUID, list[Flagged]]:
    """The flags in force of these people's contact points, by contact point, oldest first."""
    rows = tx.conn.execute(
        text(
            "select contact_id, flag, since from contact_flag where agency_id = :agency and person_id = any(:people)"
            " and lifted_at is null order by since, flag"
        ),
        {"agency": tx.agency_id, "people": list(person_ids)},
    )
    found: dict[UUID, list[Flagged]] = defaultdict(list)
    for row in rows:
        found[row.contact_id].append(Flagged(row.contact_id, ContactFlag(row.flag), row.since))
    return found


def count_flags(tx: Tx, matter_id: UUID) -> dict[ContactFlag, int]:
    """How many contact points of a matter have each flag, those in force."""
    rows = tx.conn.execute(
        text(
            "select flag, count(*) as points from contact_flag"
            " where agency_id = :agency and matter_id = :matter and lifted_at is null group by 1 order by 1"
        ),
        {"agency": tx.agency_id, "matter": matter_id},
    )
    return {ContactFlag(row.flag): row.points for row in rows}


def points_by_blind(tx: Tx, blind: bytes) -> list[PointRow]:
    """Every contact point of the agency with this keyed index."""
    return _read_points(tx, "c.blind = :given", blind)


def _points(tx: Tx, contact_ids: Collection[UUID]) -> list[PointRow]:
    return _read_points(tx, "c.contact_id = any(:given)", list(contact_ids))


def _alike(tx: Tx, contact_id: UUID) -> list[PointRow]:
    """The contact points with the same value as this one, in matters of the same mode."""
    same = (
        "c.blind = (select blind from contact_point where agency_id = :agency and contact_id = :given)"
        " and m.mode = (select own.mode from contact_point o"
        "   join person q on q.agency_id = o.agency_id and q.person_id = o.person_id"
        "   join matter own on own.agency_id = q.agency_id and own.matter_id = q.matter_id"
        "   where o.agency_id = :agency and o.contact_id = :given)"
    )
    return _read_points(tx, same, contact_id)


def _read_points(tx: Tx, which: str, given: object) -> list[PointRow]:
    rows = tx.conn.execute(
        text(
            "select c.contact_id, c.person_id, p.matter_id, c.kind from contact_point c"  # noqa: S608 # our own words
            " join person p on p.agency_id = c.agency_id and p.person_id = c.person_id"
            " join matter m on m.agency_id = p.agency_id and m.matter_id = p.matter_id"
            f" where c.agency_id = :agency and {which} order by c.contact_id"
        ),
        {"agency": tx.agency_id, "given": given},
    )
    return list(rows)


# Nobody is left without a way who has a message on its way, or of whom a carrier says that one arrived; what went to
# somebody else does not count.
_WITHOUT_A_WAY: Final = text(
    f"""
    select p.person_id, p.matter_id from person p
    where p.agency_id = :agency and p.person_id = any(:people)
      and not exists (
        select from contact_point c
        where c.agency_id = p.agency_id and c.person_id = p.person_id and c.problem is null and {NOT_FLAGGED})
      and not exists (
        select from attempt a where a.agency_id = p.agency_id and a.person_id = p.person_id
          and a.status in ('planned', 'sending', 'unknown', 'handed_over', 'accepted', 'delivered')
          and not exists (select from contact_flag w where w.agency_id = a.agency_id and w.contact_id = a.contact_id
            and w.flag = 'wrong_person' and w.lifted_at is null))
    order by p.person_id
    """  # noqa: S608 # our own constant
)


def _open_tasks(tx: Tx, points: Collection[PointRow], flag: ContactFlag, *, actor: Actor, now: datetime) -> None:
    if not points:
        return
    contacts = {point.person_id: point.contact_id for point in points}
    zone = zone_of(tx)
    due_at = end_of(business_day_after(now.astimezone(zone).date()), zone)
    for row in tx.conn.execute(_WITHOUT_A_WAY, {"agency": tx.agency_id, "people": list(contacts)}).all():
        open_task(
            tx,
            LEFT_WITHOUT[flag],
            subject_id=contacts[row.person_id],
            matter_id=row.matter_id,
            person_id=row.person_id,
            due_at=due_at,
            actor=actor,
            now=now,
        )
