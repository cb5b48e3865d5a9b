"""From claimed attempts to the exact words for each recipient, decrypted in memory only."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from typing import Final
from uuid import UUID
from zoneinfo import ZoneInfo

import structlog
from sqlalchemy import text

from notifier.core.errors import NotifierError
from notifier.core.language import ENGLISH
from notifier.core.model import Instrument, JudgeSigned, Mode, PostalAddress
from notifier.render.content import NoticeContent
from notifier.render.renderer import Renderer
from notifier.store.attempts import Claimed, put_off
from notifier.store.bulk import insert_rows
from notifier.store.engine import Tx
from notifier.store.vault import Cipher, Vault
from notifier.usecases.profile import AgencyProfile

UNREAD_WAITS: Final = timedelta(minutes=10)

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Parcel:
    """Everything that one attempt needs to be written and addressed."""

    agency_id: UUID
    claimed: Claimed
    cipher: Cipher = field(repr=False)
    content: NoticeContent = field(repr=False)
    name: str = field(repr=False)
    native_name: str | None = field(repr=False)
    language: str | None = field(repr=False)
    value: str = field(repr=False)
    address: PostalAddress | None = field(repr=False)


def open_parcels(
    tx: Tx, claimed: Sequence[Claimed], *, vault: Vault, now: datetime
) -> tuple[list[Parcel], list[Claimed]]:
    """Load and decrypt what the attempts need; the second list holds those whose key was erased.

    What is there and cannot be read is put off and told, so that it keeps nobody else waiting.
    """
    ciphers = vault.surviving(tx, {key for item in claimed for key in (item.person_id, item.matter_id)})
    alive = [item for item in claimed if {item.person_id, item.matter_id} <= ciphers.keys()]
    people = _by_id(tx, "select person_id id, sealed from person where person_id = any(:ids)", alive, "person_id")
    points = _by_id(
        tx, "select contact_id id, sealed from contact_point where contact_id = any(:ids)", alive, "contact_id"
    )
    recipients = {
        row.notice_id: (row.recipient_id, row.sealed)
        for row in tx.conn.execute(
            text(
                "select n.notice_id, r.recipient_id, r.sealed from notice n join recipient r"
                " on r.agency_id = n.agency_id and r.recipient_id = n.recipient_id"
                " where n.agency_id = :agency and n.notice_id = any(:ids)"
            ),
            {"agency": tx.agency_id, "ids": list({item.notice_id for item in alive})},
        )
    }
    facts: dict[UUID, NoticeContent] = {}
    parcels = []
    unread: list[UUID] = []
    for item in alive:
        try:
            if item.matter_id not in facts:
                facts[item.matter_id] = matter_facts(tx, item.matter_id, vault=vault, now=now)
            sealed = people[item.person_id], points[item.contact_id], *recipients[item.notice_id]
            parcels.append(_open(tx, item, ciphers[item.person_id], facts[item.matter_id], *sealed))
        except (ValueError, LookupError, TypeError, NotifierError):
            log.exception("attempt.unreadable", attempt=str(item.attempt_id))
            unread.append(item.attempt_id)
    put_off(tx, unread, by=UNREAD_WAITS)
    return parcels, [item for item in claimed if not {item.person_id, item.matter_id} <= ciphers.keys()]


def _open(
    tx: Tx,
    item: Claimed,
    cipher: Cipher,
    facts: NoticeContent,
    sealed_person: bytes,
    sealed_point: bytes,
    recipient_id: UUID,
    sealed_code: bytes,
) -> Parcel:
    person = json.loads(cipher.open(sealed_person, "person.sealed", item.person_id))
    point = json.loads(cipher.open(sealed_point, "contact_point.sealed", item.contact_id))
    code = json.loads(cipher.open(sealed_code, "recipient.sealed", recipient_id))["code"]
    address = point.get("address")
    return Parcel(
        tx.agency_id,
        item,
        cipher,
        replace(facts, code=code),
        person["name"],
        person.get("native_name"),
        person.get("language"),
        point["value"],
        None if address is None else PostalAddress(**(address | {"lines": tuple(address["lines"])})),
    )


def matter_facts(tx: Tx, matter_id: UUID, *, vault: Vault, now: datetime) -> NoticeContent:
    """What every notice of a matter says, without a code.

    No page is named: a letter may not send people to a page that cannot take their answer yet.

    Raises:
        Sealed: the matter's key was erased.
    """
    row = tx.conn.execute(
        text(
            "select a.name, a.profile, a.zone, m.mode, m.clock_offset, d.* from matter m"
            " join agency a on a.agency_id = m.agency_id"
            " join demand d on d.agency_id = m.agency_id and d.matter_id = m.matter_id"
            " where m.agency_id = :agency and m.matter_id = :matter"
        ),
        {"agency": tx.agency_id, "matter": matter_id},
    ).one()
    secret = json.loads(vault.cipher(tx, matter_id).open(row.sealed, "demand.sealed", row.demand_id))
    profile = AgencyProfile.read(row.profile)
    return NoticeContent(
        mode=Mode(row.mode),
        letter_date=(now + row.clock_offset).astimezone(ZoneInfo(row.zone)).date(),
        agency_name=row.name,
        return_address=profile.return_address,
        help_phone=profile.help_phone,
        phone_hours=profile.hours,
        main_phone=profile.main_phone,
        interpreter_on_file=profile.interpreter_on_file,
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


def keep_texts(tx: Tx, texts: Iterable[tuple[Parcel, bytes]]) -> None:
    """Keep the exact text of each message, sealed under its person's key, before it leaves."""
    ids, sealed = [], []
    for parcel, value in texts:
        ids.append(parcel.claimed.attempt_id)
        sealed.append(parcel.cipher.seal(value, "content.sealed", parcel.claimed.attempt_id))
    if not ids:
        return
    # A second try of an attempt proved unsent is written anew: the first text never left.
    tx.conn.execute(
        text("delete from content where agency_id = :agency and attempt_id = any(:ids)"),
        {"agency": tx.agency_id, "ids": ids},
    )
    insert_rows(tx, "content", {"attempt_id": ("uuid", ids), "sealed": ("bytea", sealed)})


def _by_id(tx: Tx, query: str, claimed: Sequence[Claimed], name: str) -> dict[UUID, bytes]:
    ids = list({getattr(item, name) for item in claimed})
    rows = tx.conn.execute(text(f"{query} and agency_id = :agency"), {"agency": tx.agency_id, "ids": ids})
    return {row.id: row.sealed for row in rows}
