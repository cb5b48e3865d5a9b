"""What became of messages whose carrier gave no clear answer.

(1) take those whose time has come, for a while nobody else's; (2) ask the carrier, where it can be asked; (3) settle
each, in its matter's ledger:

- it is there: handed over, or what the carrier says of it since;
- it was never sent, proved: the same attempt may be tried again;
- otherwise ask again later, after doubling waits; absence from a list proves nothing. When the time for that has run
  out, it stays unknown: a new attempt, linked to it and marked as a possible duplicate, where a pack of the matter
  wants that, else a task for a caseworker. A receipt still settles it at any time.
"""

import asyncio
import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID, uuid4

import structlog

from notifier.carriers.base import Finding, Found, Message, Reconciler, Sought
from notifier.carriers.timetable import Wire
from notifier.core.errors import Invalid, Sealed
from notifier.core.events import EventType
from notifier.core.ledger import Json
from notifier.core.model import Actor, ActorKind, Channel, TaskKind
from notifier.core.policy import Packs, resend_unknown_of
from notifier.core.status import AttemptEvent, AttemptStatus
from notifier.store.attempts import NewAttempt, database_now, open_work, plan_attempts
from notifier.store.engine import Tx
from notifier.store.ledger import append, draft, lock_chains
from notifier.store.unknown import (
    Doubt,
    is_flagged,
    refs_taken,
    set_check,
    still_unknown,
    take_doubts,
    times_ordered_again,
)
from notifier.usecases.compose import Parcel, open_parcels
from notifier.usecases.dispatch import Sender
from notifier.usecases.matters import bound_packs
from notifier.usecases.progress import Change, legal_now, record
from notifier.usecases.tasks import open_task

AT_ONCE: Final = 50
HOLD: Final = timedelta(minutes=2)  # longer than asking takes
FOUND_BY: Final = "carrier_asked"
TASK_AFTER: Final = timedelta(days=1)
ACTOR: Final = Actor.system("reconcile")
UNKNOWN: Final = frozenset({AttemptStatus.UNKNOWN})

log = structlog.get_logger()


async def reconcile(agency_id: UUID, *, sender: Sender, packs: Packs, now: datetime) -> int:
    """Ask about some of one agency's messages of one channel; returns how many were due."""
    doubts, sought = await asyncio.to_thread(_take, agency_id, sender, now)
    if not doubts:
        return 0
    found: dict[UUID, Found] = {}
    if sought and isinstance(sender.carrier, Reconciler):
        found = {one.attempt_id: one for one in await sender.carrier.find(sought)}
    await asyncio.to_thread(_settle, agency_id, doubts, found, sender=sender, packs=packs, now=now)
    return sum(doubt.is_due for doubt in doubts)


def next_check(lost_at: datetime, now: datetime, wire: Wire) -> datetime | None:
    """When to ask again: after the sweep's time, twice, four times it; None when the time for asking has run out."""
    after, last = timedelta(seconds=wire.sweep_after_seconds), timedelta(seconds=wire.resend_after_seconds)
    if now >= lost_at + last:
        return None
    while lost_at + after <= now:
        after *= 2
    return lost_at + min(after, last)


def _take(agency_id: UUID, sender: Sender, now: datetime) -> tuple[list[Doubt], list[Sought]]:
    channel = sender.carrier.channel
    with sender.db.transaction(agency_id) as tx:  # (1)
        doubts = take_doubts(tx, channel, limit=AT_ONCE, hold=HOLD, modes=sender.modes)
        if not doubts or not isinstance(sender.carrier, Reconciler):
            return doubts, []
        taken = refs_taken(tx, channel, [doubt.blind for doubt in doubts])
        parcels, _ = open_parcels(tx, [doubt.claimed for doubt in doubts], vault=sender.vault, now=now)
    by_id = {parcel.claimed.attempt_id: parcel for parcel in parcels}
    sought = []
    for doubt in doubts:
        parcel = by_id.get(doubt.claimed.attempt_id)
        message = _message(doubt, parcel, channel) if parcel is not None else None
        if message is not None and doubt.carrier == sender.carrier.slug:
            sought.append(Sought(message, doubt.since, taken.get(doubt.blind, frozenset())))
    return doubts, sought


def _message(doubt: Doubt, parcel: Parcel, channel: Channel) -> Message | None:
    """The message as it may have been sent; None when its text is erased or damaged."""
    attempt_id = doubt.claimed.attempt_id
    text = ""
    if doubt.sealed is not None:
        try:
            kept = parcel.cipher.open(doubt.sealed, "content.sealed", attempt_id).decode()
        except Sealed:
            return None
        text = json.loads(kept)["text"] if channel is Channel.EMAIL else kept
    return Message(agency_id=parcel.agency_id, attempt_id=attempt_id, to=parcel.value, text=text)


