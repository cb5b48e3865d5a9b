"""Letters: written one by one, printed in batches by the agency's own mailroom, declared mailed by an officer.

Nothing leaves the building before a human takes the batch, so that each step is one transaction: a letter is in
exactly one batch, or in none yet. Stops are looked at when a letter is written and again when a batch is closed.
"""

import json
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Final
from uuid import UUID, uuid4
from zoneinfo import ZoneInfo

from sqlalchemy import RowMapping, insert, select, text, update

from notifier.core.errors import Conflict, Forbidden, Invalid, MissingText, NotFound
from notifier.core.events import EventType
from notifier.core.language import letter_languages
from notifier.core.ledger import Draft, Json
from notifier.core.model import Actor, KeyKind
from notifier.core.postal import place_lines, postal_sort_key
from notifier.core.status import AttemptEvent, Reason
from notifier.render.batch import Piece, print_batch
from notifier.render.content import Letter
from notifier.render.renderer import Addressee, Renderer
from notifier.store import tables as t
from notifier.store.attempts import (
    Claimed,
    claim_written_letters,
    keep_letters,
    letters_to_compose,
    some_letter_is_unwritten,
)
from notifier.store.blobs import get_blob, put_blobs
from notifier.store.engine import Tx
from notifier.store.ledger import append, sealed_draft
from notifier.store.ledger import draft as plain_draft
from notifier.store.vault import Vault
from notifier.usecases.access import Principal, Scope
from notifier.usecases.compose import Parcel, available_languages, keep_texts, open_parcels
from notifier.usecases.progress import Change, legal_now, record

CHUNK: Final = 20  # letters written in one transaction
BATCH: Final = 500  # letters in one print batch at most
PDF: Final = "application/pdf"


@dataclass(frozen=True, slots=True)
class Mailroom:
    """What writing and printing needs."""

    vault: Vault
    renderer: Renderer


@dataclass(frozen=True, slots=True)
class Mailed:
    """A batch that an officer declared mailed."""

    batch_id: UUID
    pieces: int
    mailed_on: date


def compose_letters(tx: Tx, *, mailroom: Mailroom, now: datetime) -> int:
    """Write a handful of due letters and keep them; returns how many were taken."""
    claimed = letters_to_compose(tx, chunk=CHUNK)
    if not claimed:
        return 0
    parcels, erased = open_parcels(tx, claimed, vault=mailroom.vault, now=now)
    unwritten = list(erased)
    written: list[tuple[Parcel, Letter]] = []
    for parcel in parcels:
        try:
            written.append((parcel, _write(parcel, mailroom)))
        except MissingText:
            unwritten.append(parcel.claimed)
    _keep(tx, written, now=now)
    _refuse(tx, unwritten, now=now)
    return len(claimed)


def _write(parcel: Parcel, mailroom: Mailroom) -> Letter:
    chosen = letter_languages(parcel.language, available_languages(mailroom.renderer, parcel.content.mode))
    if parcel.address is None:
        raise MissingText(parcel.language or "und", "a postal address")
    return mailroom.renderer.letter(
        parcel.content,
        Addressee(parcel.name, place_lines(parcel.address), parcel.native_name),
        languages=chosen.languages,
        tagline_sheet=chosen.tagline_sheet,
        piece_id=parcel.claimed.attempt_id.hex,
    )


def _keep(tx: Tx, written: Sequence[tuple[Parcel, Letter]], *, now: datetime) -> None:
    if not written:
        return
    files = [(parcel.claimed.person_id, parcel.cipher, letter.pdf) for parcel, letter in written]
    blobs = put_blobs(tx, files, purpose="letter", media_type=PDF, now=now)
    keep_letters(tx, [(parcel.claimed.attempt_id, blob) for (parcel, _), blob in zip(written, blobs, strict=True)])
    keep_texts(tx, [(parcel, _piece_facts(parcel, letter)) for parcel, letter in written])
    drafts: dict[UUID, list[Draft]] = defaultdict(list)
    for (parcel, letter), blob in zip(written, blobs, strict=True):
        drafts[parcel.claimed.matter_id].append(
            sealed_draft(
                parcel.cipher,
                EventType.ATTEMPT_COMPOSED,
                Actor.system("mailroom"),
                {
                    "attempt": str(parcel.claimed.attempt_id),
                    "pages": letter.pages,
                    "sheets": letter.sheets,
                    "blob": str(blob),
                },
                person=parcel.claimed.person_id,
                values={"text": letter.pdf},
            )
        )
    for matter_id in sorted(drafts):
        append(tx, matter_id, drafts[matter_id], at=legal_now(tx, matter_id, now))


