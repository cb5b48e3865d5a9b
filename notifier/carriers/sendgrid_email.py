"""SendGrid email, sending: the official SDK, in batches, each person's text exactly as we rendered it.

One request has one content, so each of its parts is a single token, replaced per person by that person's own part.
A message that is too long for that, or contains a token, goes out alone. SendGrid takes or refuses a request whole and
has no idempotency key. What an answer means:

    202                          all handed over
    400 naming recipients        nothing sent: those refused, the rest sent again without them
    400 naming nobody, 413       nothing sent: halved and sent again, down to a single message
    400 naming something else,
    401, 403, 404, 405, 415,
    a redirect                   not sent, misconfigured
    429                          not sent, rate limited
    no connection                not sent
    5xx, 408, a time-out or a cut connection after the request left, any other 2xx
                                 unknown

All calls for one batch end within the time of one: what there is no time left for is not sent, and is tried later.

Each request has a connection of its own. One that is kept open may be closed by the other side while the next request
is on its way, and a hundred people would be unknown for the sake of one handshake.

Receipts are in sendgrid_receipts.py, so that the web process need not load the SDK.
"""

import asyncio
import json
import re
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple
from urllib.error import URLError
from uuid import UUID

from python_http_client.exceptions import HTTPError

from notifier.carriers.base import Message, Outcome, SendResult
from notifier.carriers.retry_after import retry_after
from notifier.carriers.sendgrid_receipts import reference
from notifier.carriers.sendgrid_wire import NotConnectedError, batched, open_sdk, payload
from notifier.carriers.timetable import Wire
from notifier.core.model import Channel
from notifier.core.status import Reason

NAMED = re.compile(r"personalizations\D?([0-9]{1,4})\b\W*(.*)")
RESET = "X-RateLimit-Reset"
OUR_FAULT = frozenset({401, 403, 404, 405, 407, 413, 415})


class _Answer(NamedTuple):
    status: int
    headers: Mapping[str, str]
    body: bytes


class _NoAnswer(NamedTuple):
    outcome: Outcome
    reason: Reason
    error: str


class SendGridEmail:
    """The carrier. `sender` is a verified mailbox of the agency; `base_url` comes without `/v3`.

    TLS trusts the system's authorities, or those of the file that SSL_CERT_FILE names.
    """

    slug = "sendgrid_email"
    channel = Channel.EMAIL

    def __init__(
        self,
        *,
        base_url: str,
        api_key: str,
        sender: str,
        wire: Wire,
        sender_name: str = "",
    ) -> None:
        self._wire = wire
        self._from = {"email": sender, "name": sender_name} if sender_name else {"email": sender}
        self._sdk = open_sdk(
            base_url=base_url,
            api_key=api_key,
            timeout_seconds=wire.timeout_seconds,
            connect_seconds=wire.connect_timeout_seconds,
        )
        self._places = asyncio.Semaphore(wire.concurrency)
        self._threads = ThreadPoolExecutor(wire.concurrency, thread_name_prefix=self.slug)

    async def send(self, messages: Sequence[Message]) -> list[SendResult]:
        """Hand messages over, in concurrent batches."""
        batches = [self._send_batch(batch) for batch in batched(messages, self._wire.batch)]
        return [result for results in await asyncio.gather(*batches) for result in results]

    async def close(self) -> None:
        """Give threads back."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def _send_batch(self, batch: Sequence[Message]) -> list[SendResult]:
        async with self._places:  # outside the time-out: who waits for a place has sent nothing
            return await self._send(batch, until=asyncio.get_running_loop().time() + self._wire.timeout_seconds)

    async def _send(self, batch: Sequence[Message], *, until: float) -> list[SendResult]:
        """`until` is when the last call must have ended, on the loop's clock."""
        answer = await self._call(batch, until)
        if isinstance(answer, _NoAnswer):
            return [SendResult(message.attempt_id, answer.outcome, None, *answer[1:]) for message in batch]
        if answer.status == 202:  # noqa: PLR2004 - HTTP's own number
            ref = reference(answer.headers.get("X-Message-Id") or "")
            return [SendResult(message.attempt_id, Outcome.HANDED_OVER, ref) for message in batch]
        named, is_request_wrong = faults(answer, len(batch))
        if named:
            blamed = [_blamed(batch[index].attempt_id, part) for index, part in named.items()]
            rest = [message for index, message in enumerate(batch) if index not in named]
            return blamed + await self._send_again(rest, until=until)
        if answer.status in {400, 413} and not is_request_wrong and len(batch) > 1:
            half = len(batch) // 2
            first = await self._send_again(batch[:half], until=until)
            return first + await self._send_again(batch[half:], until=until)
        outcome, reason = judge(answer.status, is_request_wrong=is_request_wrong)
        wait = retry_after(answer.headers, time.time(), reset=RESET) if reason is Reason.RATE_LIMITED else None
        return [SendResult(m.attempt_id, outcome, None, reason, str(answer.status), wait) for m in batch]

    async def _send_again(self, batch: Sequence[Message], *, until: float) -> list[SendResult]:
        """Only with time enough for an answer: a call that is cut short leaves everybody in it unknown."""
        if until - asyncio.get_running_loop().time() >= self._wire.timeout_seconds / 2:
            return await self._send(batch, until=until) if batch else []
        return [SendResult(m.attempt_id, Outcome.NOT_SENT, None, Reason.CARRIER_ERROR, "no-time") for m in batch]

    async def _call(self, batch: Sequence[Message], until: float) -> _Answer | _NoAnswer:
        call = self._threads.submit(self._sdk.send, payload(batch, self._from))
        try:
            async with asyncio.timeout_at(until):
                sent = await asyncio.wrap_future(call)
            return _Answer(sent.status_code, sent.headers, b"")
        except HTTPError as answer:
            return _Answer(answer.status_code, answer.headers or {}, answer.body or b"")
        except URLError as error:
            if isinstance(error.reason, NotConnectedError):
                return _NoAnswer(Outcome.NOT_SENT, Reason.CARRIER_ERROR, str(error.reason))
            return _NoAnswer(Outcome.UNKNOWN, Reason.CARRIER_ERROR, type(error.reason).__name__)
        except TimeoutError:
            was_begun = not call.cancel()  # else no thread was free, and nothing has left
            return _NoAnswer(Outcome.UNKNOWN if was_begun else Outcome.NOT_SENT, Reason.TIMED_OUT, "TimeoutError")
        except Exception as error:  # noqa: BLE001 - whatever it is, the request may have left
            return _NoAnswer(Outcome.UNKNOWN, Reason.CARRIER_ERROR, type(error).__name__)


