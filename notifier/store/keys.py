"""The key files: key-encryption keys (KEK) and the index key. They live outside the database and its backups.

A folder 0700 holds `kek-<id>.key` and `index.key`, 32 random bytes each, 0600. The database knows each KEK by id and
fingerprint only, and the index key by its fingerprint. A lost key is an error, never a reason to make a new one.
"""

import hashlib
import os
import secrets
from collections.abc import Callable, Sequence
from pathlib import Path
from time import monotonic
from typing import Final

from sqlalchemy import Connection, Row, text

from notifier.core.errors import Sealed, SettingsError

KEY_BYTES: Final = 32
KEPT_SECONDS: Final = 60.0
_INDEX: Final = "index"


class KeyRing:
    """The keys of one installation, read from their folder when needed and kept for a minute.

    So a key that another process destroyed is soon gone from this one's memory, too.
    """

    def __init__(self, folder: Path, *, clock: Callable[[], float] = monotonic) -> None:
        """`folder` must exist, belong to this user and be closed to others; see `open_keyring`. `clock`: seconds."""
        self._folder = folder
        self._clock = clock
        self._loaded: dict[str, tuple[float, bytes]] = {}
        self.current = ""

    def kek(self, kek_id: str) -> bytes:
        """A key-encryption key by id.

        Raises:
            Sealed: its file is gone.
        """
        return self._read(f"kek-{kek_id}")

    @property
    def index(self) -> bytes:
        """The key of every blind index."""
        return self._read(_INDEX)

    def require_current(self, conn: Connection) -> str:
        """The id of the KEK that new keys are wrapped with, held against rotation until this transaction ends."""
        newest = text(
            "select kek_id, fingerprint from kek where retired_at is null order by created_at desc limit 1 for share"
        )
        # Whoever waited for a key that was retired meanwhile finds none: the statement began before the next one was.
        row = conn.execute(newest).one_or_none() or conn.execute(newest).one()
        if fingerprint(self.kek(row.kek_id)) != row.fingerprint:
            raise Sealed("the key file is not the key that the database knows")
        self.current = row.kek_id
        return self.current

    def make_kek(self) -> tuple[str, bytes]:
        """Make a new KEK file; returns (id, fingerprint)."""
        kek_id = secrets.token_hex(4)
        key = _make(self._folder / f"kek-{kek_id}.key")
        return kek_id, fingerprint(key)

    def has_kek(self, kek_id: str) -> bool:
        """Whether the file of a KEK is there."""
        return (self._folder / f"kek-{kek_id}.key").exists()

    def destroy_kek(self, kek_id: str) -> None:
        """Delete the file of a KEK that wraps nothing any more: what it wrapped in old backups stays shut for ever."""
        path = self._folder / f"kek-{kek_id}.key"
        with path.open("r+b") as file:
            file.write(secrets.token_bytes(KEY_BYTES))
            file.flush()
            os.fsync(file.fileno())
        path.unlink()
        _sync(self._folder)
        self._loaded.pop(f"kek-{kek_id}", None)

    def _read(self, name: str) -> bytes:
        now = self._clock()
        # A new dictionary each time, so that no thread finds it changing.
        loaded = {kept: (at, key) for kept, (at, key) in self._loaded.items() if now - at < KEPT_SECONDS}
        if name not in loaded:
            loaded[name] = (now, self._read_file(name))
        self._loaded = loaded
        return loaded[name][1]

    def _read_file(self, name: str) -> bytes:
        try:
            key = (self._folder / f"{name}.key").read_bytes()
        except FileNotFoundError:
            raise Sealed(f"the key file {name}.key is missing: restore it from its backup") from None
        if len(key) != KEY_BYTES:
            raise Sealed(f"the key file {name}.key is damaged: restore it from its backup")
        return key


def fingerprint(key: bytes) -> bytes:
    """What the database keeps to recognise a key."""
    return hashlib.sha256(b"notifier key fingerprint\0" + key).digest()


def open_keyring(folder: Path) -> KeyRing:
    """The key ring of an existing folder.

    Raises:
        SettingsError: the folder is missing, open to others, or somebody else's.
    """
    problems = []
    if not folder.is_dir():
        problems.append("NOTIFIER_KEY_DIR: there is no such folder: run `notifier migrate`")
    for path in [folder, *sorted(folder.glob("*.key"))] if not problems else []:
        status = path.lstat()
        if status.st_mode & 0o077:
            problems.append(f"NOTIFIER_KEY_DIR: {path.name} is open to others: chmod go-rwx")
        if status.st_uid != os.geteuid():
            problems.append(f"NOTIFIER_KEY_DIR: {path.name} belongs to another user")
    if problems:
        raise SettingsError(problems)
    return KeyRing(folder)


def ensure_keys(folder: Path, conn: Connection) -> KeyRing:
    """Make the first keys of an installation; where the database already knows keys, only check them.

    Raises:
        SettingsError: the database knows a key whose file is missing or another one.
    """
    known = conn.execute(text("select kek_id, fingerprint from kek where retired_at is null for update")).all()
    if not known:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    ring = open_keyring(folder)
    try:
        return _check_keys(ring, conn, known) if known else _make_keys(ring, folder, conn)
    except Sealed as error:
        raise SettingsError([f"NOTIFIER_KEY_DIR: {error}"]) from None


def _make_keys(ring: KeyRing, folder: Path, conn: Connection) -> KeyRing:
    if not (folder / f"{_INDEX}.key").exists():
        _make(folder / f"{_INDEX}.key")
    kek_id, mark = ring.make_kek()
    conn.execute(text("insert into installation (index_fingerprint) values (:mark)"), {"mark": fingerprint(ring.index)})
    conn.execute(text("insert into kek (kek_id, fingerprint) values (:id, :mark)"), {"id": kek_id, "mark": mark})
    return ring


def _check_keys(ring: KeyRing, conn: Connection, known: Sequence[Row[tuple[str, bytes]]]) -> KeyRing:
    expected = {f"kek-{row.kek_id}": (ring.kek(row.kek_id), row.fingerprint) for row in known}
    index = conn.execute(text("select index_fingerprint from installation")).scalar_one()
    expected[_INDEX] = (ring.index, index)
    wrong = [name for name, (key, mark) in expected.items() if fingerprint(key) != mark]
    if wrong:
        raise SettingsError([f"NOTIFIER_KEY_DIR: {name}.key is not the key that the database knows" for name in wrong])
    return ring


def _make(path: Path) -> bytes:
    key = secrets.token_bytes(KEY_BYTES)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(key)
        file.flush()
        os.fsync(file.fileno())
    _sync(path.parent)
    return key


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
