"""What happened to one person, in order: each entry with its sentence and with what it proves.

The same words stand in the API, the console and the glossary; nobody has to guess what "delivered" means.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType
from typing import Any, Final
from uuid import UUID

from sqlalchemy import text

from notifier.core.events import EventType
from notifier.core.flags import FLAG_MEANING
from notifier.core.inbound import INBOUND_MEANING
from notifier.core.model import Channel, ContactFlag, InboundKind, Resolution, TaskKind
from notifier.core.status import PROOF, AttemptStatus, Proof
from notifier.core.tasks import RESOLUTION_MEANING, TASK_MEANING
from notifier.store.engine import Tx

T = EventType

PROVES: Final[Mapping[Proof, str]] = MappingProxyType(
    {
        Proof.COMPOSED: "Nothing about the person: no carrier had it then.",
        Proof.HANDED_OVER: "That a carrier or the mailroom had it. Nothing about its arrival.",
        Proof.ACCEPTED: "That the next network or mail server took it. Not that the person has it.",
        Proof.DELIVERED: "That the carrier says it arrived. Not that the person read it.",
        Proof.ACCESSED: "That somebody with the person's code opened the notice.",
        Proof.ACKNOWLEDGED: "That the person, or somebody with their code, confirmed it.",
    }
)

MEANING: Final[Mapping[EventType, str]] = MappingProxyType(
    {
        T.PERSON_LISTED: "The person came in with a list.",
        T.PERSON_CORRECTED: "What is known about the person was corrected.",
        T.PERSON_MATCHED: "The person was compared with people of earlier matters.",
        T.PERSON_MERGED: "Two rows turned out to be one person.",
        T.PERSON_SPLIT: "One row turned out to be two people.",
        T.RECIPIENT_NAMED: "Somebody was named to be written to for the person.",
        T.CONTACT_ADDED: "A way to reach the person was added.",
        T.CONTACT_FLAGGED: "It was learned that nothing should be sent to a contact point any more.",
        T.CONTACT_FLAG_LIFTED: "A contact point may be written to again. Nothing is sent by that alone.",
        T.INBOUND_RECEIVED: "The person, or whoever has their number, sent us a message.",
        T.SEARCH_PERFORMED: "A better address was looked for.",
        T.NOTICE_ORDERED: "An officer approved that the person is told.",
        T.NOTICE_VIEWED: "The notice was opened with the person's code.",
        T.NOTICE_ACKNOWLEDGED: "The notice was confirmed with the person's code.",
        T.ATTEMPT_ORDERED: "A try to reach the person over one channel was planned.",
        T.ATTEMPT_COMPOSED: "The message was written and kept as it is.",
        T.ATTEMPT_HANDED_OVER: "The carrier or the mailroom took the message.",
        T.ATTEMPT_NOT_SENT: "It was proved not to have been sent; it will be tried again.",
        T.ATTEMPT_LOST_TRACK: "There was no clear answer; it may have been sent, so it is not sent again.",
        T.ATTEMPT_REFUSED: "The carrier will not or could not deliver it.",
        T.ATTEMPT_ACCEPTED: "It is on its way.",
        T.ATTEMPT_ARRIVED: "The carrier says that it arrived.",
        T.ATTEMPT_BOUNCED: "The mailbox sent it back.",
        T.ATTEMPT_CAME_BACK: "It came back by post.",
        T.ATTEMPT_WENT_SILENT: "The carrier said nothing more in the time it is given.",
        T.ATTEMPT_CANCELLED: "It was stopped before anything was sent.",
        T.RECEIPT_IGNORED: "The carrier said something that changes nothing: repeated, late or contradicted.",
        T.SERVICE_REACHED: "The rule for a complete notice is met.",
        T.SERVICE_DEFEATED: "The rule for a complete notice is no longer met.",
        T.SERVICE_EXHAUSTED: "Every way to reach the person was tried.",
        T.WINDOW_OPENED: "The time to object began.",
        T.WINDOW_EXTENDED: "The time to object was extended.",
        T.WINDOW_CLOSED: "The time to object ended.",
        T.OBJECTION_RECEIVED: "The person objected.",
        T.OBJECTION_DECIDED: "The objection was decided.",
        T.ATTEMPT_WITHDRAWN: "It was taken back before it was mailed, and its paper destroyed.",
        T.OBJECTION_WITHDRAWN: "The objection was withdrawn.",
        T.WAIVER_GIVEN: "The person agreed to the release.",
        T.NONDISCLOSURE_ENTERED: "Telling the person was forbidden or asked to be.",
        T.NONDISCLOSURE_CONFIRMED: "A second officer confirmed that telling is forbidden.",
        T.NONDISCLOSURE_LAPSED: "Telling is no longer paused: nobody confirmed it.",
        T.NONDISCLOSURE_EXPIRED: "Telling is no longer forbidden.",
        T.CLOCK_COMPUTED: "The person's dates were computed.",
        T.ERASURE_PERFORMED: "The person's data was erased.",
    }
)
"""One plain sentence for everything that can happen to one person."""

RECEIPT_WAITS: Final = "A carrier's receipt came in and waits to be read."
SENT_ONCE_MORE: Final = "Nobody knows whether an earlier try went out, so it is sent once more: it may come twice."
OTHERWISE: Final = "Something about this person was recorded."


@dataclass(frozen=True, slots=True)
class Entry:
    """One thing that happened. `proves` is a level P0 to P5 where it is about a message, `flag` a contact point's."""

    at: datetime
    what: str
    meaning: str
    actor_kind: str
    actor_id: str
    attempt_id: UUID | None = None
    channel: str | None = None
    carrier: str | None = None
    carrier_word: str | None = None
    carrier_code: str | None = None
    reason: str | None = None
    status: str | None = None
    proof: Proof | None = None
    proves: str | None = None
    contact_id: UUID | None = None
    flag: str | None = None
    due_at: datetime | None = None
    task_id: UUID | None = None
    linked_from: UUID | None = None  # the attempt that this one repeats
    duplicate_possible: bool = False  # the person may have had the message twice


