"""What a ring of the bell sets going: at most ten seconds of work, then another ring if some is left."""

import asyncio
import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from uuid import UUID

import structlog

from notifier.bootstrap import build_carrier, open_breaker, open_pace, wire
from notifier.carriers import CARRIERS
from notifier.core.model import Channel, Mode
from notifier.doorbell import answered
from notifier.service import Service
from notifier.usecases.access import all_agencies
from notifier.usecases.applying import FEW, apply_receipts
from notifier.usecases.dispatch import Sender, dispatch
from notifier.usecases.leaving import Leaving
from notifier.usecases.letters import Mailroom, compose_letters
from notifier.usecases.mailroom import close_batch
from notifier.usecases.places import Places
from notifier.usecases.posting import prepare_letters
from notifier.usecases.recall import Asked, withdraw_stopped
from notifier.usecases.reconcile import reconcile
from notifier.usecases.turns import Turns

SECONDS = 10.0
LANES = 8  # handfuls under way at once: more than fit, so that some slow answers leave no place unused
GATHER = 0.15  # seconds in which more receipts gather once some were applied; the first one never waits
PAUSE = 0.5  # seconds until a lane without work looks again while another is busy
STAGGER = 0.02  # seconds between the first looks of two lanes: when one has found nothing, the next need not look
SHORTEST_PAUSE = 0.05  # seconds, where the carrier's pace lets a lane go on soon
ASK_SECONDS = 5.0  # between two looks for messages about which a carrier is to be asked

log = structlog.get_logger()


@dataclass(slots=True)
class Worker:
    """What a worker process keeps between jobs: its loop, its connections, its carriers."""

    service: Service
    loop: asyncio.AbstractEventLoop
    senders: dict[Channel, Sender] = field(default_factory=dict)
    turns: defaultdict[str, Turns] = field(default_factory=lambda: defaultdict(Turns))
    leaving: Leaving = field(default_factory=Leaving)
    asked_at: dict[Channel, float] = field(default_factory=dict)
    asked_back: Asked = field(default_factory=Asked)

    async def sender(self, channel: Channel) -> Sender:
        """The sender of a channel, made on first use inside this worker's loop."""
        if channel not in self.senders:
            service = self.service
            carrier = build_carrier(service.settings, channel)
            modes = [Mode.LIVE] if service.settings.carriers_are_real else list(Mode)
            how = wire(carrier.slug)
            self.senders[channel] = Sender(
                service.db,
                service.vault,
                service.renderer,
                carrier,
                how,
                Places(how),
                open_pace(service.settings, service.redis, carrier.slug),
                open_breaker(service.redis, carrier.slug),
                modes,
                turns=self.turns[channel],
                leaving=self.leaving,
                prepare=prepare_letters if channel is Channel.LETTER else None,
            )
        return self.senders[channel]

    def close(self) -> None:
        """Give connections back."""
        for sender in self.senders.values():
            self.loop.run_until_complete(sender.carrier.close())
        self.loop.close()
        self.service.db.close()


_this_process: list[Worker] = []


def employ(worker: Worker) -> None:
    """Set this process's worker; RQ finds jobs by their dotted path and passes ids only."""
    _this_process[:] = [worker]


def answer(queue: str) -> None:
    """Work on one queue: the entry point that RQ calls.

    No exception reaches RQ: it would put the text into Redis and into the log.
    """
    worker = _this_process[0]
    answered(worker.service.redis, queue)
    try:
        if not worker.leaving.is_asked and work(worker, queue, until=time.monotonic() + SECONDS):
            worker.service.ring(queue)
    except Exception as error:  # noqa: BLE001 # the rows are the work, and the clock rings again
        _tell(queue, None, error)


def work(worker: Worker, queue: str, *, until: float) -> bool:
    """Go round the agencies until nothing is left or time is up; returns whether something may be left."""
    carrier = worker.service.carrier_of.get(Channel(queue)) if queue in set(Channel) else None
    if carrier is None or CARRIERS[carrier].carrier is None:
        return _attend_all(worker, queue, until)
    if queue == Channel.LETTER:
        return worker.loop.run_until_complete(_post(worker, until))
    return worker.loop.run_until_complete(_send(worker, Channel(queue), until))


async def _post(worker: Worker, until: float) -> bool:
    """Letters of a carrier that is called, and beside them what was planned for the mailroom."""
    mailroom = asyncio.create_task(asyncio.to_thread(_attend_all, worker, Channel.LETTER.value, until))
    try:
        await _withdraw(worker)
        return await _send(worker, Channel.LETTER, until) or await mailroom
    finally:
        await asyncio.wait([mailroom])


async def _withdraw(worker: Worker) -> None:
    sender = await worker.sender(Channel.LETTER)
    for agency_id in await asyncio.to_thread(all_agencies, worker.service.db):
        try:
            await withdraw_stopped(agency_id, sender=sender, asked=worker.asked_back, now=worker.service.now())
        except Exception as error:  # noqa: BLE001 # they are asked for again, as long as the window is open
            _tell(Channel.LETTER.value, agency_id, error)


