"""A new key-encryption key for the installation, and the end of the old ones.

This is what makes an erasure hold: what an old key wrapped in any backup stays shut for ever. The steps, as below:

(1) make a new KEK, its file first, then its row: from here on new data keys are wrapped with it;
(2) retire every other KEK; this waits for whoever is writing under one, because a writer holds its row;
(3) wrap every agency's data keys anew, a chunk and its event in one transaction; seal quarantined callbacks anew;
(4) look everywhere that nothing is left under a retired KEK;
(5) only then destroy the files of the retired KEKs.

Killed at any point, everything can still be opened; running it again does the whole of it with another new KEK.
"""

import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from sqlalchemy import Connection, text

from notifier.core.errors import Conflict, LedgerError
from notifier.core.events import EventType
from notifier.core.model import Actor
from notifier.store.engine import Database, Tx
from notifier.store.keys import KeyRing
from notifier.store.ledger import append, draft
from notifier.store.vault import Cipher, unwrap, wrap
from notifier.usecases.access import all_agencies

CHUNK: Final = 2000
# A reader opens what it read within moments; nobody can say when its moment began, so each turn waits that long.
GRACE_SECONDS: Final = 1.0
_LOCK: Final = 7_236_115  # any number: it keeps two rotations of one installation apart
_FIRST: Final = UUID(int=0)


@dataclass(frozen=True, slots=True)
class Rotation:
    """What was done: the new KEK, the KEKs whose files are gone, data keys wrapped and callbacks sealed anew."""

    to: str
    destroyed: tuple[str, ...]
    rewrapped: int
    resealed: int


def rotate(
    db: Database,
    keys: KeyRing,
    *,
    now: datetime,
    chunk: int = CHUNK,
    wait: Callable[[float], object] = time.sleep,
    told: Callable[[int], object] = lambda _: None,
) -> Rotation:
    """Rotate while everything else goes on. `told` hears how many data keys are done, after each `chunk` of them.

    Raises:
        Conflict: `rotation-in-progress`, or `rotation-overtaken` by another one.
        Sealed: the file of a KEK that still wraps something is missing or damaged; nothing is destroyed then.
    """
    with db.no_agency() as guard:
        if not guard.execute(text("select pg_try_advisory_xact_lock(:lock)"), {"lock": _LOCK}).scalar_one():
            raise Conflict("rotation-in-progress", "Another rotation is under way.")
        to = _begin(db, keys)  # (1)
        wait(GRACE_SECONDS)
        retired = _retire_others(db, to)  # (2)
        work = _Work(keys, retired, to, chunk, now)
        rewrapped = 0
        for agency_id in all_agencies(db):  # (3)
            for moved in work.rewrap(db, agency_id):
                rewrapped += moved
                told(rewrapped)
        resealed = _reseal_quarantine(db, keys, retired, to)
        _require_nothing_left(db, retired)  # (4)
        wait(GRACE_SECONDS)
        destroyed = [kek_id for kek_id in retired if keys.has_kek(kek_id)]
        for kek_id in destroyed:  # (5)
            keys.destroy_kek(kek_id)
    return Rotation(to, tuple(destroyed), rewrapped, resealed)


def _begin(db: Database, keys: KeyRing) -> str:
    kek_id, mark = keys.make_kek()
    with db.no_agency() as conn:
        # The clock's own time, not the transaction's: the newest key is the one that is used.
        conn.execute(
            text("insert into kek (kek_id, fingerprint, created_at) values (:id, :mark, clock_timestamp())"),
            {"id": kek_id, "mark": mark},
        )
    return kek_id


def _retire_others(db: Database, to: str) -> list[str]:
    with db.no_agency() as conn:
        conn.execute(
            text("update kek set retired_at = clock_timestamp() where kek_id <> :to and retired_at is null"), {"to": to}
        )
        return list(conn.execute(text("select kek_id from kek where kek_id <> :to order by 1"), {"to": to}).scalars())


