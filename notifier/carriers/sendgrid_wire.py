"""What goes to SendGrid: the requests, and the official SDK over one shared TLS context.

As shipped, the SDK builds an opener and with it a TLS context for each call (39 ms of CPU), follows a redirected POST
by a GET, cannot tell a connection that never stood from one that broke, and waits for ever for a carrier that answers
drop by drop. Its own classes are extended here, nothing else.
"""

import http.client
import json
import logging
import ssl
import urllib.request
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from uuid import UUID

from python_http_client.client import Client, Response
from sendgrid import SendGridAPIClient

from notifier.carriers.base import Message
from notifier.carriers.timed_socket import TimedSocket

SUBSTITUTION_BYTES = 9_500  # the vendor's limit is 10,000 for one person, and does not say how it counts
TEXT, HTML = "-notifier_text-", "-notifier_html-"
NO_TRACKING = {
    "click_tracking": {"enable": False, "enable_text": False},
    "open_tracking": {"enable": False},
    "subscription_tracking": {"enable": False},
    "ganalytics": {"enable": False},
}

# Below WARNING the SDK writes the API key, recipients and texts to the log.
logging.getLogger("python_http_client").setLevel(logging.WARNING)


class NotConnectedError(OSError):
    """Nothing has left: no route, no name, no TLS, no answer to the first packet."""


def open_sdk(*, base_url: str, api_key: str, timeout_seconds: float, connect_seconds: float) -> SendGridAPIClient:
    """The SDK, ready to send from several threads."""
    sdk = SendGridAPIClient(api_key, host=base_url.rstrip("/"))
    sdk.client = _Client(
        _opener(ssl.create_default_context(), connect_seconds),
        host=sdk.host,
        version=3,
        request_headers={**sdk.client.request_headers, "Content-Type": "application/json"},
        timeout=timeout_seconds,
    )
    return sdk


def batched(messages: Sequence[Message], size: int) -> Iterator[list[Message]]:
    """What goes out together: one agency, the same parts, no mailbox twice (a household may share one)."""
    groups: defaultdict[tuple[UUID, bool, int], list[Message]] = defaultdict(list)
    seen: Counter[str] = Counter()
    for message in messages:
        if not fits(message):
            yield [message]
            continue
        mailbox = message.to.casefold()
        groups[message.agency_id, bool(message.html), seen[mailbox]].append(message)
        seen[mailbox] += 1
    for group in groups.values():
        for start in range(0, len(group), size):
            yield group[start : start + size]


def fits(message: Message) -> bool:
    """True when the message can share a request: short enough, and free of our own tokens."""
    parts = (TEXT, HTML, message.text, message.html)
    return sum(len(part.encode("utf-8", "surrogatepass")) for part in parts) <= SUBSTITUTION_BYTES and not any(
        token in part for token in (TEXT, HTML) for part in (message.subject, message.text, message.html)
    )


def payload(batch: Sequence[Message], sender: Mapping[str, str]) -> dict[str, object]:
    """The request for a batch, in order: SendGrid names a recipient by its place in it."""
    is_alone = len(batch) == 1
    first = batch[0]
    values = (first.text, first.html) if is_alone else (TEXT, HTML)
    content = [{"type": "text/plain", "value": values[0]}]
    if first.html:
        content.append({"type": "text/html", "value": values[1]})
    people: list[dict[str, object]] = [
        {
            "to": [{"email": message.to}],
            "subject": message.subject,
            "custom_args": {"agency": str(message.agency_id), "attempt": str(message.attempt_id)},
        }
        for message in batch
    ]
    if not is_alone:
        for person, message in zip(people, batch, strict=True):
            own = {TEXT: message.text, HTML: message.html} if message.html else {TEXT: message.text}
            person["substitutions"] = own
    return {"from": sender, "personalizations": people, "content": content, "tracking_settings": NO_TRACKING}


class _Client(Client):  # type: ignore[misc] # the SDK has no types
    def __init__(self, opener: urllib.request.OpenerDirector, **options: object) -> None:
        super().__init__(**options)
        self._opener = opener

    def _build_client(self, name: str | None = None) -> "_Client":
        return _Client(
            self._opener,
            host=self.host,
            version=self._version,
            request_headers=self.request_headers,
            url_path=[*self._url_path, name] if name else self._url_path,
            timeout=self.timeout,
        )

    def post(self, request_body: Mapping[str, object]) -> Response:
        request = urllib.request.Request(  # noqa: S310 - the host is a setting, never a caller's
            self._build_url(None),
            data=json.dumps(request_body).encode("ascii"),
            headers=self.request_headers,
            method="POST",
        )
        return Response(self._make_request(self._opener, request))


def _opener(tls: ssl.SSLContext, connect_seconds: float) -> urllib.request.OpenerDirector:
    """HTTP and HTTPS; no redirects, no proxies, no cookies."""

    class PlainConnection(http.client.HTTPConnection):
        def connect(self) -> None:
            _connect(self, super().connect, connect_seconds)

    class TlsConnection(http.client.HTTPSConnection):
        def connect(self) -> None:
            _connect(self, super().connect, connect_seconds)

    class PlainHandler(urllib.request.HTTPHandler):
        def http_open(self, req: urllib.request.Request) -> http.client.HTTPResponse:
            return self.do_open(PlainConnection, req)

    class TlsHandler(urllib.request.HTTPSHandler):
        def https_open(self, req: urllib.request.Request) -> http.client.HTTPResponse:
            return self.do_open(TlsConnection, req, context=tls)

    opener = urllib.request.OpenerDirector()
    opener.add_handler(PlainHandler())
    opener.add_handler(TlsHandler(context=tls))
    opener.add_handler(urllib.request.HTTPErrorProcessor())
    opener.add_handler(urllib.request.HTTPDefaultErrorHandler())
    return opener


def _connect(connection: http.client.HTTPConnection, connect: Callable[[], None], seconds: float) -> None:
    waits = connection.timeout
    connection.timeout = seconds
    try:
        connect()
    except OSError as error:
        raise NotConnectedError(type(error).__name__) from None
    connection.sock = TimedSocket(connection.sock, waits or 0.0)
