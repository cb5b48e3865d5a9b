"""Looking at the people of a matter and at what they were sent. Nothing here writes."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from sqlalchemy import text

from notifier.core.errors import NotFound
from notifier.core.model import Channel
from notifier.core.status import PROOF, AttemptStatus, PersonOutcome, Proof, outcome
from notifier.store.engine import Tx
from notifier.store.vault import Cipher, Vault
from notifier.usecases.access import Principal, Scope
from notifier.usecases.contact_flags import Flagged, flags_of
from notifier.usecases.inbound import InboundRead, read_inbound
from notifier.usecases.matters import find_matter
from notifier.usecases.reading import STANDING
from notifier.usecases.stops import stopped_channels, stops_in_force
from notifier.usecases.timeline import Entry, read_timeline
from notifier.usecases.waiting import NEXT_AT, Silence, waiting_parameters


@dataclass(frozen=True, slots=True)
class ContactRead:
    """One way to reach somebody. Both value and address are None when the person's data was erased."""

    contact_id: UUID
    kind: str
    problem: str | None
    value: str | None = field(repr=False)
    address: Mapping[str, Any] | None = field(repr=False)
    flags: Sequence[Flagged] = ()

    @property
    def usable(self) -> bool:
        """True when something can be sent to it."""
        return self.problem is None and not self.flags


@dataclass(frozen=True, slots=True)
class PersonLine:
    """A person in a page of people. What is personal is None when it was erased; `next_at`: when something is due."""

    person_id: UUID
    matter_id: UUID
    list_id: UUID
    ordinal: int
    row: int
    outcome: PersonOutcome
    next_at: datetime | None
    erased: bool
    external_id: str | None = field(repr=False)
    name: str | None = field(repr=False)
    native_name: str | None = field(repr=False)
    language: str | None = field(repr=False)
    contacts: Sequence[ContactRead] = field(repr=False)


@dataclass(frozen=True, slots=True)
class AttemptRead:
    """One try to deliver a notice over one channel."""

    attempt_id: UUID
    contact_id: UUID
    channel: str
    carrier: str
    status: AttemptStatus
    proof: Proof
    reason: str | None
    carrier_code: str | None
    carrier_ref: str | None
    tries: int
    due_at: datetime
    handed_over_at: datetime | None
    updated_at: datetime
    batch_id: UUID | None
    linked_from: UUID | None
    plan_row: str
    service: str | None


@dataclass(frozen=True, slots=True)
class NoticeRead:
    """The duty to tell one recipient one thing, with every try to do it."""

    notice_id: UUID
    matter_id: UUID
    person_id: UUID
    recipient_id: UUID
    recipient_role: str
    kind: str
    edition: str
    ordered_at: datetime
    ordered_by: UUID
    attempts: Sequence[AttemptRead]


@dataclass(frozen=True, slots=True)
class PersonRead:
    """A person with their notices, what they wrote to us and everything that happened, in order."""

    line: PersonLine
    notices: Sequence[NoticeRead]
    messages: Sequence[InboundRead] = field(repr=False)
    timeline: Sequence[Entry]


_PEOPLE: Final = """
select p.person_id, p.matter_id, p.roster_id, p.ordinal, p.row_no, p.sealed, r.approved_at is not null as approved,
  coalesce(told.statuses, '{{}}') as statuses, told.is_held, told.next_at
from person p
join roster r on r.agency_id = p.agency_id and r.roster_id = p.roster_id
join matter m on m.agency_id = p.agency_id and m.matter_id = p.matter_id
left join lateral (
  select {standing}, least(min({next_at}), (
    select min(n.look_at) from notice n where n.agency_id = p.agency_id and n.person_id = p.person_id)) as next_at
  from attempt a where a.agency_id = p.agency_id and a.person_id = p.person_id
) told on true
where p.agency_id = :agency and p.matter_id = :matter and {which}
order by p.ordinal limit :limit
"""


def list_people(
    tx: Tx, matter_id: UUID, *, after: int, limit: int, principal: Principal, silence: Silence, vault: Vault
) -> list[PersonLine]:
    """The people of a matter in the order they came in, at most `limit` of those behind the ordinal `after`.

    Raises:
        NotFound: `unknown-matter`.
        Forbidden: `scope-missing`, `mode-mismatch`.
    """
    principal.require(Scope.PEOPLE_READ)
    find_matter(tx, matter_id, principal)
    return _read_people(tx, matter_id, "p.ordinal > :given", after, limit, silence=silence, vault=vault)


def read_person(tx: Tx, person_id: UUID, *, principal: Principal, silence: Silence, vault: Vault) -> PersonRead:
    """A person with notices and timeline.

    Raises:
        NotFound: `unknown-person`.
        Forbidden: `scope-missing`, `mode-mismatch`.
    """
    principal.require(Scope.PEOPLE_READ)
    matter_id = tx.conn.execute(
        text("select matter_id from person where agency_id = :agency and person_id = :person"),
        {"agency": tx.agency_id, "person": person_id},
    ).scalar_one_or_none()
    if matter_id is None:
        raise NotFound("unknown-person", "There is no such person.")
    find_matter(tx, matter_id, principal)
    (line,) = _read_people(tx, matter_id, "p.person_id = :given", person_id, 1, silence=silence, vault=vault)
    notices = _read_notices(tx, "n.person_id = :id", person_id)
    channels = {attempt.attempt_id: attempt.channel for notice in notices for attempt in notice.attempts}
    messages = read_inbound(tx, person_id, cipher=vault.surviving(tx, [person_id]).get(person_id))
    return PersonRead(line, notices, messages, read_timeline(tx, person_id, channels=channels))