def _piece_facts(parcel: Parcel, letter: Letter) -> bytes:
    """What the print batch needs of a letter, beside its file."""
    address = parcel.address
    return json.dumps(
        {
            "address_lines": letter.address_block,
            "postal_code": "" if address is None else address.postal_code,
            "sort_key": () if address is None else postal_sort_key(address),
            "pages": letter.pages,
            "sheets": letter.sheets,
        }
    ).encode()


def _refuse(tx: Tx, claimed: Sequence[Claimed], *, now: datetime) -> None:
    for matter_id in sorted({item.matter_id for item in claimed}):
        changes = [
            Change(item.attempt_id, AttemptEvent.REFUSED, Actor.system("mailroom"), reason=Reason.NO_TEXT)
            for item in claimed
            if item.matter_id == matter_id
        ]
        record(tx, matter_id, changes, now=now)


def close_batch(tx: Tx, *, mailroom: Mailroom, now: datetime) -> UUID | None:
    """Put every written letter into one print batch, unless some letter is still being written; returns its id.

    (1) wait for the letters of the run; (2) take those that no stop holds; (3) merge them in postal order; (4) keep
    the batch under a key of its own; (5) hand each letter over in the ledger.
    """
    if some_letter_is_unwritten(tx):  # (1)
        return None
    taken = claim_written_letters(tx, chunk=BATCH)  # (2)
    if not taken:
        return None
    batch_id = uuid4()
    pieces = _pieces(tx, taken, mailroom.vault)
    printed = print_batch(  # (3)
        batch_id.hex, pieces, closed_on=now.date(), typesetter=mailroom.renderer.typesetter
    )
    cipher = mailroom.vault.make(tx, [batch_id], "print_batch")[batch_id]  # (4)
    contents = ((printed.pdf, PDF), (printed.manifest, "text/csv"), (printed.totals, PDF))
    blobs = [
        put_blobs(tx, [(batch_id, cipher, content)], purpose="print_batch", media_type=media_type, now=now)[0]
        for content, media_type in contents
    ]
    tx.conn.execute(
        insert(t.print_batch).values(
            agency_id=tx.agency_id,
            batch_id=batch_id,
            closed_at=now,
            pieces=len(pieces),
            sheets=printed.sheets,
            pdf_blob=blobs[0],
            manifest_blob=blobs[1],
            totals_blob=blobs[2],
        )
    )
    actor = Actor.system("mailroom")
    for matter_id in sorted({matter_id for _, matter_id, _, _ in taken}):  # (5)
        changes = [
            Change(attempt_id, AttemptEvent.HANDED_OVER, actor, batch_id=batch_id)
            for attempt_id, of, _, _ in taken
            if of == matter_id
        ]
        record(tx, matter_id, changes, now=now)
    closed = sealed_draft(
        cipher,
        EventType.PRINT_BATCH_CLOSED,
        actor,
        {"batch": str(batch_id), "pieces": len(pieces), "sheets": printed.sheets},
        values={"pdf": printed.pdf, "manifest": printed.manifest},
    )
    append(tx, tx.agency_id, [closed], at=now)
    return batch_id


