"""Writing letters: a handful at a time, kept sealed, until a print batch takes them.

Nothing leaves the building before a human takes the batch, so that writing a handful is one transaction.
"""

import json
from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
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
from notifier.store.blobs import put_blobs
from notifier.store.engine import Tx
from notifier.store.ledger import append_to_chains, lock_chains, sealed_draft
from notifier.store.letters import CARRIER, certified_among, keep_letters, letters_to_compose, still_unwritten
from notifier.store.vault import Vault
from notifier.usecases.compose import Parcel, Unwritten, available_languages, keep_texts, open_parcels, unreadable
from notifier.usecases.progress import Change, legal_times, record_all

CHUNK: Final = 20  # letters written in one transaction
PDF: Final = "application/pdf"


@dataclass(frozen=True, slots=True)
class Mailroom:
    """What writing and printing needs."""

    vault: Vault
    renderer: Renderer


def compose_letters(tx: Tx, *, mailroom: Mailroom, now: datetime, carrier: str = CARRIER, chunk: int = CHUNK) -> int:
    """Write a handful of due letters of one carrier and keep them; returns how many were taken.

    Where it is not the mailroom, the carrier prints the addresses into the windows, which are then left free.

    (1) choose letters that nobody else is writing; (2) write each on its own, giving up those that cannot be written;
    (3) hold the chains of all their matters, in order, and then the letters: leave out what something has happened to
    meanwhile; (4) keep what was written, and say so in the ledger.
    """
    claimed = letters_to_compose(tx, chunk=chunk, carrier=carrier)  # (1)
    if not claimed:
        return 0
    parcels, unwritten = open_parcels(tx, claimed, vault=mailroom.vault, now=now)
    written: list[tuple[Parcel, Letter]] = []
    not_offered = _certified_abroad(tx, parcels) if carrier == CARRIER else frozenset()
    for parcel in parcels:  # (2)
        if parcel.claimed.attempt_id in not_offered:
            unwritten.append(Unwritten(parcel.claimed, Reason.NOT_OFFERED))
            continue
        try:
            written.append((parcel, _write(parcel, mailroom, is_printed=carrier == CARRIER)))
        except MissingText:
            unwritten.append(Unwritten(parcel.claimed, Reason.NO_TEXT))
        except Exception as error:  # noqa: BLE001 # whatever is wrong with it, it is wrong with this one
            unwritten.append(Unwritten(parcel.claimed, unreadable(parcel.claimed.attempt_id, error)))
    lock_chains(tx, {item.matter_id for item in claimed})  # (3)
    still = still_unwritten(tx, [item.attempt_id for item in claimed])
    kept = [(parcel, letter) for parcel, letter in written if parcel.claimed.attempt_id in still]
    _keep(tx, kept, edition=mailroom.renderer.edition.id, now=now)  # (4)
    given_up = [(one.claimed.matter_id, one.claimed.attempt_id, one.reason) for one in unwritten]
    refuse_letters(tx, [one for one in given_up if one[1] in still], now=now)
    return len(claimed)


def _certified_abroad(tx: Tx, parcels: Sequence[Parcel]) -> Collection[UUID]:
    """Letters that the US post takes no certified mail for: nobody could put a label on them."""
    abroad = [
        parcel.claimed.attempt_id for parcel in parcels if parcel.address is not None and parcel.address.country != "US"
    ]
    return certified_among(tx, abroad) if abroad else frozenset()


def _write(parcel: Parcel, mailroom: Mailroom, *, is_printed: bool) -> Letter:
    chosen = letter_languages(parcel.language, available_languages(mailroom.renderer, parcel.content.mode))
    if parcel.address is None:
        raise MissingText(parcel.language or "und", "a postal address")
    return mailroom.renderer.letter(
        parcel.content,
        Addressee(parcel.name, place_lines(parcel.address), parcel.native_name, is_printed),
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
    append_to_chains(tx, drafts, at=legal_times(tx, drafts, now))


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
    record_all(tx, changes, now=now)
