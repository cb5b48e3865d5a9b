"""A sheet holds up to a thousand people of a list, sealed and ready, and stores them in five statements.

A row is taken apart as soon as it is read: what waits here are ids, ciphertexts and indexes.
"""

import os
import unicodedata
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, NamedTuple, NoReturn
from uuid import UUID

from sqlalchemy import text

from notifier.core import codes
from notifier.core.errors import Finding, Invalid
from notifier.core.ids import id_text, milliseconds, new_ids
from notifier.core.ledger import Prepared, actor_member, commitment
from notifier.core.listing import person_listed, sealed_code, sealed_point
from notifier.core.model import CHANNEL_OF, Actor, ContactPoint
from notifier.core.person_row import PersonRow, contacts_by_form
from notifier.store.bulk import insert_new_rows, insert_rows
from notifier.store.engine import Tx
from notifier.store.ledger import OPENING
from notifier.store.vault import Cipher, Vault

MAX_FINDINGS: Final = 100
_SALT: Final = 32


@dataclass(slots=True)
class Tally:
    """What a list holds so far: contacts that can be used by channel, the others by what is wrong with them."""

    rows: int = 0
    unreachable: int = 0
    contacts: Counter[str] = field(default_factory=Counter)
    problems: Counter[str] = field(default_factory=Counter)

    def count(self, contacts: Collection[ContactPoint]) -> None:
        """One person more."""
        usable = 0
        for point in contacts:
            if point.problem is None:
                self.contacts[CHANNEL_OF[point.kind].value] += 1
                usable += 1
            else:
                self.problems[point.problem] += 1
        self.rows += 1
        self.unreachable += not usable


class _Person(NamedTuple):
    person_id: bytes
    ordinal: int
    number: int
    external_index: bytes
    sealed: bytes


class _Recipient(NamedTuple):
    recipient_id: bytes
    person_id: bytes
    code_index: bytes
    sealed: bytes
    cipher: Cipher


class _Point(NamedTuple):
    contact_id: bytes
    person_id: bytes
    recipient_id: bytes
    kind: str
    problem: str | None
    blind: bytes
    sealed: bytes


