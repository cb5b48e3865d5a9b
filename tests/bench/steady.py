"""Twilio's receipts at a steady pace, whatever the answers do, and how long each answer took.

They are sent on a clock and not one after the other: who waited for each answer would see nothing of a queue.
"""

import asyncio
import time
from collections.abc import Sequence
from urllib.parse import urlencode
from uuid import UUID

from aiohttp import ClientSession, DummyCookieJar, TCPConnector
from twilio.request_validator import RequestValidator  # type: ignore[import-untyped] # it ships no types

from tests.bench.watch import WentWrong
from tests.sandbox import ACCOUNT_SID, NUMBER, SERVICE_SID

FORM = "application/x-www-form-urlencoded"
WORDS = ("sent", "delivered")
CONNECTIONS = 20

Signed = tuple[str, bytes, str]
"""Address, body and signature."""


def sign(base_url: str, token: str, agency_id: UUID, attempts: Sequence[tuple[UUID, str]]) -> list[Signed]:
    """Two receipts for each attempt (id, message id), all "sent" first; making them costs as much as posting them."""
    validator = RequestValidator(token)
    signed = []
    for word in WORDS:
        for attempt_id, message_id in attempts:
            url = f"{base_url}/callbacks/twilio_sms?agency={agency_id}&attempt={attempt_id}"
            fields = {
                "AccountSid": ACCOUNT_SID,
                "ApiVersion": "2010-04-01",
                "From": NUMBER,
                "MessageSid": message_id,
                "MessageStatus": word,
                "MessagingServiceSid": SERVICE_SID,
                "SmsSid": message_id,
                "SmsStatus": word,
                "To": "+13035550100",
            }
            signed.append((url, urlencode(fields).encode(), validator.compute_signature(url, fields)))
    return signed


def post(signed: Sequence[Signed], *, per_second: int) -> list[float]:
    """Post them; the seconds that each answer took from when it was due, in ascending order.

    Raises:
        WentWrong: an answer was another than 204.
    """
    return asyncio.run(_post(signed, per_second))


async def _post(signed: Sequence[Signed], per_second: int) -> list[float]:
    async with ClientSession(connector=TCPConnector(limit=CONNECTIONS), cookie_jar=DummyCookieJar()) as session:
        began = time.perf_counter()
        answers = [
            asyncio.create_task(_post_one(session, one, began + number / per_second))
            for number, one in enumerate(signed)
        ]
        return sorted(await asyncio.gather(*answers))


async def _post_one(session: ClientSession, one: Signed, due: float) -> float:
    url, body, signature = one
    await asyncio.sleep(due - time.perf_counter())
    headers = {"Content-Type": FORM, "X-Twilio-Signature": signature}
    async with session.post(url, data=body, headers=headers) as answer:
        await answer.read()
        if answer.status != 204:
            raise WentWrong(f"a receipt was answered {answer.status}")
    return time.perf_counter() - due
