"""Sealed values open in their own place, under their own key, in their own agency, and nowhere else."""

import os
import threading
from pathlib import Path
from uuid import UUID, uuid4

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import text

from notifier.core.errors import Sealed
from notifier.store import vault as vault_module
from notifier.store.engine import Database, Tx
from notifier.store.keys import open_keyring
from notifier.store.vault import Cipher, Vault, digest
from tests.installation import Office
from tests.store.conftest import rolled_back

PLACE = "person.sealed"
KEY = bytes(range(32))
DEK, ROW = UUID(int=1), UUID(int=2)


@given(st.binary(max_size=200))
def test_what_is_sealed_opens_in_its_place(value: bytes) -> None:
    cipher = Cipher(DEK, KEY)
    assert cipher.open(cipher.seal(value, PLACE, ROW), PLACE, ROW) == value


def test_a_value_sealed_twice_looks_different() -> None:
    cipher = Cipher(DEK, KEY)
    assert cipher.seal(b"the same", PLACE, ROW) != cipher.seal(b"the same", PLACE, ROW)


@pytest.mark.parametrize(
    ("cipher", "place", "row"),
    [
        (Cipher(DEK, KEY), PLACE, UUID(int=3)),
        (Cipher(DEK, KEY), "person.notes", ROW),
        (Cipher(DEK, KEY), "recipient.sealed", ROW),
        (Cipher(UUID(int=4), KEY), PLACE, ROW),
        (Cipher(DEK, bytes(32)), PLACE, ROW),
    ],
    ids=["another row", "another column", "another table", "another key's name", "another key"],
)
def test_what_was_moved_does_not_open(cipher: Cipher, place: str, row: UUID) -> None:
    sealed = Cipher(DEK, KEY).seal(b"Example Person", PLACE, ROW)
    with pytest.raises(Sealed) as caught:
        cipher.open(sealed, place, row)
    assert "Example" not in str(caught.value)