def read_timeline(tx: Tx, person_id: UUID, *, channels: Mapping[UUID, str]) -> list[Entry]:
    """All that the ledger says about a person, and the receipts that wait. `channels` gives each attempt's channel."""
    bodies = tx.conn.execute(
        text("select body from event where agency_id = :agency and person_id = :person order by at, seq"),
        {"agency": tx.agency_id, "person": person_id},
    ).scalars()
    receipts = _receipts(tx, person_id)
    told = [_entry(json.loads(body), channels=channels, receipts=receipts) for body in bodies]
    return sorted([*told, *_waiting(receipts.values(), channels=channels)], key=lambda entry: entry.at)


def _receipts(tx: Tx, person_id: UUID) -> dict[str, Mapping[str, Any]]:
    rows = tx.conn.execute(
        text(
            "select receipt_id, attempt_id, carrier, word, carrier_code, received_at, applied_at from receipt"
            " where agency_id = :agency and attempt_id in"
            " (select attempt_id from attempt where agency_id = :agency and person_id = :person)"
        ),
        {"agency": tx.agency_id, "person": person_id},
    ).mappings()
    return {str(row["receipt_id"]): dict(row) for row in rows}


def _entry(
    leaf: Mapping[str, Any], *, channels: Mapping[UUID, str], receipts: Mapping[str, Mapping[str, Any]]
) -> Entry:
    data = leaf["data"]
    kind = EventType(leaf["type"])
    attempt_id = UUID(data["attempt"]) if "attempt" in data else None
    channel = data.get("channel") or (channels.get(attempt_id) if attempt_id else None)
    proof = _proof(channel, data.get("status"))
    receipt = receipts.get(str(data.get("receipt")), {})
    return Entry(
        at=datetime.fromisoformat(leaf["at"]),
        what=kind.value,
        meaning=_meaning(kind, data),
        actor_kind=leaf["actor"]["kind"],
        actor_id=leaf["actor"]["id"],
        attempt_id=attempt_id,
        channel=channel,
        carrier=data.get("carrier"),
        carrier_word=receipt.get("word"),
        carrier_code=data.get("carrier_code"),
        reason=data.get("reason"),
        status=data.get("status"),
        proof=proof,
        proves=None if proof is None else PROVES[proof],
        contact_id=UUID(data["contact"]) if "contact" in data else None,
        flag=data.get("flag"),
        due_at=datetime.fromisoformat(data["due"]) if "due" in data else None,
        task_id=UUID(data["task"]) if "task" in data else None,
        linked_from=UUID(data["linked_from"]) if "linked_from" in data else None,
        duplicate_possible=bool(data.get("duplicate_possible")),
    )


def _meaning(kind: EventType, data: Mapping[str, Any]) -> str:
    """The sentence; what was learned of a contact point, and what somebody wrote, say the most."""
    if kind is T.CONTACT_FLAGGED:
        return FLAG_MEANING[ContactFlag(data["flag"])]
    if kind is T.INBOUND_RECEIVED:
        return INBOUND_MEANING[InboundKind(data["kind"])]
    if kind is T.TASK_OPENED:
        return TASK_MEANING[TaskKind(data["kind"])]
    if kind is T.TASK_DONE:
        return RESOLUTION_MEANING[Resolution(data["resolution"])]
    if kind is T.ATTEMPT_ORDERED and data.get("duplicate_possible"):
        return SENT_ONCE_MORE
    return MEANING.get(kind, OTHERWISE)


def _proof(channel: str | None, status: str | None) -> Proof | None:
    if channel is None or status is None:
        return None
    return PROOF[Channel(channel)][AttemptStatus(status)]


def _waiting(receipts: Iterable[Mapping[str, Any]], *, channels: Mapping[UUID, str]) -> list[Entry]:
    return [
        Entry(
            at=row["received_at"],
            what="receipt.waiting",
            meaning=RECEIPT_WAITS,
            actor_kind="carrier",
            actor_id=row["carrier"],
            attempt_id=row["attempt_id"],
            channel=channels.get(row["attempt_id"]),
            carrier=row["carrier"],
            carrier_word=row["word"],
            carrier_code=row["carrier_code"],
        )
        for row in receipts
        if row["applied_at"] is None
    ]
