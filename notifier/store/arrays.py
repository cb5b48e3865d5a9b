"""One array in PostgreSQL's binary form, as its `array_recv` reads it.

The driver's own dumper looks at each element by itself; a list of people has some sixty columns of a thousand.
"""

import struct
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from itertools import chain
from typing import Any, Final

_HEAD: Final = struct.Struct(">iiIii")  # dimensions, whether there are nulls, type of the elements, how many, the first
_LENGTH: Final = struct.Struct(">i")
_NULL: Final = b"\xff\xff\xff\xff"  # the length -1
_UUID_BYTES: Final = 16
_UUID_LENGTH: Final = _LENGTH.pack(_UUID_BYTES)
_EPOCH: Final = datetime(2000, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)
_INT2: Final = struct.Struct(">h")
_INT4: Final = struct.Struct(">i")
_INT8: Final = struct.Struct(">q")


def _uuid(value: Any) -> bytes:
    raw: bytes = value if isinstance(value, bytes) else value.bytes
    if len(raw) != _UUID_BYTES:
        raise ValueError("not a UUID")
    return raw


def _timestamp(value: datetime) -> bytes:
    return _INT8.pack((value - _EPOCH) // _MICROSECOND)


# Name -> its number in pg_type.dat, and how one element is written.
_KINDS: Final[Mapping[str, tuple[int, Callable[[Any], bytes]]]] = {
    "bytea": (17, bytes),
    "int2": (21, _INT2.pack),
    "int4": (23, _INT4.pack),
    "int8": (20, _INT8.pack),
    "text": (25, str.encode),
    "timestamptz": (1184, _timestamp),
    "uuid": (2950, _uuid),
}


def binary_array(kind: str, values: Sequence[object]) -> bytes:
    """The array of these values. A UUID may be given as its 16 bytes; None is null.

    Raises:
        KeyError: a type that has no place here yet.
    """
    number, write = _KINDS[kind]
    if not values:
        return struct.pack(">iiI", 0, 0, number)
    has_null = None in values
    head = _HEAD.pack(1, has_null, number, len(values), 1)
    if write is _uuid and not has_null:
        return head + _UUID_LENGTH + _UUID_LENGTH.join(map(_uuid, values))
    if has_null:
        parts = [_NULL if value is None else _LENGTH.pack(len(raw := write(value))) + raw for value in values]
        return head + b"".join(parts)
    written = list(map(write, values))
    return head + b"".join(chain.from_iterable(zip(map(_LENGTH.pack, map(len, written)), written, strict=True)))
