"""What happened to attempts, applied in one place: status, ledger and times change together or not at all."""

import re
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from types import MappingProxyType
from typing import Final
from uuid import UUID

from sqlalchemy import text

from notifier.core.events import EventType
from notifier.core.flags import FLAG_OF_REASON
from notifier.core.ledger import Draft, Json, timestamp
from notifier.core.model import Actor, ActorKind, Channel
from notifier.core.status import CAME_TO_NOTHING, TRANSITIONS, AttemptEvent, AttemptStatus, Reason, advance
from notifier.store.attempts import Claimed, give_back, open_work
from notifier.store.engine import Tx
from notifier.store.ledger import append_to_chains, draft, lock_chains, sealed_draft
from notifier.store.looks import look_again
from notifier.store.standings import Attempt, Standing, read_attempts, write_standings
from notifier.store.vault import Cipher
from notifier.usecases.contact_marks import Doomed, Learned, doomed_among, learn

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
        AttemptEvent.WITHDRAWN: EventType.ATTEMPT_WITHDRAWN,
    }
)


IDENTIFIER: Final = re.compile(r"[A-Za-z0-9._@:+-]{1,100}")

UNSENT: Final = Actor.system("contact_flags")
_PLANNED: Final = frozenset({AttemptStatus.PLANNED})
_TEACHES: Final = frozenset({AttemptStatus.FAILED, AttemptStatus.RETURNED})

# A receipt may overtake the answer to our own request: that the message left, and its text, is recorded all the same.
LEFT_US = frozenset({AttemptEvent.HANDED_OVER, AttemptEvent.LOST_TRACK})


@dataclass(frozen=True, slots=True)
class Change:
    """One thing that happened to one attempt. `values` are committed to in the ledger, under `cipher`.

    What a carrier says in `carrier_ref` and `carrier_code` is kept when it is an identifier, and dropped otherwise. The
    carrier's first reference stays: with another one its word is recorded as of a possible duplicate.
    `only_from`: what time alone has brought about; dropped without a word when the attempt stands elsewhere by now.
    """

    attempt_id: UUID
    event: AttemptEvent
    actor: Actor
    reason: Reason | None = None
    carrier_code: str | None = None
    carrier_ref: str | None = None
    retry_at: datetime | None = None
    check_at: datetime | None = None  # when its carrier is asked about what nobody knows
    occurred_at: datetime | None = None
    batch_id: UUID | None = None
    more: Mapping[str, Json] = field(default_factory=dict)
    values: Mapping[str, bytes] = field(default_factory=dict, repr=False)
    cipher: Cipher | None = None
    only_from: frozenset[AttemptStatus] = frozenset(AttemptStatus)


def legal_now(tx: Tx, matter_id: UUID, now: datetime) -> datetime:
    """The time that counts in a matter: a test matter's clock may have been advanced."""
    return legal_times(tx, [matter_id], now)[matter_id]


def legal_times(tx: Tx, matter_ids: Iterable[UUID], now: datetime) -> dict[UUID, datetime]:
    """As `legal_now`, of several matters in one query."""
    rows = tx.conn.execute(
        text("select matter_id, clock_offset from matter where agency_id = :agency and matter_id = any(:matters)"),
        {"agency": tx.agency_id, "matters": list(matter_ids)},
    )
    return {row.matter_id: now + row.clock_offset for row in rows}


def record(tx: Tx, matter_id: UUID, changes: Sequence[Change], *, now: datetime) -> dict[UUID, AttemptStatus]:
    """`record_all` for the attempts of one matter."""
    return record_all(tx, {matter_id: changes}, now=now)


def record_all(tx: Tx, by_matter: Mapping[UUID, Sequence[Change]], *, now: datetime) -> dict[UUID, AttemptStatus]:
    """Apply changes in order to attempts of each matter; returns the status of each attempt afterwards.

    The number of statements does not grow with the number of matters.

    (1) hold the matters' chains in id order, which everybody takes first; (2) hold the attempts and read where they
    stand, for a worker may be about to claim them; (3) advance each by the transition table, keeping what does not fit
    as an ignored receipt; (4) write rows and events together; (5) what is to be sent after all is open work again;
    (6) a failure that says something of the contact point flags it; nothing stays planned to one that has a flag.
    """
    by_matter = {matter_id: changes for matter_id, changes in by_matter.items() if changes}
    if not by_matter:
        return {}
    lock_chains(tx, by_matter)  # (1)
    attempts = read_attempts(tx, {change.attempt_id for changes in by_matter.values() for change in changes})  # (2)
    status = {attempt_id: AttemptStatus(row.status) for attempt_id, row in attempts.items()}
    drafts: dict[UUID, list[Draft]] = {}
    updates: dict[UUID, _Update] = {}
    for matter_id, changes in by_matter.items():  # (3)
        drafts[matter_id] = _advance(changes, attempts, status, updates, matter_id=matter_id)
    at = legal_times(tx, by_matter, now)
    write_standings(tx, updates, status, at=at)  # (4)
    append_to_chains(tx, drafts, at=at)
    ended = [one for one, update in updates.items() if update.has_moved and status[one] in CAME_TO_NOTHING]
    if ended:
        look_again(tx, attempts=ended)
    again: dict[UUID, set[Channel]] = defaultdict(set)
    for attempt_id, update in updates.items():
        if status[attempt_id] is AttemptStatus.PLANNED:
            again[update.matter_id].add(Channel(attempts[attempt_id].channel))
    for matter_id in sorted(again):  # (5)
        open_work(tx, matter_id, sorted(again[matter_id]))
    learned = [
        Learned(attempt_id, update.matter_id, attempts[attempt_id].carrier, update.lesson)
        for attempt_id, update in updates.items()
        if update.lesson is not None and status[attempt_id] in _TEACHES
    ]
    for doomed in (  # (6)
        learn(tx, learned, at=at) if learned else {},
        doomed_among(tx, [one for one in updates if status[one] is AttemptStatus.PLANNED]) if again else {},
    ):
        status |= record_all(tx, {matter_id: refusals(found) for matter_id, found in doomed.items()}, now=now)
    return status


