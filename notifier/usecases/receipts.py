"""What carriers tell us, stored before it is answered, whatever it says; callbacks that come together share a commit.

A receipt for none of our attempts, or one that cannot be read, goes to the quarantine. Nothing is dropped; what covers
several people is kept for a time only, and each one's own part of it for as long as the person's key.
"""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Final, NamedTuple
from uuid import UUID, uuid4

from sqlalchemy import text

from notifier.carriers.base import Callback, CarrierReceipt
from notifier.store.bulk import insert_rows
from notifier.store.engine import AWAY, Database, Tx
from notifier.store.vault import Cipher, Vault, digest
from notifier.usecases.carrier_bodies import forget_bodies, keep_bodies
from notifier.usecases.compose import Lost, open_ciphers
from notifier.usecases.progress import identifier
from notifier.usecases.quarantine import keep_strays, stray_of, whole_request

# What a carrier says about the time is kept when it can be one: a date that no clock shows breaks whoever reads it.
EARLIEST: Final = datetime(2000, 1, 1, tzinfo=UTC)
LATEST_AHEAD: Final = timedelta(days=1)
UNREADABLE: Final = "unreadable"


@dataclass(frozen=True, slots=True)
class Arrival:
    """One authenticated callback and what was read from it. Of one that is not whole, only the elements are left."""

    carrier: str
    callback: Callback
    receipts: Sequence[CarrierReceipt]
    is_whole: bool = True

    @property
    def is_alone(self) -> bool:
        """Whether all of it is about one attempt."""
        return self.is_whole and len(self.receipts) == 1

    @property
    def is_about_several(self) -> bool:
        """Whether nobody's own key may seal the whole of it."""
        return self.is_whole and len(self.receipts) > 1


@dataclass(frozen=True, slots=True)
class Stored:
    """What became of the receipts of one callback; `duplicates` were stored or quarantined before."""

    stored: int
    duplicates: int
    quarantined: int


@dataclass(slots=True)
class Tally:
    """What has become of one arrival so far. `strays` name none of our attempts and are not kept yet."""

    stored: int = 0
    duplicates: int = 0
    quarantined: int = 0
    strays: list[CarrierReceipt] = field(default_factory=list)
    failure: Exception | None = None


class _Part(NamedTuple):
    """What one arrival says about one agency's attempts, or about nobody's."""

    arrival: Arrival
    tally: Tally
    receipts: Sequence[CarrierReceipt]


def store_all(db: Database, arrivals: Sequence[Arrival], *, vault: Vault) -> list[Stored | Exception]:
    """Keep every receipt of authenticated callbacks, those of each agency in one transaction.

    Returns for each callback what became of it, or what kept it from being stored whole: what fails together is tried
    one by one, so that nothing wrong with one callback fails another. What is told as stored is committed.

    A receipt is sealed under its person's key. A body that covers several people is kept whole for a time under a key
    of its own, because its signature covers all of it; so is one that covers people of several agencies, by each of
    them.
    """
    tallies = store_known(db, arrivals, vault=vault)
    aside = [
        _Part(arrival, tally, tally.strays)
        for arrival, tally in zip(arrivals, tallies, strict=True)
        if tally.strays and tally.failure is None
    ]
    _together(partial(_put_aside, db, vault), aside)
    return [tally.failure or Stored(tally.stored, tally.duplicates, tally.quarantined) for tally in tallies]


def store_known(db: Database, arrivals: Sequence[Arrival], *, vault: Vault) -> list[Tally]:
    """As `store_all`, but leaves what names none of our attempts to the caller."""
    tallies = [Tally() for _ in arrivals]
    ours: dict[UUID, list[_Part]] = defaultdict(list)
    for arrival, tally in zip(arrivals, tallies, strict=True):
        named: dict[UUID, list[CarrierReceipt]] = defaultdict(list)
        for receipt in arrival.receipts:
            if receipt.agency_id is not None and receipt.attempt_id is not None and receipt.is_known:
                named[receipt.agency_id].append(receipt)
            else:
                tally.strays.append(receipt)
        for agency_id, receipts in named.items():
            ours[agency_id].append(_Part(arrival, tally, receipts))
    for agency_id in sorted(ours):
        _together(partial(_put_in_place, db, vault, agency_id), ours[agency_id])
    return tallies


def _put_in_place(db: Database, vault: Vault, agency_id: UUID, parts: Sequence[_Part]) -> None:
    with db.transaction(agency_id) as tx:
        results = _store(tx, parts, vault=vault)
    for part, result in zip(parts, results, strict=True):
        part.tally.stored += result.stored
        part.tally.duplicates += result.duplicates
        part.tally.strays += result.strays


def _put_aside(db: Database, vault: Vault, parts: Sequence[_Part]) -> None:
    strays = [
        stray_of(part.arrival.callback, one.raw, carrier=part.arrival.carrier, is_alone=part.arrival.is_alone)
        for part in parts
        for one in part.receipts
    ]
    is_new = iter(keep_strays(db, strays, vault=vault))
    for part in parts:
        new = sum(next(is_new) for _ in part.receipts)
        part.tally.quarantined += new
        part.tally.duplicates += len(part.receipts) - new


