"""What carriers said and nobody can place, sealed under the key-encryption key until a human has looked at it.

It has no person whose key could be destroyed, so it is kept once, as little of it as can be, and not for long.
"""

import json
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final, NamedTuple
from uuid import UUID, uuid4

from sqlalchemy import select, text
from sqlalchemy.dialects.postgresql import insert

from notifier.carriers.base import Callback
from notifier.store import tables as t
from notifier.store.engine import Database
from notifier.store.vault import Cipher, Vault, digest

# A carrier repeats itself for a day; somebody who looks once a week has seen it four times.
KEPT: Final = timedelta(days=30)
NAMES_NO_ATTEMPT: Final = "names-no-attempt"
PLACE: Final = "quarantine.sealed"


def whole_request(callback: Callback) -> bytes:
    """A callback as a document from which its signature can be proved again."""
    request = {"url": callback.url, "headers": dict(callback.headers), "body": callback.body.decode("latin-1")}
    return json.dumps(request).encode()


class Stray(NamedTuple):
    """Something to keep. It is told from others by `raw`, its carrier and the address it came to."""

    carrier: str
    url: str
    received_at: datetime
    reason: str
    raw: bytes
    value: bytes

    def is_known_by(self, vault: Vault) -> bytes:
        """Its keyed mark: what came to the same address before is kept already."""
        told_apart_by = self.carrier.encode(), self.url.encode("utf-8", "replace"), self.raw
        return vault.shared_index("quarantine", digest(*told_apart_by))


def stray_of(callback: Callback, raw: bytes, *, carrier: str, is_alone: bool) -> Stray:
    """An element of a callback that names none of our attempts.

    One that is alone in its callback is kept with the whole request; of a callback about several people nothing but
    the element itself.
    """
    value = whole_request(callback) if is_alone else raw
    return Stray(carrier, callback.url, callback.received_at, NAMES_NO_ATTEMPT, raw, value)


def quarantine(db: Database, callback: Callback, *, carrier: str, reason: str, vault: Vault) -> None:
    """Keep a whole callback of which nothing could be read."""
    whole = Stray(carrier, callback.url, callback.received_at, reason, callback.body, whole_request(callback))
    keep_strays(db, [whole], vault=vault)


def keep_strays(db: Database, strays: Sequence[Stray], *, vault: Vault) -> list[bool]:
    """Keep what is not kept already; returns which were new."""
    with db.no_agency() as conn:
        kek_id = vault.keys.require_current(conn)
        kek = vault.keys.kek(kek_id)
        rows = []
        for stray in strays:
            quarantine_id = uuid4()
            rows.append(
                {
                    "quarantine_id": quarantine_id,
                    "carrier": stray.carrier,
                    "received_at": stray.received_at,
                    "reason": stray.reason,
                    "kek_id": kek_id,
                    "digest": stray.is_known_by(vault),
                    "sealed": Cipher(quarantine_id, kek).seal(stray.value, PLACE, quarantine_id),
                }
            )
        added = insert(t.quarantine).on_conflict_do_nothing(index_elements=["digest"])
        new = set(conn.execute(added.returning(t.quarantine.c.quarantine_id), rows).scalars())
    return [row["quarantine_id"] in new for row in rows]


class Kept(NamedTuple):
    """One thing in the quarantine; nothing of what it says."""

    quarantine_id: UUID
    carrier: str
    reason: str
    received_at: datetime


def list_quarantine(db: Database) -> list[Kept]:
    """Everything in the quarantine, the oldest first."""
    columns = t.quarantine.c
    query = select(columns.quarantine_id, columns.carrier, columns.reason, columns.received_at)
    with db.no_agency() as conn:
        rows = conn.execute(query.order_by(columns.received_at, columns.quarantine_id)).all()
    return [Kept(*row) for row in rows]


def forget_old_quarantine(db: Database, *, now: datetime) -> int:
    """Delete what has been in the quarantine for its time; returns how many there were."""
    with db.no_agency() as conn:
        return conn.execute(text("delete from quarantine where received_at < :end"), {"end": now - KEPT}).rowcount
