"""Rows and events of contact points' flags, for those who hold the matter's chain already.

`contact_flags` is for everybody else.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import Row, text

from notifier.core.events import EventType
from notifier.core.flags import FLAG_OF_REASON, reason_of
from notifier.core.ledger import Draft, Json
from notifier.core.model import Actor, ActorKind, ContactFlag, ContactKind
from notifier.core.status import Reason
from notifier.store.engine import Tx
from notifier.store.ledger import append, draft
from notifier.store.looks import look_again

PointRow = Row[tuple[UUID, UUID, UUID, str]]


@dataclass(frozen=True, slots=True)
class Learned:
    """An attempt that failed for a reason that says something of its contact point."""

    attempt_id: UUID
    matter_id: UUID
    carrier: str
    reason: Reason


@dataclass(frozen=True, slots=True)
class Doomed:
    """An attempt that is planned to a contact point which gets nothing any more."""

    attempt_id: UUID
    reason: Reason


def mark(
    tx: Tx,
    matter_id: UUID,
    points: Collection[PointRow],
    flag: ContactFlag,
    *,
    sources: Mapping[UUID, UUID | str],
    actor: Actor,
    at: datetime,
) -> set[UUID]:
    """Flag contact points of one matter, whose chain is held; returns those that did not have the flag.

    `points` are (contact_id, person_id, matter_id, kind), each once; `sources` says of a contact point what it is known
    from, an id or a slug. A flag that was lifted is in force again, from now on. The plans of their people are looked
    at again.
    """
    rows = tx.conn.execute(
        text(
            "insert into contact_flag (agency_id, contact_id, flag, person_id, matter_id, since)"
            " select :agency, u.contact, :flag, u.person, :matter, :at"
            " from unnest(cast(:contacts as uuid[]), cast(:people as uuid[])) u(contact, person) order by 2"
            " on conflict (agency_id, contact_id, flag) do update set since = excluded.since, lifted_at = null"
            "   where contact_flag.lifted_at is not null"
            " returning contact_id"
        ),
        {
            "agency": tx.agency_id,
            "flag": flag.value,
            "at": at,
            "contacts": [point.contact_id for point in points],
            "people": [point.person_id for point in points],
            "matter": matter_id,
        },
    )
    new = set(rows.scalars())
    fresh = [point for point in points if point.contact_id in new]
    event = EventType.CONTACT_FLAGGED
    drafts = [
        flag_draft(event, flag, point.contact_id, point.person_id, source=sources.get(point.contact_id), actor=actor)
        for point in fresh
    ]
    append(tx, matter_id, drafts, at=at)
    look_again(tx, people={point.person_id for point in fresh})
    return new


def flag_draft(
    event: EventType, flag: ContactFlag, contact_id: UUID, person_id: UUID, *, source: UUID | str | None, actor: Actor
) -> Draft:
    """What the ledger says of a flag that came or went. `source`: the id or the slug of what it is known from."""
    data: dict[str, Json] = {"contact": str(contact_id), "flag": flag.value}
    if source is not None:
        data["source"] = str(source)
    return draft(event, actor, data, person=person_id)


def doomed_by(tx: Tx, points: Iterable[PointRow], flag: ContactFlag) -> dict[UUID, list[Doomed]]:
    """What is planned to contact points that have a flag, by matter."""
    kinds = {point.contact_id: ContactKind(point.kind) for point in points}
    rows = tx.conn.execute(
        text(
            "select a.attempt_id, a.matter_id, a.contact_id from contact_point c"
            " join attempt a on a.agency_id = c.agency_id and a.person_id = c.person_id and a.contact_id = c.contact_id"
            " where c.agency_id = :agency and c.contact_id = any(:contacts) and a.status = 'planned'"
            " order by a.attempt_id"
        ),
        {"agency": tx.agency_id, "contacts": list(kinds)},
    )
    found: dict[UUID, list[Doomed]] = defaultdict(list)
    for row in rows:
        found[row.matter_id].append(Doomed(row.attempt_id, reason_of(flag, kinds[row.contact_id])))
    return found


def doomed_among(tx: Tx, attempt_ids: Collection[UUID]) -> dict[UUID, list[Doomed]]:
    """Those of some attempts, planned again, whose contact point got a flag while they were being sent; by matter."""
    rows = tx.conn.execute(
        text(
            "select distinct on (a.attempt_id) a.attempt_id, a.matter_id, c.kind, f.flag from attempt a"
            " join contact_flag f on f.agency_id = a.agency_id and f.contact_id = a.contact_id and f.lifted_at is null"
            " join contact_point c on c.agency_id = a.agency_id and c.contact_id = a.contact_id"
            " where a.agency_id = :agency and a.attempt_id = any(:attempts) and a.status = 'planned'"
            " order by a.attempt_id, f.since"
        ),
        {"agency": tx.agency_id, "attempts": list(attempt_ids)},
    )
    found: dict[UUID, list[Doomed]] = defaultdict(list)
    for row in rows:
        found[row.matter_id].append(Doomed(row.attempt_id, reason_of(ContactFlag(row.flag), ContactKind(row.kind))))
    return found


def learn(tx: Tx, failed: Collection[Learned], *, at: Mapping[UUID, datetime]) -> dict[UUID, list[Doomed]]:
    """Flag the contact points of attempts that failed for good; returns what is planned to them, by matter.

    The matters' chains are held; `at` is the time that counts in each. Only the contact point of the attempt itself
    is flagged: another matter's chain is not ours to take here, and `known_contacts` finds the others in time.
    """
    points = _points_of(tx, failed)
    failed = [one for one in failed if one.attempt_id in points]
    alike: dict[tuple[UUID, ContactFlag, str], dict[UUID, Learned]] = defaultdict(dict)
    for one in failed:
        alike[one.matter_id, FLAG_OF_REASON[one.reason], one.carrier][points[one.attempt_id].contact_id] = one
    doomed: dict[UUID, list[Doomed]] = defaultdict(list)
    for (matter_id, flag, carrier), by_contact in sorted(alike.items()):
        marked = [points[one.attempt_id] for one in by_contact.values()]
        sources = {contact_id: one.attempt_id for contact_id, one in by_contact.items()}
        mark(tx, matter_id, marked, flag, sources=sources, actor=Actor(ActorKind.CARRIER, carrier), at=at[matter_id])
        for matter, attempts in doomed_by(tx, marked, flag).items():
            doomed[matter] += attempts
    return doomed


def _points_of(tx: Tx, failed: Iterable[Learned]) -> dict[UUID, PointRow]:
    """The contact points by attempt; none of certified letters that came back: most were left unclaimed."""
    rows = tx.conn.execute(
        text(
            "select a.attempt_id, c.contact_id, c.person_id, a.matter_id, c.kind from attempt a"
            " join contact_point c on c.agency_id = a.agency_id and c.contact_id = a.contact_id"
            " where a.agency_id = :agency and a.attempt_id = any(:attempts)"
            " and not (a.status = 'returned' and coalesce(a.service, '') = 'certified')"
        ),
        {"agency": tx.agency_id, "attempts": [one.attempt_id for one in failed]},
    )
    return {row.attempt_id: row for row in rows}
