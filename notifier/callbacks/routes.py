"""POST /callbacks/<carrier>. Answered 204 for a known duplicate too, so that nobody sends it again.

Carriers post by the thousand, and a plain "kept" needs neither routes nor request contexts: `in_front` gives it before
the framework is asked. Whatever is to be said otherwise is said by the framework, as it says everything else.
"""

import time
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, Final
from uuid import uuid4

from flask import Flask, Response, request

from notifier.callbacks.intake import Intake
from notifier.core.errors import NotFound
from notifier.service import Service
from notifier.telemetry import Metrics

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse  # it exists for the type checker alone

ROUTE: Final = "/callbacks/<carrier>"
_PREFIX: Final = "/callbacks/"
_NO_CONTENT: Final = 204
_FAILURE: Final = "notifier.callback_failure"

WsgiApp = Callable[[dict[str, Any], "StartResponse"], Iterable[bytes]]


def install(app: Flask, service: Service, metrics: Metrics, *, headers: Mapping[str, str]) -> None:
    """Let an application take callbacks in. `headers` are those of every answer."""
    app.add_url_rule(ROUTE, "callbacks.receive", _say_why, methods=["POST"])
    intake = Intake(service, metrics)
    app.wsgi_app = in_front(app.wsgi_app, intake, metrics, headers)  # type: ignore[method-assign, assignment] # Flask's own way


def in_front(framework: WsgiApp, intake: Intake, metrics: Metrics, headers: Mapping[str, str]) -> WsgiApp:
    """Take callbacks in; everything else, and whatever went wrong with one, is for the framework."""
    answered = metrics.requests.labels(ROUTE, "POST", _NO_CONTENT)
    seconds = metrics.seconds.labels(ROUTE)
    usual = list(headers.items())

    def app(environ: dict[str, Any], start_response: "StartResponse") -> Iterable[bytes]:
        carrier = str(environ["PATH_INFO"]).removeprefix(_PREFIX)
        if environ["REQUEST_METHOD"] != "POST" or not intake.knows(carrier):
            return framework(environ, start_response)
        began = time.perf_counter()
        try:
            intake.take(carrier, environ)
        except Exception as error:  # noqa: BLE001 # the framework raises it again, where errors are answered
            environ[_FAILURE] = error
            return framework(environ, start_response)
        answered.inc()
        seconds.observe(time.perf_counter() - began)
        start_response("204 No Content", [*usual, ("X-Request-Id", str(uuid4()))])
        return ()

    return app


def _say_why(carrier: str) -> Response:  # noqa: ARG001 # the route has it
    failure: Exception = request.environ.get(_FAILURE) or NotFound(
        "unknown-callback", "No carrier in use calls back here."
    )
    raise failure