def _together(work: Callable[[Sequence[_Part]], None], parts: Sequence[_Part]) -> None:
    """Do all in one transaction; when that fails, again: all together when the connection was lost, else one by one.

    Doing it again is safe, also when the first commit went through unheard: what is stored is not stored twice.
    """
    if not parts:
        return
    try:
        work(parts)
    except AWAY:
        _try(work, parts)
    except Exception:  # noqa: BLE001 # whose fault it is shows when each is alone
        for part in parts:
            _try(work, [part])


def _try(work: Callable[[Sequence[_Part]], None], parts: Sequence[_Part]) -> None:
    try:
        work(parts)
    except Exception as error:  # noqa: BLE001 # it is the answer to whoever brought it
        for part in parts:
            part.tally.failure = error


class _Owner(NamedTuple):
    """Whose attempt it is."""

    person_id: UUID
    matter_id: UUID
    carrier: str


class _Found(NamedTuple):
    """A receipt whose attempt is ours; `part` is the number of what it came with."""

    part: int
    arrival: Arrival
    receipt: CarrierReceipt
    owner: _Owner
    cipher: Cipher


def _store(tx: Tx, parts: Sequence[_Part], *, vault: Vault) -> list[Tally]:
    """Store one agency's receipts; returns for each part what will have become of it after the commit."""
    owners = _owners(tx, {receipt.attempt_id for part in parts for receipt in part.receipts if receipt.attempt_id})
    ciphers = open_ciphers(tx, {owner.person_id for owner in owners.values()}, vault=vault)
    tallies = [Tally() for _ in parts]
    found = []
    for number, part in enumerate(parts):
        for receipt in part.receipts:
            owner = owners.get(receipt.attempt_id)
            cipher = ciphers[owner.person_id] if owner is not None else Lost.ERASED
            if owner is not None and owner.carrier == part.arrival.carrier and not isinstance(cipher, Lost):
                found.append(_Found(number, part.arrival, receipt, owner, cipher))
            else:
                tallies[number].strays.append(receipt)
    if not found:
        return tallies
    several = {one.part: one.arrival.callback for one in found if one.arrival.is_about_several}
    bodies = dict(zip(several, keep_bodies(tx, list(several.values()), vault=vault), strict=True))
    for one, is_new in zip(found, _insert(tx, found, bodies), strict=True):
        if is_new:
            tallies[one.part].stored += 1
        else:
            tallies[one.part].duplicates += 1
    # Said before, word for word: nothing points to this copy.
    if unused := [blob_id for number, blob_id in bodies.items() if not tallies[number].stored]:
        forget_bodies(tx, unused)
    return tallies


def _owners(tx: Tx, attempt_ids: set[UUID]) -> dict[UUID | None, _Owner]:
    rows = tx.conn.execute(
        text(
            "select attempt_id, person_id, matter_id, carrier from attempt"
            " where agency_id = :agency and attempt_id = any(:ids)"
        ),
        {"agency": tx.agency_id, "ids": list(attempt_ids)},
    )
    return {attempt_id: _Owner(person_id, matter_id, carrier) for attempt_id, person_id, matter_id, carrier in rows}


def _insert(tx: Tx, found: Sequence[_Found], bodies: Mapping[int, UUID]) -> list[bool]:
    """One row each; returns which are new. What is told twice in one group is stored once, too."""
    ids = [uuid4() for _ in found]
    receipts = [one.receipt for one in found]
    added = insert_rows(
        tx,
        "receipt",
        {
            "receipt_id": ("uuid", ids),
            "attempt_id": ("uuid", [receipt.attempt_id for receipt in receipts]),
            "person_id": ("uuid", [one.owner.person_id for one in found]),
            "matter_id": ("uuid", [one.owner.matter_id for one in found]),
            "carrier": ("text", [one.arrival.carrier for one in found]),
            "dedupe": ("bytea", [digest(receipt.dedupe.encode()) for receipt in receipts]),
            "word": ("text", [identifier(receipt.carrier_word) or UNREADABLE for receipt in receipts]),
            "event": ("text", [receipt.event.value if receipt.event else None for receipt in receipts]),
            "reason": ("text", [receipt.reason.value if receipt.reason else None for receipt in receipts]),
            "carrier_code": ("text", [identifier(receipt.carrier_code) for receipt in receipts]),
            "carrier_ref": ("text", [identifier(receipt.carrier_ref) for receipt in receipts]),
            "occurred_at": ("timestamptz", [_moment(one) for one in found]),
            "received_at": ("timestamptz", [one.arrival.callback.received_at for one in found]),
            "body_blob": ("uuid", [bodies.get(one.part) for one in found]),
            "sealed": ("bytea", [_seal(one, receipt_id) for one, receipt_id in zip(found, ids, strict=True)]),
        },
        on_conflict_do_nothing=True,
        returning="receipt_id",
    )
    new = {receipt_id for (receipt_id,) in added}
    return [receipt_id in new for receipt_id in ids]


def _seal(one: _Found, receipt_id: UUID) -> bytes:
    value = whole_request(one.arrival.callback) if one.arrival.is_alone else one.receipt.raw
    return one.cipher.seal(value, "receipt.sealed", receipt_id)


def _moment(one: _Found) -> datetime | None:
    at = one.receipt.occurred_at
    return at if at is not None and EARLIEST <= at <= one.arrival.callback.received_at + LATEST_AHEAD else None
