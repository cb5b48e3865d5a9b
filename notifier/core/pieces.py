"""The piece number: how a letter is named where people read, type and say it.

The 2D code on each page holds the whole id (render/marks.py). Printed beside it are fifteen digits: fourteen made of
the id's last 46 bits, which are random in every kind of id that we use, and a check digit (core/codes.py). Among a
million letters two share a number with a chance of under 1 %; whoever looks one up refuses such a number.
"""

import re
import unicodedata
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from notifier.core.codes import check_digit

BITS: Final = 46  # the most that fourteen digits hold
DIGITS: Final = 14
TAIL: Final = 12  # hexadecimal digits at the end of an id, by which it is looked up
LONGEST: Final = 60  # characters of anything that is scanned or typed
_TAIL_BITS: Final = 4 * TAIL
_WHOLE: Final = re.compile(
    r"([0-9a-f]{8})-?([0-9a-f]{4})-?([0-9a-f]{4})-?([0-9a-f]{4})-?([0-9a-f]{12})(?:-[0-9]{1,4})?"
)


@dataclass(frozen=True, slots=True)
class PieceRef:
    """What was scanned or typed: a whole id, or the number that a letter has."""

    piece_id: UUID | None = None
    number: str | None = None

    def names(self, piece_id: UUID) -> bool:
        """Whether this letter is meant."""
        return piece_id == self.piece_id if self.number is None else piece_number(piece_id) == self.number

    @property
    def tails(self) -> tuple[str, ...]:
        """The ends, twelve hexadecimal digits, of every id that can be meant."""
        if self.piece_id is not None:
            return (self.piece_id.hex[-TAIL:],)
        low = int((self.number or "").replace("-", "")[:DIGITS])
        return tuple(f"{high << BITS | low:0{TAIL}x}" for high in range(1 << _TAIL_BITS - BITS))


def piece_number(piece_id: UUID) -> str:
    """Fifteen digits in three groups: `04829-16370-42117`."""
    return _grouped(f"{piece_id.int % (1 << BITS):0{DIGITS}d}")


def parse_piece(scanned: str) -> PieceRef | None:
    """What the 2D code of a page says, an id, or a typed piece number; None when it is neither.

    Spaces and dashes between the digits of a number are passed over, and digits of any script count.
    """
    if len(scanned) > LONGEST:
        return None
    text = unicodedata.normalize("NFKC", scanned).strip().lower()
    if whole := _WHOLE.fullmatch(text):
        return PieceRef(piece_id=UUID("".join(whole.groups())))
    digits = []
    for character in text:
        value = unicodedata.decimal(character, None)
        if value is not None:
            digits.append(str(value))
        elif unicodedata.category(character) not in {"Zs", "Pd"} and character != "\u2212":  # the minus sign
            return None
    number = "".join(digits)
    if len(number) != DIGITS + 1 or number[-1] != check_digit(number[:-1]) or int(number[:-1]) >> BITS:
        return None
    return PieceRef(number=_grouped(number[:-1]))


def _grouped(digits: str) -> str:
    checked = digits + check_digit(digits)
    return "-".join((checked[:5], checked[5:10], checked[10:]))