def _settle(
    agency_id: UUID,
    doubts: Sequence[Doubt],
    found: Mapping[UUID, Found],
    *,
    sender: Sender,
    packs: Packs,
    now: datetime,
) -> None:
    """Each matter in a transaction of its own (3): what is wrong with one keeps no other waiting."""
    by_matter: defaultdict[UUID, list[Doubt]] = defaultdict(list)
    for doubt in doubts:
        by_matter[doubt.claimed.matter_id].append(doubt)
    for matter_id in sorted(by_matter):
        try:
            with sender.db.transaction(agency_id) as tx:
                _settle_matter(tx, matter_id, by_matter[matter_id], found, sender=sender, packs=packs, now=now)
        except Exception as error:  # noqa: BLE001 # they are asked about again
            log.error("reconcile.matter_left", matter=str(matter_id), error=type(error).__name__)  # noqa: TRY400 # a traceback may hold values


def _settle_matter(
    tx: Tx,
    matter_id: UUID,
    doubts: Sequence[Doubt],
    found: Mapping[UUID, Found],
    *,
    sender: Sender,
    packs: Packs,
    now: datetime,
) -> None:
    lock_chains(tx, [matter_id])
    clock = database_now(tx)
    changes, checks, over = [], {}, []
    for doubt in doubts:
        told = found.get(doubt.claimed.attempt_id)
        change = _change(told, doubt.carrier, clock) if told is not None else None
        if change is not None:
            changes.append(change)
        elif doubt.is_due:
            at = next_check(doubt.lost_at, clock, sender.wire)
            checks[doubt.claimed.attempt_id] = at
            over += [doubt] if at is None else []
    record(tx, matter_id, changes, now=now)
    wanted = _wanted(tx, matter_id, packs) if over else 0
    for doubt in over:
        if still_unknown(tx, doubt.claimed.attempt_id):
            _give_up_asking(tx, doubt, sender.carrier.channel, wanted=wanted, carrier=sender.carrier.slug, now=now)
    if checks:
        set_check(tx, checks)


def _wanted(tx: Tx, matter_id: UUID, packs: Packs) -> int:
    """How often the packs of a matter want such a message ordered anew; where they cannot be read a human decides."""
    try:
        return resend_unknown_of(bound_packs(tx, matter_id, packs))
    except Invalid:
        return 0


def _change(told: Found, carrier: str, clock: datetime) -> Change | None:
    if told.finding is Finding.THERE:
        return Change(
            told.attempt_id,
            told.event,
            Actor(ActorKind.CARRIER, carrier),
            reason=told.reason,
            carrier_code=told.carrier_code,
            carrier_ref=told.carrier_ref,
            more={"found_by": FOUND_BY},
            only_from=UNKNOWN,
        )
    if told.finding is Finding.NEVER:
        more: dict[str, Json] = {"found_by": FOUND_BY}
        event, actor = AttemptEvent.NOT_SENT, Actor(ActorKind.CARRIER, carrier)
        return Change(told.attempt_id, event, actor, retry_at=clock, more=more, only_from=UNKNOWN)
    return None


def _give_up_asking(tx: Tx, doubt: Doubt, channel: Channel, *, wanted: int, carrier: str, now: datetime) -> None:
    """The message is ordered once more where a pack wants that and it may still be sent there, else a human looks."""
    claimed = doubt.claimed
    if times_ordered_again(tx, doubt) < wanted and not is_flagged(tx, claimed.contact_id):
        _order_again(tx, doubt, channel, carrier=carrier, now=now)
        return
    open_task(
        tx,
        TaskKind.UNKNOWN_OUTCOME,
        subject_id=claimed.attempt_id,
        matter_id=claimed.matter_id,
        person_id=claimed.person_id,
        due_at=now + TASK_AFTER,
        actor=ACTOR,
        now=now,
    )


def _order_again(tx: Tx, doubt: Doubt, channel: Channel, *, carrier: str, now: datetime) -> None:
    """A new attempt of the same row of the plan, linked to the one that may have been sent."""
    old = doubt.claimed
    new = NewAttempt(
        uuid4(),
        old.notice_id,
        old.person_id,
        old.contact_id,
        doubt.plan_row,
        channel,
        carrier,
        database_now(tx),
        linked_from=old.attempt_id,
        service=doubt.service,
    )
    plan_attempts(tx, old.matter_id, [new], now=now)
    data: dict[str, Json] = {
        "attempt": str(new.attempt_id),
        "notice": str(new.notice_id),
        "channel": channel.value,
        "contact": str(new.contact_id),
        "plan_row": new.plan_row,
        "linked_from": str(old.attempt_id),
        "duplicate_possible": True,
        **({"service": doubt.service.value} if doubt.service else {}),
    }
    ordered = draft(EventType.ATTEMPT_ORDERED, ACTOR, data, person=old.person_id)
    append(tx, old.matter_id, [ordered], at=legal_now(tx, old.matter_id, now))
    open_work(tx, old.matter_id, [channel])
