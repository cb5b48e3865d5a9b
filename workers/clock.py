"""The clock process: `python -m workers.clock`. Once a second it does what time has made due, and rings the bells.

Two clocks do no harm: everything it does is claimed or idempotent. If Redis is gone it goes on, and rings when it is
back.
"""

import os
import signal
import sys
import threading

import structlog
from sqlalchemy.exc import SQLAlchemyError

from notifier.bootstrap import build
from notifier.core.errors import SettingsError
from notifier.service import CONFIG_DIR, Service
from notifier.settings import Settings
from notifier.telemetry import configure_logging
from notifier.usecases.access import all_agencies
from notifier.usecases.clock import tick

PERIOD = 1.0

log = structlog.get_logger()


def main() -> int:
    """Tick until told to stop."""
    try:
        settings = Settings.load(os.environ, CONFIG_DIR)
        configure_logging(settings.log_level)
        service = build(settings)
    except SettingsError as error:
        sys.stderr.write("".join(f"{problem}\n" for problem in error.problems))
        return 2
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    while not stop.is_set():
        tick_all(service)
        stop.wait(PERIOD)
    service.db.close()
    return 0


def tick_all(service: Service) -> None:
    """One tick for every agency; trouble in one does not keep the others waiting."""
    queues: set[str] = set()
    try:
        agencies = all_agencies(service.db)
    except SQLAlchemyError as error:
        log.error("clock.no_database", error=type(error).__name__)  # noqa: TRY400 # a traceback may hold values
        return
    for agency_id in agencies:
        try:
            with service.db.transaction(agency_id) as tx:
                queues.update(tick(tx, timetables=service.timetables, now=service.now()))
        except Exception as error:  # noqa: BLE001 # the next tick tries again
            log.error("clock.tick_failed", agency=str(agency_id), error=type(error).__name__)  # noqa: TRY400 # as above
    for queue in sorted(queues):
        service.ring(queue)


if __name__ == "__main__":
    sys.exit(main())