class SheetWriter:
    """Writes the sheets of one list, one after the other, in one transaction."""

    def __init__(
        self,
        tx: Tx,
        matter_id: UUID,
        roster_id: UUID,
        *,
        already: int,
        actor: Actor,
        vault: Vault,
        now: datetime,
        random: Callable[[int], bytes] = os.urandom,
    ) -> None:
        """`already` people are in the matter: so many places in it are taken. Codes are drawn from `random`."""
        self._tx = tx
        self._matter_id = matter_id
        self._roster_id = roster_id
        self._list_id = str(roster_id)
        self._already = already
        self._actor = actor_member(actor)
        self._vault = vault
        self._at_ms = milliseconds(now)
        self._random = random
        self._keys = vault.new_keys(tx, "person")
        self.tally = Tally()
        self._begin()

    def _begin(self) -> None:
        self._people: list[_Person] = []
        self._recipients: list[_Recipient] = []
        self._points: list[_Point] = []
        self._events: list[Prepared] = []
        # These hold the index key, so they live no longer than a sheet.
        self._external = self._vault.blinder(self._tx.agency_id, "person.external_id")
        self._blind = self._vault.blinder(self._tx.agency_id, "contact_point")
        self._token = self._vault.token_maker("code")

    def __len__(self) -> int:
        """How many people are on the sheet."""
        return len(self._people)

    def add(self, row: PersonRow) -> None:
        """Put a person on the sheet.

        (1) ids, and a key of their own; (2) the row as received and the contact points, sealed; (3) a code; (4) the
        event that commits to the row.
        """
        number = self.tally.rows
        ordinal = self._already + number
        contacts = contacts_by_form(row)
        person, recipient, eid, *point_ids = new_ids(  # (1)
            3 + len(contacts), at_ms=self._at_ms, place=ordinal, random=os.urandom
        )
        cipher = self._keys.make(person)
        as_received = row.model_dump_json(exclude_none=True).encode()  # (2)
        sealed = cipher.seal(as_received, "person.sealed", person)
        self._people.append(_Person(person, ordinal, number, self._external_index(row.external_id), sealed))
        for contact_id, (form, point) in zip(point_ids, contacts.items(), strict=True):
            secret = cipher.seal(sealed_point(point), "contact_point.sealed", contact_id)
            self._points.append(
                _Point(contact_id, person, recipient, point.kind, point.problem, self._blind(form), secret)
            )
        self._recipients.append(self._with_new_code(recipient, person, cipher))  # (3)
        salt = os.urandom(_SALT)  # (4)
        self._events.append(
            person_listed(
                eid=eid,
                actor=self._actor,
                list_id=self._list_id,
                row=number,
                person=person,
                recipient=recipient,
                contacts=zip(point_ids, contacts.values(), strict=True),
                commitment=commitment(salt, id_text(eid), "person", as_received),
                opening=cipher.seal(b'{"person": "%b"}' % salt.hex().encode(), OPENING, eid),
            )
        )
        self.tally.count(contacts.values())

    def _external_index(self, external_id: str) -> bytes:
        """The same for every way in which Unicode can write the same id."""
        return self._external(self._matter_id.bytes + unicodedata.normalize("NFC", external_id).encode())

    def _with_new_code(self, recipient: bytes, person: bytes, cipher: Cipher) -> _Recipient:
        code = codes.new_code(self._random(codes.ENOUGH_RANDOM_BYTES))
        sealed = cipher.seal(sealed_code(code), "recipient.sealed", recipient)
        return _Recipient(recipient, person, self._token(code.encode()), sealed, cipher)

    def store(self) -> list[Prepared]:
        """Store the sheet and begin a new one; returns what the ledger says of its people.

        Raises:
            Invalid: `duplicate-external-id`: somebody on the sheet is in the matter already.
        """
        if self._people:
            self._insert_people()
            self._keys.store()
            self._give_codes()
            self._insert_recipients()
            self._insert_points()
        events = self._events
        self._begin()
        return events

    def _insert_people(self) -> None:
        ids, ordinals, numbers, external, sealed = _columns(self._people)
        columns = {
            "matter_id": ("uuid", [self._matter_id] * len(ids)),
            "roster_id": ("uuid", [self._roster_id] * len(ids)),
            "person_id": ("uuid", ids),
            "ordinal": ("int4", ordinals),
            "row_no": ("int4", numbers),
            "external_index": ("bytea", external),
            "sealed": ("bytea", sealed),
        }
        if insert_new_rows(self._tx, "person", columns, key="agency_id, matter_id, external_index") < len(ids):
            self._refuse_known_people()

    def _refuse_known_people(self) -> NoReturn:
        found = self._tx.conn.execute(
            text(
                "select external_index from person where agency_id = :agency and matter_id = :matter"
                " and external_index = any(:external) and not person_id = any(:ours)"
            ),
            {
                "agency": self._tx.agency_id,
                "matter": self._matter_id,
                "external": [person.external_index for person in self._people],
                "ours": [UUID(bytes=person.person_id) for person in self._people],
            },
        )
        known = set(found.scalars())
        findings = []
        for person in self._people:
            if person.external_index in known:
                where, what = f"/{person.number}/external_id", "Somebody in this matter has this external_id."
                findings.append(Finding(where, "duplicate-external-id", what))
            known.add(person.external_index)
        what = "Some people are in this matter already. Nothing was stored."
        raise Invalid("duplicate-external-id", what, findings[:MAX_FINDINGS])

    def _give_codes(self) -> None:
        """See that nobody else in the installation has one of these codes: whoever shares one gets another."""
        waiting: Sequence[int] = range(len(self._recipients))
        while waiting := self._not_entered(waiting):
            for place in waiting:
                shared = self._recipients[place]
                self._recipients[place] = self._with_new_code(shared.recipient_id, shared.person_id, shared.cipher)

    def _not_entered(self, places: Sequence[int]) -> list[int]:
        """Enter the codes at these places of the sheet in the directory; returns the places whose codes are taken."""
        drawn = {self._recipients[place].code_index: place for place in places}
        refs = [self._recipients[place].person_id for place in drawn.values()]
        columns: dict[str, tuple[str, Sequence[object]]] = {
            "kind": ("text", ["code"] * len(drawn)),
            "token": ("bytea", list(drawn)),
            "ref": ("uuid", refs),
        }
        if insert_new_rows(self._tx, "directory", columns, key="kind, token") == len(places):
            return []
        ours = self._tx.conn.execute(
            text("select token from directory where kind = 'code' and token = any(:tokens) and ref = any(:refs)"),
            {"tokens": list(drawn), "refs": [UUID(bytes=ref) for ref in refs]},
        )
        entered = {drawn[token] for token in ours.scalars()}
        return [place for place in places if place not in entered]

    def _insert_recipients(self) -> None:
        ids, people, code_index, sealed, _ = _columns(self._recipients)
        columns = {
            "recipient_id": ("uuid", ids),
            "person_id": ("uuid", people),
            "role": ("text", ["self"] * len(ids)),
            "code_index": ("bytea", code_index),
            "sealed": ("bytea", sealed),
        }
        insert_rows(self._tx, "recipient", columns)

    def _insert_points(self) -> None:
        if not self._points:
            return
        ids, people, recipients, kinds, problems, blind, sealed = _columns(self._points)
        columns = {
            "contact_id": ("uuid", ids),
            "person_id": ("uuid", people),
            "recipient_id": ("uuid", recipients),
            "kind": ("text", kinds),
            "problem": ("text", problems),
            "blind": ("bytea", blind),
            "sealed": ("bytea", sealed),
        }
        insert_rows(self._tx, "contact_point", columns)


def _columns(rows: Sequence[tuple[object, ...]]) -> list[Sequence[object]]:
    return list(zip(*rows, strict=True))
