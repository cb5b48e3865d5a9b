"""Article numbers of the US post: what stands on the label of a certified letter.

Twenty digits (labels of PS Form 3800) or twenty-two (Intelligent Mail package barcode, USPS Publication 199); the last
one is a check digit, modulo 10 with the weights 3 and 1 from the right.
"""

import re
from typing import Final

LENGTHS: Final = (20, 22)
_ROUTING: Final = re.compile(r"420[0-9]{5}(?:[0-9]{4})?(?=9[0-9]{21}$)")  # a scanner reads the ZIP Code with it


def parse_article(scanned: str) -> str | None:
    """The digits of an article number as scanned or typed, spaces and dashes passed over; None when it is none."""
    digits = re.sub(r"[ \t-]", "", scanned.strip())
    if not (digits.isascii() and digits.isdigit()):
        return None
    digits = _ROUTING.sub("", digits)
    return digits if len(digits) in LENGTHS and digits[-1] == article_check_digit(digits[:-1]) else None


def article_check_digit(digits: str) -> str:
    """The check digit of the digits before it: modulo 10, the last of them weighing 3, the one before it 1."""
    total = sum(int(digit) * (1 if place % 2 else 3) for place, digit in enumerate(reversed(digits)))
    return str(-total % 10)
