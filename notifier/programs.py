"""What runs when the service runs: the servers it brings along where none are named, and a program for each part."""

import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from notifier.doorbell import QUEUES
from notifier.servers import postgres, redis
from notifier.service import CONFIG_DIR
from notifier.supervisor import Program

POSTGRES, REDIS = "postgres", "redis"  # folders of the embedded servers, below the data folder


@dataclass(frozen=True, slots=True)
class Servers:
    """Where the database and Redis are. `embedded` names those that this checkout brings along."""

    database_url: str = field(repr=False)
    redis_url: str = field(repr=False)
    embedded: tuple[str, ...]


@contextmanager
def servers(data_dir: Path, *, database_url: str | None, redis_url: str | None) -> Iterator[Servers]:
    """The servers that are named, and embedded ones in `data_dir` for those that are not; use it in the main thread.

    Raises:
        CannotStart: an embedded server could not be started.
    """
    with ExitStack() as stack:
        embedded = []
        if database_url is None:
            database_url = stack.enter_context(postgres.running(data_dir / POSTGRES)).url
            embedded.append("PostgreSQL")
        if redis_url is None:
            redis_url = stack.enter_context(redis.running(data_dir / REDIS)).url
            embedded.append("Redis")
        yield Servers(database_url, redis_url, tuple(embedded))


def parts(env: Mapping[str, str]) -> list[Program]:
    """The parts of the service, each with this environment: web, a worker for each queue, the clock."""
    return [
        Program(
            "web", [*_module("gunicorn"), "-c", str(CONFIG_DIR / "gunicorn.conf.py"), "notifier.web:create_app()"], env
        ),
        *(Program(queue, [*_module("workers.worker"), queue], env) for queue in QUEUES),
        Program("clock", _module("workers.clock"), env),
    ]


def sandbox(options: str) -> Program:
    """The sandbox of the carriers; `options` is the JSON that its process reads."""
    return Program("sandbox", _module("notifier.carriers.sandbox"), {"NOTIFIER_SANDBOX": options})


def _module(name: str) -> list[str]:
    return [sys.executable, "-m", name]


def environment(given: Mapping[str, str], **settings: str) -> dict[str, str]:
    """`given` without empty values, with these settings on top."""
    return {name: value for name, value in given.items() if value} | settings
