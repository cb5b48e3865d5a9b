"""What a ring of the bell sets going: at most ten seconds of work, then another ring if some is left."""

import asyncio
import random
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from uuid import UUID

import structlog

from notifier.bootstrap import build_carrier, wire
from notifier.core.model import Channel, Mode
from notifier.doorbell import answered
from notifier.service import Service
from notifier.usecases.access import all_agencies
from notifier.usecases.dispatch import Sender, dispatch
from notifier.usecases.letters import Mailroom, compose_letters
from notifier.usecases.mailroom import close_batch
from notifier.usecases.places import Places
from notifier.usecases.receipts import apply_receipts

SECONDS = 10.0
LANES = 8  # handfuls under way at once: more than fit, so that some slow answers leave no place unused
PAUSE = 0.5  # seconds until a lane without work looks again while another is busy

log = structlog.get_logger()


@dataclass(slots=True)
class Worker:
    """What a worker process keeps between jobs: its loop, its connections, its carriers."""

    service: Service
    loop: asyncio.AbstractEventLoop
    senders: dict[Channel, Sender] = field(default_factory=dict)

    async def sender(self, channel: Channel) -> Sender:
        """The sender of a channel, made on first use inside this worker's loop."""
        if channel not in self.senders:
            service = self.service
            carrier = build_carrier(service.settings, channel)
            modes = [Mode.LIVE] if service.settings.carriers_are_real else list(Mode)
            how = wire(carrier.slug)
            self.senders[channel] = Sender(
                service.db, service.vault, service.renderer, carrier, how, Places(how), modes
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
        if work(worker, queue, until=time.monotonic() + SECONDS):
            worker.service.ring(queue)
    except Exception as error:  # noqa: BLE001 # the rows are the work, and the clock rings again
        _tell(queue, None, error)


def work(worker: Worker, queue: str, *, until: float) -> bool:
    """Go round the agencies until nothing is left or time is up; returns whether something may be left."""
    if queue in worker.service.carrier_of and queue != Channel.LETTER:
        return worker.loop.run_until_complete(_send(worker, Channel(queue), until))
    while True:
        done = 0
        for agency_id in _in_any_order(all_agencies(worker.service.db)):
            if time.monotonic() >= until:
                return True
            done += _attend(worker.service, queue, agency_id)
        if not done:
            return False


def _in_any_order(agencies: Sequence[UUID]) -> list[UUID]:
    """Time may be up before the last one's turn: nobody is always the last."""
    return random.sample(agencies, len(agencies))


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
    busy = 0

    async def lane() -> bool:
        nonlocal busy
        while time.monotonic() < until:
            busy += 1
            try:
                done = await _round(sender, agencies, worker.service, until)
            finally:
                busy -= 1
            if not done and not busy:
                return False
            if not done:
                await asyncio.sleep(PAUSE)
        return True

    async with asyncio.TaskGroup() as group:  # when one breaks, none goes on behind this job's back
        lanes = [group.create_task(lane()) for _ in range(LANES)]
    return any(task.result() for task in lanes)


async def _round(sender: Sender, agencies: Sequence[UUID], service: Service, until: float) -> int:
    done = 0
    for agency_id in _in_any_order(agencies):
        if time.monotonic() >= until:
            break
        done += await _dispatch(sender, agency_id, service)
    return done


async def _dispatch(sender: Sender, agency_id: UUID, service: Service) -> int:
    try:
        return await dispatch(agency_id, sender=sender, now=service.now())
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
    if written:
        return written
    with service.db.transaction(agency_id) as tx:
        return close_batch(tx, mailroom=mailroom, now=now) is not None
