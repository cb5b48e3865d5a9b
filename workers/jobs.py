"""What a ring of the bell sets going: at most ten seconds of work, then another ring if some is left."""

import asyncio
import time
from dataclasses import dataclass, field
from uuid import UUID

import structlog

from notifier.bootstrap import build_carrier, wire
from notifier.core.model import Channel
from notifier.doorbell import answered
from notifier.service import Service
from notifier.usecases.access import all_agencies
from notifier.usecases.dispatch import Sender, dispatch
from notifier.usecases.mailroom import Mailroom, close_batch, compose_letters
from notifier.usecases.receipts import apply_receipts

SECONDS = 10.0

log = structlog.get_logger()


@dataclass(slots=True)
class Worker:
    """What a worker process keeps between jobs: its loop, its connections, its carriers."""

    service: Service
    loop: asyncio.AbstractEventLoop
    senders: dict[Channel, Sender] = field(default_factory=dict)

    def sender(self, channel: Channel) -> Sender:
        """The sender of a channel, made on first use inside this worker's loop."""
        if channel not in self.senders:
            self.senders[channel] = self.loop.run_until_complete(self._open(channel))
        return self.senders[channel]

    async def _open(self, channel: Channel) -> Sender:
        service = self.service
        carrier = build_carrier(service.settings, channel)
        return Sender(service.db, service.vault, service.renderer, carrier, wire(carrier.slug))

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
    """Work on one queue: the entry point that RQ calls."""
    worker = _this_process[0]
    answered(worker.service.redis, queue)
    if work(worker, queue, until=time.monotonic() + SECONDS):
        worker.service.ring(queue)


def work(worker: Worker, queue: str, *, until: float) -> bool:
    """Go round the agencies until nothing is left or time is up; returns whether something may be left."""
    while True:
        done = sum(_work_for(worker, queue, agency_id) for agency_id in all_agencies(worker.service.db))
        if not done:
            return False
        if time.monotonic() >= until:
            return True


def _work_for(worker: Worker, queue: str, agency_id: UUID) -> int:
    service = worker.service
    now = service.now()
    if queue == "receipts":
        with service.db.transaction(agency_id) as tx:
            return apply_receipts(tx, vault=service.vault, now=now)
    channel = Channel(queue)
    if channel is Channel.LETTER:
        return _letters(service, agency_id)
    if channel not in service.carrier_of:
        return 0
    return worker.loop.run_until_complete(dispatch(agency_id, sender=worker.sender(channel), now=now))


def _letters(service: Service, agency_id: UUID) -> int:
    now = service.now()
    mailroom = Mailroom(service.vault, service.renderer)
    with service.db.transaction(agency_id) as tx:
        written = compose_letters(tx, mailroom=mailroom, now=now)
    if written:
        return written
    with service.db.transaction(agency_id) as tx:
        return close_batch(tx, mailroom=mailroom, now=now) is not None
