"""The WSGI application: the surfaces that the settings ask for, in one process or in several.

Every answer gets a request id and headers that let a browser do nothing it need not. Every request is logged by its
route's template, never by its address, its query or its body.
"""

import hashlib
import os
import sys
import time
from base64 import b64encode
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from flask import Flask, Response, g, request
from psycopg import IntegrityError as DriverIntegrityError
from psycopg import InternalError as DriverInternalError
from psycopg import OperationalError as DriverOperationalError
from sqlalchemy.exc import IntegrityError, InterfaceError, InternalError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from notifier.api import docs, health
from notifier.api.app import install_limits, new_app
from notifier.api.errors import register_problems
from notifier.bodies import discard_body
from notifier.bootstrap import build
from notifier.callbacks import inbound
from notifier.callbacks import routes as callbacks
from notifier.core.errors import SettingsError
from notifier.public import routes as public
from notifier.service import CONFIG_DIR, TEMPLATE_DIR, Service
from notifier.settings import Settings
from notifier.surface import attach, request_id
from notifier.telemetry import Metrics, configure_logging, get_logger, new_metrics

# An internal error is the server's own trouble, such as a file that it cannot extend.
UNAVAILABLE: Final = (
    OperationalError,
    InterfaceError,
    InternalError,
    PoolTimeoutError,
    DriverOperationalError,
    DriverInternalError,
)
OVERTAKEN: Final = (IntegrityError, DriverIntegrityError)
HEADERS: Final = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "X-Robots-Tag": "noindex, nofollow",
    "Cache-Control": "no-store",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
}
METHODS: Final = frozenset({"DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT"})
_REFUSED: Final = 400
_APP_LOAD_ERROR: Final = 4  # to Gunicorn: do not start another worker, the next one would fail too
HSTS: Final = "max-age=31536000"

log = get_logger(__name__)


def create_app(service: Service | None = None) -> Flask:
    """The application of a service; without one it is built from the environment, logs included."""
    if service is None:
        service = _build_or_exit()
    surfaces, base_url = service.settings.surfaces, service.settings.public_base_url or ""
    if "api" in surfaces:
        app: Flask = new_app(str(TEMPLATE_DIR))
    else:
        app = Flask("notifier", static_folder=None, template_folder=str(TEMPLATE_DIR))
    app.url_map.merge_slashes = False  # an address is right or wrong; a redirect would drop a carrier's body
    metrics, headers = new_metrics(), _usual_headers(base_url)
    _install_hooks(app, service, metrics, headers)
    register_problems(app, base_url=base_url, unavailable=UNAVAILABLE, overtaken=OVERTAKEN)
    app.register_blueprint(health.blueprint)
    app.register_blueprint(docs.problem_pages)
    if "api" in surfaces:
        install_limits(app, service.redis)
    if "callbacks" in surfaces:
        callbacks.install(app, service, metrics, headers=headers)
        app.register_blueprint(inbound.blueprint)
    if "public" in surfaces:
        app.register_blueprint(public.blueprint)
    return app


def _build_or_exit() -> Service:
    try:
        settings = Settings.load(os.environ, CONFIG_DIR)
        configure_logging(settings.log_level)
        return build(settings)
    except SettingsError as error:
        sys.stderr.write("".join(f"{problem}\n" for problem in error.problems))
        raise SystemExit(_APP_LOAD_ERROR) from None


def _usual_headers(base_url: str) -> dict[str, str]:
    headers = HEADERS | {"Content-Security-Policy": content_security_policy(TEMPLATE_DIR)}
    return headers | {"Strict-Transport-Security": HSTS} if base_url.startswith("https:") else headers


def _install_hooks(app: Flask, service: Service, metrics: Metrics, headers: Mapping[str, str]) -> None:
    def begin() -> None:
        g.began = time.perf_counter()
        attach(service, metrics, request.headers.get("X-Request-Id"))

    def finish(response: Response) -> Response:
        if response.status_code >= _REFUSED:
            discard_body(request.environ)
        for name, value in headers.items():
            response.headers.setdefault(name, value)
        response.headers["X-Request-Id"] = request_id()
        _account_for(response, metrics)
        return response

    app.before_request(begin)
    app.after_request(finish)


def _account_for(response: Response, metrics: Metrics) -> None:
    route = request.url_rule.rule if request.url_rule else "(none)"
    seconds = time.perf_counter() - g.began
    method = request.method if request.method in METHODS else "(other)"
    metrics.requests.labels(route, method, response.status_code).inc()
    metrics.seconds.labels(route).observe(seconds)
    principal = g.get("principal")
    log.info(
        "request",
        route=route,
        method=method,
        status=response.status_code,
        ms=round(seconds * 1000, 1),
        request_id=request_id(),
        agency_id=str(principal.agency_id) if principal else None,
    )


def content_security_policy(template_dir: Path) -> str:
    """Nothing but our own style sheet, which stands in the page and is named by its hash."""
    style = (template_dir / "public" / "style.css").read_text(encoding="utf-8").removesuffix("\n")
    digest = b64encode(hashlib.sha256(style.encode()).digest()).decode()
    return (
        f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
