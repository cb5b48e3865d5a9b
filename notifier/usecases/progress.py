"""What happened to attempts, applied in one place: status, ledger and times change together or not at all."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Final, cast
from uuid import UUID

from sqlalchemy import Row, text

from notifier.core.events import EventType
from notifier.core.ledger import Draft, Json, timestamp
from notifier.core.model import Actor, Channel
from notifier.core.status import TRANSITIONS, AttemptEvent, AttemptStatus, Reason, advance
from notifier.store.attempts import open_work
from notifier.store.bulk import driver
from notifier.store.engine import Tx
from notifier.store.ledger import append, draft, lock_chains, sealed_draft
from notifier.store.vault import Cipher

EVENT_TYPE: Mapping[AttemptEvent, EventType] = MappingProxyType(
    {
        AttemptEvent.NOT_SENT: EventType.ATTEMPT_NOT_SENT,
        AttemptEvent.HANDED_OVER: EventType.ATTEMPT_HANDED_OVER,
        AttemptEvent.LOST_TRACK: EventType.ATTEMPT_LOST_TRACK,
        AttemptEvent.REFUSED: EventType.ATTEMPT_REFUSED,
        AttemptEvent.ACCEPTED: EventType.ATTEMPT_ACCEPTED,
        AttemptEvent.ARRIVED: EventType.ATTEMPT_ARRIVED,
        AttemptEvent.BOUNCED: EventType.ATTEMPT_BOUNCED,
        AttemptEvent.CAME_BACK: EventType.ATTEMPT_CAME_BACK,
        AttemptEvent.WENT_SILENT: EventType.ATTEMPT_WENT_SILENT,
        AttemptEvent.CANCELLED: EventType.ATTEMPT_CANCELLED,
    }
)


IDENTIFIER: Final = re.compile(r"[A-Za-z0-9._@:+-]{1,100}")

# A receipt may overtake the answer to our own request: that the message left, and its text, is recorded all the same.
LEFT_US = frozenset({AttemptEvent.HANDED_OVER, AttemptEvent.LOST_TRACK})


@dataclass(frozen=True, slots=True)
class Change:
    """One thing that happened to one attempt. `values` are committed to in the ledger, under `cipher`.

    What a carrier says in `carrier_ref` and `carrier_code` is kept when it is an identifier, and dropped otherwise.
    `only_from`: what time alone has brought about; dropped without a word when the attempt stands elsewhere by now.
    """

    attempt_id: UUID
    event: AttemptEvent
    actor: Actor
    reason: Reason | None = None
    carrier_code: str | None = None
    carrier_ref: str | None = None
    retry_at: datetime | None = None
    occurred_at: datetime | None = None
    batch_id: UUID | None = None
    more: Mapping[str, Json] = field(default_factory=dict)
    values: Mapping[str, bytes] = field(default_factory=dict, repr=False)
    cipher: Cipher | None = None
    only_from: frozenset[AttemptStatus] = frozenset(AttemptStatus)


def legal_now(tx: Tx, matter_id: UUID, now: datetime) -> datetime:
    """The time that counts in a matter: a test matter's clock may have been advanced."""
    offset = tx.conn.execute(
        text("select clock_offset from matter where agency_id = :agency and matter_id = :matter"),
        {"agency": tx.agency_id, "matter": matter_id},
    ).scalar_one()
    return now + cast("timedelta", offset)


def record(tx: Tx, matter_id: UUID, changes: Sequence[Change], *, now: datetime) -> dict[UUID, AttemptStatus]:
    """Apply changes in order to attempts of one matter; returns the status of each attempt afterwards.

    (1) hold the matter's chain, which everybody takes first; (2) hold the attempts and read where they stand, for a
    worker may be about to claim them; (3) advance each
    by the transition table, keeping what does not fit as an ignored receipt; (4) write rows and events together;
    (5) what is to be sent after all is open work again.
    """
    if not changes:
        return {}
    lock_chains(tx, [matter_id])  # (1)
    attempts = _read(tx, {change.attempt_id for change in changes})  # (2)
    status = {attempt_id: AttemptStatus(row.status) for attempt_id, row in attempts.items()}
    drafts: list[Draft] = []
    updates: dict[UUID, _Update] = {}
    for change in map(_plain, changes):  # (3)
        row, before = attempts[change.attempt_id], status[change.attempt_id]
        if before not in change.only_from:
            continue
        after = advance(before, change.event)
        status[change.attempt_id] = after
        fits = (before, change.event) in TRANSITIONS or change.event in LEFT_US
        drafts.append(_draft(change, row, after, fits=fits))
        if fits:
            update = updates.setdefault(change.attempt_id, _Update())
            update.take(change, has_moved=after is not before)
    at = legal_now(tx, matter_id, now)
    _write(tx, status, updates, now=now, at=at)  # (4)
    append(tx, matter_id, drafts, at=at)
    again = {attempts[attempt_id].channel for attempt_id in updates if status[attempt_id] is AttemptStatus.PLANNED}
    if again:  # (5)
        open_work(tx, matter_id, [Channel(channel) for channel in sorted(again)])
    return status