def read_notice(tx: Tx, notice_id: UUID, *, principal: Principal) -> NoticeRead:
    """A notice with its attempts.

    Raises:
        NotFound: `unknown-notice`.
        Forbidden: `scope-missing`, `mode-mismatch`.
    """
    principal.require(Scope.MATTER_READ)
    found = _read_notices(tx, "n.notice_id = :id", notice_id)
    if not found:
        raise NotFound("unknown-notice", "There is no such notice.")
    find_matter(tx, found[0].matter_id, principal)
    return found[0]


def _read_people(
    tx: Tx, matter_id: UUID, which: str, given: int | UUID, limit: int, *, silence: Silence, vault: Vault
) -> list[PersonLine]:
    """People of a matter for whom `which` holds, a condition on what is `given`."""
    query = text(_PEOPLE.format(which=which, standing=STANDING, next_at=NEXT_AT))
    ids = {"agency": tx.agency_id, "matter": matter_id, "given": given, "limit": limit}
    stopped = stopped_channels(stops_in_force(tx, matter_id))
    rows = tx.conn.execute(query, ids | waiting_parameters(silence, stopped)).all()
    person_ids = [row.person_id for row in rows]
    ciphers = vault.surviving(tx, person_ids)
    contacts = _read_contacts(tx, person_ids, ciphers)
    return [_person(row, ciphers.get(row.person_id), contacts[row.person_id]) for row in rows]


def _person(row: Any, cipher: Cipher | None, contacts: Sequence[ContactRead]) -> PersonLine:
    received = json.loads(cipher.open(row.sealed, "person.sealed", row.person_id)) if cipher else {}
    return PersonLine(
        person_id=row.person_id,
        matter_id=row.matter_id,
        list_id=row.roster_id,
        ordinal=row.ordinal,
        row=row.row_no,
        outcome=outcome(
            [AttemptStatus(status) for status in row.statuses],
            is_held=row.is_held,
            has_usable_contact=any(contact.usable for contact in contacts),
            approved=row.approved,
        ),
        next_at=row.next_at,
        erased=cipher is None,
        external_id=received.get("external_id"),
        name=received.get("name"),
        native_name=received.get("native_name"),
        language=received.get("language"),
        contacts=contacts,
    )


def _read_contacts(tx: Tx, person_ids: Sequence[UUID], ciphers: Mapping[UUID, Cipher]) -> dict[UUID, list[ContactRead]]:
    rows = tx.conn.execute(
        text(
            "select contact_id, person_id, kind, problem, sealed from contact_point"
            " where agency_id = :agency and person_id = any(:ids) order by kind, contact_id"
        ),
        {"agency": tx.agency_id, "ids": list(person_ids)},
    )
    flags = flags_of(tx, person_ids)
    found: dict[UUID, list[ContactRead]] = {person_id: [] for person_id in person_ids}
    for row in rows:
        cipher = ciphers.get(row.person_id)
        opened = json.loads(cipher.open(row.sealed, "contact_point.sealed", row.contact_id)) if cipher else {}
        address = opened.get("address")
        value = None if address else opened.get("value")
        read = ContactRead(row.contact_id, row.kind, row.problem, value, address, flags.get(row.contact_id, ()))
        found[row.person_id].append(read)
    return found


_NOTICES: Final = """
select n.notice_id, n.matter_id, n.person_id, n.recipient_id, r.role as recipient_role, n.kind, n.edition,
  n.ordered_at, n.ordered_by
from notice n join recipient r on r.agency_id = n.agency_id and r.recipient_id = n.recipient_id
where n.agency_id = :agency and {which} order by n.ordered_at, n.notice_id
"""
_ATTEMPTS: Final = """
select notice_id, attempt_id, contact_id, channel, carrier, status, reason, carrier_code, carrier_ref, tries, due_at,
  handed_over_at, updated_at, batch_id, linked_from, plan_row, service
from attempt where agency_id = :agency and person_id = any(:people) and notice_id = any(:notices)
order by channel, due_at, attempt_id
"""


def _read_notices(tx: Tx, which: str, wanted: UUID) -> list[NoticeRead]:
    rows = tx.conn.execute(text(_NOTICES.format(which=which)), {"agency": tx.agency_id, "id": wanted}).mappings().all()
    attempts: dict[UUID, list[AttemptRead]] = {row["notice_id"]: [] for row in rows}
    found = tx.conn.execute(
        text(_ATTEMPTS),
        {"agency": tx.agency_id, "people": list({row["person_id"] for row in rows}), "notices": list(attempts)},
    ).mappings()
    for each in found:
        columns = dict(each)
        notice_id, status = columns.pop("notice_id"), AttemptStatus(columns.pop("status"))
        proof = PROOF[Channel(columns["channel"])][status]
        attempts[notice_id].append(AttemptRead(status=status, proof=proof, **columns))
    return [NoticeRead(**row, attempts=attempts[row["notice_id"]]) for row in rows]
