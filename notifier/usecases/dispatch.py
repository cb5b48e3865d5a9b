"""Handing text messages and emails to their carriers.

One handful of attempts goes through these steps, numbered here and in the code:

(1) claim: take due attempts under a lease, fair between matters, and no more than can leave at once;
(2) compose: write each text and keep it, sealed, before anything leaves; give back what a stop has come to hold;
(3) commit: from here on a lost worker means "unknown", never "send again";
(4) hand over: concurrently, on the worker's own loop, and never on a lease that is getting old;
(5) record: as answers come in, a few at a time, status and ledger together, each matter by itself.
"""

import asyncio
import json
import random
import time
from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

import psycopg
import structlog
from sqlalchemy.exc import InterfaceError, OperationalError

from notifier.carriers.base import Carrier, Message, Outcome, SendResult
from notifier.carriers.timetable import Wire
from notifier.core.errors import MissingText
from notifier.core.language import message_language
from notifier.core.model import Actor, ActorKind, Channel, Mode
from notifier.core.status import AttemptEvent, Reason
from notifier.render.renderer import Renderer
from notifier.store.attempts import claim, database_now, give_back, stopped_since
from notifier.store.engine import Database
from notifier.store.vault import Vault
from notifier.usecases.compose import Parcel, Unwritten, available_languages, keep_texts, open_parcels, unreadable
from notifier.usecases.places import Held, Places
from notifier.usecases.progress import Change, record

PER_MATTER: Final = 100
RECORD_EVERY: Final = 0.2  # seconds between writes while answers come in
RECORD_AGAIN: Final = 0.5  # seconds until what happened is written down again, while the database is away
LEASE: Final = timedelta(seconds=90)  # longer than any carrier's time-out and our own writing
FRESH: Final = timedelta(seconds=20)  # of a lease: later no call is begun, so that it ends before the lease does

OUTCOME_EVENT: Final = {
    Outcome.HANDED_OVER: AttemptEvent.HANDED_OVER,
    Outcome.REFUSED: AttemptEvent.REFUSED,
    Outcome.NOT_SENT: AttemptEvent.NOT_SENT,
    Outcome.UNKNOWN: AttemptEvent.LOST_TRACK,
}

# No message's own fault: it waits for as long as the trouble lasts, and nobody is given up for it.
NOT_ITS_FAULT: Final = frozenset({Reason.CARRIER_ERROR, Reason.RATE_LIMITED, Reason.MISCONFIGURED, Reason.WORKER_LOST})
AWAY: Final = (OperationalError, InterfaceError, psycopg.OperationalError, psycopg.InterfaceError)

Happened = tuple[UUID, Change]
"""The matter, and what happened to one of its attempts."""

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Sender:
    """What a worker needs to send on one channel, in one event loop."""

    db: Database
    vault: Vault
    renderer: Renderer
    carrier: Carrier
    wire: Wire
    places: Places
    modes: Collection[Mode] = tuple(Mode)  # test matters are left alone when the carrier is the real one


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A message with what is needed to record its outcome."""

    parcel: Parcel
    message: Message
    text: bytes


@dataclass(frozen=True, slots=True)
class Handful:
    """What was claimed together. Its clock is the database's, read once and carried on by this machine's."""

    claimed: int
    outgoing: Sequence[Outgoing]
    unwritten: Sequence[Unwritten]
    claimed_at: datetime
    began: float  # on the monotonic clock, before the claim

    @property
    def age(self) -> timedelta:
        """How long the lease has run at most."""
        return timedelta(seconds=time.monotonic() - self.began)

    @property
    def now(self) -> datetime:
        """The time on the database's clock, by which attempts are due."""
        return self.claimed_at + self.age


async def dispatch(agency_id: UUID, *, sender: Sender, now: datetime) -> int:
    """Send one handful for one agency; returns how many attempts were claimed.

    When this returns or raises, every call that it began has ended: nothing is sent later, past a stop.
    """
    async with sender.places.handful() as held:
        handful = await asyncio.to_thread(_prepare, agency_id, sender, held.count, now)
        await held.free(held.count - len(handful.outgoing))
        sending = asyncio.create_task(_send(agency_id, handful, sender, held))
        try:
            await asyncio.shield(sending)
        finally:
            await asyncio.wait([sending])  # whoever gives up on us: what is under way is followed to its end
    return handful.claimed


def _prepare(agency_id: UUID, sender: Sender, at_most: int, now: datetime) -> Handful:
    began = time.monotonic()
    channel = sender.carrier.channel
    with sender.db.transaction(agency_id) as tx:
        clock = database_now(tx)
        claimed = claim(tx, channel, chunk=at_most, per_matter=PER_MATTER, lease=LEASE, modes=sender.modes)  # (1)
        if not claimed:
            return Handful(0, (), (), clock, began)
        parcels, unopened = open_parcels(tx, claimed, vault=sender.vault, now=now)
        written, unwritten = _compose(parcels, sender)  # (2)
        stopped = stopped_since(tx, channel, claimed)
        give_back(tx, [item for item in claimed if item.matter_id in stopped])
        outgoing = [item for item in written if item.parcel.claimed.matter_id not in stopped]
        keep_texts(tx, [(item.parcel, item.text) for item in outgoing])
    given_up = [item for item in (*unopened, *unwritten) if item.claimed.matter_id not in stopped]
    return Handful(len(claimed), outgoing, given_up, clock, began)  # (3)


