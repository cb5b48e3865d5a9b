"""Which row was the first, as a dictionary would say it, in a fraction of the memory."""

import tracemalloc

from hypothesis import given
from hypothesis import strategies as st

from notifier.core.first_rows import FirstRows


@given(st.lists(st.binary(max_size=2), max_size=200))
def test_the_first_row_of_each_key_is_remembered(keys: list[bytes]) -> None:
    found, told = FirstRows(), dict[bytes, int]()
    for row, key in enumerate(keys):
        assert found.first(key, row) == told.setdefault(key, row)


def test_a_long_list_has_no_false_double_and_misses_none() -> None:
    found = FirstRows()
    assert all(found.first(b"B-%d" % row, row) == row for row in range(50_000))
    assert all(found.first(b"B-%d" % row, 90_000) == row for row in range(0, 50_000, 11))


def test_a_row_takes_some_twenty_bytes() -> None:
    tracemalloc.start()
    found = FirstRows()
    before = tracemalloc.get_traced_memory()[0]
    for row in range(100_000):
        found.first(b"B-%d" % row, row)
    taken = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    assert taken < 25 * 100_000
