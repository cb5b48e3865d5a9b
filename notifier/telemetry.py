"""Logs and metrics that hold no personal datum.

A log line is one JSON object. What may reach it:

1. our own events: a fixed text and fields; a field whose name is on the deny-list is dropped
2. what libraries log: the template of the message; its arguments are dropped, because they hold numbers and mailboxes
3. an exception: its type, the types of its causes and the frames of our own code; its text and its values never
"""

import logging
import os
import sys
import threading
from collections.abc import MutableMapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Final, cast

import structlog
from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector

Fields = MutableMapping[str, Any]

_PERSONAL = """
address addresses args authorization body city code contact contacts cookie email emails external_id html
issuer language lines mailbox name names native_name number password path phone phones postal_code query
query_string raw recipient region remote_addr secret street subject text to token url user value values
"""
PERSONAL: Final = frozenset(_PERSONAL.split())
"""Names of fields that are dropped wherever they turn up. Ids, counts and our own codes have names of their own."""

SHARED_COUNTS: Final = "PROMETHEUS_MULTIPROC_DIR"
OUR_LOGGERS: Final = ("notifier", "workers")
# What these say about themselves (addresses they listen on, process ids) is about us, not about people.
_TRUSTED_LOGGERS: Final = ("gunicorn.error", "rq.worker")
# These put a caller's bytes into the text itself, before logging sees it.
_ECHOING: Final = ("Invalid request from", "Error handling request")
_NOISY: Final = (
    "twilio",
    "sendgrid",
    "python_http_client",
    "urllib3",
    "aiohttp",
    "werkzeug",
    "sqlalchemy",
    "asyncio",
    "alembic",
)
_OWN_ROOT: Final = Path(__file__).resolve().parent.parent
_OWN_FOLDERS: Final = ("notifier", "workers")


def configure_logging(level: str = "INFO") -> None:
    """One JSON object a line on standard error, from structlog and from every library alike. Call once a process."""
    render = structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=[strip_foreign, *_COMMON],
        pass_foreign_args=True,
        processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, structlog.processors.JSONRenderer()],
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(render)
    logging.root.handlers[:] = [handler]
    logging.root.setLevel(level)
    logging.raiseExceptions = False  # else a broken log call prints its arguments
    logging.captureWarnings(capture=True)
    for name in _NOISY:
        logging.getLogger(name).setLevel(max(logging.WARNING, logging.getLevelNamesMapping()[level]))
    sys.excepthook = _log_uncaught
    threading.excepthook = _log_uncaught_in_thread


class Logger(structlog.stdlib.BoundLogger):
    """A logger whose exceptions go through `strip_exception` and nowhere else."""

    def exception(self, event: str | None = None, *args: Any, **fields: Any) -> Any:
        """Log an error with the exception at hand. The standard library's own method would add its traceback."""
        fields.setdefault("exc_info", True)
        return self.error(event, *args, **fields)


def get_logger(name: str) -> Logger:
    """A logger for one of our modules: pass `__name__`."""
    return cast("Logger", structlog.stdlib.get_logger(name))


def describe(error: BaseException) -> dict[str, object]:
    """An exception without its text: types, outermost first, and where in our own code it passed through."""
    types, frames = [], []
    seen: set[int] = set()
    current: BaseException | None = error
    while current is not None and id(current) not in seen:
        seen.add(id(current))
        types.append(f"{type(current).__module__}.{type(current).__qualname__}")
        frames += _own_frames(current.__traceback__)
        current = current.__cause__ or (None if current.__suppress_context__ else current.__context__)
    return {"types": types, "frames": frames}


def _own_frames(traceback: TracebackType | None) -> list[str]:
    frames = []
    while traceback is not None:
        code = traceback.tb_frame.f_code
        where = Path(code.co_filename)
        if where.is_relative_to(_OWN_ROOT):
            inside = where.relative_to(_OWN_ROOT)
            if inside.parts[0] in _OWN_FOLDERS:
                frames.append(f"{inside}:{traceback.tb_lineno} {code.co_name}")
        traceback = traceback.tb_next
    return frames