def _attend_all(worker: Worker, queue: str, until: float) -> bool:
    """A handful for each agency in turn; returns whether something may be left."""
    agencies, turns = all_agencies(worker.service.db), worker.turns[queue]
    while True:
        done = 0
        for agency_id in turns.in_order(agencies):
            if time.monotonic() >= until or worker.leaving.is_asked:
                return True
            count = _attend(worker.service, queue, agency_id)
            turns.looked_at(agency_id, count, among=len(agencies))
            done += count
        if not done:
            return False
        if queue == "receipts" and done < FEW:
            time.sleep(GATHER)


def _attend(service: Service, queue: str, agency_id: UUID) -> int:
    """One handful for one agency; trouble in one agency is told and does not keep the others waiting."""
    try:
        if queue == "receipts":
            with service.db.transaction(agency_id) as tx:
                return apply_receipts(tx, vault=service.vault, now=service.now())
        return _letters(service, agency_id) if queue == Channel.LETTER else 0
    except Exception as error:  # noqa: BLE001 # the rows stay as they were, and the clock rings again
        _tell(queue, agency_id, error)
        return 0


async def _send(worker: Worker, channel: Channel, until: float) -> bool:
    """Keep several handfuls under way, so that one which waits for a slow answer holds up no other."""
    sender = await worker.sender(channel)
    agencies = await asyncio.to_thread(all_agencies, worker.service.db)
    busy, nothing_until = 0, 0.0

    async def lane(number: int) -> bool:
        nonlocal busy, nothing_until
        await asyncio.sleep(number * STAGGER)
        while time.monotonic() < until and not worker.leaving.is_asked:
            is_looking, done = time.monotonic() >= nothing_until, 0
            if is_looking:
                busy += 1
                try:
                    done = await _round(sender, agencies, worker.service, until)
                finally:
                    busy -= 1
            if done:
                nothing_until = 0.0
                continue
            is_paced = 0 < sender.rest_seconds <= PAUSE
            if is_looking and not is_paced:
                nothing_until = time.monotonic() + PAUSE
            if not busy and not is_paced:
                return False
            await asyncio.sleep(max(SHORTEST_PAUSE, sender.rest_seconds) if is_paced else PAUSE)
        return True

    async with asyncio.TaskGroup() as group:  # when one breaks, none goes on behind this job's back
        group.create_task(_ask(worker, sender, agencies, until))
        lanes = [group.create_task(lane(number)) for number in range(LANES)]
    await asyncio.to_thread(sender.pace.settle)
    return any(task.result() for task in lanes)


async def _round(sender: Sender, agencies: Sequence[UUID], service: Service, until: float) -> int:
    """One handful for each agency, until time is up or nothing may be sent to anybody."""
    done = 0
    for agency_id in sender.turns.in_order(agencies):
        if time.monotonic() >= until or sender.leaving.is_asked or sender.is_resting:
            break
        count = await _dispatch(sender, agency_id, service, until)
        if not sender.rest_seconds and (count or time.monotonic() < until):
            sender.turns.looked_at(agency_id, count, among=len(agencies))
        done += count
    return done


async def _ask(worker: Worker, sender: Sender, agencies: Sequence[UUID], until: float) -> None:
    """Ask the carrier about messages of unknown outcome whose time has come."""
    channel, now = sender.carrier.channel, time.monotonic()
    if now - worker.asked_at.get(channel, -ASK_SECONDS) < ASK_SECONDS:
        return
    worker.asked_at[channel] = now
    turns = worker.turns[f"unknown {channel}"]
    for agency_id in turns.in_order(agencies):
        if time.monotonic() >= until or worker.leaving.is_asked or sender.breaker.rest_seconds:
            break
        try:
            asked = await reconcile(agency_id, sender=sender, packs=worker.service.packs, now=worker.service.now())
        except Exception as error:  # noqa: BLE001 # they stay unknown, and are asked about again
            asked = 0
            _tell(channel.value, agency_id, error)
        turns.looked_at(agency_id, asked, among=len(agencies))


async def _dispatch(sender: Sender, agency_id: UUID, service: Service, until: float) -> int:
    try:
        return await dispatch(agency_id, sender=sender, now=service.now(), until=until)
    except Exception as error:  # noqa: BLE001 # what was claimed is unknown when its lease ends; the rest is untouched
        _tell(sender.carrier.channel.value, agency_id, error)
        return 0


def _tell(queue: str, agency_id: UUID | None, error: Exception) -> None:
    """Types and places; telemetry leaves out an exception's text, which may hold a value."""
    log.error("work.failed", queue=queue, agency=str(agency_id) if agency_id else None, exc_info=error)


def _letters(service: Service, agency_id: UUID) -> int:
    now = service.now()
    mailroom = Mailroom(service.vault, service.renderer)
    with service.db.transaction(agency_id) as tx:
        written = compose_letters(tx, mailroom=mailroom, now=now)
    with service.db.transaction(agency_id) as tx:
        return written + (close_batch(tx, mailroom=mailroom, now=now) is not None)
