"""One request, one effect, however often it arrives (draft-ietf-httpapi-idempotency-key-header-07)."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import insert, select, text

from notifier.core.errors import Conflict, Invalid
from notifier.store import tables as t
from notifier.store.engine import Database, Tx
from notifier.store.vault import digest
from notifier.usecases.access import Principal


@dataclass(frozen=True, slots=True)
class Reply:
    """What is answered; `replayed` when it was answered before."""

    status: int
    body: Mapping[str, object]
    replayed: bool = False


def once(
    db: Database,
    principal: Principal,
    *,
    key: str,
    request_digest: bytes,
    now: datetime,
    act: Callable[[Tx], Reply],
) -> Reply:
    """Do `act` in one transaction with the record of its reply, or give the reply of the first time.

    A key belongs to an officer, so that a second key of theirs replays too. A refusal is not recorded: nothing was
    stored, and the corrected request may use the same key.

    Raises:
        Conflict: the same key is being worked on right now.
        Invalid: the key was used for another request.
    """
    key_digest = digest(key.encode())
    lock = int.from_bytes(
        digest(principal.agency_id.bytes, principal.officer_id.bytes, key_digest)[:8], "big", signed=True
    )
    with db.transaction(principal.agency_id) as tx:
        if not tx.conn.execute(text("select pg_try_advisory_xact_lock(:lock)"), {"lock": lock}).scalar_one():
            raise Conflict(
                "idempotency-key-in-progress", "A request with this Idempotency-Key is being worked on.", retry_after=1
            )
        kept = tx.conn.execute(
            select(t.idempotency.c.request_digest, t.idempotency.c.status, t.idempotency.c.body).where(
                t.idempotency.c.officer_id == principal.officer_id, t.idempotency.c.key_digest == key_digest
            )
        ).one_or_none()
        if kept is not None:
            if kept.request_digest != request_digest:
                raise Invalid("idempotency-key-reused", "This Idempotency-Key was used for another request.")
            return Reply(kept.status, json.loads(kept.body), replayed=True)
        reply = act(tx)
        tx.conn.execute(
            insert(t.idempotency).values(
                agency_id=tx.agency_id,
                officer_id=principal.officer_id,
                key_digest=key_digest,
                request_digest=request_digest,
                status=reply.status,
                body=json.dumps(reply.body).encode(),
                created_at=now,
            )
        )
        return reply
