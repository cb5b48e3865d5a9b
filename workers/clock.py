"""The clock process: `python -m workers.clock`. Once a second it rings the bells, and does what time has made due.

Two clocks do no harm: everything it does is claimed or idempotent. If Redis is gone it goes on, and rings when it is
back.
"""

import itertools
import signal
import sys
import threading

import structlog
from sqlalchemy.exc import SQLAlchemyError

from notifier.service import Service
from notifier.usecases.access import all_agencies
from notifier.usecases.clock import catch_up, queues_with_work
from notifier.usecases.receipts import forget_old_callbacks
from workers.prelude import WRONG, open_service

PERIOD = 1.0
FORGET_EVERY = 3600  # ticks: what is forgotten is a month old

log = structlog.get_logger()


def main() -> int:
    """Tick until told to stop."""
    service = open_service()
    if service is None:
        return WRONG
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    for tick in itertools.count():
        tick_all(service, tick)
        if tick % FORGET_EVERY == 0:
            forget(service)
        if stop.wait(PERIOD):
            break
    service.db.close()
    return 0


def tick_all(service: Service, tick: int) -> None:
    """One tick for every agency, the bells first; trouble in one agency does not keep the others waiting."""
    try:
        agencies = all_agencies(service.db)
    except SQLAlchemyError as error:
        log.error("clock.no_database", error=type(error).__name__)  # noqa: TRY400 # a traceback may hold values
        return
    for agency_id in agencies:
        try:
            with service.db.transaction(agency_id) as tx:
                queues = queues_with_work(tx)
            for queue in queues:
                service.ring(queue)
            catch_up(
                service.db,
                agency_id,
                vault=service.vault,
                timetables=service.timetables,
                now=service.now(),
                tick=tick,
            )
        except Exception as error:  # noqa: BLE001 # the next tick tries again
            log.error("clock.tick_failed", agency=str(agency_id), error=type(error).__name__)  # noqa: TRY400 # as above


def forget(service: Service) -> None:
    """Delete what has been kept for its time; what is not deleted now goes the next time."""
    try:
        forget_old_callbacks(service.db, now=service.now())
    except SQLAlchemyError as error:
        log.error("clock.nothing_forgotten", error=type(error).__name__)  # noqa: TRY400 # as above


if __name__ == "__main__":
    sys.exit(main())
