"""Closing print batches: written letters become one file that the agency's own mailroom prints.

Closing a batch is one transaction: a letter is in exactly one batch, or in none yet. Stops are looked at when a letter
is written, again when a batch is closed, and once more when its file is fetched (`batches`).
"""

import json
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID, uuid4

from sqlalchemy import insert, select

from notifier.core.errors import NotFound, Sealed
from notifier.core.events import EventType
from notifier.core.model import Actor, Mode, PostService
from notifier.core.status import AttemptEvent, Reason
from notifier.render.batch import Piece, PrintBatch, print_batch
from notifier.store import tables as t
from notifier.store.blobs import SealedFile, put_blobs, read_blobs
from notifier.store.bulk import in_chunks
from notifier.store.engine import Tx
from notifier.store.ledger import append, lock_chains, sealed_draft
from notifier.store.letters import (
    Waiting,
    WrittenLetter,
    hold_the_printer,
    some_letter_is_unwritten,
    take_letters,
    waiting_letters,
    written_letters,
)
from notifier.store.vault import Cipher, Vault
from notifier.usecases.compose import Lost, open_ciphers, unreadable, whole
from notifier.usecases.letters import PDF, Mailroom, refuse_letters
from notifier.usecases.office import zone_of
from notifier.usecases.progress import Change, record_all

BATCH: Final = 500  # letters in one print batch at most
LINGER: Final = timedelta(seconds=20)  # what a matter that is written waits for others, while there are others
AT_ONCE: Final = 50  # letters that are fetched in one query, sealed
PRINTER: Final = Actor.system("mailroom")

Taken = list[tuple[WrittenLetter, Piece]]
Spoilt = list[tuple[UUID, UUID, Reason]]


def close_batch(tx: Tx, *, mailroom: Mailroom, now: datetime, at_most: int = BATCH) -> UUID | None:
    """Put written letters of one mode and service into a print batch, when it is time for one; returns its id.

    (1) nobody else of the agency closes one now; (2) see what waits, and whether it is time; (3) open those that no
    stop holds, never live ones and test ones together, and leave out what is erased or damaged; (4) merge them in
    postal order; (5) hold the chains of all their matters, in order, and then the letters: when something has happened
    to one meanwhile, leave it for the next time; (6) keep the batch under a key of its own; (7) hand each letter over
    in the ledger.
    """
    if not hold_the_printer(tx):  # (1)
        return None
    waiting = waiting_letters(tx)  # (2)
    nothing_else = bool(waiting) and not some_letter_is_unwritten(tx)
    for kind in waiting:
        if not is_time(kind, nothing_else=nothing_else, at_most=at_most):
            continue
        letters = written_letters(tx, kind.mode, kind.service, chunk=at_most)  # (3)
        taken, spoilt = _open(tx, letters, mailroom.vault)
        if taken:
            return _close(tx, kind, taken, spoilt, mailroom, now)
        refuse_letters(tx, spoilt, now=now)
    return None


def is_time(waiting: Waiting, *, nothing_else: bool, at_most: int = BATCH) -> bool:
    """Whether to close a batch of these.

    When a whole one waits; when nothing is being written, so that nothing is worth waiting for; or when some matter has
    nothing left to write and has waited a little: a long run keeps a short one waiting no longer than that, and a
    hundred short ones make one batch.
    """
    return waiting.letters >= at_most or nothing_else or (waiting.done > 0 and waiting.done_since >= LINGER)


def _close(tx: Tx, kind: Waiting, taken: Taken, spoilt: Spoilt, mailroom: Mailroom, now: datetime) -> UUID | None:
    batch_id = uuid4()
    printed = print_batch(  # (4)
        batch_id.hex,
        [piece for _, piece in taken],
        service=kind.service,
        closed_on=now.astimezone(zone_of(tx)).date(),
        typesetter=mailroom.renderer.typesetter,
    )
    changes: dict[UUID, list[Change]] = defaultdict(list)
    for letter, _ in taken:
        changes[letter.matter_id].append(
            Change(letter.attempt_id, AttemptEvent.HANDED_OVER, PRINTER, batch_id=batch_id)
        )
    lock_chains(tx, changes.keys() | {matter_id for matter_id, *_ in spoilt})  # (5)
    if not take_letters(tx, [letter for letter, _ in taken]):
        return None
    refuse_letters(tx, spoilt, now=now)
    _keep(tx, batch_id, kind.mode, kind.service, len(taken), printed, changes, mailroom, now)
    return batch_id


