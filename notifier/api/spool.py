"""A body on its way in: hashed while it comes, kept in an unlinked file that only this object can read.

The file is encrypted under a key that exists in this object alone: what a crash or a disk image leaves is noise.
"""

import hashlib
import os
import tempfile
from collections.abc import Iterable, Iterator
from types import TracebackType
from typing import Final, Self

from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES256
from cryptography.hazmat.primitives.ciphers.modes import CTR

_PIECE: Final = 1 << 18


class Spool:
    """One body. Use it in a `with` block; reading may be repeated."""

    def __init__(self) -> None:
        """Empty; its file has no name in any folder."""
        self._file = tempfile.TemporaryFile()  # noqa: SIM115 # closed in __exit__
        # One key, one file, one pass of writing: the counter never repeats under it.
        self._cipher = Cipher(AES256(os.urandom(32)), CTR(os.urandom(16)))
        self._hash = hashlib.sha256()
        self.size = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._file.close()

    @property
    def digest(self) -> bytes:
        """SHA-256 of what was written."""
        return self._hash.digest()

    def fill(self, pieces: Iterable[bytes]) -> None:
        """Write the whole body. Call it once; what `pieces` raises passes through."""
        encryptor = self._cipher.encryptor()
        for piece in pieces:
            self._hash.update(piece)
            self._file.write(encryptor.update(piece))
            self.size += len(piece)
        self._file.flush()

    def __iter__(self) -> Iterator[bytes]:
        """The body from its beginning, in pieces."""
        decryptor = self._cipher.decryptor()
        self._file.seek(0)
        while piece := self._file.read(_PIECE):
            yield decryptor.update(piece)
