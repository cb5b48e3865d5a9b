"""Which row of a long list was the first with a key: some 20 bytes a row, where a dictionary takes 146."""

import hashlib
from typing import Final

_BUCKETS: Final = 4096  # of a million rows 244 in each, which are looked through in less than a microsecond
_CHOICE: Final = 2
_DIGEST: Final = 12
_PLACE: Final = 4
_ENTRY: Final = _DIGEST + _PLACE


class FirstRows:
    """Remembers keys by their BLAKE2b (12 bits choose a bucket, 96 more stand in it), each with its row's number.

    Rows are numbered below 2^32.
    """

    def __init__(self) -> None:
        """Nothing was seen yet."""
        self._buckets = [bytearray() for _ in range(_BUCKETS)]

    def first(self, key: bytes, row: int) -> int:
        """The first row with this key, which is `row` itself where the key is new."""
        digest = hashlib.blake2b(key, digest_size=_CHOICE + _DIGEST).digest()
        bucket = self._buckets[int.from_bytes(digest[:_CHOICE]) % _BUCKETS]
        wanted = digest[_CHOICE:]
        at = bucket.find(wanted)
        while at >= 0 and at % _ENTRY:  # across two entries
            at = bucket.find(wanted, at + 1)
        if at < 0:
            bucket += wanted + row.to_bytes(_PLACE)
            return row
        return int.from_bytes(bucket[at + _DIGEST : at + _ENTRY])
