"""Handing text messages and emails to their carriers.

One handful of attempts goes through these steps, numbered here and in the code:

(1) claim: take due attempts under a lease, fair between matters;
(2) compose: write each text and keep it, sealed, before anything leaves;
(3) commit: from here on a lost worker means "unknown", never "send again";
(4) hand over: concurrently, on the worker's own loop;
(5) record: as answers come in, a few at a time, status and ledger together.
"""

import asyncio
import json
import random
from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from notifier.carriers.base import Carrier, Message, Outcome, SendResult
from notifier.carriers.timetable import Wire
from notifier.core.errors import MissingText
from notifier.core.language import message_language
from notifier.core.model import Actor, ActorKind, Channel, Mode
from notifier.core.status import AttemptEvent, Reason
from notifier.render.renderer import Renderer
from notifier.store.attempts import Claimed, claim, database_now
from notifier.store.engine import Database, Tx
from notifier.store.vault import Vault
from notifier.usecases.compose import Parcel, available_languages, keep_texts, open_parcels
from notifier.usecases.progress import Change, record

CHUNK: Final = 200
PER_MATTER: Final = 100
RECORD_EVERY: Final = 0.2  # seconds between writes while answers come in
LEASE: Final = timedelta(seconds=90)  # longer than any carrier's time-out and our own writing

OUTCOME_EVENT: Final = {
    Outcome.HANDED_OVER: AttemptEvent.HANDED_OVER,
    Outcome.REFUSED: AttemptEvent.REFUSED,
    Outcome.NOT_SENT: AttemptEvent.NOT_SENT,
    Outcome.UNKNOWN: AttemptEvent.LOST_TRACK,
}


@dataclass(frozen=True, slots=True)
class Sender:
    """What a worker needs to send on one channel."""

    db: Database
    vault: Vault
    renderer: Renderer
    carrier: Carrier
    wire: Wire
    modes: Collection[Mode] = tuple(Mode)  # test matters are left alone when the carrier is the real one


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A message with what is needed to record its outcome."""

    parcel: Parcel
    message: Message
    text: bytes


async def dispatch(agency_id: UUID, *, sender: Sender, now: datetime) -> int:
    """Send one handful for one agency; returns how many attempts were claimed."""
    outgoing, count = await asyncio.to_thread(_prepare, agency_id, sender, now)
    if not outgoing:
        return count
    by_id = {item.message.attempt_id: item for item in outgoing}
    waiting = {
        asyncio.ensure_future(sender.carrier.send([item.message for item in slice_]))
        for slice_ in _slices(outgoing, sender.wire.batch)
    }
    while waiting:  # (4)
        done, waiting = await asyncio.wait(waiting, timeout=RECORD_EVERY)
        results = [result for task in done for result in task.result()]
        if results:
            await asyncio.to_thread(_record, agency_id, [(by_id[r.attempt_id], r) for r in results], sender)
    return count


def _prepare(agency_id: UUID, sender: Sender, now: datetime) -> tuple[list[Outgoing], int]:
    with sender.db.transaction(agency_id) as tx:
        claimed = claim(  # (1)
            tx, sender.carrier.channel, chunk=CHUNK, per_matter=PER_MATTER, lease=LEASE, modes=sender.modes
        )
        if not claimed:
            return [], 0
        parcels, erased = open_parcels(tx, claimed, vault=sender.vault, now=now)
        outgoing, unwritten = _compose(parcels, sender)  # (2)
        keep_texts(tx, [(item.parcel, item.text) for item in outgoing])
        _refuse(tx, [*erased, *unwritten], now=now)
    return outgoing, len(claimed)  # (3)


def _compose(parcels: Sequence[Parcel], sender: Sender) -> tuple[list[Outgoing], list[Claimed]]:
    outgoing: list[Outgoing] = []
    unwritten: list[Claimed] = []
    for parcel in parcels:
        language = message_language(parcel.language, available_languages(sender.renderer, parcel.content.mode))
        try:
            outgoing.append(_write(parcel, language, sender))
        except MissingText:
            unwritten.append(parcel.claimed)
    return outgoing, unwritten


def _write(parcel: Parcel, language: str, sender: Sender) -> Outgoing:
    claimed = parcel.claimed
    if sender.carrier.channel is Channel.SMS:
        sms = sender.renderer.sms(parcel.content, language)
        message = Message(
            agency_id=parcel.agency_id, attempt_id=claimed.attempt_id, to=parcel.value, text=sms.text, language=language
        )
        return Outgoing(parcel, message, sms.text.encode())
    mail = sender.renderer.email(parcel.content, language)
    message = Message(
        agency_id=parcel.agency_id,
        attempt_id=claimed.attempt_id,
        to=parcel.value,
        text=mail.text,
        subject=mail.subject,
        html=mail.html,
        language=language,
    )
    kept = json.dumps({"subject": mail.subject, "text": mail.text, "html": mail.html}, ensure_ascii=False)
    return Outgoing(parcel, message, kept.encode())


def _refuse(tx: Tx, claimed: Sequence[Claimed], *, now: datetime) -> None:
    by_matter: dict[UUID, list[Change]] = defaultdict(list)
    for item in claimed:
        change = Change(item.attempt_id, AttemptEvent.REFUSED, Actor.system("dispatch"), reason=Reason.NO_TEXT)
        by_matter[item.matter_id].append(change)
    for matter_id in sorted(by_matter):
        record(tx, matter_id, by_matter[matter_id], now=now)


def _record(agency_id: UUID, results: Sequence[tuple[Outgoing, SendResult]], sender: Sender) -> None:
    by_matter: dict[UUID, list[tuple[Outgoing, SendResult]]] = defaultdict(list)
    for item, result in results:
        by_matter[item.parcel.claimed.matter_id].append((item, result))
    with sender.db.transaction(agency_id) as tx:
        clock = database_now(tx)
        for matter_id in sorted(by_matter):  # (5) in id order, so that two workers never wait for each other
            changes = [_change(item, result, sender, clock) for item, result in by_matter[matter_id]]
            record(tx, matter_id, changes, now=clock)


def _change(item: Outgoing, result: SendResult, sender: Sender, clock: datetime) -> Change:
    claimed = item.parcel.claimed
    event = OUTCOME_EVENT[result.outcome]
    retry_at = None
    if event is AttemptEvent.NOT_SENT:
        if claimed.tries >= sender.wire.retry.tries:
            event = AttemptEvent.REFUSED
        else:
            wait = max(result.retry_after or 0.0, random.uniform(0, sender.wire.retry.delay_seconds(claimed.tries)))  # noqa: S311 # jitter
            retry_at = clock + timedelta(seconds=wait)
    left = event in {AttemptEvent.HANDED_OVER, AttemptEvent.LOST_TRACK}
    return Change(
        claimed.attempt_id,
        event,
        Actor(ActorKind.CARRIER, sender.carrier.slug),
        reason=result.reason,
        carrier_code=result.carrier_code,
        carrier_ref=result.carrier_ref,
        retry_at=retry_at,
        values={"text": item.text} if left else {},
        cipher=item.parcel.cipher,
    )


def _slices(items: Sequence[Outgoing], size: int) -> list[Sequence[Outgoing]]:
    return [items[start : start + size] for start in range(0, len(items), size)]
