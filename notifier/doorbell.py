"""Ringing for workers. A ring carries no work: the rows in the database are the work, and a lost one costs a second."""

from collections.abc import Callable

import structlog
from redis import Redis
from redis.exceptions import RedisError
from rq import Queue
from rq.serializers import JSONSerializer

QUEUES = ("sms", "email", "letter", "receipts")
_PENDING_SECONDS = 15  # a ring that nobody answered for so long may be repeated

log = structlog.get_logger()


def open_doorbell(redis: Redis) -> Callable[[str], None]:
    """A function that wakes the workers of a queue; it never raises, because the clock rings again anyway."""

    def ring(queue: str) -> None:
        try:
            if redis.set(_pending(queue), 1, nx=True, ex=_PENDING_SECONDS):
                Queue(queue, connection=redis, serializer=JSONSerializer).enqueue(
                    "workers.jobs.answer", queue, job_timeout=-1, result_ttl=0, failure_ttl=60
                )
        except RedisError as error:
            log.warning("doorbell.unreachable", queue=queue, error=type(error).__name__)

    return ring


def answered(redis: Redis, queue: str) -> None:
    """Let the bell ring again: somebody is up."""
    try:
        redis.delete(_pending(queue))
    except RedisError as error:
        log.warning("doorbell.unreachable", queue=queue, error=type(error).__name__)


def _pending(queue: str) -> str:
    return f"notifier:rung:{queue}"
