"""The clock process: `python -m workers.clock`. Once a second it rings the bells, and does what time has made due.

Two clocks do no harm: everything it does is claimed or idempotent. If Redis is gone it goes on, and rings when it is
back.
"""

import itertools
import signal
import sys
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from uuid import UUID

import structlog
from sqlalchemy.exc import SQLAlchemyError

from notifier.service import Service
from notifier.store.overdue import glance
from notifier.usecases.access import all_agencies
from notifier.usecases.breaker import Standing, breaker_states
from notifier.usecases.carrier_alarms import CarrierAlarms
from notifier.usecases.carrier_bodies import forget_old_callbacks
from notifier.usecases.clock import catch_up, has_chores, queues_with_work
from notifier.usecases.escalation import look
from workers.prelude import WRONG, open_service
from workers.rota import Rota

PERIOD = 1.0
LOOK_EVERY = 2  # ticks: what is sent next is counted in days
FORGET_EVERY = 3600  # ticks: what is forgotten is a month old

log = structlog.get_logger()


@dataclass(slots=True)
class Watch:
    """What the clock process keeps between ticks; all of it may be lost."""

    service: Service
    rota: Rota = field(default_factory=Rota)
    alarms: CarrierAlarms = field(default_factory=CarrierAlarms)


def main() -> int:
    """Tick until told to stop."""
    service = open_service()
    if service is None:
        return WRONG
    watch = Watch(service)
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    for tick in itertools.count():
        tick_all(watch, stop)
        if tick % FORGET_EVERY == 0:
            forget(service)
        if stop.wait(PERIOD):
            break
    service.db.close()
    return 0


def tick_all(watch: Watch, stop: threading.Event) -> None:
    """Look at the agencies whose turn it is; trouble in one does not keep the others waiting."""
    service = watch.service
    try:
        agencies = all_agencies(service.db)
    except SQLAlchemyError as error:
        log.error("clock.no_database", error=type(error).__name__)  # noqa: TRY400 # a traceback may hold values
        return
    standings = breaker_states(service.redis, service.called_carriers)
    for agency_id in watch.rota.whose_turn(agencies, time.monotonic()):
        is_busy = True
        try:
            is_busy = look_at(watch, agency_id, standings)
        except Exception as error:  # noqa: BLE001 # the next tick tries again
            log.error("clock.tick_failed", agency=str(agency_id), error=type(error).__name__)  # noqa: TRY400 # as above
        watch.rota.looked_at(agency_id, time.monotonic(), is_busy=is_busy, among=len(agencies))
        if stop.is_set():
            break


def look_at(watch: Watch, agency_id: UUID, standings: Mapping[str, Standing]) -> bool:
    """Ring one agency's bells first, then record what time has brought about; returns whether something is open."""
    service, count = watch.service, watch.rota.count(agency_id)
    with service.db.transaction(agency_id) as tx:
        seen = glance(tx)
        queues = queues_with_work(tx, service.timetables, seen)
    for queue in queues:
        service.ring(queue)
    watch.alarms.follow(service.db, agency_id, standings, waiting=seen.channels, now=service.now())
    if seen.has_lost or has_chores(count):
        catch_up(
            service.db,
            agency_id,
            vault=service.vault,
            timetables=service.timetables,
            now=service.now(),
            tick=count,
        )
    if count % LOOK_EVERY == 0:
        look(
            service.db,
            agency_id,
            packs=service.packs,
            carrier_of=service.carrier_of,
            vault=service.vault,
            now=service.now(),
        )
    return bool(queues) or seen.has_lost or seen.has_work


def forget(service: Service) -> None:
    """Delete what has been kept for its time; what is not deleted now goes the next time."""
    try:
        forget_old_callbacks(service.db, now=service.now())
    except SQLAlchemyError as error:
        log.error("clock.nothing_forgotten", error=type(error).__name__)  # noqa: TRY400 # as above


if __name__ == "__main__":
    sys.exit(main())
