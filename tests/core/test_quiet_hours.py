"""Nobody's phone rings at night, wherever they are; where that is not known, it is night until it is day everywhere."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from notifier.core.places import STATE_NAMES
from notifier.core.quiet_hours import CLOSES, OPENS, SPREAD, next_allowed, zones_of, zones_of_phone, zones_of_state

DENVER = frozenset({"America/Denver"})
ZONES = ["America/Denver", "America/New_York", "America/Los_Angeles", "America/Boise", "Pacific/Honolulu"]
moments = st.integers(0, 2 * 366 * 24 * 60).map(
    lambda minutes: datetime(2026, 1, 1, tzinfo=UTC) + timedelta(minutes=minutes)
)
near = st.sets(st.sampled_from(ZONES), min_size=1)


def at(text: str, zone: str = "America/Denver") -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).astimezone(UTC)


def is_day(moment: datetime, zones: Iterable[str]) -> bool:
    return all(OPENS <= moment.astimezone(ZoneInfo(zone)).time() < CLOSES for zone in zones)


@pytest.mark.parametrize(
    ("asked", "allowed"),
    [
        ("2026-06-05T08:00", "2026-06-05T08:00"),
        ("2026-06-05T19:59:59", "2026-06-05T19:59:59"),
        ("2026-06-05T20:00", "2026-06-06T08:00"),
        ("2026-06-05T07:59", "2026-06-05T08:00"),
        ("2026-06-06T00:30", "2026-06-06T08:00"),
    ],
)
def test_a_text_message_waits_for_eight_in_the_morning(asked: str, allowed: str) -> None:
    assert next_allowed(at(asked), DENVER) == at(allowed)


@pytest.mark.parametrize("night", ["2026-03-07T23:00", "2026-10-31T23:00"])
def test_the_night_in_which_clocks_change_ends_at_eight_by_the_clock(night: str) -> None:
    morning = next_allowed(at(night), DENVER)
    assert morning.astimezone(ZoneInfo("America/Denver")).time() == OPENS
    assert morning - at(night) == timedelta(hours=8 if night.startswith("2026-03") else 10)


def test_a_number_of_two_zones_waits_until_it_is_day_in_both() -> None:
    assert zones_of_phone("+12085550142") == {"America/Boise", "America/Los_Angeles"}
    assert next_allowed(at("2026-06-05T08:10"), zones_of_phone("+12085550142")) == at("2026-06-05T09:00")


def test_a_number_says_where_it_is_and_a_toll_free_one_says_nothing() -> None:
    assert zones_of_phone("+13035550142") == DENVER
    assert zones_of_phone("+12125550142") == {"America/New_York"}
    assert zones_of_phone("+525555550142") == {"America/Mexico_City"}
    assert zones_of_phone("+18005550142") == frozenset()
    assert zones_of_phone("") == frozenset()


def test_it_is_day_by_the_number_and_by_the_address_and_where_neither_says_on_both_coasts() -> None:
    assert zones_of("+13035550142", ["NY"], agency_zone="America/Denver") == DENVER | {"America/New_York"}
    assert zones_of("+13035550142", [], agency_zone="America/Chicago") == DENVER
    assert zones_of("+18005550142", ["Colorado"], agency_zone="America/Denver") == DENVER
    unknown = zones_of("", [], agency_zone="America/Denver")
    assert unknown == {"America/New_York", "America/Denver", "America/Los_Angeles"}
    assert next_allowed(at("2026-06-05T08:00"), unknown) == at("2026-06-05T09:00")
    assert next_allowed(at("2026-06-05T18:00"), unknown) == at("2026-06-06T09:00")


def test_every_state_and_the_district_have_zones_that_exist() -> None:
    places = set(STATE_NAMES) - {"AA", "AE", "AP", "FM", "MH", "PW"}
    assert all(zones_of_state(code) for code in places)
    assert all(ZoneInfo(zone) for code in places for zone in zones_of_state(code))
    assert zones_of_state("Bavaria") == frozenset()


def test_zones_that_share_no_hour_do_not_keep_a_message_back_for_ever() -> None:
    apart = {"Europe/London", "Pacific/Auckland"}
    assert next_allowed(at("2026-06-05T03:00", "Europe/London"), apart) == at("2026-06-05T08:00", "Europe/London")


@settings(deadline=None, max_examples=300)
@given(moment=moments, zones=near, share=st.floats(0, 1))
def test_it_is_always_day_for_everybody_and_never_more_than_a_night_is_lost(
    moment: datetime, zones: set[str], share: float
) -> None:
    found = next_allowed(moment, zones, share=share)
    assert is_day(found, zones)
    assert timedelta(0) <= found - moment < timedelta(hours=24)
    assert (found == moment) == is_day(moment, zones)


@settings(deadline=None, max_examples=200)
@given(moment=moments, zones=near, share=st.floats(0, 1))
def test_what_is_moved_is_spread_by_its_share_and_asking_again_changes_nothing(
    moment: datetime, zones: set[str], share: float
) -> None:
    sharp, spread = next_allowed(moment, zones), next_allowed(moment, zones, share=share)
    assert sharp <= spread <= sharp + SPREAD
    assert next_allowed(spread, zones, share=share) == spread
