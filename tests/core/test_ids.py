"""Ids that grow: UUIDs of version 7."""

import itertools
import os
from datetime import UTC, datetime, timedelta
from uuid import RFC_4122, UUID

from hypothesis import given
from hypothesis import strategies as st

from notifier.core.ids import id_text, milliseconds, new_ids

NOW = datetime(2026, 11, 22, 16, 0, 0, 123_000, tzinfo=UTC)


@given(st.binary(min_size=8, max_size=8), st.integers(0, 10_000_000))
def test_an_id_is_a_uuid_of_version_7_that_tells_its_time(random: bytes, place: int) -> None:
    (raw,) = new_ids(1, at_ms=milliseconds(NOW), place=place, random=lambda _: random)
    found = UUID(bytes=raw)
    assert (found.version, found.variant) == (7, RFC_4122)
    told = datetime.fromtimestamp((found.int >> 80) / 1000, UTC)
    assert timedelta() <= told - NOW <= timedelta(milliseconds=place // 4096 + 1)


@given(st.uuids())
def test_an_id_is_written_as_a_uuid_is(value: UUID) -> None:
    assert id_text(value.bytes) == str(value)


def test_the_ids_of_a_long_list_grow_with_its_places() -> None:
    at = milliseconds(NOW)
    by_place = [new_ids(5, at_ms=at, place=place, random=os.urandom) for place in range(0, 20_000, 7)]
    assert all(max(before) < min(after) for before, after in itertools.pairwise(by_place))
    assert len({raw for some in by_place for raw in some}) == 5 * len(by_place)


def test_all_that_may_be_random_is_random() -> None:
    ids = [int.from_bytes(new_ids(1, at_ms=0, place=0, random=os.urandom)[0]) for _ in range(500)]
    ever, always = 0, ids[0]
    for value in ids:
        ever, always = ever | value, always & value
    assert (ever & ~always).bit_count() == 62
