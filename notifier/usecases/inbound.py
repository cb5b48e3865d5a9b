"""What people send to our number: kept for each person with that phone, and acted upon only where it is a command.

STOP stops text messages to that number and nothing else. It is no answer to the notice: whoever sends it is told in
other ways, and somebody calls to ask whether they meant to object (docs/decisions/0046-stop-is-no-answer.md).
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final
from uuid import UUID, uuid4

from sqlalchemy import text

from notifier.carriers import open_inbound
from notifier.carriers.base import Callback, InboundMessage
from notifier.core import contacts
from notifier.core.business_days import after_business_hours, business_day_after, end_of
from notifier.core.events import EventType
from notifier.core.model import Actor, ActorKind, ContactFlag, InboundKind, TaskKind
from notifier.store.bulk import insert_rows
from notifier.store.engine import Database, Tx
from notifier.store.ledger import append, lock_chains, sealed_draft
from notifier.store.vault import Cipher, Vault, digest
from notifier.usecases.access import all_agencies
from notifier.usecases.contact_flags import flag_points, lift_points, points_by_blind
from notifier.usecases.contact_marks import PointRow
from notifier.usecases.office import zone_of
from notifier.usecases.progress import legal_now
from notifier.usecases.quarantine import quarantine, whole_request
from notifier.usecases.tasks import open_task

NOBODY: Final = "inbound-from-nobody"
UNREADABLE: Final = "inbound-unreadable"
INBOUND: Final = frozenset({NOBODY, UNREADABLE})
"""Why a message to our number is in the quarantine."""

READ_WITHIN_HOURS: Final = 4  # of business; then it is everybody's
PLACE: Final = "inbound.sealed"


@dataclass(frozen=True, slots=True)
class TakenIn:
    """What became of one message: for how many people it was kept, and for how many it was known."""

    kept: int
    duplicates: int

    @property
    def is_from_nobody(self) -> bool:
        """Nobody here has that number."""
        return not self.kept and not self.duplicates


@dataclass(frozen=True, slots=True)
class InboundRead:
    """A message that somebody sent; `text` is None when the person's data was erased. Times on our own clock."""

    inbound_id: UUID
    contact_id: UUID
    carrier: str
    kind: InboundKind
    received_at: datetime
    text: str | None = field(repr=False)


def take_in(db: Database, message: InboundMessage, callback: Callback, *, carrier: str, vault: Vault) -> TakenIn:
    """Keep a proved message for everybody with that number, each agency in its own transaction.

    Neither agency learns of the other. A number that nobody has goes to the quarantine.
    """
    point = contacts.phone(message.sender)
    kept = duplicates = 0
    if point.usable:
        form = contacts.blind_form(point)
        for agency_id in all_agencies(db):
            blind = vault.blind(agency_id, "contact_point", form)
            with db.transaction(agency_id) as tx:
                points = points_by_blind(tx, blind)
                if points:
                    new, known = _take_in(tx, points, message, callback, carrier=carrier, vault=vault)
                    kept, duplicates = kept + new, duplicates + known
    taken = TakenIn(kept, duplicates)
    if taken.is_from_nobody:
        quarantine(db, callback, carrier=carrier, reason=NOBODY, vault=vault)
    return taken


def _take_in(
    tx: Tx, points: Sequence[PointRow], message: InboundMessage, callback: Callback, *, carrier: str, vault: Vault
) -> tuple[int, int]:
    """Keep a message for these contact points of one agency; returns how many are new, and how many not.

    (1) whose data was erased has no number any more; (2) hold the matters' chains in id order; (3) keep the request
    under each person's key, once; (4) say so in each matter; (5) do what the command says; (6) leave the rest to
    people.
    """
    ciphers = vault.surviving(tx, {point.person_id for point in points})  # (1)
    points = [point for point in points if point.person_id in ciphers]
    if not points:
        return 0, 0
    lock_chains(tx, {point.matter_id for point in points})  # (2)
    ids = _keep(tx, points, message, callback, carrier=carrier, ciphers=ciphers)  # (3)
    new = [point for point in points if point.contact_id in ids]
    actor, now = Actor(ActorKind.CARRIER, carrier), callback.received_at
    for point in new:  # (4)
        received = sealed_draft(
            ciphers[point.person_id],
            EventType.INBOUND_RECEIVED,
            actor,
            {
                "inbound": str(ids[point.contact_id]),
                "kind": message.kind.value,
                "carrier": carrier,
                "contact": str(point.contact_id),
            },
            person=point.person_id,
            values={"message": whole_request(callback)},
        )
        append(tx, point.matter_id, [received], at=legal_now(tx, point.matter_id, now))
    settled = _obey(tx, new, message.kind, actor=actor, now=now)  # (5)
    _leave_to_people(tx, new, ids, message.kind, settled, actor=actor, now=now)  # (6)
    return len(new), len(points) - len(new)