def _compose(parcels: Sequence[Parcel], sender: Sender) -> tuple[list[Outgoing], list[Unwritten]]:
    outgoing: list[Outgoing] = []
    unwritten: list[Unwritten] = []
    for parcel in parcels:
        language = message_language(parcel.language, available_languages(sender.renderer, parcel.content.mode))
        try:
            outgoing.append(_write(parcel, language, sender))
        except MissingText:
            unwritten.append(Unwritten(parcel.claimed, Reason.NO_TEXT))
        except Exception as error:  # noqa: BLE001 # whatever is wrong with it, it is wrong with this one
            unwritten.append(Unwritten(parcel.claimed, unreadable(parcel.claimed.attempt_id, error)))
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


async def _send(agency_id: UUID, handful: Handful, sender: Sender, held: Held) -> None:
    by_id = {item.message.attempt_id: item for item in handful.outgoing}
    waiting = {
        asyncio.create_task(_hand_over(slice_, handful, sender))
        for slice_ in _slices(handful.outgoing, sender.wire.batch)
    }
    happened = [_given_up(item) for item in handful.unwritten]
    broken: BaseException | None = None
    try:
        await _record(agency_id, happened, sender, handful)
        while waiting:
            done, waiting = await asyncio.wait(waiting, timeout=RECORD_EVERY)
            broken = next(filter(None, (task.exception() for task in done)), broken)
            results = [result for task in done if task.exception() is None for result in task.result()]
            happened = [_change(by_id[result.attempt_id], result, sender, handful.now) for result in results]
            await _record(agency_id, happened, sender, handful)  # (5)
            await held.free(len(happened))
    finally:
        if waiting:
            await asyncio.wait(waiting)
    if broken is not None:  # a carrier that raises breaks its contract: what it had is unknown when the lease ends
        raise broken


async def _hand_over(items: Sequence[Outgoing], handful: Handful, sender: Sender) -> list[SendResult]:
    if handful.age > FRESH:  # this machine was asleep, or worse: somebody else may hold the lease soon
        return [SendResult(item.message.attempt_id, Outcome.NOT_SENT, reason=Reason.WORKER_LOST) for item in items]
    return await sender.carrier.send([item.message for item in items])  # (4)


def _given_up(item: Unwritten) -> Happened:
    change = Change(item.claimed.attempt_id, AttemptEvent.REFUSED, Actor.system("dispatch"), reason=item.reason)
    return item.claimed.matter_id, change


def _change(item: Outgoing, result: SendResult, sender: Sender, now: datetime) -> Happened:
    claimed, retry = item.parcel.claimed, sender.wire.retry
    event = OUTCOME_EVENT[result.outcome]
    retry_at = None
    if event is AttemptEvent.NOT_SENT:
        if claimed.tries >= retry.tries and result.reason not in NOT_ITS_FAULT:
            event = AttemptEvent.REFUSED
        else:
            wait = max(result.retry_after or 0.0, random.uniform(0, retry.delay_seconds(claimed.tries)))  # noqa: S311 # jitter
            retry_at = now + timedelta(seconds=wait)
    left = event in {AttemptEvent.HANDED_OVER, AttemptEvent.LOST_TRACK}
    change = Change(
        claimed.attempt_id,
        event,
        Actor(ActorKind.CARRIER, sender.carrier.slug),
        reason=result.reason,
        carrier_code=result.carrier_code,
        carrier_ref=result.carrier_ref,
        retry_at=retry_at,
        more={"edition": sender.renderer.edition.id} if left else {},
        values={"text": item.text} if left else {},
        cipher=item.parcel.cipher,
    )
    return claimed.matter_id, change


async def _record(agency_id: UUID, happened: Sequence[Happened], sender: Sender, handful: Handful) -> None:
    by_matter: dict[UUID, list[Change]] = defaultdict(list)
    for matter_id, change in happened:
        by_matter[matter_id].append(change)
    for matter_id, changes in by_matter.items():
        await _record_matter(agency_id, matter_id, changes, sender, handful)


async def _record_matter(
    agency_id: UUID, matter_id: UUID, changes: Sequence[Change], sender: Sender, handful: Handful
) -> None:
    """What cannot be recorded until the lease ends is unknown, in this matter only."""
    while True:
        try:
            return await asyncio.to_thread(_write_down, agency_id, matter_id, changes, sender, handful)
        except Exception as error:  # noqa: BLE001 # the answers in hand are worth more than this one's
            if not isinstance(error, AWAY) or handful.age > LEASE:
                log.error("dispatch.unrecorded", matter=str(matter_id), error=type(error).__name__)  # noqa: TRY400 # a traceback may hold values
                return None
        await asyncio.sleep(RECORD_AGAIN)


def _write_down(agency_id: UUID, matter_id: UUID, changes: Sequence[Change], sender: Sender, handful: Handful) -> None:
    with sender.db.transaction(agency_id) as tx:
        record(tx, matter_id, changes, now=handful.now)


def _slices(items: Sequence[Outgoing], size: int) -> list[Sequence[Outgoing]]:
    return [items[start : start + size] for start in range(0, len(items), size)]
