"""What somebody who checks our work from outside wants to hold against it: a letter as written, carriers' words."""

from uuid import UUID

from sqlalchemy import select

from notifier.core.errors import NotFound
from notifier.store import tables as t
from notifier.store.blobs import get_blob
from notifier.store.engine import Tx
from notifier.store.vault import Vault


def read_letter(tx: Tx, attempt_id: UUID, *, vault: Vault) -> bytes:
    """One letter, the PDF that was printed.

    Raises:
        NotFound: `unknown-letter`: no such attempt, or none that was written.
        Sealed: its person's key was erased.
    """
    blob_id = tx.conn.execute(
        select(t.attempt.c.blob_id).where(t.attempt.c.attempt_id == attempt_id)
    ).scalar_one_or_none()
    if not isinstance(blob_id, UUID):
        raise NotFound("unknown-letter", "There is no such letter.")
    return get_blob(tx, blob_id, vault=vault)


def receipt_words(tx: Tx, matter_id: UUID) -> list[tuple[UUID, str]]:
    """(attempt, the carrier's word) of every receipt that was stored for a matter."""
    rows = tx.conn.execute(select(t.receipt.c.attempt_id, t.receipt.c.word).where(t.receipt.c.matter_id == matter_id))
    return [(row.attempt_id, row.word) for row in rows]
