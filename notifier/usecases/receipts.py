"""What carriers tell us: stored first, whatever it says, and applied afterwards by the transition table.

A receipt for none of our attempts, or one that cannot be read, goes to the quarantine. Nothing is dropped; what covers
several people is kept for a time only, and each one's own part of it for as long as the person's key.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID, uuid4

from sqlalchemy import Row, text

from notifier.carriers.base import Callback, CarrierReceipt
from notifier.core.errors import Sealed
from notifier.core.model import Actor, ActorKind
from notifier.core.status import AttemptEvent, Reason
from notifier.store.blobs import put_blobs
from notifier.store.bulk import insert_rows
from notifier.store.engine import Database, Tx
from notifier.store.vault import Cipher, Vault, digest
from notifier.usecases.access import all_agencies
from notifier.usecases.progress import Change, record
from notifier.usecases.quarantine import forget_old_quarantine, quarantine_strays, whole_request

BATCH: Final = 500
# Time to prove the signature over the whole of it; not longer, because nobody's erasure takes a part out of it.
BODIES_KEPT: Final = timedelta(days=30)


@dataclass(frozen=True, slots=True)
class Stored:
    """What became of the receipts of one callback; `duplicates` were stored or quarantined before."""

    stored: int
    duplicates: int
    quarantined: int


def store_receipts(
    db: Database, receipts: Sequence[CarrierReceipt], callback: Callback, *, carrier: str, vault: Vault
) -> Stored:
    """Keep every receipt of an authenticated callback, each agency in its own transaction.

    A receipt is sealed under its person's key. A body that covers several people is kept whole for a time under a key
    of its own, because its signature covers all of it; so is one that covers people of several agencies, by each of
    them.
    """
    ours: dict[UUID, list[CarrierReceipt]] = defaultdict(list)
    strays: list[CarrierReceipt] = []
    for receipt in receipts:
        if receipt.agency_id is not None and receipt.attempt_id is not None and receipt.is_known:
            ours[receipt.agency_id].append(receipt)
        else:
            strays.append(receipt)
    alone = len(receipts) == 1
    stored = duplicates = quarantined = 0
    for agency_id in sorted(ours):
        with db.transaction(agency_id) as tx:
            kept, repeated, unknown = _store(tx, ours[agency_id], callback, carrier=carrier, alone=alone, vault=vault)
        stored, duplicates, strays = stored + kept, duplicates + repeated, strays + unknown
    if strays:
        elements = [receipt.raw for receipt in strays]
        quarantined = quarantine_strays(db, elements, callback, alone=alone, carrier=carrier, vault=vault)
    return Stored(stored, duplicates + len(strays) - quarantined, quarantined)


def _store(
    tx: Tx, receipts: Sequence[CarrierReceipt], callback: Callback, *, carrier: str, alone: bool, vault: Vault
) -> tuple[int, int, list[CarrierReceipt]]:
    """Store one agency's receipts; returns how many are new and how many not, and those for nobody."""
    owners = _owners(tx, {receipt.attempt_id for receipt in receipts if receipt.attempt_id}, carrier)
    ciphers = vault.surviving(tx, {owner.person_id for owner in owners.values()})
    known, strays = [], []
    for receipt in receipts:
        owner = owners.get(receipt.attempt_id)
        if owner is not None and owner.person_id in ciphers:
            known.append((receipt, owner))
        else:
            strays.append(receipt)
    if not known:
        return 0, 0, strays
    body_blob = None if alone else _keep_body(tx, callback, vault=vault)
    ids = [uuid4() for _ in known]
    sealed = [
        ciphers[owner.person_id].seal(whole_request(callback) if alone else receipt.raw, "receipt.sealed", receipt_id)
        for receipt_id, (receipt, owner) in zip(ids, known, strict=True)
    ]
    of = [receipt for receipt, _ in known]
    count = len(known)
    added = insert_rows(
        tx,
        "receipt",
        {
            "receipt_id": ("uuid", ids),
            "attempt_id": ("uuid", [receipt.attempt_id for receipt in of]),
            "person_id": ("uuid", [owner.person_id for _, owner in known]),
            "matter_id": ("uuid", [owner.matter_id for _, owner in known]),
            "carrier": ("text", [carrier] * count),
            "dedupe": ("bytea", [digest(receipt.dedupe.encode()) for receipt in of]),
            "word": ("text", [receipt.carrier_word for receipt in of]),
            "event": ("text", [receipt.event.value if receipt.event else None for receipt in of]),
            "reason": ("text", [receipt.reason.value if receipt.reason else None for receipt in of]),
            "carrier_code": ("text", [receipt.carrier_code for receipt in of]),
            "carrier_ref": ("text", [receipt.carrier_ref for receipt in of]),
            "occurred_at": ("timestamptz", [receipt.occurred_at for receipt in of]),
            "received_at": ("timestamptz", [callback.received_at] * count),
            "body_blob": ("uuid", [body_blob] * count),
            "sealed": ("bytea", sealed),
        },
        on_conflict_do_nothing=True,
        returning="receipt_id",
    )
    if body_blob is not None and not added:  # said before, word for word: nothing points to this copy
        _forget_bodies(tx, [body_blob])
    return len(added), count - len(added), strays


