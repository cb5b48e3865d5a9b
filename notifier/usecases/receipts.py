"""What carriers tell us: stored first, whatever it says, and applied afterwards by the transition table.

A receipt for none of our attempts, or one that cannot be read, goes to the quarantine. Nothing is dropped.
"""

import json
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID, uuid4

from sqlalchemy import Row, insert, text

from notifier.carriers.base import Callback, CarrierReceipt
from notifier.core.errors import Sealed
from notifier.core.model import Actor, ActorKind
from notifier.core.status import AttemptEvent, Reason
from notifier.store import tables as t
from notifier.store.blobs import put_blobs
from notifier.store.bulk import insert_rows
from notifier.store.engine import Database, Tx
from notifier.store.vault import Cipher, Vault, digest
from notifier.usecases.progress import Change, record

BATCH: Final = 500


@dataclass(frozen=True, slots=True)
class Stored:
    """What became of the receipts of one callback."""

    stored: int
    duplicates: int
    quarantined: int


def store_receipts(
    db: Database, receipts: Sequence[CarrierReceipt], callback: Callback, *, carrier: str, vault: Vault
) -> Stored:
    """Keep every receipt of an authenticated callback, each agency in its own transaction.

    A receipt is sealed under its person's key. A body that covers several people is kept whole under a key of its own,
    because its signature covers all of it; so is one that covers people of several agencies, by each of them.
    """
    ours: dict[UUID, list[CarrierReceipt]] = defaultdict(list)
    strays = 0
    for receipt in receipts:
        if receipt.agency_id is not None and receipt.attempt_id is not None and receipt.is_known:
            ours[receipt.agency_id].append(receipt)
        else:
            strays += 1
    stored = duplicates = 0
    for agency_id in sorted(ours):
        with db.transaction(agency_id) as tx:
            alone = len(receipts) == 1
            kept, repeated, unknown = _store(tx, ours[agency_id], callback, carrier=carrier, alone=alone, vault=vault)
        stored, duplicates, strays = stored + kept, duplicates + repeated, strays + unknown
    if strays:
        quarantine(db, callback, carrier=carrier, reason="names-no-attempt", vault=vault)
    return Stored(stored, duplicates, strays)


def quarantine(db: Database, callback: Callback, *, carrier: str, reason: str, vault: Vault) -> None:
    """Keep a whole callback, sealed, for a human to look at or to be replayed."""
    quarantine_id = uuid4()
    request = {"url": callback.url, "headers": dict(callback.headers), "body": callback.body.decode("latin-1")}
    with db.no_agency() as conn:
        kek_id = vault.keys.require_current(conn)
        cipher = Cipher(quarantine_id, vault.keys.kek(kek_id))
        conn.execute(
            insert(t.quarantine).values(
                quarantine_id=quarantine_id,
                carrier=carrier,
                received_at=callback.received_at,
                reason=reason,
                kek_id=kek_id,
                sealed=cipher.seal(json.dumps(request).encode(), "quarantine.sealed", quarantine_id),
            )
        )


def _store(
    tx: Tx, receipts: Sequence[CarrierReceipt], callback: Callback, *, carrier: str, alone: bool, vault: Vault
) -> tuple[int, int, int]:
    owners = _owners(tx, {receipt.attempt_id for receipt in receipts if receipt.attempt_id}, carrier)
    ciphers = vault.surviving(tx, {owner.person_id for owner in owners.values()})
    known = [
        (receipt, owners[receipt.attempt_id])
        for receipt in receipts
        if receipt.attempt_id in owners and owners[receipt.attempt_id].person_id in ciphers
    ]
    if not known:
        return 0, 0, len(receipts)
    body_blob = None if alone else _keep_body(tx, callback, vault=vault)
    ids = [uuid4() for _ in known]
    sealed = [
        ciphers[owner.person_id].seal(_own_part(receipt, callback, alone=alone), "receipt.sealed", receipt_id)
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
        _forget_body(tx, body_blob)
    return len(added), count - len(added), len(receipts) - count


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
    request = json.dumps({"headers": dict(callback.headers), "body": callback.body.decode("latin-1")}).encode()
    files = [(dek_id, cipher, request)]
    return put_blobs(tx, files, purpose="carrier_body", media_type="application/json", now=callback.received_at)[0]


def _forget_body(tx: Tx, blob_id: UUID) -> None:
    values = {"agency": tx.agency_id, "blob": blob_id}
    dek_id = tx.conn.execute(
        text("delete from blob where agency_id = :agency and blob_id = :blob returning dek_id"), values
    ).scalar_one()
    tx.conn.execute(text("delete from dek where agency_id = :agency and dek_id = :dek"), values | {"dek": dek_id})


def _own_part(receipt: CarrierReceipt, callback: Callback, *, alone: bool) -> bytes:
    """What is kept of a receipt under its person's key: the whole request where it covers nobody else."""
    if alone:
        request = {"url": callback.url, "headers": dict(callback.headers), "body": callback.body.decode("latin-1")}
        return json.dumps(request).encode()
    return json.dumps({"dedupe": receipt.dedupe, "word": receipt.carrier_word, "code": receipt.carrier_code}).encode()


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
