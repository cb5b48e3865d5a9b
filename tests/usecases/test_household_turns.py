"""People behind one phone: each in turn, by day, never two at once, whatever the hour and the zones."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from notifier.core.quiet_hours import next_allowed
from notifier.usecases.timing import HOUSEHOLD_WITHIN, in_turn

ZONES = ("America/New_York", "America/Denver", "America/Phoenix", "America/Anchorage", "Pacific/Honolulu")
hours = st.datetimes(datetime(2026, 1, 1), datetime(2027, 1, 1)).map(lambda at: at.replace(tzinfo=UTC))  # noqa: DTZ001 # given a zone here


@settings(deadline=None, max_examples=150)
@given(
    at=hours,
    zones=st.frozensets(st.sampled_from(ZONES), min_size=1, max_size=2),
    people=st.integers(2, 60),
    minutes=st.integers(1, 240),
    share=st.floats(0, 1),
)
def test_each_has_a_turn_of_their_own_by_day_and_nobody_waits_for_more_than_a_night(
    at: datetime, zones: frozenset[str], people: int, minutes: int, share: float
) -> None:
    gap = min(timedelta(minutes=minutes), HOUSEHOLD_WITHIN / (people - 1))
    first = next_allowed(at, zones, share=share)
    turns = [in_turn(first, number, gap, zones, share) for number in range(people)]
    assert turns[0] == first
    assert all(later - earlier >= gap for earlier, later in pairwise(turns))
    assert all(next_allowed(turn, zones) == turn for turn in turns)
    assert turns[-1] - first <= HOUSEHOLD_WITHIN + timedelta(hours=36)