@given(st.data())
def test_what_was_changed_does_not_open(data: st.DataObject) -> None:
    cipher = Cipher(DEK, KEY)
    sealed = bytearray(cipher.seal(b"value", PLACE, ROW))
    bit = data.draw(st.integers(0, len(sealed) * 8 - 1))
    sealed[bit // 8] ^= 1 << bit % 8
    with pytest.raises(Sealed):
        cipher.open(bytes(sealed), PLACE, ROW)


@given(st.binary(max_size=40))
def test_bytes_that_nobody_sealed_do_not_open(value: bytes) -> None:
    with pytest.raises(Sealed):
        Cipher(DEK, KEY).open(value, PLACE, ROW)


@given(st.lists(st.binary(max_size=4), max_size=4), st.lists(st.binary(max_size=4), max_size=4))
def test_two_lists_of_parts_never_give_the_same_digest(one: list[bytes], other: list[bytes]) -> None:
    assert (digest(*one) == digest(*other)) is (one == other)


def test_a_new_key_opens_what_it_sealed_after_a_restart(
    db: Database, vault: Vault, key_dir: Path, office: Office
) -> None:
    dek_id, row = uuid4(), uuid4()
    with db.transaction(office.agency_id) as tx:
        sealed = vault.make(tx, [dek_id], "person")[dek_id].seal(b"value", PLACE, row)
    with db.transaction(office.agency_id) as tx:
        assert Vault(open_keyring(key_dir)).cipher(tx, dek_id).open(sealed, PLACE, row) == b"value"


def test_an_erased_key_opens_nothing(tx: Tx, vault: Vault, key_dir: Path) -> None:
    kept, erased = uuid4(), uuid4()
    vault.make(tx, [kept, erased], "person")
    tx.conn.execute(text("delete from dek where dek_id = :id"), {"id": erased})
    anew = Vault(open_keyring(key_dir))
    with pytest.raises(Sealed, match="erased"):
        anew.cipher(tx, erased)
    with pytest.raises(Sealed, match="erased"):
        anew.ciphers(tx, [kept, erased])
    assert list(anew.surviving(tx, [kept, erased])) == [kept]


def test_an_opened_key_is_forgotten_after_a_minute(tx: Tx, key_dir: Path, vault: Vault) -> None:
    assert vault_module._CACHE_SECONDS <= 60  # noqa: SLF001 # what docs/data-model.md promises
    dek_id = uuid4()
    clock = [0.0]
    anew = Vault(open_keyring(key_dir), clock=lambda: clock[0])
    vault.make(tx, [dek_id], "person")
    anew.cipher(tx, dek_id)
    tx.conn.execute(text("delete from dek where dek_id = :id"), {"id": dek_id})
    clock[0] = 59.0
    anew.cipher(tx, dek_id)
    clock[0] = 60.0
    with pytest.raises(Sealed):
        anew.cipher(tx, dek_id)


def test_an_opened_key_does_not_open_for_another_agency(
    db: Database, vault: Vault, office: Office, other_office: Office
) -> None:
    dek_id = uuid4()
    with db.transaction(office.agency_id) as tx:
        vault.make(tx, [dek_id], "person")
        vault.cipher(tx, dek_id)
    with db.transaction(other_office.agency_id) as tx, pytest.raises(Sealed):
        vault.cipher(tx, dek_id)


def test_a_key_that_was_never_committed_is_not_kept(db: Database, vault: Vault, office: Office) -> None:
    dek_id = uuid4()
    with rolled_back(db, office.agency_id) as tx:
        vault.make(tx, [dek_id], "person")
    with db.transaction(office.agency_id) as tx, pytest.raises(Sealed):
        vault.cipher(tx, dek_id)


def test_a_wrapped_key_does_not_open_under_another_name_or_agency(
    db: Database, vault: Vault, key_dir: Path, office: Office, other_office: Office
) -> None:
    dek_id, moved = uuid4(), uuid4()
    with rolled_back(db, office.agency_id) as tx:
        vault.make(tx, [dek_id], "person")
        tx.conn.execute(text("update dek set dek_id = :to where dek_id = :of"), {"to": moved, "of": dek_id})
        with pytest.raises(Sealed):
            Vault(open_keyring(key_dir)).cipher(tx, moved)
        row = tx.conn.execute(text("select kek_id, wrapped from dek where dek_id = :id"), {"id": moved}).one()
    with rolled_back(db, other_office.agency_id) as tx:
        tx.conn.execute(
            text("insert into dek values (:agency, :id, 'person', :kek, :wrapped)"),
            {"agency": tx.agency_id, "id": dek_id, "kek": row.kek_id, "wrapped": row.wrapped},
        )
        with pytest.raises(Sealed):
            Vault(open_keyring(key_dir)).cipher(tx, dek_id)


def test_equal_values_meet_in_the_blind_index_of_one_agencys_column_only(vault: Vault) -> None:
    one, other = UUID(int=1), UUID(int=2)
    assert vault.blind(one, "contact_point", b"x") == vault.blind(one, "contact_point", b"x")
    assert vault.blind(one, "contact_point", b"x") != vault.blind(one, "contact_point", b"y")
    assert vault.blind(one, "contact_point", b"x") != vault.blind(one, "person.external_id", b"x")
    assert vault.blind(one, "contact_point", b"x") != vault.blind(other, "contact_point", b"x")
    assert vault.token("code", "x") != vault.token("api_key", "x")


@given(value=st.binary(max_size=200), agency_id=st.uuids())
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_many_values_get_the_index_that_one_gets(vault: Vault, value: bytes, agency_id: UUID) -> None:
    assert vault.blinder(agency_id, "contact_point")(value) == vault.blind(agency_id, "contact_point", value)
    word = value.hex()
    assert vault.token_maker("code")(word.encode()) == vault.token("code", word)


def test_keys_made_one_by_one_open_once_they_are_stored(tx: Tx, vault: Vault) -> None:
    made = vault.new_keys(tx, "person")
    one, two = uuid4(), uuid4()
    sealed = {dek_id: made.make(dek_id.bytes).seal(b"x", PLACE, ROW.bytes) for dek_id in (one, two)}
    assert vault.surviving(tx, [one, two]) == {}
    made.store()
    made.store()
    for dek_id, cipher in vault.ciphers(tx, [one, two]).items():
        assert cipher.open(sealed[dek_id], PLACE, ROW) == b"x"


def test_many_threads_open_keys_at_once(db: Database, key_dir: Path, vault: Vault, office: Office) -> None:
    deks = [uuid4() for _ in range(300)]
    with db.transaction(office.agency_id) as tx:
        vault.make(tx, deks, "person")
    shared = Vault(open_keyring(key_dir), cache_size=20)
    failures: list[BaseException] = []

    def open_all() -> None:
        try:
            with db.transaction(office.agency_id) as tx:
                for start in range(0, 300, 30):
                    assert len(shared.ciphers(tx, deks[start : start + 30])) == 30
        except BaseException as failure:  # noqa: BLE001 # told by the test
            failures.append(failure)

    threads = [threading.Thread(target=open_all) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert failures == []


def test_a_nonce_is_never_used_twice() -> None:
    cipher = Cipher(DEK, os.urandom(32))
    assert len({cipher.seal(b"", PLACE, ROW)[1:13] for _ in range(2000)}) == 2000
