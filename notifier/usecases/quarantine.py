"""What carriers said and nobody can place, sealed under the key-encryption key until a human has looked at it.

It has no person whose key could be destroyed, so it is kept once, as little of it as can be, and not for long.
"""

import json
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final
from uuid import uuid4

from sqlalchemy import text
from sqlalchemy.dialects.postgresql import insert

from notifier.carriers.base import Callback
from notifier.store import tables as t
from notifier.store.engine import Database
from notifier.store.vault import Cipher, Vault, digest

# A carrier repeats itself for a day; somebody who looks once a week has seen it four times.
KEPT: Final = timedelta(days=30)


def whole_request(callback: Callback) -> bytes:
    """A callback as a document from which its signature can be proved again."""
    request = {"url": callback.url, "headers": dict(callback.headers), "body": callback.body.decode("latin-1")}
    return json.dumps(request).encode()


def quarantine(db: Database, callback: Callback, *, carrier: str, reason: str, vault: Vault) -> None:
    """Keep a whole callback of which nothing could be read."""
    _keep(db, [(callback.body, whole_request(callback))], callback, carrier=carrier, reason=reason, vault=vault)


def quarantine_strays(
    db: Database, elements: Sequence[bytes], callback: Callback, *, alone: bool, carrier: str, vault: Vault
) -> int:
    """Keep the elements of a callback that name none of our attempts; returns how many were not kept before.

    An element that is `alone` in its callback is kept with the whole request; of a callback about several people
    nothing but the element itself.
    """
    values = [(raw, whole_request(callback) if alone else raw) for raw in elements]
    return _keep(db, values, callback, carrier=carrier, reason="names-no-attempt", vault=vault)


def _keep(
    db: Database,
    values: Sequence[tuple[bytes, bytes]],
    callback: Callback,
    *,
    carrier: str,
    reason: str,
    vault: Vault,
) -> int:
    """Keep values; an element that came to the same address before is kept already."""
    told_apart_by = carrier.encode(), callback.url.encode("utf-8", "replace")
    with db.no_agency() as conn:
        kek_id = vault.keys.require_current(conn)
        kek = vault.keys.kek(kek_id)
        common = {"carrier": carrier, "received_at": callback.received_at, "reason": reason, "kek_id": kek_id}
        rows = []
        for raw, value in values:
            quarantine_id = uuid4()
            index = vault.shared_index("quarantine", digest(*told_apart_by, raw))
            sealed = Cipher(quarantine_id, kek).seal(value, "quarantine.sealed", quarantine_id)
            rows.append(common | {"quarantine_id": quarantine_id, "digest": index, "sealed": sealed})
        added = insert(t.quarantine).on_conflict_do_nothing(index_elements=["digest"])
        return len(conn.execute(added.returning(t.quarantine.c.quarantine_id), rows).all())


def forget_old_quarantine(db: Database, *, now: datetime) -> int:
    """Delete what has been in the quarantine for its time; returns how many there were."""
    with db.no_agency() as conn:
        return conn.execute(text("delete from quarantine where received_at < :end"), {"end": now - KEPT}).rowcount
