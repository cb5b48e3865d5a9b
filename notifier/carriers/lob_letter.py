"""Lob letters, sending: plain HTTP, because the vendor's SDK cannot send a file.

Each letter has an idempotency key, so that the same attempt posted again within a day makes no second letter. What an
answer means:

    200 with a letter's id                  handed over
    429                                     not sent, rate limited
    no connection                           not sent
    a code of config/carriers.toml          refused when it is about the address, not sent when about us or the line
    any other 400 or 422                    not sent, unspecified
    any other 3xx or 4xx                    not sent, misconfigured
    408, 409, 5xx, a time-out or a cut connection
    after the request left, an unreadable answer
                                            unknown

What Lob would not print whole is refused before it is called: nothing is cut. Receipts are in lob_receipts.py.

Source: the vendor's OpenAPI description 1.22.
"""

import asyncio
import json
import time
from base64 import b64encode
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from aiohttp import (
    ClientConnectorError,
    ClientSession,
    ClientTimeout,
    ConnectionTimeoutError,
    DummyCookieJar,
    FormData,
    TCPConnector,
)

from notifier.carriers.base import (
    Finding,
    Found,
    Message,
    Outcome,
    Post,
    Recall,
    SendResult,
    Sought,
)
from notifier.carriers.lob_receipts import LETTER_ID, SCANS
from notifier.carriers.retry_after import retry_after
from notifier.carriers.timetable import Wire
from notifier.core.model import Channel, PostalAddress, PostService
from notifier.core.status import AttemptEvent, Reason

SLUG: Final = "lob_letter"
KEY_LASTS: Final = timedelta(hours=23)  # the vendor says 24: a repeat just before the end must still arrive in time
RETRYABLE: Final = frozenset({Reason.MISCONFIGURED, Reason.RATE_LIMITED})

# How every letter is made. Our page leaves the windows of a #10 double-window envelope free for the vendor's print.
MAKE: Final = {
    "color": "false",
    "double_sided": "true",
    "address_placement": "top_first_page",
    "mail_type": "usps_first_class",
    "use_type": "operational",
}
NAME, US_LINE, US_LINES, LINE_ABROAD, CODE_ABROAD = 40, 64, 50, 200, 40  # characters, the vendor's limits

Fault = tuple[Outcome, None, Reason, str]
"""What is said of a letter that is not even posted."""

RESET: Final = "X-Rate-Limit-Reset"
NO_LETTER: Final[Fault] = (Outcome.NOT_SENT, None, Reason.MISCONFIGURED, "no-letter")

Answer = tuple[int, Mapping[str, str], dict[str, Any]]
"""HTTP status, headers, and the JSON object that was answered, empty when there was none."""


