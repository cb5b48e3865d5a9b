"""Cursors: where a page ended, opaque to the caller. They hold ids, places and times only."""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from datetime import datetime
from uuid import UUID

from notifier.core.errors import Invalid


def place_cursor(ordinal: int) -> str:
    """After the person at a place."""
    return _encode(f"p{ordinal}")


def read_place(cursor: str | None) -> int:
    """The place after which to go on; -1 for the beginning.

    Raises:
        Invalid: `invalid-cursor`.
    """
    if cursor is None:
        return -1
    text = _decode(cursor)
    if text[:1] != "p" or not text[1:].isdecimal() or not 0 <= int(text[1:]) < 2**31:
        raise _invalid()
    return int(text[1:])


def time_cursor(at: datetime, row_id: UUID) -> str:
    """After a row made at a time."""
    return _encode(f"t{at.isoformat()}|{row_id}")


def read_time(cursor: str | None) -> tuple[datetime, UUID] | None:
    """The time and row after which to go on; None for the beginning.

    Raises:
        Invalid: `invalid-cursor`.
    """
    if cursor is None:
        return None
    text = _decode(cursor)
    at, bar, row_id = text[1:].partition("|")
    try:
        found = datetime.fromisoformat(at), UUID(row_id)
    except ValueError:
        raise _invalid() from None
    if text[:1] != "t" or not bar or found[0].tzinfo is None:
        raise _invalid()
    return found


def _encode(text: str) -> str:
    return urlsafe_b64encode(text.encode()).decode().rstrip("=")


def _decode(cursor: str) -> str:
    try:
        return urlsafe_b64decode(cursor.encode("ascii") + b"=" * (-len(cursor) % 4)).decode("ascii")
    except ValueError:
        raise _invalid() from None


def _invalid() -> Invalid:
    return Invalid("invalid-cursor", "The cursor is not one of ours.")
