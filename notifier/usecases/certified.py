"""Certified letters: the number on each label, and what the post says became of it."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any, Final
from uuid import UUID

from sqlalchemy import Row, text

from notifier.core.articles import parse_article
from notifier.core.errors import Conflict, Finding, Forbidden, Invalid, NotFound
from notifier.core.ledger import Json
from notifier.core.model import KeyKind, PostService, Signature
from notifier.core.pieces import parse_piece
from notifier.core.status import AttemptEvent, AttemptStatus
from notifier.store.engine import Tx
from notifier.store.ledger import lock_chains
from notifier.store.letters import CARRIER
from notifier.usecases.access import Principal, Scope
from notifier.usecases.batches import InBatch
from notifier.usecases.matters import find_matter
from notifier.usecases.office import zone_of
from notifier.usecases.progress import Change, legal_now, record

IN_THE_POST: Final = frozenset({AttemptStatus.ACCEPTED, AttemptStatus.SILENT})


@dataclass(frozen=True, slots=True)
class Scan:
    """A letter and its label, as they were scanned together."""

    piece: str
    article: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Delivered:
    """What an officer has entered of a certified letter."""

    attempt_id: UUID
    delivered_on: date
    signature: Signature
    status: AttemptStatus


def read_articles(
    tx: Tx, scans: Sequence[Scan], letters: Collection[InBatch], *, service: PostService
) -> dict[UUID, str]:
    """The article number of each letter of a batch: all of a certified one, none of another.

    Raises:
        Invalid: `articles-wrong`: a scan is no letter of the batch or no article number, or one of them was used
            before, with a finding for each; `articles-missing`: not every letter has its number.
    """
    used = _used(tx, [article for scan in scans if (article := parse_article(scan.article))])
    numbers: dict[UUID, str] = {}
    findings: list[Finding] = []
    for place, scan in enumerate(scans):
        found, problems = _read(scan, letters, numbers, used, place)
        findings += problems
        if found is not None:
            numbers[found[0]] = found[1]
    if scans and service is not PostService.CERTIFIED:
        findings = [Finding("/certified", "not_certified", "the letters of this batch are not certified")]
    if findings:
        raise Invalid("articles-wrong", "Some scans of labels are wrong. Nothing was declared.", findings)
    if service is PostService.CERTIFIED and len(numbers) < len(letters):
        raise Invalid("articles-missing", f"{len(letters) - len(numbers)} letters have no article number yet.")
    return numbers


def _read(
    scan: Scan, letters: Collection[InBatch], numbers: Mapping[UUID, str], used: Collection[str], place: int
) -> tuple[tuple[UUID, str] | None, list[Finding]]:
    ref, article = parse_piece(scan.piece), parse_article(scan.article)
    found = [] if ref is None else [letter.attempt_id for letter in letters if ref.names(letter.attempt_id)]
    findings = []
    if len(found) != 1:
        findings.append(Finding(f"/certified/{place}/piece", "not_in_batch", "is not one letter of this batch"))
    elif found[0] in numbers:
        findings.append(Finding(f"/certified/{place}/piece", "twice", "was scanned before in this list"))
    if article is None:
        what = "is no article number of 20 or 22 digits: one is wrong or missing"
        findings.append(Finding(f"/certified/{place}/article", "not_an_article", what))
    elif article in used or article in numbers.values():
        findings.append(Finding(f"/certified/{place}/article", "used_before", "belongs to another letter"))
    return (None, findings) if findings or article is None else ((found[0], article), findings)


def _used(tx: Tx, articles: Sequence[str]) -> set[str]:
    rows = tx.conn.execute(
        text(
            "select carrier_ref from attempt where agency_id = :agency and carrier = :carrier and service = 'certified'"
            " and carrier_ref = any(:articles)"
        ),
        {"agency": tx.agency_id, "carrier": CARRIER, "articles": list(articles)},
    )
    return set(rows.scalars())


def record_certified_delivery(
    tx: Tx, attempt_id: UUID, *, delivered_on: date, signature: Signature, principal: Principal, now: datetime
) -> Delivered:
    """An officer enters what the receipt or the tracking of a certified letter says: when, and who signed.

    That it came back is returned mail, not this.

    Raises:
        Forbidden: `scope-missing`, `personal-key-needed`, `mode-mismatch`.
        NotFound: `unknown-letter`.
        Invalid: `not-certified`; `impossible-delivery-day`: before it was mailed, or to come yet.
        Conflict: `not-mailed`, `already-delivered`, `already-returned`.
    """
    principal.require(Scope.MAILROOM)
    if principal.kind is not KeyKind.PERSONAL:
        raise Forbidden("personal-key-needed", "Only an officer's personal key can speak for the mailroom.")
    letter = _letter(tx, attempt_id)
    find_matter(tx, letter.matter_id, principal)
    if letter.carrier != CARRIER or letter.service != PostService.CERTIFIED:
        raise Invalid("not-certified", "Only of a certified letter of the mailroom is there such a receipt.")
    lock_chains(tx, [letter.matter_id])
    letter = _letter(tx, attempt_id)
    _require_in_the_post(AttemptStatus(letter.status))
    today = legal_now(tx, letter.matter_id, now).astimezone(zone_of(tx)).date()
    if not letter.mailed_on <= delivered_on <= today:
        raise Invalid("impossible-delivery-day", "It cannot have been delivered on that day.")
    said: dict[str, Json] = {
        "delivered_on": delivered_on.isoformat(),
        "signature": signature.value,
        "article": letter.carrier_ref,
    }
    change = Change(attempt_id, AttemptEvent.ARRIVED, principal.actor, more=said)
    status = record(tx, letter.matter_id, [change], now=now)[attempt_id]
    return Delivered(attempt_id, delivered_on, signature, status)


def _letter(tx: Tx, attempt_id: UUID) -> Row[Any]:
    row = tx.conn.execute(
        text(
            "select a.matter_id, a.status, a.carrier, a.service, a.carrier_ref, b.mailed_on from attempt a"
            " left join print_batch b on b.agency_id = a.agency_id and b.batch_id = a.batch_id"
            " where a.agency_id = :agency and a.attempt_id = :attempt and a.channel = 'letter'"
        ),
        {"agency": tx.agency_id, "attempt": attempt_id},
    ).one_or_none()
    if row is None:
        raise NotFound("unknown-letter", "There is no such letter.")
    return row


def _require_in_the_post(status: AttemptStatus) -> None:
    if status is AttemptStatus.DELIVERED:
        raise Conflict("already-delivered", "That it was delivered is known.")
    if status is AttemptStatus.RETURNED:
        raise Conflict("already-returned", "This letter has come back.")
    if status not in IN_THE_POST:
        raise Conflict("not-mailed", "Nobody has declared yet that this letter was mailed.")