class LobLetter:
    """The carrier. `base_url` comes with `/v1`. Build it inside the running loop that uses it."""

    slug = SLUG
    channel = Channel.LETTER

    def __init__(self, *, base_url: str, api_key: str, wire: Wire) -> None:
        self._wire, self._letters = wire, f"{base_url}/letters"
        self._places = asyncio.Semaphore(wire.concurrency)
        self._session = ClientSession(
            connector=TCPConnector(limit=wire.concurrency),
            timeout=ClientTimeout(total=None, connect=wire.connect_timeout_seconds),
            cookie_jar=DummyCookieJar(),
            headers={"Authorization": "Basic " + b64encode(f"{api_key}:".encode()).decode("ascii")},
        )

    async def send(self, messages: Sequence[Message]) -> list[SendResult]:
        """Hand letters over, concurrently."""
        return await asyncio.gather(*map(self._send_one, messages))

    async def find(self, sought: Sequence[Sought]) -> list[Found]:
        """Ask for each letter by our own id, concurrently."""
        return await asyncio.gather(*map(self._find_one, sought))

    async def cancel(self, carrier_ref: str) -> Recall:
        """Take a letter back while the account's cancellation window is open; after a lost answer, look."""
        try:
            status, _, answer = await self._call("DELETE", f"{self._letters}/{carrier_ref}")
            if status != 200 or answer.get("deleted") is not True:  # noqa: PLR2004 - HTTP's own number
                too_late = status == 422  # noqa: PLR2004 - as above
                status, _, answer = await self._call("GET", f"{self._letters}/{carrier_ref}")
                if answer.get("deleted") is not True:
                    return Recall.TOO_LATE if too_late else Recall.UNSURE
        except Exception:  # noqa: BLE001 - whatever it is, nothing is known
            return Recall.UNSURE
        return Recall.WITHDRAWN

    async def close(self) -> None:
        """Give connections back."""
        await self._session.close()

    async def _send_one(self, message: Message) -> SendResult:
        key, post = message.attempt_id, message.post
        fault = unfit(post)
        if post is None or fault is not None:
            return SendResult(key, *(fault or NO_LETTER))
        try:
            form, headers = _form(message, post), {"Idempotency-Key": idempotency_key(message, post)}
            status, said, answer = await self._call("POST", self._letters, data=form, headers=headers)
        except (ClientConnectorError, ConnectionTimeoutError) as error:
            return SendResult(key, Outcome.NOT_SENT, None, Reason.CARRIER_ERROR, type(error).__name__)
        except Exception as error:  # noqa: BLE001 - whatever it is, the request may have left
            reason = Reason.TIMED_OUT if isinstance(error, TimeoutError) else Reason.CARRIER_ERROR
            return SendResult(key, Outcome.UNKNOWN, None, reason, type(error).__name__)
        if status in {200, 201}:
            return _taken(message, answer)
        outcome, reason, code = judge(status, answer, self._wire.codes)
        wait = retry_after(said, time.time(), reset=RESET) if reason is Reason.RATE_LIMITED else None
        return SendResult(key, outcome, None, reason, code, wait)

    async def _find_one(self, sought: Sought) -> Found:
        attempt_id, post = sought.message.attempt_id, sought.message.post
        try:
            status, _, answer = await self._call("GET", self._letters, params={"metadata[attempt]": str(attempt_id)})
            letters = list(answer["data"]) if status == 200 else None  # noqa: PLR2004 - HTTP's own number
            passed = sought.taken | ({post.withdrawn} if post else set())
            ours = [one for one in letters or () if one.get("deleted") is not True and one["id"] not in passed]
        except Exception:  # noqa: BLE001 - whatever it is, nothing is known
            return Found(attempt_id, Finding.UNSURE)
        if letters is None:
            return Found(attempt_id, Finding.UNSURE)
        if ours:  # newest first: the oldest is the one that our first request made
            return Found(attempt_id, Finding.THERE, str(ours[-1]["id"]), _standing(ours[-1]))
        is_fresh = datetime.now(UTC) - sought.since < KEY_LASTS
        return Found(attempt_id, Finding.NEVER if is_fresh else Finding.ABSENT)

    async def _call(self, method: str, url: str, **more: Any) -> Answer:
        # Outside the time-out: who waits for a place has sent nothing.
        async with (
            self._places,
            asyncio.timeout(self._wire.timeout_seconds),
            self._session.request(method, url, allow_redirects=False, **more) as answer,
        ):
            body = await answer.read()
        try:
            read = json.loads(body)
        except (ValueError, RecursionError):
            read = None
        return answer.status, answer.headers, read if isinstance(read, dict) else {}


def idempotency_key(message: Message, post: Post) -> str:
    """The same for every try of one attempt, and another one after a piece of it was taken back."""
    return f"{message.attempt_id}:{post.withdrawn}" if post.withdrawn else str(message.attempt_id)


def unfit(post: Post | None) -> Fault | None:
    """Why Lob could not print or post this as it is, and which part of it is wrong; None when it can."""
    if post is None:
        return NO_LETTER
    if not _sender_fits(post.sender, post.return_address):
        return Outcome.NOT_SENT, None, Reason.MISCONFIGURED, "return-address"
    to, is_abroad = post.address, post.address.country != "US"
    if is_abroad and post.service is PostService.CERTIFIED:
        return Outcome.REFUSED, None, Reason.NOT_OFFERED, "certified-abroad"
    one, two = _two_lines(to)
    longest = LINE_ABROAD if is_abroad else US_LINE
    too_long = (
        (len(post.name) > NAME, "name"),
        (max(len(one), len(two)) > longest or (not is_abroad and len(one) + len(two) > US_LINES), "street"),
        (max(len(to.city), len(to.region)) > LINE_ABROAD, "city"),
        (len(to.postal_code) > CODE_ABROAD, "postal-code"),
    )
    part = next((part for is_broken, part in too_long if is_broken), None)
    return None if part is None else (Outcome.REFUSED, None, Reason.DOES_NOT_FIT, part)


