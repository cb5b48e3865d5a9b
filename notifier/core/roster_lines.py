"""Lines out of a stream of bytes, without ever holding more than one of them; and what is wrong with a row."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from notifier.core.errors import Finding, Malformed

CHUNK = 65536
BOM = b"\xef\xbb\xbf"

# The longest first: the mark of UTF-32LE begins with that of UTF-16LE.
_OTHER_FORMATS = (
    (b"\xff\xfe\0\0", "UTF-32"),
    (b"\0\0\xfe\xff", "UTF-32"),
    (b"\xff\xfe", "UTF-16"),
    (b"\xfe\xff", "UTF-16"),
    (b"PK\x03\x04", "a ZIP file or a spreadsheet"),
    (b"\xd0\xcf\x11\xe0", "an old spreadsheet"),
    (b"%PDF", "PDF"),
    (b"\x1f\x8b", "gzip"),
)


@runtime_checkable
class Readable(Protocol):
    """A binary stream."""

    def read(self, size: int, /) -> bytes:
        """At most `size` bytes; none at the end."""


ByteSource = Iterable[bytes] | Readable


@dataclass(frozen=True, slots=True)
class Faults:
    """What is wrong with one row. Pointers are below the row."""

    findings: tuple[Finding, ...]
    is_malformed: bool = False


def fault(code: str, detail: str) -> Faults:
    """A row that is not what its format says."""
    return Faults((Finding("", code, detail),), is_malformed=True)


def lines(source: ByteSource, *, max_bytes: int) -> Iterator[bytes | None]:
    """Lines without their line feed; None for one that is longer than `max_bytes`. A byte-order mark is taken off.

    Raises:
        Malformed: `not-utf8`, when the beginning shows another encoding or kind of file.
    """
    for number, line in enumerate(_split(source, max_bytes)):
        if number == 0 and line is not None:
            _refuse_other_formats(line)
            yield line.removeprefix(BOM)
        else:
            yield line


def _split(source: ByteSource, max_bytes: int) -> Iterator[bytes | None]:
    held: list[bytes] = []
    size = 0
    for chunk in _chunks(source):
        first, *others = chunk.split(b"\n")
        for begun in others:
            yield b"".join((*held, first)) if size + len(first) <= max_bytes else None
            held, size, first = [], 0, begun
        size += len(first)
        if size <= max_bytes:
            held.append(first)
        else:
            held.clear()
    if size:
        yield b"".join(held) if size <= max_bytes else None


def _chunks(source: ByteSource) -> Iterator[bytes]:
    if not isinstance(source, Readable):
        yield from source
        return
    while chunk := source.read(CHUNK):
        yield chunk


def _refuse_other_formats(first: bytes) -> None:
    named = next((name for magic, name in _OTHER_FORMATS if first.startswith(magic)), None)
    if named is None and b"\0" in first:
        named = "UTF-16, or no text at all"
    if named is not None:
        raise Malformed("not-utf8", f"a list must be text in UTF-8; this is {named}")
