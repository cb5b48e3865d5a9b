"""How long a 429 asks us to wait: what every carrier's answer may say, in seconds or as a date (RFC 9110, 10.2.3)."""

import re
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from typing import Final

LONGEST_SECONDS: Final = 3600.0  # no answer of a carrier's may park a notice for days


def retry_after(headers: Mapping[str, str], now: float, *, reset: str = "") -> float | None:
    """Seconds from `now` (since 1970), an hour at most; None when nothing that can be read is said.

    `reset` is the vendor's own header, which holds the second since 1970 at which its count begins anew.
    """
    wait, at = headers.get("Retry-After"), headers.get(reset) if reset else None
    if wait is not None and re.fullmatch(r"[0-9]{1,6}", wait):
        return min(float(wait), LONGEST_SECONDS)
    until = _date(wait)
    if until is None and at is not None and re.fullmatch(r"[0-9]{1,12}", at):
        until = float(at)
    return None if until is None else max(0.0, min(until - now, LONGEST_SECONDS))


def _date(text: str | None) -> float | None:
    if text is None or len(text) > 40:  # noqa: PLR2004 - the longest form of a date has 33 characters
        return None
    try:
        return parsedate_to_datetime(text).timestamp()
    except (ValueError, OverflowError, OSError):
        return None
