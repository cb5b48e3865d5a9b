"""Ids that grow with time: UUID version 7 (RFC 9562), so that a long list is written at one end of each index.

Written at random places of an index, a million rows touch and log nearly every page of it.
"""

import struct
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final

_PER_MILLISECOND: Final = 4096  # the counter of method 1 in section 6.2 has the 12 bits of rand_a
_VERSION: Final = 0x7000
_VARIANT: Final = 0x8000_0000_0000_0000
_RANDOM_BITS: Final = 0x3FFF_FFFF_FFFF_FFFF
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def milliseconds(at: datetime) -> int:
    """A time as ids tell it."""
    return int((at - _EPOCH).total_seconds() * 1000)


def new_ids(count: int, *, at_ms: int, place: int, random: Callable[[int], bytes]) -> list[bytes]:
    """`count` new ids of 16 bytes for what stands at one place of a list: they sort by time, then by place.

    The 62 bits that RFC 9562 leaves come from `random`, which takes a number of bytes.
    """
    high = (at_ms + place // _PER_MILLISECOND) << 16 | _VERSION | place % _PER_MILLISECOND
    lows = struct.unpack(f">{count}Q", random(8 * count))
    return [struct.pack(">QQ", high, low & _RANDOM_BITS | _VARIANT) for low in lows]


def id_text(raw: bytes) -> str:
    """The 36 characters of an id."""
    digits = raw.hex()
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"
