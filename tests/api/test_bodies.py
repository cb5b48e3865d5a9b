"""A body is read whole, within its limit, and leaves nothing readable on disk."""

import hashlib
import os
from base64 import urlsafe_b64encode
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from notifier.api.cursors import place_cursor, read_place, read_time, time_cursor
from notifier.api.spool import Spool
from notifier.bodies import DISCARD_BYTES, PIECE, body_pieces, discard_body, read_body
from notifier.core.errors import Invalid, Malformed, Refused, TooLarge


class Source:
    """A body that comes in reads of our choosing, and breaks off in a way of our choosing."""

    def __init__(self, body: bytes, end: Exception | None = None) -> None:
        self._body = BytesIO(body)
        self._end = end
        self.read_bytes = 0

    def read(self, size: int) -> bytes:
        assert 0 < size <= PIECE
        piece = self._body.read(size)
        self.read_bytes += len(piece)
        if not piece and self._end:
            raise self._end
        return piece


def environ(body: bytes, length: str | None = None, end: Exception | None = None) -> dict[str, Any]:
    found: dict[str, Any] = {"wsgi.input": Source(body, end)}
    return found if length is None else found | {"CONTENT_LENGTH": length}


@given(body=st.binary(max_size=1_000), is_announced=st.booleans(), spare=st.integers(0, 5))
def test_a_body_within_its_limit_comes_out_as_it_went_in(body: bytes, is_announced: bool, spare: int) -> None:  # noqa: FBT001
    length = str(len(body)) if is_announced else None
    assert read_body(environ(body, length), limit=len(body) + spare) == body


@pytest.mark.parametrize("size", [PIECE - 1, PIECE, PIECE + 1, 3 * PIECE])
def test_long_bodies_come_in_pieces(size: int) -> None:
    pieces = list(body_pieces(environ(b"x" * size), limit=size))
    assert sum(map(len, pieces)) == size
    assert max(map(len, pieces)) <= PIECE


@pytest.mark.parametrize(
    ("body", "length", "end", "code"),
    [
        (b"12345", "5", None, "body-too-large"),
        (b"12345", None, None, "body-too-large"),
        (b"", "99999999999999999999", None, "body-too-large"),
        (b"123", "4", None, "body-incomplete"),
        (b"", "1", None, "body-incomplete"),
        (b"1", None, ConnectionResetError(), "body-incomplete"),
        (b"1", None, RuntimeError("of the server's own"), "body-incomplete"),
        (b"1", "4", TimeoutError(), "body-timeout"),
        (b"1", "-1", None, "body-incomplete"),
        (b"1", "\u0661", None, "body-incomplete"),
    ],
)
def test_a_body_that_is_not_right_is_refused(body: bytes, length: str | None, end: Exception | None, code: str) -> None:
    with pytest.raises(Refused) as refused:
        read_body(environ(body, length, end), limit=4)
    assert refused.value.code == code
    assert isinstance(refused.value, Malformed | TooLarge)


def test_what_is_announced_as_too_long_is_not_read() -> None:
    given_environ = environ(b"12345", "5")
    with pytest.raises(TooLarge):
        read_body(given_environ, limit=4)
    assert given_environ["wsgi.input"].read_bytes == 0


def test_an_unwanted_body_is_read_off_within_bounds() -> None:
    short, long = environ(b"x" * 100_000), environ(b"x" * (DISCARD_BYTES + 10 * PIECE))
    discard_body(short)
    discard_body(long)
    assert short["wsgi.input"].read_bytes == 100_000
    assert DISCARD_BYTES <= long["wsgi.input"].read_bytes <= DISCARD_BYTES + PIECE


def test_a_body_that_broke_off_is_not_asked_for_again() -> None:
    broken = environ(b"1", None, ConnectionResetError())
    discard_body(broken)
    with pytest.raises(Malformed):
        read_body(broken, limit=4)
    discard_body(broken)


def test_a_spool_gives_back_what_it_took_as_often_as_asked() -> None:
    pieces = [b"", b"one", os.urandom(300_000), b"two"]
    with Spool() as spool:
        spool.fill(pieces)
        assert b"".join(spool) == b"".join(spool) == b"".join(pieces)
        assert spool.size == sum(map(len, pieces))
        assert spool.digest == hashlib.sha256(b"".join(pieces)).digest()


def test_a_spool_leaves_nothing_readable_on_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    before = set(Path("/proc/self/fd").iterdir()) if Path("/proc").exists() else set()
    with Spool() as spool:
        spool.fill([b"Canary " * 1_000])
        assert not list(tmp_path.iterdir())
        for handle in set(Path("/proc/self/fd").iterdir()) - before if before else set():
            if handle.exists() and "deleted" in str(handle.readlink()):
                assert b"Canary" not in handle.read_bytes()


@given(ordinal=st.integers(0, 2**31 - 1))
def test_a_place_survives_its_cursor(ordinal: int) -> None:
    assert read_place(place_cursor(ordinal)) == ordinal


@given(at=st.datetimes(timezones=st.just(UTC)), row=st.uuids())
def test_a_time_survives_its_cursor(at: datetime, row: UUID) -> None:
    assert read_time(time_cursor(at, row)) == (at, row)


@pytest.mark.parametrize("read", [read_place, read_time])
@given(text=st.one_of(st.text(max_size=60), st.binary(max_size=60).map(lambda b: urlsafe_b64encode(b).decode())))
def test_no_cursor_makes_us_fail(read: Callable[[str], object], text: str) -> None:
    with suppress(Invalid):
        read(text)


def test_one_kind_of_cursor_is_not_the_other() -> None:
    with pytest.raises(Invalid):
        read_place(time_cursor(datetime(2026, 11, 22, tzinfo=UTC), uuid4()))
    with pytest.raises(Invalid):
        read_time(place_cursor(3))