def hand_back(tx: Tx, claimed: Collection[Claimed], *, now: datetime) -> None:
    """Give attempts back untried whose handing over was not begun; their contact points may have a flag by now."""
    lock_chains(tx, {item.matter_id for item in claimed})
    give_back(tx, claimed)
    for matter_id, doomed in doomed_among(tx, [item.attempt_id for item in claimed]).items():
        record(tx, matter_id, refusals(doomed), now=now)


def refusals(doomed: Iterable[Doomed]) -> list[Change]:
    """What to record of attempts that are planned to a contact point which gets nothing any more."""
    return [
        Change(one.attempt_id, AttemptEvent.REFUSED, UNSENT, reason=one.reason, only_from=_PLANNED) for one in doomed
    ]


def _advance(
    changes: Sequence[Change],
    attempts: Mapping[UUID, Attempt],
    status: dict[UUID, AttemptStatus],
    updates: dict[UUID, "_Update"],
    *,
    matter_id: UUID,
) -> list[Draft]:
    """Take one matter's changes in order: moves `status`, collects in `updates`, returns what the ledger gets."""
    drafts = []
    for change in map(_plain, changes):
        row, before = attempts[change.attempt_id], status[change.attempt_id]
        if before not in change.only_from:
            continue
        is_over = _is_over(change, row)
        after = status[change.attempt_id] = before if is_over else advance(before, change.event)
        fits = not is_over and ((before, change.event) in TRANSITIONS or change.event in LEFT_US)
        update = updates.get(change.attempt_id) or _Update(matter_id, carrier_ref=row.carrier_ref)
        drafts.append(_draft(change, row, after, fits=fits, is_second=update.is_second(change)))
        if fits:
            update.take(change, has_moved=after is not before)
            updates[change.attempt_id] = update
    return drafts


def _is_over(change: Change, row: Attempt) -> bool:
    """That the carrier has a piece which it gave back since says nothing of the one that takes its place."""
    is_its = change.carrier_ref is not None and change.carrier_ref == row.withdrawn_ref
    return is_its and change.event is AttemptEvent.HANDED_OVER


def _plain(change: Change) -> Change:
    return replace(change, carrier_ref=identifier(change.carrier_ref), carrier_code=identifier(change.carrier_code))


def identifier(word: str | None) -> str | None:
    """A carrier's own word, or None: nothing that could be a sentence, or a person, goes into the ledger for good."""
    return word if word is not None and IDENTIFIER.fullmatch(word) else None


@dataclass(slots=True)
class _Update(Standing):
    """What one attempt's row becomes, change by change."""

    lesson: Reason | None = None  # what the carrier's word says of the contact point

    def is_second(self, change: Change) -> bool:
        """Whether the carrier speaks of another message than the one we know: then it may have had two of us."""
        ours, theirs = self.carrier_ref, change.carrier_ref
        return change.actor.kind is ActorKind.CARRIER and ours is not None and theirs is not None and ours != theirs

    def take(self, change: Change, *, has_moved: bool) -> None:
        if not self.is_second(change):
            self.carrier_ref = change.carrier_ref or self.carrier_ref
        if has_moved:  # why it stands where it stands: a reason of an earlier standing no longer holds
            self.has_moved = True
            self.reason = change.reason.value if change.reason else None
            if change.actor.kind is ActorKind.CARRIER and change.reason in FLAG_OF_REASON:
                self.lesson = change.reason
            self.carrier_code = change.carrier_code
            self.check_at = change.check_at
        self.retry_at = change.retry_at or self.retry_at
        self.batch_id = change.batch_id or self.batch_id
        self.was_handed_over |= change.event in {AttemptEvent.HANDED_OVER, AttemptEvent.ACCEPTED, AttemptEvent.ARRIVED}
        self.is_withdrawn |= change.event is AttemptEvent.WITHDRAWN


def _draft(change: Change, row: Attempt, after: AttemptStatus, *, fits: bool, is_second: bool) -> Draft:
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
    if is_second:
        data["duplicate_possible"] = True
    if fits and change.event is AttemptEvent.NOT_SENT:
        data["tries"] = row.tries
    data.update({name: value for name, value in optional.items() if value is not None})
    event_type = EVENT_TYPE[change.event] if fits else EventType.RECEIPT_IGNORED
    if not fits:
        data["word"] = change.event.value
    if change.values and change.cipher is not None:
        return sealed_draft(change.cipher, event_type, change.actor, data, person=row.person_id, values=change.values)
    return draft(event_type, change.actor, data, person=row.person_id)