def strip_foreign(_: object, __: str, event: Fields) -> Fields:
    """Leave of a library's record the template of its message, unless it speaks about this process only."""
    record: logging.LogRecord = event["_record"]
    has_arguments = bool(event.pop("positional_args", None))
    ours = record.name.split(".")[0] in OUR_LOGGERS
    trusted = record.name in _TRUSTED_LOGGERS
    if not ours and not trusted:
        event["event"] = record.msg if has_arguments and isinstance(record.msg, str) else "(text withheld)"
    elif isinstance(record.msg, str) and record.msg.startswith(_ECHOING):
        event["event"] = next(start for start in _ECHOING if record.msg.startswith(start))
    event["logger"] = record.name
    return event


def drop_personal(_: object, __: str, event: Fields) -> Fields:
    """Take out every field with a name that personal data has."""
    for name in PERSONAL & event.keys():
        del event[name]
    return event


def strip_exception(_: object, __: str, event: Fields) -> Fields:
    """Replace an exception by `describe` of it."""
    given = event.pop("exc_info", None)
    event.pop("stack_info", None)
    error: object = None
    if isinstance(given, BaseException):
        error = given
    elif isinstance(given, tuple):
        error = given[1]
    elif given:
        error = sys.exc_info()[1]
    if isinstance(error, BaseException):
        event["exception"] = describe(error)
    return event


_COMMON: Final = (
    structlog.contextvars.merge_contextvars,
    structlog.stdlib.add_log_level,
    structlog.processors.TimeStamper(fmt="iso", utc=True),
    drop_personal,
    strip_exception,
)


# On import, not in configure_logging: as it comes, structlog prints tracebacks with the values of all variables.
structlog.configure(
    processors=[structlog.stdlib.filter_by_level, *_COMMON, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
    logger_factory=structlog.stdlib.LoggerFactory(),
    wrapper_class=Logger,
    cache_logger_on_first_use=True,
)


def _log_uncaught(kind: type[BaseException], error: BaseException, _: TracebackType | None) -> None:
    if issubclass(kind, KeyboardInterrupt):
        return
    get_logger(__name__).critical("uncaught exception", exc_info=error)


def _log_uncaught_in_thread(given: threading.ExceptHookArgs) -> None:
    if given.exc_value is not None:
        get_logger(__name__).critical("uncaught exception in a thread", exc_info=given.exc_value)


@dataclass(frozen=True, slots=True)
class Metrics:
    """What one process counts. Labels are route templates, slugs and statuses: a closed set, nobody's data."""

    registry: CollectorRegistry
    requests: Counter
    seconds: Histogram
    intake_rows: Counter
    receipts: Counter
    inbound: Counter

    def render(self) -> bytes:
        """The text format of Prometheus: of every process of this server, where they share their counts in files."""
        if SHARED_COUNTS not in os.environ:
            return generate_latest(self.registry)
        together = CollectorRegistry()
        MultiProcessCollector(together)  # type: ignore[no-untyped-call] # it ships half of its types
        return generate_latest(together)


def new_metrics() -> Metrics:
    """Counters of their own registry, so that two applications in one process do not share them."""
    registry = CollectorRegistry()
    return Metrics(
        registry,
        Counter("notifier_http_requests", "Requests answered.", ("route", "method", "status"), registry=registry),
        Histogram("notifier_http_request_seconds", "Time to answer.", ("route",), registry=registry),
        Counter("notifier_intake_rows", "People stored from lists.", ("format",), registry=registry),
        Counter("notifier_receipts", "Elements of carriers' callbacks.", ("carrier", "result"), registry=registry),
        Counter("notifier_inbound", "Messages that people sent to us.", ("carrier", "kind"), registry=registry),
    )
