"""What an officer says of a print batch: that it was mailed, or that it was not and the paper was destroyed."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Final
from uuid import UUID

from sqlalchemy import Row, select, update

from notifier.core.errors import Conflict, Finding, Invalid
from notifier.core.events import EventType
from notifier.core.ledger import Json
from notifier.core.model import PostService
from notifier.core.pieces import parse_piece
from notifier.core.status import AttemptEvent, AttemptStatus
from notifier.store import tables as t
from notifier.store.engine import Tx
from notifier.store.ledger import append, draft, lock_chains
from notifier.usecases.access import Principal
from notifier.usecases.batches import InBatch, letters_in, matters_of, require_no_stop, take_open_batch
from notifier.usecases.certified import Scan, read_articles
from notifier.usecases.office import zone_of
from notifier.usecases.profile import AgencyProfile
from notifier.usecases.progress import Change, record_all
from notifier.usecases.red_batches import settle_alarm

# What shows that a letter was in the post, whatever is said of its batch.
WAS_MAILED: Final = frozenset({AttemptStatus.RETURNED, AttemptStatus.DELIVERED, AttemptStatus.ACCEPTED})
IN_THE_HOUSE: Final = frozenset({AttemptStatus.HANDED_OVER})


@dataclass(frozen=True, slots=True)
class Mailed:
    """A batch that an officer declared mailed: how many letters of which service, when, where, and the exceptions."""

    batch_id: UUID
    pieces: int
    mailed_on: date
    service: PostService
    place: str | None
    withdrawn: int


@dataclass(frozen=True, slots=True)
class Voided:
    """Letters that were taken out of a batch, to be printed in another one; `left` are still in it."""

    batch_id: UUID
    pieces: int
    left: int


def declare_mailed(
    tx: Tx,
    batch_id: UUID,
    *,
    mailed_on: date,
    place: str | None = None,
    articles: Sequence[Scan] = (),
    principal: Principal,
    now: datetime,
) -> Mailed:
    """An officer declares that every letter still in a batch was handed to the post on a day.

    (1) who says so, and of which batch; (2) nothing keeps a letter of it back; (3) the day can be, and the place is one
    of the agency's; (4) each certified letter has its article number; (5) hold the chains of all matters, in order;
    (6) say it of each letter, and of the batch.

    Raises:
        Forbidden, NotFound, Conflict: as `take_open_batch`; `stopped`.
        Invalid: `impossible-mailing-day`: before the batch was closed, or to come yet where the agency is;
            `unknown-place`; `articles-wrong`, `articles-missing`.
    """
    batch = take_open_batch(tx, batch_id, principal=principal)  # (1)
    require_no_stop(tx, batch_id)  # (2)
    zone = zone_of(tx)
    if not batch.closed_at.astimezone(zone).date() <= mailed_on <= now.astimezone(zone).date():  # (3)
        raise Invalid("impossible-mailing-day", "It cannot have been mailed on that day.")
    place = _place(tx, place)
    letters = letters_in(tx, batch_id)
    numbers = read_articles(tx, articles, letters, service=PostService(batch.service))  # (4)
    lock_chains(tx, matters_of(letters))  # (5)
    changes: dict[UUID, list[Change]] = defaultdict(list)
    for letter in letters:  # (6)
        changes[letter.matter_id].append(
            _accepted(letter, batch_id, mailed_on, numbers.get(letter.attempt_id), principal)
        )
    record_all(tx, changes, now=now)
    tx.conn.execute(
        update(t.print_batch)
        .where(t.print_batch.c.agency_id == tx.agency_id, t.print_batch.c.batch_id == batch_id)
        .values(mailed_on=mailed_on, place=place, declared_at=now, declared_by=principal.officer_id)
    )
    mailed = Mailed(batch_id, len(letters), mailed_on, PostService(batch.service), place, batch.withdrawn)
    append(tx, tx.agency_id, [draft(EventType.PRINT_BATCH_MAILED, principal.actor, _declaration(mailed))], at=now)
    settle_alarm(tx, batch, principal=principal, now=now)
    return mailed


def _accepted(letter: InBatch, batch_id: UUID, mailed_on: date, article: str | None, principal: Principal) -> Change:
    said: dict[str, Json] = {"mailed_on": mailed_on.isoformat()}
    if article is not None:
        said["article"] = article
    return Change(
        letter.attempt_id,
        AttemptEvent.ACCEPTED,
        principal.actor,
        batch_id=batch_id,
        carrier_ref=article,
        more=said,
    )


def _declaration(mailed: Mailed) -> dict[str, Json]:
    said: dict[str, Json] = {
        "batch": str(mailed.batch_id),
        "mailed_on": mailed.mailed_on.isoformat(),
        "pieces": mailed.pieces,
        "service": mailed.service.value,
        "withdrawn": mailed.withdrawn,
    }
    return said if mailed.place is None else said | {"place": mailed.place}


def _place(tx: Tx, named: str | None) -> str | None:
    """Where it was handed over. An agency that has one place need not name it; one without any names none."""
    row = tx.conn.execute(select(t.agency.c.profile).where(t.agency.c.agency_id == tx.agency_id)).one()
    places = AgencyProfile.stored(row.profile).mailing_places
    if named is None and len(places) == 1:
        return places[0]
    if named in places or (named is None and not places):
        return named
    raise Invalid("unknown-place", "Name one of the places where this agency hands over its mail.")


def void_batch(
    tx: Tx, batch_id: UUID, *, pieces: Sequence[str] | None = None, principal: Principal, now: datetime
) -> Voided:
    """An officer says that letters of a batch were not mailed, and that their paper was destroyed.

    Without `pieces` all of it; with some, those alone: spoilt, or kept back by a stop. They are printed as they are in
    a later batch, as soon as no stop keeps them back.

    (1) who says so, and of which batch; (2) which letters; (3) none of them shows that it was in the post after all;
    (4) hold the chains of their matters, in order; (5) take them out, and say so.

    Raises:
        Forbidden, NotFound, Conflict: as `take_open_batch`; `was-mailed`.
        Invalid: `not-in-batch`, with a finding for each piece.
    """
    batch = take_open_batch(tx, batch_id, principal=principal)  # (1)
    inside = letters_in(tx, batch_id)
    chosen = inside if pieces is None else _named(pieces, inside)  # (2)
    if any(letter.status in WAS_MAILED for letter in chosen):  # (3)
        raise Conflict("was-mailed", "A letter of it was in the post: it has come back, or was delivered.")
    lock_chains(tx, matters_of(chosen))  # (4)
    changes: dict[UUID, list[Change]] = defaultdict(list)
    for letter in chosen:  # (5)
        changes[letter.matter_id].append(
            Change(
                letter.attempt_id,
                AttemptEvent.WITHDRAWN,
                principal.actor,
                more={"batch": str(batch_id)},
                only_from=IN_THE_HOUSE,
            )
        )
    record_all(tx, changes, now=now)
    left = len(inside) - len(chosen)
    _say_voided(tx, batch, len(chosen), left, principal, now)
    return Voided(batch_id, len(chosen), left)


def _say_voided(tx: Tx, batch: Row[Any], count: int, left: int, principal: Principal, now: datetime) -> None:
    whole = {} if left else {"voided_at": now, "voided_by": principal.officer_id}
    tx.conn.execute(
        update(t.print_batch)
        .where(t.print_batch.c.agency_id == tx.agency_id, t.print_batch.c.batch_id == batch.batch_id)
        .values(withdrawn=t.print_batch.c.withdrawn + count, **whole)
    )
    said: dict[str, Json] = {"batch": str(batch.batch_id), "pieces": count, "left": left}
    append(tx, tx.agency_id, [draft(EventType.PRINT_BATCH_VOIDED, principal.actor, said)], at=now)
    if not left:
        settle_alarm(tx, batch, principal=principal, now=now)


def _named(pieces: Sequence[str], inside: Sequence[InBatch]) -> list[InBatch]:
    chosen: dict[UUID, InBatch] = {}
    findings = []
    for number, scanned in enumerate(pieces):
        ref = parse_piece(scanned)
        found = [] if ref is None else [letter for letter in inside if ref.names(letter.attempt_id)]
        if ref is None:
            findings.append(Finding(f"/pieces/{number}", "not_a_piece", "is no piece number: a digit is wrong"))
        elif len(found) != 1:
            findings.append(
                Finding(f"/pieces/{number}", "not_in_batch", "is not the number of one letter in this batch")
            )
        else:
            chosen[found[0].attempt_id] = found[0]
    if findings:
        raise Invalid("not-in-batch", "Not every piece lies in this batch. Nothing was withdrawn.", findings)
    return list(chosen.values())
