"""Sealing and opening: one data-encryption key (DEK) per matter and per person, wrapped under the installation's KEK.

    wrapped DEK = 0x01 | nonce | AES-256-GCM(KEK, DEK,   AAD = kek id | dek id | agency)
    sealed      = 0x01 | nonce | AES-256-GCM(DEK, value, AAD = table | column | row id | dek id | v1)

The AAD ties a ciphertext to its place: moved to another row or column it does not open. Destroying a DEK's row (and
then rotating the KEK) erases everything under it.
"""

import hashlib
import hmac
import os
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from time import monotonic
from typing import Final
from uuid import UUID

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from sqlalchemy import text

from notifier.core.errors import Sealed
from notifier.store.bulk import insert_rows
from notifier.store.engine import Tx
from notifier.store.keys import KeyRing

_VERSION: Final = b"\x01"
_NONCE: Final = 12
_BLOCK: Final = hashlib.sha256().block_size
_CACHE_SECONDS: Final = 60.0
_CACHE_SIZE: Final = 20_000


class Cipher:
    """Seals and opens under one DEK."""

    __slots__ = ("_aead", "_suffix")

    def __init__(self, dek_id: UUID | bytes, key: bytes) -> None:
        """`key` is the 32-byte DEK. An id may be given as its 16 bytes, here and below."""
        self._aead = AESGCM(key)
        self._suffix = b"|%b|v1" % _raw(dek_id)

    def seal(self, value: bytes, place: str, row: UUID | bytes) -> bytes:
        """Encrypt for one place, given as "table.column", and one row."""
        nonce = os.urandom(_NONCE)
        return _VERSION + nonce + self._aead.encrypt(nonce, value, self._aad(place, row))

    def open(self, sealed: bytes, place: str, row: UUID | bytes) -> bytes:
        """Decrypt what was sealed for exactly this place and row.

        Raises:
            Sealed: it was sealed for another place, under another key, or was changed.
        """
        return _open(self._aead, sealed, self._aad(place, row), place)

    def _aad(self, place: str, row: UUID | bytes) -> bytes:
        return b"%b|%b%b" % (place.encode(), row if isinstance(row, bytes) else row.bytes, self._suffix)


class NewKeys:
    """Makes DEKs under the current KEK, which is held against rotation until the transaction ends."""

    def __init__(self, tx: Tx, keys: KeyRing, purpose: str) -> None:
        """For one transaction, and not longer; see `Vault.new_keys`."""
        self._tx = tx
        self._purpose = purpose
        self._kek_id = keys.require_current(tx.conn)
        self._kek = AESGCM(keys.kek(self._kek_id))
        self._made: list[tuple[bytes, bytes]] = []

    def make(self, dek_id: UUID | bytes) -> Cipher:
        """One DEK; `store` must follow."""
        key = os.urandom(32)
        wrapped = wrap(self._kek, key, kek_id=self._kek_id, dek_id=dek_id, agency_id=self._tx.agency_id)
        self._made.append((_raw(dek_id), wrapped))
        return Cipher(dek_id, key)

    def store(self) -> None:
        """Store the DEKs that were made since the last time."""
        count = len(self._made)
        insert_rows(
            self._tx,
            "dek",
            {
                "dek_id": ("uuid", [dek_id for dek_id, _ in self._made]),
                "purpose": ("text", [self._purpose] * count),
                "kek_id": ("text", [self._kek_id] * count),
                "wrapped": ("bytea", [wrapped for _, wrapped in self._made]),
            },
        )
        self._made.clear()


