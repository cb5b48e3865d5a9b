"""Reading again what carriers said and nobody could place: a reader may know more by now, and so may the tables."""

import json
from collections import Counter
from collections.abc import Mapping
from enum import StrEnum, auto
from typing import Final
from uuid import UUID

from sqlalchemy import Row, text

from notifier.carriers import open_inbound
from notifier.carriers.base import Callback, CallbackRefused, CarrierReceipt, ReceiptReader
from notifier.core.errors import Sealed
from notifier.store.engine import Database
from notifier.store.vault import Cipher, Vault
from notifier.usecases.inbound import INBOUND, take_in
from notifier.usecases.quarantine import PLACE, keep_strays, stray_of
from notifier.usecases.receipts import Arrival, store_known

_WHOLE: Final = {"url", "headers", "body"}


class Again(StrEnum):
    """What became of one thing in the quarantine."""

    PLACED = auto()  # what it says found its attempt, now or before; it is in the quarantine no longer
    KEPT = auto()  # it still names none of our attempts, or nobody can read it
    NOT_PROVED = auto()  # today's keys do not prove that the carrier sent it; kept
    NO_READER = auto()  # the carrier is not in use; kept
    SEALED = auto()  # it cannot be opened; kept


def replay(
    db: Database,
    *,
    readers: Mapping[str, ReceiptReader],
    vault: Vault,
    quarantine_id: UUID | None = None,
    reason: str | None = None,
) -> Counter[Again]:
    """Read everything in the quarantine again, or one thing, or what is there for one reason; the oldest first.

    (1) open it; (2) where the whole request was kept, prove again that the carrier sent it; (3) read it as it would be
    read today; (4) store what names one of our attempts, with the time it came at first: the workers apply it like any
    other; (5) only then forget it here. Once stored, a receipt is told from others as always: doing this twice, or
    while the carrier says it again, applies nothing twice.
    """
    found: Counter[Again] = Counter()
    with db.no_agency() as conn:
        waiting = conn.execute(
            text(
                "select quarantine_id from quarantine where (cast(:id as uuid) is null or quarantine_id = :id)"
                " and (cast(:reason as text) is null or reason = :reason) order by received_at, quarantine_id"
            ),
            {"id": quarantine_id, "reason": reason},
        ).scalars()
        ids = list(waiting)
    for one in ids:
        found.update(_again(db, one, readers=readers, vault=vault))
    return found


def _again(db: Database, quarantine_id: UUID, *, readers: Mapping[str, ReceiptReader], vault: Vault) -> list[Again]:
    """One thing; nothing when somebody else was quicker."""
    with db.no_agency() as conn:
        row = conn.execute(
            text(
                "select quarantine_id, carrier, received_at, reason, kek_id, sealed from quarantine"
                " where quarantine_id = :id"
            ),
            {"id": quarantine_id},
        ).one_or_none()
    if row is None:
        return []
    reader = readers.get(row.carrier)
    if reader is None:
        return [Again.NO_READER]
    try:
        callback, is_whole = _reopen(row, vault)  # (1)
        if is_whole:
            reader.authenticate(callback)  # (2)
    except Sealed:
        return [Again.SEALED]
    except CallbackRefused:
        return [Again.NOT_PROVED]
    if row.reason in INBOUND:
        is_placed = _hear(db, callback, carrier=row.carrier, vault=vault)
    else:
        receipts = _read(reader, callback)  # (3)
        is_placed = bool(receipts) and _place(db, Arrival(row.carrier, callback, receipts, is_whole), vault=vault)
    if not is_placed:  # (4)
        return [Again.KEPT]
    with db.no_agency() as conn:  # (5)
        conn.execute(text("delete from quarantine where quarantine_id = :id"), {"id": quarantine_id})
    return [Again.PLACED]


def _reopen(row: Row[tuple[object, ...]], vault: Vault) -> tuple[Callback, bool]:
    """The callback, and whether it is whole. What was kept apart from others was an element of an array."""
    cipher = Cipher(row.quarantine_id, vault.keys.kek(row.kek_id))
    value = cipher.open(row.sealed, PLACE, row.quarantine_id)
    try:
        request = json.loads(value)
    except (ValueError, RecursionError):
        request = None
    if isinstance(request, dict) and request.keys() == _WHOLE and isinstance(request["headers"], dict):
        body = str(request["body"]).encode("latin-1", "replace")
        return Callback(str(request["url"]), request["headers"], body, row.received_at), True
    return Callback("", {}, b"[%b]" % value, row.received_at), False


def _read(reader: ReceiptReader, callback: Callback) -> list[CarrierReceipt]:
    try:
        return reader.parse(callback)
    except Exception:  # noqa: BLE001 # it was unreadable before
        return []


def _hear(db: Database, callback: Callback, *, carrier: str, vault: Vault) -> bool:
    """Take in what somebody wrote; False: still nobody here has that number, or nobody can read it."""
    reader = open_inbound(carrier)
    message = reader.read(callback) if reader is not None else None
    return message is not None and not take_in(db, message, callback, carrier=carrier, vault=vault).is_from_nobody


def _place(db: Database, arrival: Arrival, *, vault: Vault) -> bool:
    """Store what is about our attempts; of several the rest is put aside each by itself. False: all of it is to stay.

    Raises:
        Exception: whatever kept it from being stored.
    """
    (tally,) = store_known(db, [arrival], vault=vault)
    if tally.failure is not None:
        raise tally.failure
    if tally.strays and arrival.is_about_several and tally.stored + tally.duplicates:
        strays = [stray_of(arrival.callback, one.raw, carrier=arrival.carrier, is_alone=False) for one in tally.strays]
        keep_strays(db, strays, vault=vault)
        return True
    return not tally.strays
