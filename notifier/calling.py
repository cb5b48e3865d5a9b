"""Calling our own HTTP API from the command line, with the standard library alone.

A request that was refused for the moment is sent again with the same Idempotency-Key, so nothing is ever done twice.
"""

import http.client
import json
import ssl
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import IO, Any, Final
from urllib.parse import urlsplit

import click

TRIES: Final = 5
LONGEST_WAIT: Final = 30.0  # seconds, whatever the server asks for
FOR_THE_MOMENT: Final = frozenset({409, 429, 503})
PIECE: Final = 1 << 16
ASK_SECONDS: Final = 60.0
STORE_SECONDS: Final = 600.0  # a list of a million people is stored before it is answered


class CallFailed(click.ClickException):
    """The API refused, or could not be reached. `status` is 0 when there was no answer."""

    def __init__(self, message: str, status: int = 0) -> None:
        super().__init__(message)
        self.status = status


@dataclass(frozen=True, slots=True)
class Answer:
    """A document of the API; `is_replay` when it was given before to the same request."""

    document: dict[str, Any] = field(repr=False)
    is_replay: bool


@dataclass(frozen=True, slots=True)
class Api:
    """The API at `url`, called with one key."""

    url: str
    key: str = field(repr=False)

    def get(self, path: str) -> dict[str, Any]:
        """A document.

        Raises:
            CallFailed: it was refused, or nobody answered.
        """
        return self._document("GET", path).document

    def post(
        self, path: str, body: bytes | IO[bytes], *, once: str, media_type: str = "application/json", size: int = 0
    ) -> Answer:
        """Send bytes, or a file of `size` bytes; `once` is the Idempotency-Key. Raises as `get`."""
        length = len(body) if isinstance(body, bytes) else size
        headers = {"Idempotency-Key": once, "Content-Type": media_type, "Content-Length": str(length)}
        return self._document("POST", path, body, headers)

    def download(self, path: str, to: IO[bytes]) -> None:
        """Write a file's bytes. Raises as `get`."""
        with self._answered("GET", path, None, {}) as response:
            while piece := response.read(PIECE):
                to.write(piece)

    def _document(
        self, method: str, path: str, body: bytes | IO[bytes] | None = None, headers: Mapping[str, str] | None = None
    ) -> Answer:
        with self._answered(method, path, body, headers or {}) as response:
            document = json.loads(response.read())
            return Answer(document, response.headers.get("Idempotent-Replayed") == "true")

    @contextmanager
    def _answered(
        self, method: str, path: str, body: bytes | IO[bytes] | None, headers: Mapping[str, str]
    ) -> Iterator[http.client.HTTPResponse]:
        """A response that is no error; what is refused for the moment is tried again."""
        for left in reversed(range(TRIES)):
            connection = _connect(self.url, ASK_SECONDS if body is None else STORE_SECONDS)
            try:
                response = self._send(connection, method, path, body, headers)
                wait = response.headers.get("Retry-After", "")
                if left and response.status in FOR_THE_MOMENT and wait.isdigit():
                    time.sleep(min(float(wait), LONGEST_WAIT))
                    continue
                if response.status >= 400:  # noqa: PLR2004 # HTTP's own number
                    raise _failure(response)
                yield response
                return
            finally:
                connection.close()

    def _send(
        self,
        connection: http.client.HTTPConnection,
        method: str,
        path: str,
        body: bytes | IO[bytes] | None,
        headers: Mapping[str, str],
    ) -> http.client.HTTPResponse:
        if body is not None and not isinstance(body, bytes):
            body.seek(0)
        all_headers = {**headers, "Authorization": f"Bearer {self.key}", "Accept": "application/json"}
        try:
            with suppress(BrokenPipeError, ConnectionResetError):  # refused before its end: the answer says why
                connection.request(method, urlsplit(self.url).path.rstrip("/") + path, body, all_headers)
            return connection.getresponse()
        except (OSError, http.client.HTTPException) as error:
            raise CallFailed(f"no answer from {self.url} ({type(error).__name__})") from None


def _connect(url: str, seconds: float) -> http.client.HTTPConnection:
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise click.UsageError("--url must look like https://notices.agency.example")
    if parts.scheme == "https":
        context = ssl.create_default_context()
        return http.client.HTTPSConnection(
            parts.hostname, parts.port, timeout=seconds, blocksize=PIECE, context=context
        )
    return http.client.HTTPConnection(parts.hostname, parts.port, timeout=seconds, blocksize=PIECE)


def _failure(response: http.client.HTTPResponse) -> CallFailed:
    try:
        problem = json.loads(response.read())
        lines = [problem["detail"], *(f"  {each['pointer']}: {each['detail']}" for each in problem.get("errors") or ())]
        told = "\n".join([f"{response.status} {problem['code']}: {lines[0]}", *lines[1:]])
    except (ValueError, KeyError, TypeError, http.client.HTTPException, OSError):
        told = f"{response.status} {response.reason}"
    return CallFailed(told, response.status)
