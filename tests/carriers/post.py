"""Letters for the tests of the post: made-up people, blank pages, and the carrier for as long as a test needs it."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from io import BytesIO
from typing import Any, TypeVar
from uuid import uuid4

import pikepdf

from notifier.carriers.base import Message, Post, SendResult
from notifier.carriers.lob_letter import LobLetter
from notifier.carriers.timetable import Wire
from notifier.core.model import PostalAddress, PostService
from tests.sandbox import LOB_KEY

T = TypeVar("T")

AGENCY = PostalAddress(("PO Box 100",), "Denver", "CO", "80201")


def pages(count: int = 2, *, size: tuple[float, float] = (612, 792)) -> bytes:
    with pikepdf.new() as document:
        for _ in range(count):
            document.add_blank_page(page_size=size)
        return saved(document)


def saved(document: pikepdf.Pdf, **how: Any) -> bytes:
    file = BytesIO()
    document.save(file, **how)
    return file.getvalue()


def street(outcome: str = "") -> PostalAddress:
    """An address in Denver whose street is the sandbox's outcome."""
    return PostalAddress((f"100 {outcome} Example Street".replace("  ", " "),), "Denver", "CO", "80203")


def letter(to: PostalAddress | None = None, **more: Any) -> Message:
    given = {
        "pdf": pages(),
        "name": "Sample Person",
        "address": to or street(),
        "sender": "Example Agency",
        "return_address": AGENCY,
        "service": PostService.FIRST_CLASS,
    }
    return Message(uuid4(), uuid4(), "", "", post=Post(**{**given, **more}))


def again(message: Message, **changes: Any) -> Message:
    """The same attempt with another letter."""
    assert message.post is not None
    return replace(message, post=replace(message.post, **changes))


def quick(wires: Mapping[str, Wire], **changes: object) -> Wire:
    return wires["lob_letter"].model_copy(update={"timeout_seconds": 0.7, "connect_timeout_seconds": 0.5, **changes})


def with_lob(wire: Wire, base_url: str, do: Callable[[LobLetter], Awaitable[T]], *, key: str = LOB_KEY) -> T:
    """What somebody does with the carrier, in a loop of its own."""

    async def main() -> T:
        carrier = LobLetter(base_url=base_url, api_key=key, wire=wire)
        try:
            return await do(carrier)
        finally:
            await carrier.close()

    return asyncio.run(main())


def send(messages: Sequence[Message], wire: Wire, base_url: str, *, key: str = LOB_KEY) -> list[SendResult]:
    return with_lob(wire, base_url, lambda carrier: carrier.send(messages), key=key)
