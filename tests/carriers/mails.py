"""Emails for SendGrid, made up and sent by the real adapter."""

import asyncio
import hashlib
from collections.abc import Mapping, Sequence
from uuid import UUID, uuid4

from notifier.carriers import open_carrier
from notifier.carriers.base import Message, Outcome, SendResult
from notifier.carriers.timetable import Wire
from notifier.core.status import Reason
from tests.sandbox import API_KEY, MAILBOX

AGENCY = UUID(int=7)
HANDED_OVER = (Outcome.HANDED_OVER, None)


def mail(mailbox: str, *, subject: str = "Notice", text: str | None = None, html: str | None = None) -> Message:
    return Message(
        agency_id=AGENCY,
        attempt_id=uuid4(),
        to=mailbox,
        subject=subject,
        text=f"For {mailbox}" if text is None else text,
        html=f"<p>For {mailbox}</p>" if html is None else html,
    )


def people(*words: str) -> list[Message]:
    return [mail(f"{word}.{place}@example.com") for place, word in enumerate(words)]


def send(
    messages: Sequence[Message],
    *,
    wires: Mapping[str, Wire],
    base_url: str,
    key: str = API_KEY,
    sender: str = MAILBOX,
    **changes: object,
) -> list[SendResult]:
    waits = {"timeout_seconds": 1.5, "connect_timeout_seconds": 1.0, **changes}
    wire = wires["sendgrid_email"].model_copy(update=waits)

    async def main() -> list[SendResult]:
        carrier = open_carrier(
            "sendgrid_email",
            base_url=base_url,
            api_key=key,
            sender=sender,
            sender_name="Records Office",
            wire=wire,
        )
        try:
            return await carrier.send(messages)
        finally:
            await carrier.close()

    return asyncio.run(main())


def found(messages: Sequence[Message], results: Sequence[SendResult]) -> list[tuple[Outcome, Reason | None]]:
    by_id = {result.attempt_id: result for result in results}
    assert len(by_id) == len(results) == len(messages)
    return [(by_id[message.attempt_id].outcome, by_id[message.attempt_id].reason) for message in messages]


def sha(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