def _keep(
    tx: Tx,
    points: Sequence[PointRow],
    message: InboundMessage,
    callback: Callback,
    *,
    carrier: str,
    ciphers: Mapping[UUID, Cipher],
) -> dict[UUID, UUID]:
    """Store a message for each contact point that does not have it yet: contact point to the id of the message."""
    ids = {point.contact_id: uuid4() for point in points}
    request, count = whole_request(callback), len(points)
    added = insert_rows(
        tx,
        "inbound",
        {
            "inbound_id": ("uuid", list(ids.values())),
            "matter_id": ("uuid", [point.matter_id for point in points]),
            "person_id": ("uuid", [point.person_id for point in points]),
            "contact_id": ("uuid", list(ids)),
            "carrier": ("text", [carrier] * count),
            "kind": ("text", [message.kind.value] * count),
            "dedupe": ("bytea", [digest(message.dedupe.encode())] * count),
            "received_at": ("timestamptz", [callback.received_at] * count),
            "sealed": (
                "bytea",
                [ciphers[point.person_id].seal(request, PLACE, ids[point.contact_id]) for point in points],
            ),
        },
        on_conflict_do_nothing=True,
        returning="contact_id",
    )
    return {contact_id: ids[contact_id] for (contact_id,) in added}


def _obey(tx: Tx, points: Sequence[PointRow], kind: InboundKind, *, actor: Actor, now: datetime) -> set[UUID]:
    """Stop or start text messages; returns the contact points for which that was all that was meant."""
    if kind is InboundKind.STOP:
        flag_points(tx, points, ContactFlag.OPTED_OUT, source="stop", actor=actor, now=now)
    if kind is InboundKind.START:
        return lift_points(tx, points, ContactFlag.OPTED_OUT, source="start", actor=actor, now=now)
    return {point.contact_id for point in points} if kind is InboundKind.HELP else set()


def _leave_to_people(
    tx: Tx,
    points: Sequence[PointRow],
    ids: Mapping[UUID, UUID],
    kind: InboundKind,
    settled: set[UUID],
    *,
    actor: Actor,
    now: datetime,
) -> None:
    """A task for whatever a human must look at: STOP is asked about, and a "yes" that starts nothing may answer us."""
    zone = zone_of(tx)
    for point in points:
        if point.contact_id in settled:
            continue
        is_stop = kind is InboundKind.STOP
        open_task(
            tx,
            TaskKind.STOP_RECEIVED if is_stop else TaskKind.REPLY_RECEIVED,
            # A STOP is asked about once; each reply is read by itself.
            subject_id=point.contact_id if is_stop else ids[point.contact_id],
            matter_id=point.matter_id,
            person_id=point.person_id,
            due_at=(
                end_of(business_day_after(now.astimezone(zone).date()), zone)
                if is_stop
                else after_business_hours(now, READ_WITHIN_HOURS, zone)
            ),
            actor=actor,
            now=now,
        )


def read_inbound(tx: Tx, person_id: UUID, *, cipher: Cipher | None) -> list[InboundRead]:
    """What somebody sent to us, oldest first. `cipher` is None after erasure."""
    rows = tx.conn.execute(
        text(
            "select inbound_id, contact_id, carrier, kind, received_at, sealed from inbound"
            " where agency_id = :agency and person_id = :person order by received_at, inbound_id"
        ),
        {"agency": tx.agency_id, "person": person_id},
    )
    return [
        InboundRead(
            row.inbound_id,
            row.contact_id,
            row.carrier,
            InboundKind(row.kind),
            row.received_at,
            _words(cipher.open(row.sealed, PLACE, row.inbound_id), row.received_at, row.carrier) if cipher else None,
        )
        for row in rows
    ]


def _words(request: bytes, received_at: datetime, carrier: str) -> str:
    """The words of a request that was kept whole."""
    kept, reader = json.loads(request), open_inbound(carrier)
    callback = Callback(kept["url"], kept["headers"], kept["body"].encode("latin-1"), received_at)
    message = reader.read(callback) if reader is not None else None
    return message.text if message is not None else ""