def _plain(change: Change) -> Change:
    return replace(change, carrier_ref=_identifier(change.carrier_ref), carrier_code=_identifier(change.carrier_code))


def _identifier(word: str | None) -> str | None:
    """A carrier's own word goes into the ledger for good: nothing that could be a sentence, or a person."""
    return word if word is not None and IDENTIFIER.fullmatch(word) else None


@dataclass(slots=True)
class _Update:
    """What one attempt's row becomes. None leaves a column as it is."""

    carrier_ref: str | None = None
    reason: str | None = None
    carrier_code: str | None = None
    retry_at: datetime | None = None
    batch_id: UUID | None = None
    has_moved: bool = False
    was_handed_over: bool = False

    def take(self, change: Change, *, has_moved: bool) -> None:
        self.carrier_ref = change.carrier_ref or self.carrier_ref
        if has_moved:  # why it stands where it stands: a reason of an earlier standing no longer holds
            self.has_moved = True
            self.reason = change.reason.value if change.reason else None
            self.carrier_code = change.carrier_code
        self.retry_at = change.retry_at or self.retry_at
        self.batch_id = change.batch_id or self.batch_id
        self.was_handed_over |= change.event in {AttemptEvent.HANDED_OVER, AttemptEvent.ACCEPTED, AttemptEvent.ARRIVED}


def _read(tx: Tx, attempt_ids: set[UUID]) -> dict[UUID, Row[tuple[UUID, UUID, str, str, str, int]]]:
    rows = tx.conn.execute(
        text(
            "select attempt_id, person_id, channel, carrier, status, tries from attempt"
            " where agency_id = :agency and attempt_id = any(:ids) order by attempt_id for no key update"
        ),
        {"agency": tx.agency_id, "ids": list(attempt_ids)},
    )
    return {row.attempt_id: row for row in rows}


def _draft(
    change: Change, row: Row[tuple[UUID, UUID, str, str, str, int]], after: AttemptStatus, *, fits: bool
) -> Draft:
    data: dict[str, Json] = {
        "attempt": str(change.attempt_id),
        "carrier": row.carrier,
        "status": after.value,
        **change.more,
    }
    optional = {
        "reason": change.reason.value if change.reason else None,
        "carrier_code": change.carrier_code,
        "carrier_ref": change.carrier_ref,
        "occurred_at": timestamp(change.occurred_at) if change.occurred_at else None,
        "batch": str(change.batch_id) if change.batch_id and fits else None,
        "retry_at": timestamp(change.retry_at) if change.retry_at and fits else None,
    }
    if fits and change.event is AttemptEvent.NOT_SENT:
        data["tries"] = row.tries
    data.update({name: value for name, value in optional.items() if value is not None})
    event_type = EVENT_TYPE[change.event] if fits else EventType.RECEIPT_IGNORED
    if not fits:
        data["word"] = change.event.value
    if change.values and change.cipher is not None:
        return sealed_draft(change.cipher, event_type, change.actor, data, person=row.person_id, values=change.values)
    return draft(event_type, change.actor, data, person=row.person_id)


_UPDATE = """
update attempt a set
  status = u.status, updated_at = %(now)b, lease_until = null,
  carrier_ref = coalesce(u.carrier_ref, a.carrier_ref),
  reason = case when u.moved then u.reason else a.reason end,
  carrier_code = case when u.moved then u.carrier_code else a.carrier_code end, due_at = coalesce(u.retry_at, a.due_at),
  batch_id = coalesce(u.batch_id, a.batch_id),
  handed_over_at = case
    when u.handed_over and (a.handed_over_at is null or u.moved and u.status = 'accepted' and a.channel = 'letter')
    then %(at)b else a.handed_over_at end
from unnest(%(ids)b::uuid[], %(status)b::text[], %(ref)b::text[], %(reason)b::text[], %(code)b::text[],
            %(retry)b::timestamptz[], %(batch)b::uuid[], %(over)b::bool[], %(moved)b::bool[])
  as u(attempt_id, status, carrier_ref, reason, carrier_code, retry_at, batch_id, handed_over, moved)
where a.agency_id = %(agency)b and a.attempt_id = u.attempt_id
"""


def _write(
    tx: Tx, status: Mapping[UUID, AttemptStatus], updates: Mapping[UUID, _Update], *, now: datetime, at: datetime
) -> None:
    if not updates:
        return
    rows = list(updates.values())
    with driver(tx).cursor() as cursor:
        cursor.execute(
            _UPDATE,
            {
                "agency": tx.agency_id,
                "now": now,
                "at": at,  # silence is counted on the matter's own clock, that of a letter from its mailing
                "ids": list(updates),
                "status": [status[attempt_id].value for attempt_id in updates],
                "ref": [row.carrier_ref for row in rows],
                "reason": [row.reason for row in rows],
                "code": [row.carrier_code for row in rows],
                "retry": [row.retry_at for row in rows],
                "batch": [row.batch_id for row in rows],
                "over": [row.was_handed_over for row in rows],
                "moved": [row.has_moved for row in rows],
            },
        )
