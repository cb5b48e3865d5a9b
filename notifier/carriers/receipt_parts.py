"""What every receipt reader needs: the shape of a carrier's word, our own ids, and a receipt for what is unreadable."""

import re
from typing import Final
from uuid import UUID

from notifier.carriers.base import CarrierReceipt

WORD: Final = re.compile(r"[a-z_]{1,40}\Z")
_OUR_ID: Final = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\Z")

OurIds = tuple[UUID | None, UUID | None]


def our_ids(agency: object, attempt: object) -> OurIds:
    """Agency and attempt as we wrote them into our request; both or none."""
    found = [UUID(text) for text in (agency, attempt) if isinstance(text, str) and _OUR_ID.match(text)]
    return (found[0], found[1]) if len(found) == 2 else (None, None)  # noqa: PLR2004 # agency and attempt


def unreadable(dedupe: str, raw: bytes, ids: OurIds = (None, None)) -> CarrierReceipt:
    """What cannot be read, under its digest; it may name one of our attempts all the same."""
    return CarrierReceipt(dedupe, "unreadable", None, *ids, raw, is_known=False)