def _owners(tx: Tx, attempt_ids: set[UUID], carrier: str) -> dict[UUID | None, Row[tuple[UUID, UUID, UUID]]]:
    rows = tx.conn.execute(
        text(
            "select attempt_id, person_id, matter_id from attempt"
            " where agency_id = :agency and attempt_id = any(:ids) and carrier = :carrier"
        ),
        {"agency": tx.agency_id, "ids": list(attempt_ids), "carrier": carrier},
    )
    return {row.attempt_id: row for row in rows}


def _keep_body(tx: Tx, callback: Callback, *, vault: Vault) -> UUID:
    dek_id = uuid4()
    cipher = vault.make(tx, [dek_id], "carrier_body")[dek_id]
    files = [(dek_id, cipher, whole_request(callback))]
    return put_blobs(tx, files, purpose="carrier_body", media_type="application/json", now=callback.received_at)[0]


def _forget_bodies(tx: Tx, blob_ids: Sequence[UUID]) -> None:
    """Delete bodies with their keys; each person's own part stays."""
    values = {"agency": tx.agency_id, "blobs": list(blob_ids)}
    tx.conn.execute(
        text("update receipt set body_blob = null where agency_id = :agency and body_blob = any(:blobs)"), values
    )
    dek_ids = tx.conn.execute(
        text("delete from blob where agency_id = :agency and blob_id = any(:blobs) returning dek_id"), values
    ).scalars()
    tx.conn.execute(
        text("delete from dek where agency_id = :agency and dek_id = any(:deks)"), values | {"deks": list(dek_ids)}
    )


def forget_old_bodies(tx: Tx, *, now: datetime) -> int:
    """Delete a handful of bodies that have been kept for their time; returns how many there were."""
    old = text(
        "select blob_id from blob where agency_id = :agency and purpose = 'carrier_body' and created_at < :end"
        " order by created_at limit :limit for update skip locked"
    )
    values = {"agency": tx.agency_id, "end": now - BODIES_KEPT, "limit": BATCH}
    blob_ids = tx.conn.execute(old, values).scalars().all()
    if blob_ids:
        _forget_bodies(tx, blob_ids)
    return len(blob_ids)


def forget_old_callbacks(db: Database, *, now: datetime) -> int:
    """Delete what carriers sent about several people or about nobody, after its time; returns how much there was."""
    count = forget_old_quarantine(db, now=now)
    for agency_id in all_agencies(db):
        taken = BATCH
        while taken == BATCH:
            with db.transaction(agency_id) as tx:
                taken = forget_old_bodies(tx, now=now)
            count += taken
    return count


def apply_receipts(tx: Tx, *, vault: Vault, now: datetime) -> int:
    """Apply a batch of stored receipts in the order they came; returns how many were taken."""
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
    ciphers = vault.surviving(tx, {row.person_id for row in rows})
    by_matter: dict[UUID, list[Change]] = defaultdict(list)
    for row in rows:
        if row.event is not None and row.person_id in ciphers:
            by_matter[row.matter_id].append(_change(row, ciphers[row.person_id]))
    statuses = {}
    for matter_id in sorted(by_matter):
        statuses.update(record(tx, matter_id, by_matter[matter_id], now=now))
    results = [
        (row.receipt_id, statuses[row.attempt_id].value if row.event and row.attempt_id in statuses else "no-change")
        for row in rows
    ]
    _mark(tx, results, now=now)
    return len(rows)


def _change(row: Row[tuple[object, ...]], cipher: Cipher) -> Change:
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


def _proof(row: Row[tuple[object, ...]], cipher: Cipher) -> dict[str, bytes]:
    """What the ledger commits to; nothing when it was spoilt: what it said counts, and holds up nobody else's."""
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


def some_receipt_waits(tx: Tx) -> bool:
    """True while a stored receipt has not been applied."""
    waiting = text("select from receipt where agency_id = :agency and applied_at is null limit 1")
    return tx.conn.execute(waiting, {"agency": tx.agency_id}).first() is not None
