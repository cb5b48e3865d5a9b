"""The key files: closed to others, made once, and never made again when they are lost."""

import os
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import psycopg
import pytest

from notifier.core.errors import Sealed, SettingsError
from notifier.servers import postgres
from notifier.store.keys import KEY_BYTES, KeyRing, fingerprint, open_keyring
from notifier.store.migrate import migrate
from notifier.store.vault import Vault
from tests.installation import installation, open_office
from tests.store.conftest import new_database

CHECKOUT = Path(__file__).resolve().parents[2]
MIGRATE = (
    "import sys, pathlib; from notifier.store.migrate import migrate; migrate(sys.argv[1], pathlib.Path(sys.argv[2]))"
)


@pytest.fixture
def empty(server: postgres.Postgres) -> Iterator[str]:
    """A database without tables and keys."""
    with new_database(server) as url:
        yield url


def test_the_first_keys_are_closed_to_everybody_else(empty: str, tmp_path: Path) -> None:
    folder = tmp_path / "deep" / "keys"
    old = os.umask(0)
    try:
        migrate(empty, folder)
    finally:
        os.umask(old)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    files = sorted(folder.iterdir())
    assert [path.name[:4] for path in files] == ["inde", "kek-"]
    for path in files:
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert path.stat().st_size == KEY_BYTES
    assert len({path.read_bytes() for path in files}) == 2


def test_the_database_knows_the_keys_by_their_fingerprints_only(empty: str, tmp_path: Path) -> None:
    migrate(empty, tmp_path / "keys")
    keys = contents(tmp_path / "keys")
    with closing(psycopg.connect(empty)) as connection:
        stored = connection.execute("select kek_id, fingerprint from kek").fetchall()
        index = connection.execute("select index_fingerprint from installation").fetchall()
    assert stored == [(name[4:-4], fingerprint(key)) for name, key in keys.items() if name != "index.key"]
    assert index == [(fingerprint(keys["index.key"]),)]


def test_migrating_again_makes_no_new_key(empty: str, tmp_path: Path) -> None:
    migrate(empty, tmp_path / "keys")
    before = contents(tmp_path / "keys")
    migrate(empty, tmp_path / "keys")
    assert contents(tmp_path / "keys") == before


@pytest.mark.parametrize("lost", ["kek-*.key", "index.key", "*.key"])
def test_a_lost_key_is_an_error_and_never_a_new_key(empty: str, tmp_path: Path, lost: str) -> None:
    folder = tmp_path / "keys"
    migrate(empty, folder)
    for path in folder.glob(lost):
        path.unlink()
    before = contents(folder)
    with pytest.raises(SettingsError, match=r"missing: restore it from its backup"):
        migrate(empty, folder)
    assert contents(folder) == before


def test_a_lost_folder_is_an_error_and_never_a_new_folder(empty: str, tmp_path: Path) -> None:
    folder = tmp_path / "keys"
    migrate(empty, folder)
    folder.rename(tmp_path / "elsewhere")
    with pytest.raises(SettingsError, match="no such folder"):
        migrate(empty, folder)
    assert not folder.exists()


@pytest.mark.parametrize("name", ["kek-*.key", "index.key"])
def test_another_key_under_the_same_name_is_refused(empty: str, tmp_path: Path, name: str) -> None:
    folder = tmp_path / "keys"
    migrate(empty, folder)
    path = next(folder.glob(name))
    path.write_bytes(bytes(KEY_BYTES))
    with pytest.raises(SettingsError, match="not the key that the database knows"):
        migrate(empty, folder)


@pytest.mark.parametrize("content", [b"", b"short", bytes(KEY_BYTES + 1)])
def test_a_damaged_key_is_refused(empty: str, tmp_path: Path, content: bytes) -> None:
    folder = tmp_path / "keys"
    migrate(empty, folder)
    next(folder.glob("kek-*.key")).write_bytes(content)
    with pytest.raises(SettingsError, match="damaged"):
        migrate(empty, folder)


@pytest.mark.parametrize("mode", [0o755, 0o750, 0o701])
def test_a_folder_that_is_open_to_others_is_refused(tmp_path: Path, mode: int) -> None:
    folder = tmp_path / "keys"
    folder.mkdir(mode=0o700)
    folder.chmod(mode)
    with pytest.raises(SettingsError, match="open to others"):
        open_keyring(folder)


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660])
def test_a_file_that_is_open_to_others_is_refused(tmp_path: Path, mode: int) -> None:
    folder = tmp_path / "keys"
    folder.mkdir(mode=0o700)
    (folder / "index.key").touch(mode=0o600)
    (folder / "index.key").chmod(mode)
    with pytest.raises(SettingsError, match=r"index.key is open to others"):
        open_keyring(folder)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_a_file_of_somebody_else_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "keys"
    folder.mkdir(mode=0o700)
    (folder / "index.key").touch(mode=0o600)
    os.chown(folder / "index.key", 65534, 65534)
    with pytest.raises(SettingsError, match="another user"):
        open_keyring(folder)


def test_two_processes_that_make_the_first_keys_at_once_make_one_pair(empty: str, tmp_path: Path) -> None:
    folder = tmp_path / "keys"
    command = [sys.executable, "-c", MIGRATE, empty, str(folder)]
    both = [subprocess.Popen(command, cwd=CHECKOUT, stderr=subprocess.PIPE) for _ in range(2)]
    said = [process.communicate(timeout=60)[1] for process in both]
    assert [process.returncode for process in both] == [0, 0], said
    assert len(contents(folder)) == 2
    with installation(empty, folder) as (db, vault):
        office = open_office(db, vault)
        with db.transaction(office.agency_id) as tx:
            assert vault.keys.require_current(tx.conn)


def test_a_key_file_that_changes_under_a_running_process_is_noticed(empty: str, tmp_path: Path) -> None:
    with installation(empty, tmp_path / "keys") as (db, _):
        next((tmp_path / "keys").glob("kek-*.key")).write_bytes(bytes(KEY_BYTES))
        vault = Vault(open_keyring(tmp_path / "keys"))
        with db.no_agency() as connection, pytest.raises(Sealed, match="not the key that the database knows"):
            vault.keys.require_current(connection)


def test_a_destroyed_key_is_gone(tmp_path: Path) -> None:
    folder = tmp_path / "keys"
    folder.mkdir(mode=0o700)
    ring = KeyRing(folder)
    kek_id, mark = ring.make_kek()
    assert fingerprint(ring.kek(kek_id)) == mark
    ring.destroy_kek(kek_id)
    assert contents(folder) == {}
    with pytest.raises(Sealed, match="missing"):
        ring.kek(kek_id)


def test_a_key_that_another_process_destroyed_is_gone_from_memory_within_a_minute(tmp_path: Path) -> None:
    folder = tmp_path / "keys"
    folder.mkdir(mode=0o700)
    clock = [0.0]
    elsewhere, ring = KeyRing(folder), KeyRing(folder, clock=lambda: clock[0])
    old, new = (elsewhere.make_kek()[0] for _ in range(2))
    key = ring.kek(old)
    elsewhere.destroy_kek(old)
    clock[0] = 59.9
    assert ring.kek(old) == key
    clock[0] = 60.0
    ring.kek(new)
    assert key not in [kept for _, kept in vars(ring)["_loaded"].values()]
    with pytest.raises(Sealed, match="missing"):
        ring.kek(old)


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}
