"""Twilio SMS, sending: the official SDK's asynchronous client over our own connections.

Twilio has no idempotency key, so nothing here ever posts a message twice. What an answer means:

    201 with a message id                        handed over
    429                                          not sent, rate limited: Twilio says it is always safe to try again
    no connection                                not sent
    a code of config/carriers.toml               refused when it is about the number, not sent when about us or the line
    401, 403, 404, 405, 415, a redirect          not sent, misconfigured
    any other 4xx                                not sent, unspecified: the vendor adds codes without notice
    5xx, 408, a time-out or a cut connection
    after the request left, an unreadable answer unknown

What became of an unknown is asked of the list of messages (twilio_list.py). Receipts are in twilio_receipts.py, so that
the web process need not load the SDK.
"""

import asyncio
import logging
import re
import time
from base64 import b64encode
from collections.abc import Mapping, Sequence
from urllib.parse import quote_plus, urlsplit

from aiohttp import (
    ClientConnectorError,
    ClientSession,
    ClientTimeout,
    ConnectionTimeoutError,
    DummyCookieJar,
    TCPConnector,
)
from twilio.base.exceptions import TwilioRestException, TwilioServiceException  # type: ignore[import-untyped]
from twilio.http import AsyncHttpClient  # type: ignore[import-untyped]
from twilio.http.response import Response  # type: ignore[import-untyped]
from twilio.rest import Client  # type: ignore[import-untyped]

from notifier.carriers.base import Finding, Found, Message, Outcome, SendResult, Sought
from notifier.carriers.retry_after import retry_after
from notifier.carriers.timetable import Wire
from notifier.carriers.twilio_list import Listed, match
from notifier.carriers.twilio_receipts import CODE, OVERRIDE
from notifier.core.errors import SettingsError
from notifier.core.model import Channel
from notifier.core.status import Reason

SLUG = "twilio_sms"
LARGEST_PAGE = 1000  # of the list, in one answer
MESSAGE_ID = re.compile(r"(?:SM|MM)[0-9a-fA-F]{32}\Z")
NEVER_SENT = frozenset({"failed", "undelivered", "canceled"})
OUR_FAULT = frozenset({401, 403, 404, 405, 407, 415})
RETRYABLE = frozenset({Reason.MISCONFIGURED, Reason.RATE_LIMITED})
ESCAPED = {code: quote_plus(chr(code)) for code in range(128)}

# Below WARNING the SDK writes request parameters, and with them phone numbers, to the log.
logging.getLogger("twilio").setLevel(logging.WARNING)


class _Throttled(Exception):
    """HTTP 429. The SDK's own exception has no headers."""

    def __init__(self, retry_after: float | None) -> None:
        super().__init__()
        self.retry_after = retry_after


class _Transport(AsyncHttpClient):  # type: ignore[misc] # the SDK has no types
    """The SDK's extension point. Its own client logs numbers, drops time-outs and shares a pool of 100."""

    def __init__(self, session: ClientSession) -> None:
        super().__init__(logging.getLogger("twilio"), is_async=True)
        self.session = session

    async def request(
        self,
        method: str,
        uri: str,
        *,
        params: Mapping[str, str] | None = None,
        data: Mapping[str, str] | None = None,
        headers: Mapping[str, str],
        auth: tuple[str, str],
        **_: object,
    ) -> Response:
        credentials = b64encode(":".join(auth).encode()).decode("ascii")
        async with self.session.request(
            method,
            uri,
            params=params,
            data=form(data) if data else None,
            headers={**headers, "Authorization": f"Basic {credentials}"},
            allow_redirects=False,
        ) as answer:
            text = await answer.text(encoding="utf-8", errors="replace")
            if answer.status == 429:  # noqa: PLR2004 - HTTP's own number
                raise _Throttled(retry_after(answer.headers, time.time()))
            return Response(answer.status, text, answer.headers)