@dataclass(frozen=True, slots=True)
class _Work:
    keys: KeyRing
    retired: list[str]
    to: str
    chunk: int
    now: datetime

    def rewrap(self, db: Database, agency_id: UUID) -> Iterator[int]:
        """Wrap an agency's data keys anew; gives the size of each committed chunk."""
        after, moved = _FIRST, self.chunk
        while moved == self.chunk:
            with db.transaction(agency_id) as tx:
                _hold(tx.conn, self.to)
                taken, after = self._rewrap_chunk(tx, after)
                events = [
                    draft(EventType.KEK_ROTATED, Actor.system("cli"), {"from": old, "to": self.to, "rewrapped": count})
                    for old, count in sorted(taken.items())
                ]
                append(tx, agency_id, events, at=self.now)
            moved = taken.total()
            yield moved

    def _rewrap_chunk(self, tx: Tx, after: UUID) -> tuple[Counter[str], UUID]:
        """The data keys behind `after`; returns how many were under each old KEK, and the last one's id."""
        rows = tx.conn.execute(
            text(
                "select dek_id, kek_id, wrapped from dek where agency_id = :agency and dek_id > :after"
                " and kek_id = any(:retired) order by dek_id limit :limit for update"
            ),
            {"agency": tx.agency_id, "after": after, "retired": self.retired, "limit": self.chunk},
        ).all()
        if not rows:
            return Counter(), after
        kek = AESGCM(self.keys.kek(self.to))
        wrapped = []
        for row in rows:
            place = {"dek_id": row.dek_id, "agency_id": tx.agency_id}
            key = unwrap(self.keys, row.wrapped, kek_id=row.kek_id, **place)
            wrapped.append(wrap(kek, key, kek_id=self.to, **place))
        tx.conn.execute(
            text(
                "update dek d set kek_id = :to, wrapped = u.wrapped"
                " from unnest(cast(:ids as uuid[]), cast(:wrapped as bytea[])) u(dek_id, wrapped)"
                " where d.agency_id = :agency and d.dek_id = u.dek_id"
            ),
            {"agency": tx.agency_id, "to": self.to, "ids": [row.dek_id for row in rows], "wrapped": wrapped},
        )
        return Counter(row.kek_id for row in rows), rows[-1].dek_id


def _reseal_quarantine(db: Database, keys: KeyRing, retired: list[str], to: str) -> int:
    done = 0
    while True:
        with db.no_agency() as conn:
            _hold(conn, to)
            rows = conn.execute(
                text(
                    "select quarantine_id, kek_id, sealed from quarantine where kek_id = any(:retired)"
                    " limit 100 for update"
                ),
                {"retired": retired},
            ).all()
            for row in rows:
                place = "quarantine.sealed", row.quarantine_id
                value = Cipher(row.quarantine_id, keys.kek(row.kek_id)).open(row.sealed, *place)
                sealed = Cipher(row.quarantine_id, keys.kek(to)).seal(value, *place)
                conn.execute(
                    text("update quarantine set kek_id = :to, sealed = :sealed where quarantine_id = :id"),
                    {"to": to, "sealed": sealed, "id": row.quarantine_id},
                )
        if not rows:
            return done
        done += len(rows)


def _hold(conn: Connection, to: str) -> None:
    """Keep the new KEK from being retired until this transaction ends, or learn that it has been."""
    held = text("select from kek where kek_id = :to and retired_at is null for share")
    if conn.execute(held, {"to": to}).first() is None:
        raise Conflict("rotation-overtaken", "A later rotation retired the key that this one made.")


def _require_nothing_left(db: Database, retired: list[str]) -> None:
    """Raises LedgerError while anything is under a retired KEK: its file must stay."""
    wrapped = text("select from dek where agency_id = :agency and kek_id = any(:retired) limit 1")
    for agency_id in all_agencies(db):
        with db.transaction(agency_id) as tx:
            if tx.conn.execute(wrapped, {"agency": agency_id, "retired": retired}).first() is not None:
                raise LedgerError("a data key is still wrapped under a retired key")
    with db.no_agency() as conn:
        sealed = text("select from quarantine where kek_id = any(:retired) limit 1")
        if conn.execute(sealed, {"retired": retired}).first() is not None:
            raise LedgerError("a quarantined callback is still sealed under a retired key")
