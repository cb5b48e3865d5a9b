"""Whole files, sealed, in pieces of 1 MB. What is here is all that knows where they lie."""

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final
from uuid import UUID, uuid4

from sqlalchemy import text

from notifier.core.errors import NotFound
from notifier.store.bulk import insert_rows
from notifier.store.engine import Tx
from notifier.store.vault import Cipher, Vault

PIECE: Final = 1 << 20
_PLACE: Final = "blob_piece.sealed."


def put_blobs(
    tx: Tx, files: Iterable[tuple[UUID, Cipher, bytes]], *, purpose: str, media_type: str, now: datetime
) -> list[UUID]:
    """Store files, each under its DEK (id and cipher); returns their ids in the same order."""
    ids, deks, sizes = [], [], []
    piece_of: list[UUID] = []
    numbers: list[int] = []
    sealed: list[bytes] = []
    for dek_id, cipher, content in files:
        blob_id = uuid4()
        ids.append(blob_id)
        deks.append(dek_id)
        sizes.append(len(content))
        for number, start in enumerate(range(0, max(len(content), 1), PIECE)):
            piece_of.append(blob_id)
            numbers.append(number)
            sealed.append(cipher.seal(content[start : start + PIECE], f"{_PLACE}{number}", blob_id))
    count = len(ids)
    insert_rows(
        tx,
        "blob",
        {
            "blob_id": ("uuid", ids),
            "dek_id": ("uuid", deks),
            "purpose": ("text", [purpose] * count),
            "media_type": ("text", [media_type] * count),
            "size": ("int8", sizes),
            "created_at": ("timestamptz", [now] * count),
        },
    )
    insert_rows(tx, "blob_piece", {"blob_id": ("uuid", piece_of), "no": ("int4", numbers), "sealed": ("bytea", sealed)})
    return ids


def get_blob(tx: Tx, blob_id: UUID, *, vault: Vault) -> bytes:
    """A whole file.

    Raises:
        NotFound: there is none in this agency.
        Sealed: its key was erased.
    """
    return b"".join(stream_blob(tx, blob_id, vault=vault))


def stream_blob(tx: Tx, blob_id: UUID, *, vault: Vault) -> Iterator[bytes]:
    """A file piece by piece; raises as `get_blob`, and NotFound when a piece is missing."""
    row = tx.conn.execute(
        text("select dek_id, size from blob where agency_id = :agency and blob_id = :blob"),
        {"agency": tx.agency_id, "blob": blob_id},
    ).one_or_none()
    if row is None:
        raise NotFound("unknown-file", "There is no such file.")
    cipher = vault.cipher(tx, row.dek_id)
    for number in range(_count(row.size)):
        sealed = tx.conn.execute(
            text("select sealed from blob_piece where agency_id = :agency and blob_id = :blob and no = :no"),
            {"agency": tx.agency_id, "blob": blob_id, "no": number},
        ).scalar_one_or_none()
        if sealed is None:
            raise NotFound("unknown-file", "A part of this file is missing.")
        yield cipher.open(sealed, f"{_PLACE}{number}", blob_id)


@dataclass(frozen=True, slots=True)
class SealedFile:
    """A file as it lies there, still sealed. `pieces` by number."""

    blob_id: UUID
    size: int
    pieces: Mapping[int, bytes] = field(repr=False)

    def open(self, cipher: Cipher) -> bytes:
        """The whole file, under the cipher of its key.

        Raises:
            NotFound: a piece is missing.
            Sealed: it was sealed under another key, or changed.
        """
        numbers = range(_count(self.size))
        if not self.pieces.keys() >= set(numbers):
            raise NotFound("unknown-file", "A part of this file is missing.")
        return b"".join(cipher.open(self.pieces[number], f"{_PLACE}{number}", self.blob_id) for number in numbers)


def read_blobs(tx: Tx, blob_ids: Collection[UUID]) -> dict[UUID, SealedFile]:
    """Several files in one query, sealed, so that a damaged one spoils no other; one that is not there is left out."""
    rows = tx.conn.execute(
        text(
            "select b.blob_id, b.size, p.no, p.sealed from blob b join blob_piece p"
            " on p.agency_id = b.agency_id and p.blob_id = b.blob_id"
            " where b.agency_id = :agency and b.blob_id = any(:blobs)"
        ),
        {"agency": tx.agency_id, "blobs": list(blob_ids)},
    )
    sizes: dict[UUID, int] = {}
    pieces: dict[UUID, dict[int, bytes]] = {}
    for row in rows:
        sizes[row.blob_id] = row.size
        pieces.setdefault(row.blob_id, {})[row.no] = row.sealed
    return {blob_id: SealedFile(blob_id, sizes[blob_id], found) for blob_id, found in pieces.items()}


def _count(size: int) -> int:
    return max(1, -(-size // PIECE))