class TwilioSms:
    """The carrier. Build it inside the running loop that uses it.

    `sender` is a messaging service (MG...) or a number of ours. `public_base_url` is where Twilio reaches us.
    `page` is how many messages of the list come in one answer.

    Raises:
        SettingsError: Twilio would refuse the callback address.
    """

    slug = SLUG
    channel = Channel.SMS

    def __init__(
        self,
        *,
        base_url: str,
        account_sid: str,
        auth_token: str,
        sender: str,
        public_base_url: str,
        wire: Wire,
        page: int = LARGEST_PAGE,
    ) -> None:
        if "_" in (urlsplit(public_base_url).hostname or "_"):
            raise SettingsError(["PUBLIC_BASE_URL: Twilio takes no callback to a host name with an underscore"])
        self._wire = wire
        self._callback = f"{public_base_url.rstrip('/')}/callbacks/{SLUG}"
        self._sender = {"messaging_service_sid" if sender.startswith("MG") else "from_": sender}
        if wire.validity_seconds is not None:
            self._sender["validity_period"] = str(wire.validity_seconds)
        self._page = page
        self._places = asyncio.Semaphore(wire.concurrency)
        self._session = ClientSession(
            connector=TCPConnector(limit=wire.concurrency),
            timeout=ClientTimeout(total=None, connect=wire.connect_timeout_seconds),
            cookie_jar=DummyCookieJar(),
        )
        client = Client(
            account_sid,
            auth_token,
            http_client=_Transport(self._session),
            # An edge or region left in the environment would be spliced into our base URL.
            environment={"TWILIO_EDGE": "", "TWILIO_REGION": ""},
        )
        client.api.base_url = base_url
        self._messages = client.messages

    async def send(self, messages: Sequence[Message]) -> list[SendResult]:
        """Hand messages over, concurrently."""
        return await asyncio.gather(*map(self._send_one, messages))

    async def find(self, sought: Sequence[Sought]) -> list[Found]:
        """Ask for each number's messages, concurrently. A number of which that cannot be told leaves all its unsure."""
        by_number: dict[str, list[Sought]] = {}
        for one in sought:
            by_number.setdefault(one.message.to, []).append(one)
        found = await asyncio.gather(*map(self._find_at, by_number.values()))
        return [one for of_number in found for one in of_number]

    async def close(self) -> None:
        """Give connections back."""
        await self._session.close()

    async def _send_one(self, message: Message) -> SendResult:
        key = message.attempt_id
        # Outside the time-out: who waits for a place has sent nothing.
        async with self._places:
            try:
                async with asyncio.timeout(self._wire.timeout_seconds):
                    created = await self._messages.create_async(
                        to=message.to,
                        body=message.text,
                        status_callback=f"{self._callback}?agency={message.agency_id}&attempt={key}#{OVERRIDE}",
                        smart_encoded=False,  # what is committed is what is sent
                        **self._sender,
                    )
                return self._taken(message, created.sid, created.status, created.error_code)
            except (ClientConnectorError, ConnectionTimeoutError) as error:
                return SendResult(key, Outcome.NOT_SENT, None, Reason.CARRIER_ERROR, type(error).__name__)
            except _Throttled as answer:
                return SendResult(key, Outcome.NOT_SENT, None, Reason.RATE_LIMITED, "429", answer.retry_after)
            except (TwilioRestException, TwilioServiceException) as answer:
                outcome, reason = judge(answer.status, answer.code, self._wire.codes)
                code = answer.code if CODE.match(str(answer.code)) else answer.status
                return SendResult(key, outcome, None, reason, str(code))
            except TimeoutError:
                return SendResult(key, Outcome.UNKNOWN, None, Reason.TIMED_OUT, "TimeoutError")
            except Exception as error:  # noqa: BLE001 - whatever it is, the request may have left
                return SendResult(key, Outcome.UNKNOWN, None, Reason.CARRIER_ERROR, type(error).__name__)

    async def _find_at(self, sought: Sequence[Sought]) -> list[Found]:
        async with self._places:
            try:
                async with asyncio.timeout(self._wire.timeout_seconds):
                    messages = await self._messages.list_async(to=sought[0].message.to, page_size=self._page)
                listed = [
                    Listed(
                        str(one.sid),
                        str(one.to),
                        str(one.body),
                        one.date_created,
                        str(one.status),
                        None if one.error_code is None else str(one.error_code),
                    )
                    for one in messages
                ]
                return match(sought, listed, self._wire.codes)
            except Exception:  # noqa: BLE001 - whatever it is, nothing was learned
                return [Found(one.message.attempt_id, Finding.UNSURE) for one in sought]

    def _taken(self, message: Message, sid: object, status: object, code: object) -> SendResult:
        if not isinstance(sid, str) or not MESSAGE_ID.match(sid):
            return SendResult(message.attempt_id, Outcome.UNKNOWN, None, Reason.CARRIER_ERROR, "no-message-id")
        if status in NEVER_SENT:  # no callback comes for the first status
            reason = self._wire.codes.get(str(code), Reason.UNSPECIFIED)
            return SendResult(message.attempt_id, Outcome.REFUSED, sid, reason, None if code is None else str(code))
        return SendResult(message.attempt_id, Outcome.HANDED_OVER, sid)


def form(fields: Mapping[str, str]) -> bytes:
    """The fields as application/x-www-form-urlencoded: what urllib's `urlencode` gives, in a third of its time."""
    pairs = (
        f"{name}={value.translate(ESCAPED) if value.isascii() else quote_plus(value)}" for name, value in fields.items()
    )
    return "&".join(pairs).encode("ascii")


def judge(status: int, code: object, codes: Mapping[str, Reason]) -> tuple[Outcome, Reason]:
    """What an error answer means: HTTP status and Twilio's own code -> outcome and reason. The table is above."""
    if status >= 500 or status == 408 or code == 20500:  # noqa: PLR2004 - HTTP's and Twilio's own numbers
        return Outcome.UNKNOWN, Reason.CARRIER_ERROR
    if code == 20429:  # noqa: PLR2004 - Twilio's own number
        return Outcome.NOT_SENT, Reason.RATE_LIMITED
    reason = codes.get(str(code))
    if reason is not None:
        return (Outcome.NOT_SENT if reason in RETRYABLE else Outcome.REFUSED), reason
    if status in OUR_FAULT or status < 400:  # noqa: PLR2004 - HTTP's own number
        return Outcome.NOT_SENT, Reason.MISCONFIGURED
    return Outcome.NOT_SENT, Reason.UNSPECIFIED
