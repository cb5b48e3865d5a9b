"""The people of a matter come in, list by list.

Rows in = persons stored, always: a list is stored whole or not at all, and a person without a usable contact is kept.
"""

import json
import os
import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Final
from uuid import UUID, uuid4

from sqlalchemy import text
from sqlalchemy.dialects.postgresql import insert

from notifier.core import codes
from notifier.core.contacts import blind_form
from notifier.core.errors import Finding, Invalid
from notifier.core.events import EventType
from notifier.core.ledger import Draft, Json
from notifier.core.model import CHANNEL_OF, ContactPoint
from notifier.core.person_row import PersonRow, to_contacts
from notifier.store import tables as t
from notifier.store.bulk import in_chunks, insert_rows
from notifier.store.engine import Tx
from notifier.store.ledger import DraftSpool, append, append_many, sealed_draft
from notifier.store.vault import Cipher, Vault
from notifier.usecases.access import Principal, Scope
from notifier.usecases.matters import take_matter

CHUNK: Final = 1000
MAX_FINDINGS: Final = 100


@dataclass(frozen=True, slots=True)
class ListReceived:
    """What became of one list: counts only. `contacts` counts usable ones by channel, `problems` unusable by code."""

    roster_id: UUID
    rows: int
    persons: int
    unreachable: int
    contacts: dict[str, int]
    problems: dict[str, int]


def add_people(
    tx: Tx,
    matter_id: UUID,
    rows: Iterable[PersonRow],
    *,
    format: str,  # noqa: A002 # the word of the API
    body_digest: bytes,
    principal: Principal,
    vault: Vault,
    now: datetime,
) -> ListReceived:
    """Add a list to a matter, read row by row in flat memory. Its people wait for approval.

    (1) take the matter, so that two lists get their places one after the other; (2) store the rows in chunks;
    (3) take the head of the chain last, so that an objection never waits for a long list.

    Raises:
        NotFound: `unknown-matter`.
        Forbidden: `mode-mismatch`: a test key for a live matter, or the other way round.
        Invalid: `duplicate-external-id`; whatever reading the rows raises passes through. Nothing is stored then.
    """
    principal.require(Scope.MATTER_WRITE)
    already: int = take_matter(tx, matter_id, principal).persons  # (1)
    roster_id = uuid4()
    tx.conn.execute(
        insert(t.roster).values(
            agency_id=tx.agency_id,
            roster_id=roster_id,
            matter_id=matter_id,
            format=format,
            rows=0,
            received_at=now,
            uploaded_by=principal.officer_id,
        )
    )
    tally = _Tally()
    spool = DraftSpool()
    try:
        for chunk in in_chunks(rows, CHUNK):  # (2)
            spool.add(_store_chunk(tx, matter_id, roster_id, chunk, already, tally, principal=principal, vault=vault))
        values = {"matter": matter_id, "roster": roster_id, "rows": tally.rows, "agency": tx.agency_id}
        tx.conn.execute(
            text("update roster set rows = :rows where agency_id = :agency and roster_id = :roster"), values
        )
        tx.conn.execute(
            text("update matter set persons = persons + :rows where agency_id = :agency and matter_id = :matter"),
            values,
        )
        append_many(tx, matter_id, spool, at=now)  # (3)
        listed: dict[str, Json] = {
            "list": str(roster_id),
            "rows": tally.rows,
            "persons": tally.rows,
            "format": format,
        }
        cipher = vault.cipher(tx, matter_id)
        received = sealed_draft(cipher, EventType.LIST_RECEIVED, principal.actor, listed, values={"body": body_digest})
        append(tx, matter_id, [received], at=now)
    finally:
        spool.close()
    return ListReceived(
        roster_id, tally.rows, tally.rows, tally.unreachable, dict(tally.contacts), dict(tally.problems)
    )


@dataclass(slots=True)
class _Tally:
    rows: int = 0
    unreachable: int = 0
    contacts: Counter[str] = field(default_factory=Counter)
    problems: Counter[str] = field(default_factory=Counter)


def _store_chunk(
    tx: Tx,
    matter_id: UUID,
    roster_id: UUID,
    rows: Sequence[PersonRow],
    already: int,
    tally: _Tally,
    *,
    principal: Principal,
    vault: Vault,
) -> list[Draft]:
    first = tally.rows
    external = [_external_index(tx, matter_id, row.external_id, vault) for row in rows]
    _require_new_people(tx, matter_id, external, first)
    person_ids = [uuid4() for _ in rows]
    ciphers = vault.make(tx, person_ids, "person")
    given = _give_codes(tx, person_ids, vault)
    people, recipients, points, drafts = [], [], [], []
    for number, (row, person_id, external_index) in enumerate(zip(rows, person_ids, external, strict=True), first):
        cipher = ciphers[person_id]
        code, code_index = given[person_id]
        recipient_id = uuid4()
        as_received = row.model_dump_json(exclude_none=True).encode()
        sealed = cipher.seal(as_received, "person.sealed", person_id)
        people.append((person_id, already + number, number, external_index, sealed))
        secret = cipher.seal(json.dumps({"code": code}).encode(), "recipient.sealed", recipient_id)
        recipients.append((recipient_id, person_id, code_index, secret))
        contacts = to_contacts(row)
        named: list[Json] = []
        for point in contacts:
            contact_id = uuid4()
            points.append(_seal_point(tx, point, contact_id, person_id, recipient_id, cipher=cipher, vault=vault))
            named.append(_name_point(point, contact_id))
            if point.problem is None:
                tally.contacts[CHANNEL_OF[point.kind].value] += 1
            else:
                tally.problems[point.problem] += 1
        tally.unreachable += not any(point.usable for point in contacts)
        drafts.append(
            sealed_draft(
                cipher,
                EventType.PERSON_LISTED,
                principal.actor,
                {"list": str(roster_id), "row": number, "recipient": str(recipient_id), "contacts": named},
                person=person_id,
                values={"person": as_received},
            )
        )
    tally.rows += len(rows)
    _insert_people(tx, matter_id, roster_id, people)
    _insert_recipients(tx, recipients)
    _insert_points(tx, points)
    return drafts


