"""Print batches: written letters, printed by the agency's own mailroom, declared mailed by an officer.

Closing a batch is one transaction: a letter is in exactly one batch, or in none yet. Stops are looked at when a letter
is written and again when a batch is closed.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Final
from uuid import UUID, uuid4
from zoneinfo import ZoneInfo

from sqlalchemy import RowMapping, insert, select, text, update

from notifier.core.errors import Conflict, Forbidden, Invalid, NotFound, Sealed
from notifier.core.events import EventType
from notifier.core.ledger import Json
from notifier.core.model import Actor, KeyKind, Mode
from notifier.core.status import AttemptEvent, Reason
from notifier.render.batch import Piece, print_batch
from notifier.store import tables as t
from notifier.store.attempts import WrittenLetter, claim_written_letters, some_letter_is_unwritten
from notifier.store.blobs import get_blob, put_blobs
from notifier.store.engine import Tx
from notifier.store.ledger import append, lock_chains, sealed_draft
from notifier.store.ledger import draft as plain_draft
from notifier.store.vault import Vault
from notifier.usecases.access import Principal, Scope
from notifier.usecases.compose import Lost, open_ciphers, unreadable, whole
from notifier.usecases.letters import PDF, Mailroom, refuse_letters
from notifier.usecases.progress import Change, record

BATCH: Final = 500  # letters in one print batch at most


@dataclass(frozen=True, slots=True)
class Mailed:
    """A batch that an officer declared mailed."""

    batch_id: UUID
    pieces: int
    mailed_on: date


def close_batch(tx: Tx, *, mailroom: Mailroom, now: datetime, at_most: int = BATCH) -> UUID | None:
    """Put written letters of one mode into a print batch, unless some letter is still being written; returns its id.

    (1) wait for the letters of the run; (2) take those that no stop holds, never live ones and test ones together, and
    leave out what is erased or damaged; (3) merge them in postal order; (4) hold the chains of all their matters, in
    order; (5) keep the batch under a key of its own; (6) hand each letter over in the ledger.
    """
    if some_letter_is_unwritten(tx):  # (1)
        return None
    for mode in Mode:
        taken, spoilt = _open(tx, claim_written_letters(tx, mode, chunk=at_most), mailroom.vault)  # (2)
        if taken:
            return _close(tx, mode, taken, spoilt, mailroom, now)
        refuse_letters(tx, spoilt, now=now)
    return None


Taken = list[tuple[WrittenLetter, Piece]]
Spoilt = list[tuple[UUID, UUID, Reason]]


def _close(tx: Tx, mode: Mode, taken: Taken, spoilt: Spoilt, mailroom: Mailroom, now: datetime) -> UUID:
    batch_id = uuid4()
    zone = ZoneInfo(tx.conn.execute(select(t.agency.c.zone)).scalar_one())
    printed = print_batch(  # (3)
        batch_id.hex,
        [piece for _, piece in taken],
        closed_on=now.astimezone(zone).date(),
        typesetter=mailroom.renderer.typesetter,
    )
    letters = [letter for letter, _ in taken]
    lock_chains(tx, {letter.matter_id for letter in letters} | {matter_id for matter_id, *_ in spoilt})  # (4)
    refuse_letters(tx, spoilt, now=now)
    cipher = mailroom.vault.make(tx, [batch_id], "print_batch")[batch_id]  # (5)
    contents = ((printed.pdf, PDF), (printed.manifest, "text/csv"), (printed.totals, PDF))
    blobs = [
        put_blobs(tx, [(batch_id, cipher, content)], purpose="print_batch", media_type=media_type, now=now)[0]
        for content, media_type in contents
    ]
    tx.conn.execute(
        insert(t.print_batch).values(
            agency_id=tx.agency_id,
            batch_id=batch_id,
            mode=mode.value,
            closed_at=now,
            pieces=len(taken),
            sheets=printed.sheets,
            pdf_blob=blobs[0],
            manifest_blob=blobs[1],
            totals_blob=blobs[2],
        )
    )
    actor = Actor.system("mailroom")
    for matter_id in sorted({letter.matter_id for letter in letters}):  # (6)
        changes = [
            Change(letter.attempt_id, AttemptEvent.HANDED_OVER, actor, batch_id=batch_id)
            for letter in letters
            if letter.matter_id == matter_id
        ]
        record(tx, matter_id, changes, now=now)
    closed = sealed_draft(
        cipher,
        EventType.PRINT_BATCH_CLOSED,
        actor,
        {"batch": str(batch_id), "mode": mode.value, "pieces": len(taken), "sheets": printed.sheets},
        values={"pdf": printed.pdf, "manifest": printed.manifest},
    )
    append(tx, tx.agency_id, [closed], at=now)
    return batch_id


def _open(tx: Tx, letters: Sequence[WrittenLetter], vault: Vault) -> tuple[Taken, Spoilt]:
    """Each letter on its own; the second list says which cannot be printed, and why."""
    ciphers = open_ciphers(tx, {letter.person_id for letter in letters}, vault=vault)
    kept = {
        row.attempt_id: row.sealed
        for row in tx.conn.execute(
            select(t.content).where(t.content.c.attempt_id.in_([letter.attempt_id for letter in letters]))
        )
    }
    taken: Taken = []
    spoilt: Spoilt = []
    for letter in letters:
        cipher = ciphers[letter.person_id]
        if cipher is Lost.ERASED:
            spoilt.append((letter.matter_id, letter.attempt_id, Reason.NO_TEXT))
            continue
        try:
            facts = whole(cipher).open(kept[letter.attempt_id], "content.sealed", letter.attempt_id)
            taken.append((letter, _piece(letter, json.loads(facts), get_blob(tx, letter.blob_id, vault=vault))))
        except (Sealed, LookupError, ValueError, TypeError) as error:
            reason = unreadable(letter.attempt_id, error)
            spoilt.append((letter.matter_id, letter.attempt_id, reason))
    return taken, spoilt


def _piece(letter: WrittenLetter, facts: Mapping[str, Any], pdf: bytes) -> Piece:
    return Piece(
        piece_id=letter.attempt_id.hex,
        pdf=pdf,
        address_lines=tuple(facts["address_lines"]),
        postal_code=facts["postal_code"],
        sort_key=tuple(facts["sort_key"]),
        pages=facts["pages"],
        sheets=facts["sheets"],
    )


def list_batches(tx: Tx, *, principal: Principal) -> list[RowMapping]:
    """The agency's print batches of the key's mode, newest first: a test key shows no real person's address.

    Raises:
        Forbidden: `scope-missing`.
    """
    principal.require(Scope.MAILROOM)
    query = select(t.print_batch).where(t.print_batch.c.mode == principal.mode.value)
    return list(tx.conn.execute(query.order_by(t.print_batch.c.closed_at.desc())).mappings())


def batch_file(tx: Tx, batch_id: UUID, part: str, *, principal: Principal, vault: Vault) -> bytes:
    """One file of a batch: `pdf` (the letters), `manifest` (CSV) or `totals` (one page).

    Raises:
        Forbidden: `scope-missing`.
        NotFound: no such batch of the key's mode, or no such part.
        Conflict: `stopped`: a stop in force keeps back a letter of a batch that was not mailed yet.
    """
    principal.require(Scope.MAILROOM)
    query = select(t.print_batch).where(
        t.print_batch.c.batch_id == batch_id, t.print_batch.c.mode == principal.mode.value
    )
    row = tx.conn.execute(query).mappings().one_or_none()
    if row is None or part not in {"pdf", "manifest", "totals"}:
        raise NotFound("unknown-print-batch", "There is no such print batch.")
    if part == "pdf" and row["declared_at"] is None:
        _require_no_stop(tx, batch_id)
    return get_blob(tx, row[f"{part}_blob"], vault=vault)


def _require_no_stop(tx: Tx, batch_id: UUID) -> None:
    held = tx.conn.execute(
        text(
            "select from attempt a join stop s on s.agency_id = a.agency_id and s.lifted_at is null"
            " and (s.matter_id is null or s.matter_id = a.matter_id) and (s.channel is null or s.channel = a.channel)"
            " where a.agency_id = :agency and a.batch_id = :batch limit 1"
        ),
        {"agency": tx.agency_id, "batch": batch_id},
    ).first()
    if held is not None:
        raise Conflict("stopped", "A stop keeps back letters of this batch. Put none of it in the post.")


def declare_mailed(tx: Tx, batch_id: UUID, *, mailed_on: date, principal: Principal, now: datetime) -> Mailed:
    """An officer declares that every piece of a batch was handed to the post on a day.

    Raises:
        Forbidden: `personal-key-needed`: a machine mails nothing; `mode-mismatch`: a test key for live letters.
        NotFound: no such batch.
        Conflict: `already-declared`; `stopped`: a stop in force keeps back a letter of it.
        Invalid: a day before the batch was closed, or one that has not come yet where the agency is.
    """
    principal.require(Scope.MAILROOM)
    if principal.kind is not KeyKind.PERSONAL:
        raise Forbidden("personal-key-needed", "Only an officer's personal key can declare mail.")
    row = tx.conn.execute(
        text(
            "select b.mode, b.closed_at, b.declared_at, a.zone"
            " from print_batch b join agency a on a.agency_id = b.agency_id"
            " where b.agency_id = :agency and b.batch_id = :batch for update of b"
        ),
        {"agency": tx.agency_id, "batch": batch_id},
    ).one_or_none()
    if row is None:
        raise NotFound("unknown-print-batch", "There is no such print batch.")
    if row.mode != principal.mode.value:
        raise Forbidden("mode-mismatch", f"This is a {row.mode} batch: use a {row.mode} key.")
    if row.declared_at is not None:
        raise Conflict("already-declared", "This batch was declared mailed before.")
    _require_no_stop(tx, batch_id)
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
    matters = {attempt.matter_id for attempt in attempts}
    lock_chains(tx, matters)
    day: dict[str, Json] = {"mailed_on": mailed_on.isoformat()}
    for matter_id in sorted(matters):
        changes = [
            Change(attempt.attempt_id, AttemptEvent.ACCEPTED, principal.actor, batch_id=batch_id, more=day)
            for attempt in attempts
            if attempt.matter_id == matter_id
        ]
        record(tx, matter_id, changes, now=now)
    data: dict[str, Json] = {"batch": str(batch_id), **day, "pieces": len(attempts)}
    append(tx, tx.agency_id, [plain_draft(EventType.PRINT_BATCH_MAILED, principal.actor, data)], at=now)
    return Mailed(batch_id, len(attempts), mailed_on)