class Vault:
    """Makes and opens DEKs. Opened ones are kept for at most a minute, so that an erased key is soon forgotten."""

    def __init__(self, keys: KeyRing, *, clock: Callable[[], float] = monotonic, cache_size: int = _CACHE_SIZE) -> None:
        """One vault per process; its threads share it. `clock` gives seconds."""
        self.keys = keys
        self._clock = clock
        self._cache_size = cache_size
        # By agency too: what row-level security hides, a key opened for somebody else must not show.
        self._opened: OrderedDict[tuple[UUID, UUID], tuple[float, Cipher]] = OrderedDict()

    def make(self, tx: Tx, dek_ids: Sequence[UUID], purpose: str) -> dict[UUID, Cipher]:
        """New DEKs under the current KEK, stored in this transaction.

        They are not cached here: the transaction may still be rolled back.
        """
        made = self.new_keys(tx, purpose)
        ciphers = {dek_id: made.make(dek_id) for dek_id in dek_ids}
        made.store()
        return ciphers

    def new_keys(self, tx: Tx, purpose: str) -> NewKeys:
        """For making DEKs one by one."""
        return NewKeys(tx, self.keys, purpose)

    def cipher(self, tx: Tx, dek_id: UUID) -> Cipher:
        """One DEK.

        Raises:
            Sealed: there is none (erased), or it cannot be opened.
        """
        return self.ciphers(tx, [dek_id])[dek_id]

    def ciphers(self, tx: Tx, dek_ids: Iterable[UUID]) -> dict[UUID, Cipher]:
        """Several DEKs in one query; raises Sealed when one is missing."""
        found = self.surviving(tx, dek_ids)
        if len(found) < len(set(dek_ids)):
            raise Sealed("a key was erased")
        return found

    def surviving(self, tx: Tx, dek_ids: Iterable[UUID]) -> dict[UUID, Cipher]:
        """Those of several DEKs that have not been erased."""
        now = self._clock()
        ciphers: dict[UUID, Cipher] = {}
        missing = []
        for dek_id in set(dek_ids):
            kept = self._opened.get((tx.agency_id, dek_id))
            if kept is not None and now - kept[0] < _CACHE_SECONDS:
                ciphers[dek_id] = kept[1]
            else:
                missing.append(dek_id)
        if missing:
            rows = tx.conn.execute(
                text("select dek_id, kek_id, wrapped from dek where agency_id = :agency and dek_id = any(:ids)"),
                {"agency": tx.agency_id, "ids": missing},
            )
            for row in rows:
                key = unwrap(self.keys, row.wrapped, kek_id=row.kek_id, dek_id=row.dek_id, agency_id=tx.agency_id)
                ciphers[row.dek_id] = Cipher(row.dek_id, key)
                self._keep((tx.agency_id, row.dek_id), now, ciphers[row.dek_id])
        return ciphers

    def _keep(self, key: tuple[UUID, UUID], now: float, cipher: Cipher) -> None:
        self._opened.pop(key, None)  # so that it goes to the end
        self._opened[key] = (now, cipher)
        while len(self._opened) > self._cache_size:
            with suppress(KeyError):  # another thread was quicker
                self._opened.popitem(last=False)

    def blind(self, agency_id: UUID, column: str, value: bytes) -> bytes:
        """The keyed index of a value: equal values of one agency meet; without the key nobody can try values out."""
        return self.shared_index(column, agency_id.bytes + value)

    def blinder(self, agency_id: UUID, column: str) -> Callable[[bytes], bytes]:
        """`blind` for many values at once. It holds the key: let it go soon."""
        return _keyed(self.keys.index, _index_prefix(column) + agency_id.bytes)

    def token(self, kind: str, value: str) -> bytes:
        """What the directory keeps of a key or a person's code: found before its agency is known."""
        return self.shared_index(f"directory.{kind}", value.encode())

    def token_maker(self, kind: str) -> Callable[[bytes], bytes]:
        """`token` for many values (UTF-8) at once. It holds the key: let it go soon."""
        return _keyed(self.keys.index, _index_prefix(f"directory.{kind}"))

    def shared_index(self, column: str, value: bytes) -> bytes:
        """The keyed index of a value that belongs to no agency."""
        return hmac.digest(self.keys.index, _index_prefix(column) + value, "sha256")


def _keyed(key: bytes, prefix: bytes) -> Callable[[bytes], bytes]:
    """HMAC-SHA256 of what begins with `prefix`, a third of the cost: both paddings (RFC 2104) are hashed once."""
    padded = key.ljust(_BLOCK, b"\0")
    inner = hashlib.sha256(bytes(byte ^ 0x36 for byte in padded) + prefix)
    outer = hashlib.sha256(bytes(byte ^ 0x5C for byte in padded))

    def index(value: bytes) -> bytes:
        within, around = inner.copy(), outer.copy()
        within.update(value)
        around.update(within.digest())
        return around.digest()

    return index


def _index_prefix(column: str) -> bytes:
    return column.encode() + b"\0"


def _raw(row: UUID | bytes) -> bytes:
    return row if isinstance(row, bytes) else row.bytes


def wrap(kek: AESGCM, key: bytes, *, kek_id: str, dek_id: UUID | bytes, agency_id: UUID) -> bytes:
    """A DEK under a KEK."""
    nonce = os.urandom(_NONCE)
    return _VERSION + nonce + kek.encrypt(nonce, key, _wrap_aad(kek_id, dek_id, agency_id))


def unwrap(keys: KeyRing, wrapped: bytes, *, kek_id: str, dek_id: UUID, agency_id: UUID) -> bytes:
    """The DEK.

    Raises:
        Sealed: the KEK is gone, or the bytes are not this agency's key.
    """
    return _open(AESGCM(keys.kek(kek_id)), wrapped, _wrap_aad(kek_id, dek_id, agency_id), "dek.wrapped")


def _wrap_aad(kek_id: str, dek_id: UUID | bytes, agency_id: UUID) -> bytes:
    return b"%b|%b|%b" % (kek_id.encode(), _raw(dek_id), agency_id.bytes)


def _open(aead: AESGCM, sealed: bytes, aad: bytes, place: str) -> bytes:
    if sealed[:1] != _VERSION:
        raise Sealed(f"{place}: unknown format")
    try:
        return aead.decrypt(sealed[1 : 1 + _NONCE], sealed[1 + _NONCE :], aad)
    except (InvalidTag, ValueError):  # ValueError: too short to be one
        raise Sealed(f"{place}: does not open here") from None


def digest(*parts: bytes) -> bytes:
    """SHA-256 over parts, each preceded by its length: no two lists of parts give the same bytes."""
    state = hashlib.sha256()
    for part in parts:
        state.update(len(part).to_bytes(8, "big"))
        state.update(part)
    return state.digest()
