"""What the HTTP surfaces share: the service at hand while a request is answered, and the id of that request."""

import re
from typing import Final, cast
from uuid import uuid4

from flask import g

from notifier.service import Service
from notifier.telemetry import Metrics

# UUIDs and trace ids only: anything freer could carry a name or a number into our logs.
_SAFE_ID: Final = re.compile(r"[0-9a-f]{32}|[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)


def attach(service: Service, metrics: Metrics, given_id: str | None) -> None:
    """Begin a request: keep its dependencies and its id (the caller's when it is a safe one, else a new one)."""
    g.service = service
    g.metrics = metrics
    g.request_id = given_id if given_id and _SAFE_ID.fullmatch(given_id) else str(uuid4())


def service() -> Service:
    """The service that this application was made with."""
    return cast("Service", g.service)


def metrics() -> Metrics:
    """What this process counts."""
    return cast("Metrics", g.metrics)


def request_id() -> str:
    """The id of this request, as it is answered and logged."""
    return cast("str", g.request_id)
