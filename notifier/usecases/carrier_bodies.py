"""What carriers post about several people at once: kept whole for a time, because its signature covers all of it.

Each person's own part of it stays in the receipt, under the person's key; the whole has a key of its own.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID, uuid4

from sqlalchemy import text

from notifier.carriers.base import Callback
from notifier.store.blobs import put_blobs
from notifier.store.engine import Database, Tx
from notifier.store.vault import Vault
from notifier.usecases.access import all_agencies
from notifier.usecases.quarantine import forget_old_quarantine, whole_request

BATCH: Final = 500
# Time to prove the signature over the whole of it; not longer, because nobody's erasure takes a part out of it.
BODIES_KEPT: Final = timedelta(days=30)


def keep_bodies(tx: Tx, callbacks: Sequence[Callback], *, vault: Vault) -> list[UUID]:
    """Keep callbacks whole, each under a key of its own; returns their files in the same order."""
    if not callbacks:
        return []
    dek_ids = [uuid4() for _ in callbacks]
    ciphers = vault.make(tx, dek_ids, "carrier_body")
    files = [
        (dek_id, ciphers[dek_id], whole_request(callback)) for dek_id, callback in zip(dek_ids, callbacks, strict=True)
    ]
    latest = max(callback.received_at for callback in callbacks)
    return put_blobs(tx, files, purpose="carrier_body", media_type="application/json", now=latest)


def forget_bodies(tx: Tx, blob_ids: Sequence[UUID]) -> None:
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
        forget_bodies(tx, blob_ids)
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
