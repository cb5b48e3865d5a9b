"""Files in sealed pieces."""

import os
from pathlib import Path
from uuid import UUID, uuid4

import pytest
from sqlalchemy import text

from notifier.core.errors import NotFound, Sealed
from notifier.store.blobs import PIECE, get_blob, put_blobs, stream_blob
from notifier.store.engine import Database, Tx
from notifier.store.keys import open_keyring
from notifier.store.vault import Vault
from tests.installation import NOW, Office
from tests.store.conftest import rolled_back

MB = 1 << 20


@pytest.mark.parametrize("size", [0, 1, MB - 1, MB, MB + 1, 2 * MB + MB // 2])
def test_a_file_comes_back_as_it_was(tx: Tx, vault: Vault, size: int) -> None:
    content = os.urandom(size)
    blob_id = put(tx, vault, content)
    assert get_blob(tx, blob_id, vault=vault) == content
    pieces = tx.conn.execute(
        text("select no from blob_piece where blob_id = :id order by no"), {"id": blob_id}
    ).scalars()
    assert list(pieces) == list(range(max(1, -(-size // PIECE))))


def test_several_files_keep_their_order_and_their_keys(tx: Tx, vault: Vault) -> None:
    deks = [uuid4() for _ in range(3)]
    ciphers = vault.make(tx, deks, "person")
    contents = [b"first", b"", b"x" * (MB + 1)]
    files = [(dek_id, ciphers[dek_id], content) for dek_id, content in zip(deks, contents, strict=True)]
    ids = put_blobs(tx, files, purpose="letter", media_type="application/pdf", now=NOW)
    assert [get_blob(tx, blob_id, vault=vault) for blob_id in ids] == contents


def test_no_files_are_no_trouble(tx: Tx) -> None:
    assert put_blobs(tx, [], purpose="letter", media_type="application/pdf", now=NOW) == []


def test_a_file_is_read_piece_by_piece(tx: Tx, vault: Vault) -> None:
    blob_id = put(tx, vault, b"x" * (2 * MB + 5))
    assert [len(piece) for piece in stream_blob(tx, blob_id, vault=vault)] == [MB, MB, 5]


def test_a_stored_file_shows_nothing(tx: Tx, vault: Vault) -> None:
    blob_id = put(tx, vault, b"Example Person, 303-555-0142")
    sealed = tx.conn.execute(text("select sealed from blob_piece where blob_id = :id"), {"id": blob_id}).scalar_one()
    assert b"Example" not in sealed
    assert b"0142" not in sealed


def test_an_unknown_file_is_not_found(tx: Tx, vault: Vault) -> None:
    with pytest.raises(NotFound):
        get_blob(tx, uuid4(), vault=vault)


def test_a_file_of_another_agency_is_not_found(
    db: Database, vault: Vault, office: Office, other_office: Office
) -> None:
    with db.transaction(office.agency_id) as tx:
        blob_id = put(tx, vault, b"content")
    with rolled_back(db, other_office.agency_id) as tx, pytest.raises(NotFound):
        get_blob(tx, blob_id, vault=vault)


def test_a_file_with_a_piece_missing_is_not_found_rather_than_short(tx: Tx, vault: Vault) -> None:
    blob_id = put(tx, vault, b"x" * (MB + 1))
    tx.conn.execute(text("update blob_piece set no = 9 where blob_id = :id and no = 1"), {"id": blob_id})
    with pytest.raises(NotFound):
        get_blob(tx, blob_id, vault=vault)


def test_pieces_that_changed_places_do_not_open(tx: Tx, vault: Vault) -> None:
    blob_id = put(tx, vault, b"x" * (2 * MB))
    tx.conn.execute(text("update blob_piece set no = 7 - no where blob_id = :id"), {"id": blob_id})
    tx.conn.execute(text("update blob_piece set no = no - 6 where blob_id = :id"), {"id": blob_id})
    with pytest.raises(Sealed):
        get_blob(tx, blob_id, vault=vault)


def test_a_file_whose_key_was_erased_does_not_open(tx: Tx, vault: Vault, key_dir: Path) -> None:
    dek_id = uuid4()
    blob_id = put(tx, vault, b"content", dek_id=dek_id)
    tx.conn.execute(text("delete from dek where dek_id = :id"), {"id": dek_id})
    with pytest.raises(Sealed):
        get_blob(tx, blob_id, vault=Vault(open_keyring(key_dir)))


def put(tx: Tx, vault: Vault, content: bytes, *, dek_id: UUID | None = None) -> UUID:
    dek_id = dek_id or uuid4()
    cipher = vault.make(tx, [dek_id], "person")[dek_id]
    return put_blobs(tx, [(dek_id, cipher, content)], purpose="letter", media_type="application/pdf", now=NOW)[0]