def faults(answer: _Answer, size: int) -> tuple[dict[int, str], bool]:
    """Whom a 400 blames: place in the request -> the part of it that is wrong; and whether it blames the rest too."""
    if answer.status != 400:  # noqa: PLR2004 - HTTP's own number
        return {}, False
    try:
        fields = [error["field"] for error in json.loads(answer.body)["errors"]]
    except (ValueError, KeyError, TypeError, RecursionError):
        return {}, False
    matches = [NAMED.match(field) if isinstance(field, str) else None for field in fields]
    named = {int(match[1]): match[2] for match in matches if match and int(match[1]) < size}
    # "personalizations" by itself blames somebody in it, and does not say whom.
    is_request_wrong = any(
        field and field != "personalizations" and not match for field, match in zip(fields, matches, strict=True)
    )
    return ({} if is_request_wrong else named), is_request_wrong


def _blamed(attempt_id: UUID, part: str) -> SendResult:
    """One message of a request that was refused whole. Only a wrong address is its recipient's own."""
    if part.startswith("to"):
        return SendResult(attempt_id, Outcome.REFUSED, None, Reason.INVALID_ADDRESS, "400")
    return SendResult(attempt_id, Outcome.NOT_SENT, None, Reason.MISCONFIGURED if part else Reason.UNSPECIFIED, "400")


def judge(status: int, *, is_request_wrong: bool) -> tuple[Outcome, Reason]:
    """What any answer but 202 means for a whole request. The table is above."""
    if status == 429:  # noqa: PLR2004 - HTTP's own number
        return Outcome.NOT_SENT, Reason.RATE_LIMITED
    if is_request_wrong or status in OUR_FAULT or 300 <= status < 400:  # noqa: PLR2004 - HTTP's own numbers
        return Outcome.NOT_SENT, Reason.MISCONFIGURED
    if 400 <= status < 500 and status != 408:  # noqa: PLR2004 - HTTP's own numbers
        return Outcome.NOT_SENT, Reason.UNSPECIFIED
    return Outcome.UNKNOWN, Reason.CARRIER_ERROR