def _keep(
    tx: Tx,
    batch_id: UUID,
    mode: Mode,
    service: PostService,
    pieces: int,
    printed: PrintBatch,
    changes: Mapping[UUID, Sequence[Change]],
    mailroom: Mailroom,
    now: datetime,
) -> None:
    cipher = mailroom.vault.make(tx, [batch_id], "print_batch")[batch_id]  # (6)
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
            service=service.value,
            closed_at=now,
            pieces=pieces,
            sheets=printed.sheets,
            pdf_blob=blobs[0],
            manifest_blob=blobs[1],
            totals_blob=blobs[2],
            withdrawn=0,
        )
    )
    record_all(tx, changes, now=now)  # (7)
    closed = sealed_draft(
        cipher,
        EventType.PRINT_BATCH_CLOSED,
        PRINTER,
        {
            "batch": str(batch_id),
            "mode": mode.value,
            "service": service.value,
            "pieces": pieces,
            "sheets": printed.sheets,
        },
        values={"pdf": printed.pdf, "manifest": printed.manifest},
    )
    append(tx, tx.agency_id, [closed], at=now)


def _open(tx: Tx, letters: Sequence[WrittenLetter], vault: Vault) -> tuple[Taken, Spoilt]:
    """Each letter on its own; the second list says which cannot be printed, and why."""
    ciphers = open_ciphers(tx, {letter.person_id for letter in letters}, vault=vault)
    taken: Taken = []
    spoilt: Spoilt = []
    for letter, sealed_facts, file in _fetched(tx, letters):
        cipher = ciphers[letter.person_id]
        if cipher is Lost.ERASED:
            spoilt.append((letter.matter_id, letter.attempt_id, Reason.NO_TEXT))
            continue
        try:
            taken.append((letter, _piece(letter, sealed_facts, file, whole(cipher))))
        except (Sealed, NotFound, LookupError, ValueError, TypeError) as error:
            spoilt.append((letter.matter_id, letter.attempt_id, unreadable(letter.attempt_id, error)))
    return taken, spoilt


def _fetched(
    tx: Tx, letters: Sequence[WrittenLetter]
) -> Iterator[tuple[WrittenLetter, bytes | None, SealedFile | None]]:
    """Each letter with its facts and its file, sealed; a handful in two queries."""
    for some in in_chunks(letters, AT_ONCE):
        files = read_blobs(tx, [letter.blob_id for letter in some])
        rows = tx.conn.execute(
            select(t.content.c.attempt_id, t.content.c.sealed).where(
                t.content.c.agency_id == tx.agency_id, t.content.c.attempt_id.in_([one.attempt_id for one in some])
            )
        )
        facts = {row.attempt_id: row.sealed for row in rows}
        for letter in some:
            yield letter, facts.get(letter.attempt_id), files.get(letter.blob_id)


def _piece(letter: WrittenLetter, sealed_facts: bytes | None, file: SealedFile | None, cipher: Cipher) -> Piece:
    if sealed_facts is None or file is None:
        raise NotFound("unknown-file", "A part of this letter is missing.")
    facts: dict[str, Any] = json.loads(cipher.open(sealed_facts, "content.sealed", letter.attempt_id))
    return Piece(
        piece_id=letter.attempt_id.hex,
        pdf=file.open(cipher),
        address_lines=tuple(facts["address_lines"]),
        postal_code=facts["postal_code"],
        sort_key=tuple(facts["sort_key"]),
        pages=facts["pages"],
        sheets=facts["sheets"],
    )