_PersonRow = tuple[UUID, int, int, bytes, bytes]
_RecipientRow = tuple[UUID, UUID, bytes, bytes]
_PointRow = tuple[UUID, UUID, UUID, str, str | None, bytes, bytes]


def _insert_people(tx: Tx, matter_id: UUID, roster_id: UUID, people: Sequence[_PersonRow]) -> None:
    ids, ordinals, numbers, external, sealed = zip(*people, strict=True)
    columns = {
        "matter_id": ("uuid", [matter_id] * len(people)),
        "roster_id": ("uuid", [roster_id] * len(people)),
        "person_id": ("uuid", ids),
        "ordinal": ("int4", ordinals),
        "row_no": ("int4", numbers),
        "external_index": ("bytea", external),
        "sealed": ("bytea", sealed),
    }
    insert_rows(tx, "person", columns)


def _insert_recipients(tx: Tx, recipients: Sequence[_RecipientRow]) -> None:
    ids, people, code_index, sealed = zip(*recipients, strict=True)
    columns = {
        "recipient_id": ("uuid", ids),
        "person_id": ("uuid", people),
        "role": ("text", ["self"] * len(recipients)),
        "code_index": ("bytea", code_index),
        "sealed": ("bytea", sealed),
    }
    insert_rows(tx, "recipient", columns)


def _insert_points(tx: Tx, points: Sequence[_PointRow]) -> None:
    if not points:
        return
    ids, people, recipients, kinds, problems, blind, sealed = zip(*points, strict=True)
    columns = {
        "contact_id": ("uuid", ids),
        "person_id": ("uuid", people),
        "recipient_id": ("uuid", recipients),
        "kind": ("text", kinds),
        "problem": ("text", problems),
        "blind": ("bytea", blind),
        "sealed": ("bytea", sealed),
    }
    insert_rows(tx, "contact_point", columns)


def _seal_point(
    tx: Tx, point: ContactPoint, contact_id: UUID, person_id: UUID, recipient_id: UUID, *, cipher: Cipher, vault: Vault
) -> _PointRow:
    value: dict[str, object] = {"value": point.value}
    if point.address is not None:
        value["address"] = asdict(point.address)
    return (
        contact_id,
        person_id,
        recipient_id,
        point.kind.value,
        point.problem,
        vault.blind(tx.agency_id, "contact_point", blind_form(point)),
        cipher.seal(json.dumps(value).encode(), "contact_point.sealed", contact_id),
    )


def _name_point(point: ContactPoint, contact_id: UUID) -> dict[str, Json]:
    named: dict[str, Json] = {"id": str(contact_id), "kind": point.kind.value}
    if point.problem is not None:
        named["problem"] = point.problem
    return named


def _give_codes(tx: Tx, person_ids: Sequence[UUID], vault: Vault) -> dict[UUID, tuple[str, bytes]]:
    """A code for each person that nobody else in the installation has."""
    given: dict[UUID, tuple[str, bytes]] = {}
    waiting = list(person_ids)
    while waiting:
        drawn = {}
        for person_id in waiting:
            code = codes.new_code(os.urandom(codes.ENOUGH_RANDOM_BYTES))
            drawn[vault.token("code", code)] = (person_id, code)
        free = insert_rows(
            tx,
            "directory",
            {
                "kind": ("text", ["code"] * len(drawn)),
                "token": ("bytea", list(drawn)),
                "ref": ("uuid", [person_id for person_id, _ in drawn.values()]),
            },
            on_conflict_do_nothing=True,
            returning="token",
        )
        for (index,) in free:
            person_id, code = drawn[index]
            given[person_id] = (code, index)
        waiting = [person_id for person_id in waiting if person_id not in given]
    return given


def _external_index(tx: Tx, matter_id: UUID, external_id: str, vault: Vault) -> bytes:
    """The same for every way in which Unicode can write the same id."""
    written = unicodedata.normalize("NFC", external_id).encode()
    return vault.blind(tx.agency_id, "person.external_id", matter_id.bytes + written)


def _require_new_people(tx: Tx, matter_id: UUID, external: Sequence[bytes], first: int) -> None:
    known = set(
        tx.conn.execute(
            text(
                "select external_index from person where agency_id = :agency and matter_id = :matter"
                " and external_index = any(:external)"
            ),
            {"agency": tx.agency_id, "matter": matter_id, "external": list(external)},
        ).scalars()
    )
    findings = []
    for number, index in enumerate(external, first):
        if index in known:
            where, what = f"/{number}/external_id", "Somebody in this matter has this external_id."
            findings.append(Finding(where, "duplicate-external-id", what))
        known.add(index)
    if findings:
        what = "Some people are in this matter already. Nothing was stored."
        raise Invalid("duplicate-external-id", what, findings[:MAX_FINDINGS])
