"""Every error as application/problem+json (RFC 9457). Nothing that a caller or a library wrote is repeated in it."""

import errno
import json
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Final

from flask import Flask, Response
from werkzeug.exceptions import HTTPException

from notifier.api.problems import BY_STATUS, PROBLEMS
from notifier.core.errors import Conflict, Finding, Forbidden, Invalid, Malformed, NotFound, Refused, TooLarge
from notifier.surface import request_id
from notifier.telemetry import get_logger

PROBLEM_JSON: Final = "application/problem+json"
UNAVAILABLE_RETRY: Final = 5
OVERTAKEN_RETRY: Final = 1
FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
_UNAUTHORIZED: Final = 401
_SERVER_ERROR: Final = 500
_REDIRECTS: Final = range(300, 400)
_STATUS_OF: Final[Mapping[type[Refused], int]] = {
    Malformed: 400,
    Forbidden: 403,
    NotFound: 404,
    Conflict: 409,
    TooLarge: 413,
    Invalid: 422,
}

log = get_logger(__name__)


class RateLimited(Refused):
    """Too many requests with this key; `retry_after` in seconds."""

    def __init__(self, retry_after: int) -> None:
        super().__init__("rate-limited", "This key has used up its requests for now.")
        self.retry_after = retry_after


def register_problems(
    app: Flask,
    *,
    base_url: str,
    unavailable: Sequence[type[Exception]] = (),
    overtaken: Sequence[type[Exception]] = (),
) -> None:
    """Answer every error of an application as a problem.

    `base_url` is where /problems/<code> is served; "" makes the `type` a relative reference. `unavailable` are the
    exceptions that mean that the database cannot be reached, `overtaken` those that mean that two requests came at
    once and wanted the same place: the second one is told why when it comes again.
    """
    handlers: list[tuple[type[Exception], Callable[..., Response | HTTPException]]] = [
        (Refused, _refused),
        (HTTPException, _http_error),
        *((kind, _out_of_reach) for kind in unavailable),
        *((kind, _came_second) for kind in overtaken),
        (OSError, _no_room),
        (Exception, _broken),
    ]
    for kind, handler in handlers:
        app.register_error_handler(kind, partial(handler, base_url=base_url))


def _refused(error: Refused, *, base_url: str) -> Response:
    return problem(error.code, error.detail, error.findings, base_url=base_url, error=error)


def _http_error(error: HTTPException, *, base_url: str) -> Response | HTTPException:
    status = error.code or _SERVER_ERROR
    if status in _REDIRECTS:
        return error
    code = BY_STATUS.get(status, "internal-error" if status >= _SERVER_ERROR else "bad-request")
    answer = problem(code, PROBLEMS[code].title + ".", base_url=base_url)
    for name, value in error.get_headers():
        if name.lower() in {"allow", "retry-after"}:
            answer.headers[name] = value
    return answer


def _out_of_reach(error: Exception, *, base_url: str) -> Response:
    log.error("database unavailable", exc_info=error)
    return _later("unavailable", UNAVAILABLE_RETRY, base_url)


def _came_second(error: Exception, *, base_url: str) -> Response:
    log.warning("overtaken by another request", exc_info=error)
    return _later("overtaken", OVERTAKEN_RETRY, base_url)


def _later(code: str, seconds: int, base_url: str) -> Response:
    answer = problem(code, PROBLEMS[code].title + ".", base_url=base_url)
    answer.headers["Retry-After"] = str(seconds)
    return answer


def _no_room(error: OSError, *, base_url: str) -> Response:
    if error.errno not in FULL:
        return _broken(error, base_url=base_url)
    log.error("no room on the disk", exc_info=error)
    return _later("storage-full", UNAVAILABLE_RETRY, base_url)


def _broken(error: Exception, *, base_url: str) -> Response:
    log.error("request failed", exc_info=error)
    return problem("internal-error", "Nothing was stored.", base_url=base_url)


def problem(
    code: str,
    detail: str,
    findings: Sequence[Finding] = (),
    *,
    base_url: str,
    error: Refused | None = None,
) -> Response:
    """One problem document, with the headers that its status asks for."""
    known = PROBLEMS.get(code)
    status = known.status if known else _status_of(error)
    if known is None:
        log.error("problem without a page", problem=code)
    title = known.title if known else PROBLEMS[BY_STATUS.get(status, "bad-request")].title
    document: dict[str, object] = {
        "type": f"{base_url}/problems/{code}",
        "title": title,
        "status": status,
        "detail": detail,
        "code": code,
        "request_id": request_id(),
    }
    if findings:
        document["errors"] = [
            {"pointer": finding.pointer, "code": finding.code, "detail": finding.detail} for finding in findings
        ]
    answer = Response(json.dumps(document), status, content_type=PROBLEM_JSON)
    if status == _UNAUTHORIZED:
        reason = ', error="invalid_token"' if code == "invalid-key" else ""
        answer.headers["WWW-Authenticate"] = f'Bearer realm="notifier"{reason}'
    retry_after = getattr(error, "retry_after", None)
    if retry_after is not None:
        answer.headers["Retry-After"] = str(retry_after)
    return answer


def _status_of(error: Refused | None) -> int:
    return next((status for kind, status in _STATUS_OF.items() if isinstance(error, kind)), 400)
