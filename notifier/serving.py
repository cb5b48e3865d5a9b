"""What of Gunicorn is ours: its words go to our log without anybody's bytes, and its refusals are problems too.

Gunicorn refuses what is not HTTP before the application sees it; as it comes, it answers with a page of HTML and logs
the line that it could not read.
"""

import json
import select
import socket
import threading
from http import HTTPStatus
from typing import Any, Final
from uuid import uuid4

from gunicorn import glogging, util  # type: ignore[import-untyped] # the stubs are of an older release
from gunicorn.http import errors  # type: ignore[import-untyped] # as above
from gunicorn.workers.gthread import ThreadWorker  # type: ignore[import-untyped] # as above

from notifier.telemetry import configure_logging, get_logger

# What a response of our own did wrong comes as the same kind of exception.
_OURS: Final = (errors.InvalidResponseHeader, errors.InvalidResponseHeaderName, errors.ConfigurationProblem)
_STATUS: Final[tuple[tuple[type[Exception], HTTPStatus], ...]] = (
    (errors.LimitRequestLine, HTTPStatus.REQUEST_URI_TOO_LONG),
    (errors.LimitRequestHeaders, HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE),
    (errors.ExpectationFailed, HTTPStatus.EXPECTATION_FAILED),
    (errors.UnsupportedTransferCoding, HTTPStatus.NOT_IMPLEMENTED),
    (errors.ParseException, HTTPStatus.BAD_REQUEST),
)

STAY_MS: Final = 250
NEVER_STAY: Final = 8  # threads

log = get_logger(__name__)


class Log(glogging.Logger):  # type: ignore[misc] # as above
    """Gunicorn's own messages, through our log. There is no access log: `web` logs each request by its route."""

    def setup(self, cfg: Any) -> None:
        """Called when the server starts and when its configuration is read again."""
        self.cfg = cfg
        self._access_log_enabled = False
        self.loglevel = self.LOG_LEVELS[cfg.loglevel]
        self.error_log.setLevel(self.loglevel)
        self.error_log.handlers[:] = []
        self.error_log.propagate = True
        configure_logging(cfg.loglevel.upper())


class Worker(ThreadWorker):  # type: ignore[misc] # as above
    """The threaded worker, with problem documents for what is not HTTP.

    Carriers post by the thousand on few connections. On its way through the poller and the main thread to another
    thread of the pool a request costs more than all that is said in it, so a thread stays with its connection for a
    moment. Some threads never do: whoever comes anew waits for nobody's moment.
    """

    def init_process(self) -> None:
        """Called in the new process, once."""
        self._may_stay = threading.BoundedSemaphore(max(1, self.cfg.threads - NEVER_STAY))
        super().init_process()

    def handle(self, conn: Any) -> Any:
        """Answer one request, and those that follow soon on the same connection."""
        while True:
            is_kept = super().handle(conn)
            if is_kept is not True or not self.alive or not self._may_stay.acquire(blocking=False):
                return is_kept
            try:
                if not (conn.parser.unreader.buf.getvalue() or _has_more(conn.sock)):
                    return is_kept
            finally:
                self._may_stay.release()

    def handle_error(self, req: Any, client: Any, addr: Any, exc: BaseException) -> None:  # noqa: ARG002 # Gunicorn's
        """Say what is wrong without repeating it."""
        status = next((status for kind, status in _STATUS if isinstance(exc, kind)), HTTPStatus.INTERNAL_SERVER_ERROR)
        if isinstance(exc, _OURS) or status is HTTPStatus.INTERNAL_SERVER_ERROR:
            status = HTTPStatus.INTERNAL_SERVER_ERROR
            log.error("request failed in the server", exc_info=exc)
        else:
            log.warning("request not understood", status=status.value, error=type(exc).__name__)
        try:
            util.write_nonblock(client, refusal(status))
        except OSError:
            log.debug("nobody there to answer")


def _has_more(connection: socket.socket) -> bool:
    """Whether something comes, be it the connection's end, within the moment that a thread stays."""
    poll = select.poll()
    poll.register(connection, select.POLLIN)
    return bool(poll.poll(STAY_MS))


def refusal(status: HTTPStatus) -> bytes:
    """A whole HTTP answer with a problem document."""
    code = "internal-error" if status is HTTPStatus.INTERNAL_SERVER_ERROR else "bad-request"
    request_id = str(uuid4())
    document = {
        "type": f"/problems/{code}",
        "title": status.phrase,
        "status": status.value,
        "detail": "The request is not HTTP as RFC 9112 has it, or a part of it is too long.",
        "code": code,
        "request_id": request_id,
    }
    if code == "internal-error":
        document["detail"] = "Nothing was stored."
    body = json.dumps(document).encode()
    head = (
        f"HTTP/1.1 {status.value} {status.phrase}",
        "Content-Type: application/problem+json",
        f"Content-Length: {len(body)}",
        f"X-Request-Id: {request_id}",
        "X-Content-Type-Options: nosniff",
        "Cache-Control: no-store",
        "Connection: close",
    )
    return "\r\n".join([*head, "", ""]).encode() + body
