"""Writing letters: a handful at a time, kept sealed, until a print batch takes them.

Nothing leaves the building before a human takes the batch, so that writing a handful is one transaction.
"""

import json
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

from notifier.core.errors import MissingText
from notifier.core.events import EventType
from notifier.core.language import letter_languages
from notifier.core.ledger import Draft
from notifier.core.model import Actor
from notifier.core.postal import place_lines, postal_sort_key
from notifier.core.status import AttemptEvent, Reason
from notifier.render.content import Letter
from notifier.render.renderer import Addressee, Renderer
from notifier.store.attempts import keep_letters, letters_to_compose
from notifier.store.blobs import put_blobs
from notifier.store.engine import Tx
from notifier.store.ledger import append, lock_chains, sealed_draft
from notifier.store.vault import Vault
from notifier.usecases.compose import Parcel, Unwritten, available_languages, keep_texts, open_parcels, unreadable
from notifier.usecases.progress import Change, legal_now, record

CHUNK: Final = 20  # letters written in one transaction
PDF: Final = "application/pdf"


@dataclass(frozen=True, slots=True)
class Mailroom:
    """What writing and printing needs."""

    vault: Vault
    renderer: Renderer


def compose_letters(tx: Tx, *, mailroom: Mailroom, now: datetime) -> int:
    """Write a handful of due letters and keep them; returns how many were taken.

    (1) hold the letters; (2) write each on its own, giving up those that cannot be written; (3) hold the chains of all
    their matters, in order; (4) keep what was written, and say so in the ledger.
    """
    claimed = letters_to_compose(tx, chunk=CHUNK)  # (1)
    if not claimed:
        return 0
    parcels, unwritten = open_parcels(tx, claimed, vault=mailroom.vault, now=now)
    written: list[tuple[Parcel, Letter]] = []
    for parcel in parcels:  # (2)
        try:
            written.append((parcel, _write(parcel, mailroom)))
        except MissingText:
            unwritten.append(Unwritten(parcel.claimed, Reason.NO_TEXT))
        except Exception as error:  # noqa: BLE001 # whatever is wrong with it, it is wrong with this one
            unwritten.append(Unwritten(parcel.claimed, unreadable(parcel.claimed.attempt_id, error)))
    lock_chains(tx, {item.matter_id for item in claimed})  # (3)
    _keep(tx, written, edition=mailroom.renderer.edition.id, now=now)  # (4)
    refuse_letters(tx, [(item.claimed.matter_id, item.claimed.attempt_id, item.reason) for item in unwritten], now=now)
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


def _keep(tx: Tx, written: Sequence[tuple[Parcel, Letter]], *, edition: str, now: datetime) -> None:
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
                    "edition": edition,
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


def refuse_letters(tx: Tx, letters: Iterable[tuple[UUID, UUID, Reason]], *, now: datetime) -> None:
    """Give up letters that cannot be written or printed: (matter, attempt, why). Their people are then not reached."""
    changes: dict[UUID, list[Change]] = defaultdict(list)
    for matter_id, attempt_id, reason in letters:
        changes[matter_id].append(Change(attempt_id, AttemptEvent.REFUSED, Actor.system("mailroom"), reason=reason))
    for matter_id in sorted(changes):
        record(tx, matter_id, changes[matter_id], now=now)