def _pieces(tx: Tx, taken: Sequence[tuple[UUID, UUID, UUID, UUID]], vault: Vault) -> list[Piece]:
    ciphers = vault.ciphers(tx, {person_id for _, _, person_id, _ in taken})
    kept = {
        row.attempt_id: row.sealed
        for row in tx.conn.execute(
            select(t.content).where(t.content.c.attempt_id.in_([attempt_id for attempt_id, _, _, _ in taken]))
        )
    }
    pieces = []
    for attempt_id, _, person_id, blob_id in taken:
        facts = json.loads(ciphers[person_id].open(kept[attempt_id], "content.sealed", attempt_id))
        pieces.append(
            Piece(
                piece_id=attempt_id.hex,
                pdf=get_blob(tx, blob_id, vault=vault),
                address_lines=tuple(facts["address_lines"]),
                postal_code=facts["postal_code"],
                sort_key=tuple(facts["sort_key"]),
                pages=facts["pages"],
                sheets=facts["sheets"],
            )
        )
    return pieces


def list_batches(tx: Tx) -> list[RowMapping]:
    """The agency's print batches, newest first."""
    return list(tx.conn.execute(select(t.print_batch).order_by(t.print_batch.c.closed_at.desc())).mappings())


def batch_file(tx: Tx, batch_id: UUID, part: str, *, vault: Vault) -> bytes:
    """One file of a batch: `pdf` (the letters), `manifest` (CSV) or `totals` (one page).

    Raises:
        NotFound: no such batch or part.
    """
    row = tx.conn.execute(select(t.print_batch).where(t.print_batch.c.batch_id == batch_id)).mappings().one_or_none()
    if row is None or part not in {"pdf", "manifest", "totals"}:
        raise NotFound("unknown-print-batch", "There is no such print batch.")
    return get_blob(tx, row[f"{part}_blob"], vault=vault)


def declare_mailed(tx: Tx, batch_id: UUID, *, mailed_on: date, principal: Principal, now: datetime) -> Mailed:
    """An officer declares that every piece of a batch was handed to the post on a day.

    Raises:
        Forbidden: `personal-key-needed`: a machine mails nothing.
        NotFound: no such batch.
        Conflict: it was declared already.
        Invalid: a day before the batch was closed, or one that has not come yet where the agency is.
    """
    principal.require(Scope.MAILROOM)
    if principal.kind is not KeyKind.PERSONAL:
        raise Forbidden("personal-key-needed", "Only an officer's personal key can declare mail.")
    row = tx.conn.execute(
        text(
            "select b.closed_at, b.declared_at, a.zone from print_batch b join agency a on a.agency_id = b.agency_id"
            " where b.agency_id = :agency and b.batch_id = :batch for update of b"
        ),
        {"agency": tx.agency_id, "batch": batch_id},
    ).one_or_none()
    if row is None:
        raise NotFound("unknown-print-batch", "There is no such print batch.")
    if row.declared_at is not None:
        raise Conflict("already-declared", "This batch was declared mailed before.")
    zone = ZoneInfo(row.zone)
    if not row.closed_at.astimezone(zone).date() <= mailed_on <= now.astimezone(zone).date():
        raise Invalid("impossible-mailing-day", "The day is before the batch was closed, or in the future.")
    tx.conn.execute(
        update(t.print_batch)
        .where(t.print_batch.c.batch_id == batch_id)
        .values(mailed_on=mailed_on, declared_at=now, declared_by=principal.officer_id)
    )
    attempts = tx.conn.execute(
        select(t.attempt.c.attempt_id, t.attempt.c.matter_id).where(t.attempt.c.batch_id == batch_id)
    ).all()
    for matter_id in sorted({attempt.matter_id for attempt in attempts}):
        changes = [
            Change(attempt.attempt_id, AttemptEvent.ACCEPTED, principal.actor, batch_id=batch_id)
            for attempt in attempts
            if attempt.matter_id == matter_id
        ]
        record(tx, matter_id, changes, now=now)
    data: dict[str, Json] = {"batch": str(batch_id), "mailed_on": mailed_on.isoformat(), "pieces": len(attempts)}
    append(tx, tx.agency_id, [plain_draft(EventType.PRINT_BATCH_MAILED, principal.actor, data)], at=now)
    return Mailed(batch_id, len(attempts), mailed_on)
