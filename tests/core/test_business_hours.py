"""When an office that keeps hours has had so many of them."""

from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from notifier.core.business_days import after_business_hours

DENVER = ZoneInfo("America/Denver")


def local(day: int, hour: int, minute: int = 0) -> datetime:
    """A time of November 2026 in Denver; the 23rd is a Monday."""
    return datetime(2026, 11, day, hour, minute, tzinfo=DENVER)


@pytest.mark.parametrize(
    ("at", "due"),
    [
        (local(23, 9), local(23, 13)),
        (local(23, 13), local(23, 17)),
        (local(23, 15), local(24, 10)),
        (local(23, 3), local(23, 12)),
        (local(23, 20), local(24, 12)),
        (local(27, 16, 30), local(30, 11, 30)),
        (local(28, 12), local(30, 12)),
        (local(29, 23, 59), local(30, 12)),
    ],
)
def test_four_hours_are_counted_while_the_office_is_open(at: datetime, due: datetime) -> None:
    assert after_business_hours(at, 4, DENVER) == due


@given(minutes=st.integers(0, 366 * 24 * 60), hours=st.integers(0, 40))
def test_it_is_never_before_and_more_hours_are_never_sooner(minutes: int, hours: int) -> None:
    at = local(1, 0) + timedelta(minutes=minutes)
    due = after_business_hours(at, hours, DENVER)
    # Across the hour that a clock skips or repeats, the wall's hours are meant.
    assert due.replace(tzinfo=None) >= at.replace(tzinfo=None) - timedelta(hours=1)
    assert after_business_hours(at, hours + 1, DENVER) >= due
    assert not hours or due.weekday() < 5
