"""From claimed attempts to the exact words for each recipient, decrypted in memory only."""

import json
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from enum import Enum, auto
from typing import Any, Final
from uuid import UUID
from zoneinfo import ZoneInfo

import structlog
from sqlalchemy import Row, text

from notifier.core.errors import Sealed
from notifier.core.language import ENGLISH
from notifier.core.model import Instrument, JudgeSigned, Mode, PostalAddress
from notifier.core.status import Reason
from notifier.render.content import NoticeContent
from notifier.render.renderer import Renderer
from notifier.store.attempts import Claimed
from notifier.store.bulk import driver
from notifier.store.engine import Tx
from notifier.store.vault import Cipher, Vault
from notifier.usecases.profile import AgencyProfile

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Parcel:
    """Everything that one attempt needs to be written and addressed.

    `facts` are the same for everybody in a matter, and have no code.
    """

    agency_id: UUID
    claimed: Claimed
    cipher: Cipher = field(repr=False)
    facts: NoticeContent = field(repr=False)
    code: str = field(repr=False)
    name: str = field(repr=False)
    native_name: str | None = field(repr=False)
    language: str | None = field(repr=False)
    value: str = field(repr=False)
    address: PostalAddress | None = field(repr=False)

    @property
    def content(self) -> NoticeContent:
        """What this person's notice says."""
        return replace(self.facts, code=self.code)


@dataclass(frozen=True, slots=True)
class Unwritten:
    """An attempt that cannot be written, and why. It is given up: its person is then shown as not reached."""

    claimed: Claimed
    reason: Reason


def open_parcels(
    tx: Tx, claimed: Sequence[Claimed], *, vault: Vault, now: datetime
) -> tuple[list[Parcel], list[Unwritten]]:
    """Load and decrypt what the attempts need, each on its own: what is erased or damaged keeps nobody else waiting.

    Raises:
        Sealed: the installation lacks a file of its keys, which is no attempt's own fault.
    """
    ciphers = open_ciphers(tx, {key for item in claimed for key in (item.person_id, item.matter_id)}, vault=vault)
    matters = _matters(tx, claimed)
    sealed = _sealed(tx, claimed)
    facts: dict[UUID, NoticeContent] = {}
    parcels = []
    unwritten = []
    for item in claimed:
        of_person, of_matter = ciphers[item.person_id], ciphers[item.matter_id]
        if of_person is Lost.ERASED or of_matter is Lost.ERASED:
            unwritten.append(Unwritten(item, Reason.NO_TEXT))
            continue
        try:
            if item.matter_id not in facts:
                facts[item.matter_id] = _matter_facts(matters[item.matter_id], whole(of_matter), now)
            parcels.append(_open(tx.agency_id, item, whole(of_person), facts[item.matter_id], sealed[item.attempt_id]))
        except Exception as error:  # noqa: BLE001 # whatever is wrong with it, it is wrong with this one
            unwritten.append(Unwritten(item, unreadable(item.attempt_id, error)))
    return parcels, unwritten


class Lost(Enum):
    """Why there is no cipher."""

    ERASED = auto()
    DAMAGED = auto()


def open_ciphers(tx: Tx, dek_ids: Collection[UUID], *, vault: Vault) -> dict[UUID, Cipher | Lost]:
    """The cipher of each key, or why there is none.

    Raises:
        Sealed: the installation lacks a file of its keys.
    """
    try:
        found: dict[UUID, Cipher] = vault.surviving(tx, dek_ids)
    except Sealed:
        return {dek_id: _open_cipher(tx, dek_id, vault) for dek_id in dek_ids}
    return {dek_id: found.get(dek_id, Lost.ERASED) for dek_id in dek_ids}


def _open_cipher(tx: Tx, dek_id: UUID, vault: Vault) -> Cipher | Lost:
    query = text("select kek_id from dek where agency_id = :agency and dek_id = :id")
    kek_ids = tx.conn.execute(query, {"agency": tx.agency_id, "id": dek_id})
    for kek_id in kek_ids.scalars():
        vault.keys.kek(kek_id)  # raises: nobody is given up because a key file is missing
    try:
        return vault.surviving(tx, [dek_id]).get(dek_id, Lost.ERASED)
    except Sealed:
        return Lost.DAMAGED


def whole(cipher: Cipher | Lost) -> Cipher:
    """The cipher itself.

    Raises:
        Sealed: there is none.
    """
    if isinstance(cipher, Lost):
        raise Sealed("a key does not open")
    return cipher


def unreadable(attempt_id: UUID, error: Exception) -> Reason:
    """Tell of what could be neither opened nor written; an exception's text may hold a value, its type does not."""
    log.error("attempt.unreadable", attempt=str(attempt_id), error=type(error).__name__)
    return Reason.UNREADABLE


