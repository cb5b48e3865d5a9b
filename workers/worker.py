"""A worker process: `python -m workers.worker [QUEUE ...]`. Everything is imported before the first job.

Each queue wants at least one process of its own, so that letters never wait for text messages. Without arguments it
serves all queues in turn, which is for development.
"""

import asyncio
import os
import sys
from collections.abc import Sequence
from typing import Any

from redis import Redis
from rq import Queue, SimpleWorker
from rq.serializers import JSONSerializer

from notifier.bootstrap import build
from notifier.core.errors import SettingsError
from notifier.doorbell import QUEUES
from notifier.service import CONFIG_DIR
from notifier.settings import Settings
from notifier.telemetry import configure_logging
from workers import jobs


def main(queues: Sequence[str]) -> int:
    """Serve queues until told to stop; the job at hand is finished first."""
    unknown = set(queues) - set(QUEUES)
    if unknown:
        sys.stderr.write(f"no such queue; there are: {', '.join(QUEUES)}\n")
        return 2
    try:
        settings = Settings.load(os.environ, CONFIG_DIR)
        configure_logging(settings.log_level)
        service = build(settings)
    except SettingsError as error:
        sys.stderr.write("".join(f"{problem}\n" for problem in error.problems))
        return 2
    worker = jobs.Worker(service, asyncio.new_event_loop())
    jobs.employ(worker)
    names = list(queues) or list(QUEUES)
    # RQ waits for minutes on one read, so its connection has no read time-out of ours.
    connection = Redis.from_url(str(settings.redis_url))
    try:
        rq_worker: Any = SimpleWorker(
            [Queue(name, connection=connection, serializer=JSONSerializer) for name in names],
            connection=connection,
            serializer=JSONSerializer,
        )
        rq_worker.work(with_scheduler=False, logging_level="WARNING")
    finally:
        worker.close()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