def _sender_fits(name: str, address: PostalAddress) -> bool:
    """Whether Lob would print the agency's own name and address: whole, in the US, and within its limits."""
    is_whole = all((name, address.lines, address.city, address.region, address.postal_code, address.country == "US"))
    return is_whole and max(map(len, name_lines(name))) <= NAME and max(map(len, _two_lines(address))) <= US_LINE


def _two_lines(address: PostalAddress) -> tuple[str, str]:
    """Lob has two lines for the street; further ones stand on the second."""
    return next(iter(address.lines), ""), ", ".join(address.lines[1:])


def _form(message: Message, post: Post) -> FormData:
    form = FormData()
    fields = {
        **_address("to", post.name, post.address),
        **_address("from", post.sender, post.return_address),
        **_over_two_lines("from", post.sender),
        **MAKE,
        "metadata[agency]": str(message.agency_id),
        "metadata[attempt]": str(message.attempt_id),
    }
    if post.service is PostService.CERTIFIED:
        fields["extra_service"] = "certified_return_receipt"
    for name, value in fields.items():
        form.add_field(name, value)
    form.add_field("file", post.pdf, filename=f"{message.attempt_id}.pdf", content_type="application/pdf")
    return form


def _address(end: str, name: str, address: PostalAddress) -> dict[str, str]:
    one, two = _two_lines(address)
    parts = {
        "name": name,
        "address_line1": one,
        "address_line2": two,
        "address_city": address.city,
        "address_state": address.region,
        "address_zip": address.postal_code,
        "address_country": address.country,
    }
    return {f"{end}[{part}]": value for part, value in parts.items() if value}


def _over_two_lines(end: str, name: str) -> dict[str, str]:
    """A name that is too long for one line, broken at a space: Lob prints the company's on a line of its own."""
    one, two = name_lines(name)
    return {f"{end}[name]": one, f"{end}[company]": two} if two else {}


def name_lines(name: str) -> tuple[str, str]:
    """A name on one line, or on two; nothing is cut."""
    at = len(name) if len(name) <= NAME else name.rfind(" ", 0, NAME + 1)
    return (name, "") if at < 0 else (name[:at], name[at + 1 :])


def _taken(message: Message, letter: Mapping[str, Any]) -> SendResult:
    ref = letter.get("id")
    if not isinstance(ref, str) or not LETTER_ID.match(ref):
        return SendResult(message.attempt_id, Outcome.UNKNOWN, None, Reason.CARRIER_ERROR, "no-letter-id")
    if letter.get("deleted") is True:  # somebody took it back at the vendor's; the key is good for a new one in a day
        return SendResult(message.attempt_id, Outcome.NOT_SENT, None, Reason.MISCONFIGURED, "deleted")
    return SendResult(message.attempt_id, Outcome.HANDED_OVER, ref)


def judge(status: int, answer: Mapping[str, Any], codes: Mapping[str, Reason]) -> tuple[Outcome, Reason, str]:
    """What an error answer means: HTTP status and Lob's own code -> outcome, reason, code. The table is above."""
    error = answer.get("error")
    given = error.get("code") if isinstance(error, dict) else None
    code = given if isinstance(given, str) else str(status)
    if status >= 500 or status in {408, 409} or status < 300 or code == "conflict":  # noqa: PLR2004 - HTTP's own numbers
        return Outcome.UNKNOWN, Reason.CARRIER_ERROR, code
    if status == 429:  # noqa: PLR2004 - HTTP's own number
        return Outcome.NOT_SENT, Reason.RATE_LIMITED, code
    if status not in {400, 422}:
        return Outcome.NOT_SENT, Reason.MISCONFIGURED, code
    reason = codes.get(code.lower(), Reason.UNSPECIFIED)
    is_final = reason not in RETRYABLE | {Reason.UNSPECIFIED}
    return (Outcome.REFUSED if is_final else Outcome.NOT_SENT), reason, code


def _standing(letter: Mapping[str, Any]) -> AttemptEvent:
    """What a letter's own record says has become of it."""
    if letter.get("status") == "failed":
        return AttemptEvent.REFUSED
    for scan in reversed(letter.get("tracking_events") or ()):
        event = SCANS.get(str(scan.get("name", "")).lower().replace(" ", "_"))
        if event is not None:
            return event
    return AttemptEvent.HANDED_OVER
