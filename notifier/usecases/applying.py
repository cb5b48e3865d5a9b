"""Stored receipts, applied by the transition table in the order they came."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Final
from uuid import UUID

import structlog
from sqlalchemy import Row, text

from notifier.core.errors import Sealed
from notifier.core.model import Actor, ActorKind
from notifier.core.status import AttemptEvent, AttemptStatus, Reason
from notifier.store.engine import AWAY, Tx
from notifier.store.ledger import lock_chains
from notifier.store.vault import Cipher, Vault
from notifier.usecases.compose import Lost, open_ciphers
from notifier.usecases.progress import Change, record, record_all

BATCH: Final = 1000
FEW: Final = 200  # so many cost little more apart than together
NOT_APPLIED: Final = "not-applied"  # no status: those are what became of the attempt

log = structlog.get_logger()


def apply_receipts(tx: Tx, *, vault: Vault, now: datetime) -> int:
    """Apply a batch of stored receipts in the order they came, of all matters together; returns how many were taken.

    One that cannot be applied is marked as failed and waits for `queue_failed`.

    Raises:
        Sealed: the installation lacks a file of its keys.
    """
    rows = tx.conn.execute(
        text(
            "select receipt_id, attempt_id, person_id, matter_id, carrier, word, event, reason, carrier_code,"
            " carrier_ref, occurred_at, sealed from receipt where agency_id = :agency and applied_at is null"
            " order by received_at, receipt_id limit :limit for update skip locked"
        ),
        {"agency": tx.agency_id, "limit": BATCH},
    ).all()
    if not rows:
        return 0
    ciphers = open_ciphers(tx, {row.person_id for row in rows}, vault=vault)
    by_matter: dict[UUID, list[Change]] = defaultdict(list)
    failed: set[UUID] = set()
    for row in rows:
        cipher = ciphers[row.person_id]
        if row.event is not None and cipher is not Lost.ERASED:
            try:
                by_matter[row.matter_id].append(_change(row, None if isinstance(cipher, Lost) else cipher))
            except ValueError as error:  # a word that a later release has stored
                _give_up(row.receipt_id, error, failed)
    lock_chains(tx, by_matter)  # all of them first, in id order: what fails may have to be done in another order
    try:
        with tx.conn.begin_nested():
            statuses = record_all(tx, by_matter, now=now)
    except AWAY:
        raise
    except Exception:  # noqa: BLE001 # whose fault it is shows when each is alone
        statuses = _one_by_one(tx, by_matter, failed, now=now)
    _mark(tx, [(row.receipt_id, _result(row, statuses, failed)) for row in rows], now=now)
    return len(rows)


def _one_by_one(
    tx: Tx, by_matter: Mapping[UUID, Sequence[Change]], failed: set[UUID], *, now: datetime
) -> dict[UUID, AttemptStatus]:
    """Apply each receipt by itself; adds to `failed` those that cannot be applied."""
    statuses: dict[UUID, AttemptStatus] = {}
    for matter_id, changes in by_matter.items():
        for change in changes:
            try:
                with tx.conn.begin_nested():
                    statuses |= record(tx, matter_id, [change], now=now)
            except AWAY:
                raise
            except Exception as error:  # noqa: BLE001 # it is kept, and told; it holds up nobody else's
                _give_up(UUID(str(change.more["receipt"])), error, failed)
    return statuses


def _give_up(receipt_id: UUID, error: Exception, failed: set[UUID]) -> None:
    failed.add(receipt_id)
    log.error("receipt not applied", receipt=str(receipt_id), error=type(error).__name__)


def _result(row: Row[tuple[object, ...]], statuses: Mapping[UUID, AttemptStatus], failed: Collection[UUID]) -> str:
    if row.receipt_id in failed:
        return NOT_APPLIED
    return statuses[row.attempt_id].value if row.event and row.attempt_id in statuses else "no-change"


def _change(row: Row[tuple[object, ...]], cipher: Cipher | None) -> Change:
    return Change(
        row.attempt_id,
        AttemptEvent(row.event),
        Actor(ActorKind.CARRIER, row.carrier),
        reason=Reason(row.reason) if row.reason else None,
        carrier_code=row.carrier_code,
        carrier_ref=row.carrier_ref,
        occurred_at=row.occurred_at,
        more={"receipt": str(row.receipt_id)},
        values=_proof(row, cipher),
        cipher=cipher,
    )


def _proof(row: Row[tuple[object, ...]], cipher: Cipher | None) -> dict[str, bytes]:
    """What the ledger commits to; nothing when it was spoilt: what it said counts, and holds up nobody else's."""
    if cipher is None:
        return {}
    try:
        return {"receipt": cipher.open(row.sealed, "receipt.sealed", row.receipt_id)}
    except Sealed:
        return {}


def _mark(tx: Tx, results: Iterable[tuple[UUID, str]], *, now: datetime) -> None:
    ids, words = zip(*results, strict=True)
    tx.conn.execute(
        text(
            "update receipt r set applied_at = :now, result = u.result"
            " from unnest(cast(:ids as uuid[]), cast(:words as text[])) u(receipt_id, result)"
            " where r.agency_id = :agency and r.receipt_id = u.receipt_id"
        ),
        {"agency": tx.agency_id, "now": now, "ids": list(ids), "words": list(words)},
    )


def count_failed(tx: Tx) -> int:
    """How many stored receipts could not be applied."""
    failed = text("select count(*) from receipt where agency_id = :agency and result = :failed")
    return int(tx.conn.execute(failed, {"agency": tx.agency_id, "failed": NOT_APPLIED}).scalar_one())


def queue_failed(tx: Tx) -> int:
    """Let what could not be applied be tried once more; returns how many there are."""
    again = text("update receipt set applied_at = null, result = null where agency_id = :agency and result = :failed")
    return tx.conn.execute(again, {"agency": tx.agency_id, "failed": NOT_APPLIED}).rowcount


def some_receipt_waits(tx: Tx) -> bool:
    """True while a stored receipt has not been applied."""
    waiting = text("select from receipt where agency_id = :agency and applied_at is null limit 1")
    return tx.conn.execute(waiting, {"agency": tx.agency_id}).first() is not None
