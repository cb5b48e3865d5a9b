"""A worker process: `python -m workers.worker [QUEUE ...]`. Everything is imported before the first job.

Each queue wants at least one process of its own, so that letters never wait for text messages. A process that is given
several queues, or none and so all of them, goes round: a busy queue does not starve the others.
"""

import asyncio
import gc
import signal
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

import structlog
from redis import Redis
from redis.exceptions import RedisError
from rq import Queue, SimpleWorker
from rq.serializers import JSONSerializer
from rq.worker import DequeueStrategy

from notifier.doorbell import QUEUES
from workers import jobs
from workers.prelude import WRONG, open_service

AGAIN_SECONDS = 1.0
GARBAGE = 10_000  # new objects that are not given up by themselves, a few megabytes at most

log = structlog.get_logger()


def main(queues: Sequence[str]) -> int:
    """Serve queues until told to stop; the job at hand is finished first."""
    unknown = set(queues) - set(QUEUES)
    if unknown:
        sys.stderr.write(f"no such queue; there are: {', '.join(QUEUES)}\n")
        return WRONG
    service = open_service()
    if service is None:
        return WRONG
    worker = jobs.Worker(service, asyncio.new_event_loop())
    jobs.employ(worker)
    spare_the_collector()
    try:
        serve(list(queues) or list(QUEUES), str(service.settings.redis_url), on_end=worker.leaving.ask)
    finally:
        worker.close()
    return 0


def spare_the_collector() -> None:
    """No looking through what stays for good, nor after every 700 new objects: a sixth of what sending costs."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(GARBAGE, 20, 20)


class PatientWorker(SimpleWorker):
    """RQ's worker, which tells whether it was asked to end and looks for a lost Redis every few seconds."""

    max_connection_wait_time = 5.0
    asked_to_end = False
    on_end: Callable[[], None]

    def handle_warm_shutdown_request(self) -> None:
        """Called by RQ's signal handler: nothing new is begun, and the job at hand ends soon."""
        self.asked_to_end = True
        self.on_end()


def serve(queues: Sequence[str], redis_url: str, *, on_end: Callable[[], None]) -> None:
    """Serve queues until asked to end. RQ gives up when Redis goes at the wrong moment: then it begins anew.

    `on_end` is called in the signal handler.
    """
    while not _serve_once(queues, redis_url, on_end):
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, _end)
        time.sleep(AGAIN_SECONDS)


def _serve_once(queues: Sequence[str], redis_url: str, on_end: Callable[[], None]) -> bool:
    """Whether it ended because it was asked to."""
    # RQ waits for minutes on one read, so its connection has no read time-out of ours.
    connection = Redis.from_url(redis_url)
    rq_worker: Any = None
    try:
        rq_worker = PatientWorker(
            [Queue(name, connection=connection, serializer=JSONSerializer) for name in queues],
            connection=connection,
            serializer=JSONSerializer,
        )
        rq_worker.on_end = on_end
        rq_worker.work(with_scheduler=False, logging_level="WARNING", dequeue_strategy=DequeueStrategy.ROUND_ROBIN)
    except RedisError as error:
        log.warning("worker.redis_gone", error=type(error).__name__)
    finally:
        connection.close()
    return rq_worker is not None and bool(rq_worker.asked_to_end)


def _end(*_: object) -> None:
    sys.exit(0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
