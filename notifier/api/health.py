"""Is it alive, is it ready, and how much is waiting. Nothing here is about anybody."""

import ipaddress
from collections.abc import Mapping
from typing import Final

from flask import Blueprint, Response, current_app, jsonify, request
from prometheus_client import CollectorRegistry, Gauge, generate_latest
from redis.exceptions import RedisError

from notifier.core.errors import Forbidden, Refused
from notifier.store.migrate import is_current
from notifier.surface import metrics, service
from notifier.usecases.backlog import Backlog, BacklogWatch
from notifier.usecases.breaker import Standing, breaker_states

TEXT: Final = "text/plain; version=0.0.4; charset=utf-8"
# A proxy on this machine speaks from loopback for the whole world; these are the headers that it leaves.
_FORWARDED: Final = ("Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "X-Real-Ip", "Via")

blueprint = Blueprint("health", __name__)


class NotReady(Refused):
    """The database is not at the schema of this code."""


@blueprint.get("/healthz")
def healthz() -> Response:
    """The process answers; nothing else is asked."""
    return jsonify(status="alive")


@blueprint.get("/readyz")
def readyz() -> Response:
    """The database answers and is at the schema of this code.

    Redis carries no truth: without it sending waits for the clock, so it is told and does not count.
    """
    with service().db.no_agency() as conn:
        if not is_current(conn):
            raise NotReady("not-migrated", "The database is not at the schema of this code.")
    return jsonify(status="ready", redis="up" if _redis_answers() else "down")


@blueprint.get("/metrics")
def show_metrics() -> Response:
    """Counts for Prometheus: those of this process, and what waits in the database. On the machine itself only."""
    _require_local()
    here = service()
    watch: BacklogWatch = current_app.extensions.setdefault("backlog", BacklogWatch(here.db))
    waiting = _gauges(watch.read(now=here.now()))
    _add_breakers(waiting, breaker_states(here.redis, here.called_carriers))
    return Response(metrics().render() + generate_latest(waiting), content_type=TEXT)


def _redis_answers() -> bool:
    try:
        return bool(service().redis.ping())
    except RedisError:
        return False


def _require_local() -> None:
    try:
        is_local = ipaddress.ip_address(request.remote_addr or "").is_loopback
    except ValueError:
        is_local = False
    if not is_local or any(name in request.headers for name in _FORWARDED):
        raise Forbidden("not-from-here", "This is answered on the machine itself only.")


def _gauges(backlog: Backlog) -> CollectorRegistry:
    registry = CollectorRegistry()
    attempts = Gauge("notifier_attempts", "Attempts by channel and status.", ("channel", "status"), registry=registry)
    for (channel, status), count in backlog.attempts.items():
        attempts.labels(channel, status).set(count)
    singles = (
        ("notifier_oldest_due_attempt_seconds", "How long the oldest due attempt waits.", backlog.oldest_due_seconds),
        ("notifier_attempts_unknown", "Attempts whose outcome nobody knows.", backlog.unknown),
        ("notifier_receipts_waiting", "Receipts stored and not applied.", backlog.receipts_waiting),
        ("notifier_oldest_receipt_seconds", "How long the oldest of them waits.", backlog.oldest_receipt_seconds),
        ("notifier_print_batches_not_mailed", "Print batches not declared mailed.", backlog.batches_not_mailed),
        ("notifier_print_batches_red", "Those that should have been by now.", backlog.batches_red),
        ("notifier_callbacks_quarantined", "Callbacks that could not be matched or read.", backlog.quarantined),
    )
    for name, text, value in singles:
        Gauge(name, text, registry=registry).set(value)
    return registry


def _add_breakers(registry: CollectorRegistry, standings: Mapping[str, Standing]) -> None:
    """A carrier of which nobody can tell, because Redis is away or was emptied, has no figure."""
    gauge = Gauge(
        "notifier_carrier_breaker",
        "1 while nothing is sent by a carrier because it does not answer, else 0.",
        ("carrier",),
        registry=registry,
    )
    for slug, standing in standings.items():
        if standing.is_open is not None:
            gauge.labels(slug).set(int(standing.is_open))