_SEALED: Final = text(
    "select a.attempt_id, p.sealed person, c.sealed point, r.recipient_id, r.sealed code from attempt a"
    " join person p on p.agency_id = a.agency_id and p.person_id = a.person_id"
    " join contact_point c on c.agency_id = a.agency_id and c.contact_id = a.contact_id"
    " join notice n on n.agency_id = a.agency_id and n.notice_id = a.notice_id"
    " join recipient r on r.agency_id = n.agency_id and r.recipient_id = n.recipient_id"
    " where a.agency_id = :agency and a.attempt_id = any(:ids)"
)


def _sealed(tx: Tx, claimed: Sequence[Claimed]) -> dict[UUID, Row[Any]]:
    """What is kept sealed for each attempt: its person, contact and code."""
    rows = tx.conn.execute(_SEALED, {"agency": tx.agency_id, "ids": [item.attempt_id for item in claimed]})
    return {row.attempt_id: row for row in rows}


def _open(agency_id: UUID, item: Claimed, cipher: Cipher, facts: NoticeContent, sealed: Row[Any]) -> Parcel:
    person = json.loads(cipher.open(sealed.person, "person.sealed", item.person_id))
    point = json.loads(cipher.open(sealed.point, "contact_point.sealed", item.contact_id))
    code = json.loads(cipher.open(sealed.code, "recipient.sealed", sealed.recipient_id))["code"]
    address = point.get("address")
    return Parcel(
        agency_id,
        item,
        cipher,
        facts,
        code,
        person["name"],
        person.get("native_name"),
        person.get("language"),
        point["value"],
        None if address is None else PostalAddress(**(address | {"lines": tuple(address["lines"])})),
    )


_MATTERS: Final = text(
    "select a.name, a.profile, a.zone, m.mode, m.clock_offset, d.* from matter m"
    " join agency a on a.agency_id = m.agency_id"
    " join demand d on d.agency_id = m.agency_id and d.matter_id = m.matter_id"
    " where m.agency_id = :agency and m.matter_id = any(:matters)"
)


def _matters(tx: Tx, claimed: Sequence[Claimed]) -> dict[UUID, Row[Any]]:
    rows = tx.conn.execute(_MATTERS, {"agency": tx.agency_id, "matters": list({item.matter_id for item in claimed})})
    return {row.matter_id: row for row in rows}


def _matter_facts(row: Row[Any], cipher: Cipher, now: datetime) -> NoticeContent:
    """What every notice of a matter says, without a code.

    No page is named: a letter may not send people to a page that cannot take their answer yet.
    """
    secret = json.loads(cipher.open(row.sealed, "demand.sealed", row.demand_id))
    profile = AgencyProfile.stored(row.profile)
    return NoticeContent(
        mode=Mode(row.mode),
        letter_date=(now + row.clock_offset).astimezone(ZoneInfo(row.zone)).date(),
        agency_name=row.name,
        return_address=profile.return_address,
        help_phone=profile.help_phone,
        phone_hours=profile.hours,
        main_phone=profile.main_phone,
        interpreter_on_file=profile.interpreter_on_file,
        other_formats_on_file=profile.other_formats_on_file,
        legal_help=profile.legal_help,
        instrument=Instrument(row.instrument),
        judge_signed=JudgeSigned(row.judge_signed),
        record_types=tuple(row.record_types),
        code="",
        issuer=secret["issuer"],
        number=secret["number"],
        dated=date.fromisoformat(secret["dated"]),
        already_released=row.already_released,
    )


def available_languages(renderer: Renderer, mode: Mode) -> frozenset[str]:
    """The languages whose text may be sent: live, only what was approved, and nothing but English can be yet."""
    return frozenset(renderer.available_languages()) if mode is Mode.TEST else frozenset({ENGLISH})


_KEEP: Final = """
insert into content (agency_id, attempt_id, sealed)
select %(agency)b, attempt_id, sealed from unnest(%(ids)b::uuid[], %(sealed)b::bytea[]) as t(attempt_id, sealed)
on conflict (agency_id, attempt_id) do update set sealed = excluded.sealed
"""


def keep_texts(tx: Tx, texts: Iterable[tuple[Parcel, bytes]]) -> None:
    """Keep the exact text of each message, sealed under its person's key, before it leaves.

    A second try of an attempt proved unsent is written anew: the first text never left.
    """
    ids, sealed = [], []
    for parcel, value in texts:
        ids.append(parcel.claimed.attempt_id)
        sealed.append(parcel.cipher.seal(value, "content.sealed", parcel.claimed.attempt_id))
    if ids:
        driver(tx).execute(_KEEP, {"agency": tx.agency_id, "ids": ids, "sealed": sealed})
