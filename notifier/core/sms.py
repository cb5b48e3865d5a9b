"""How many parts a text message is sent in.

A message whose characters are all in the GSM 7-bit alphabet (3GPP TS 23.038) holds 160 septets, or 153 in each part of
a longer one; a character of the extension table takes two septets, which stay together. Any other character makes the
whole message UCS-2: 70 UTF-16 units, or 67 in each part, and a surrogate pair stays together.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

GSM7_BASIC = frozenset(
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?"
    "¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"
)
GSM7_EXTENSION = frozenset("\f^{}\\[~]|€")


class Encoding(StrEnum):
    """The alphabet a whole message is sent in."""

    GSM7 = "gsm7"
    UCS2 = "ucs2"


LAST_SINGLE_UNIT = 0xFFFF  # a character above it is a surrogate pair in UTF-16

# Units in a message of one part, and in each part of a longer one.
CAPACITY: dict[Encoding, tuple[int, int]] = {Encoding.GSM7: (160, 153), Encoding.UCS2: (70, 67)}


@dataclass(frozen=True, slots=True)
class Segments:
    """`units` are septets or UTF-16 units; `segments` is what a carrier bills, 0 for an empty text."""

    encoding: Encoding
    units: int
    segments: int


def encoding_of(text: str) -> Encoding:
    """GSM-7 when every character is in its alphabet, otherwise UCS-2."""
    return Encoding.GSM7 if all(c in GSM7_BASIC or c in GSM7_EXTENSION for c in text) else Encoding.UCS2


def count(text: str) -> Segments:
    """Count `text` as it would be sent, unchanged."""
    encoding = encoding_of(text)
    sizes = [_size(character, encoding) for character in text]
    units = sum(sizes)
    single, part = CAPACITY[encoding]
    return Segments(encoding, units, (1 if units else 0) if units <= single else _parts(sizes, part))


def _size(character: str, encoding: Encoding) -> int:
    if encoding is Encoding.GSM7:
        return 2 if character in GSM7_EXTENSION else 1
    return 2 if ord(character) > LAST_SINGLE_UNIT else 1


def _parts(sizes: Iterable[int], capacity: int) -> int:
    parts, used = 1, 0
    for size in sizes:
        if used + size > capacity:
            parts, used = parts + 1, 0
        used += size
    return parts
