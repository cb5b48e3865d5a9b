"""What a return reason means, and what follows from it."""

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from notifier.core.business_days import business_day_after, red_from
from notifier.core.model import ContactFlag, PostalAddress, PostService
from notifier.core.returned_mail import (
    RULES,
    Mailing,
    NextStep,
    UspsReason,
    flag_of,
    is_confidential_substitute,
    needs_a_human,
    next_mailing,
)

N = UspsReason
DENVER = ZoneInfo("America/Denver")
facts = st.fixed_dictionaries(
    {"can_forward": st.booleans(), "is_first_return": st.booleans(), "plain_mail_went": st.booleans()}
)


def test_every_reason_has_a_rule_and_only_waiting_neither_defeats_nor_counts() -> None:
    assert set(RULES) == set(UspsReason)
    assert [reason for reason, rule in RULES.items() if rule.defeats is None] == [N.TA]
    assert [reason for reason, rule in RULES.items() if rule.defeats is False] == [N.REF]
    assert RULES[N.UNC].defeats is True


@given(reason=st.sampled_from(UspsReason), service=st.sampled_from(PostService), facts=facts)
def test_no_letter_follows_to_an_address_that_two_came_back_from(
    reason: UspsReason, service: PostService, facts: dict[str, bool]
) -> None:
    followed = next_mailing(reason, service, **facts)
    if not facts["is_first_return"] or facts["plain_mail_went"]:
        assert followed is not Mailing.FIRST_CLASS
    if not facts["can_forward"]:
        assert followed is not Mailing.FORWARDED
    assert needs_a_human(reason, followed) or followed is not Mailing.NONE


@pytest.mark.parametrize("reason", [N.UNC, N.REF])
def test_a_certified_letter_that_nobody_took_is_followed_by_a_plain_one(reason: UspsReason) -> None:
    fresh = {"can_forward": False, "is_first_return": True, "plain_mail_went": False}
    assert next_mailing(reason, PostService.CERTIFIED, **fresh) is Mailing.FIRST_CLASS
    assert next_mailing(reason, PostService.FIRST_CLASS, **fresh) is Mailing.NONE


def test_nothing_is_mailed_on_for_somebody_who_has_died() -> None:
    fresh = {"can_forward": True, "is_first_return": True, "plain_mail_went": False}
    assert next_mailing(N.DEC, PostService.FIRST_CLASS, **fresh) is Mailing.NONE
    assert needs_a_human(N.DEC, Mailing.NONE)


def test_a_refusal_is_a_humans_even_when_a_letter_follows() -> None:
    assert needs_a_human(N.REF, Mailing.FIRST_CLASS)
    assert not needs_a_human(N.UNC, Mailing.FIRST_CLASS)


def test_only_an_address_that_is_wrong_is_marked() -> None:
    unmarked = {reason for reason in UspsReason if flag_of(reason, has_moved=False) is None}
    assert unmarked == {N.UNC, N.REF, N.TA}
    assert {flag_of(reason, has_moved=True) for reason in UspsReason} == {ContactFlag.MOVED}
    assert RULES[N.TA].step is NextStep.WAIT


@pytest.mark.parametrize(
    ("street", "postal_code", "is_one"),
    [
        ("1001 E 62nd Ave Apt 12", "80216", True),
        ("1001 EAST 62ND AVENUE, APT 7", "80216-1234", True),
        ("1001 E. 62nd Ave.", "80216", True),
        ("11001 W 62nd Ave", "80216", False),
        ("1001 E 62nd Ave", "80203", False),
    ],
)
def test_a_substitute_address_is_known_by_its_street_and_zip(street: str, postal_code: str, is_one: bool) -> None:  # noqa: FBT001 # a table
    assert is_confidential_substitute(PostalAddress((street,), "Denver", "CO", postal_code)) is is_one


# When a batch is red.


@pytest.mark.parametrize(
    ("closed", "red"),
    [
        ("2026-11-16T09:00", "2026-11-18T00:00"),  # Monday: by the end of Tuesday
        ("2026-11-19T23:59", "2026-11-21T00:00"),  # Thursday: by the end of Friday
        ("2026-11-20T09:00", "2026-11-24T00:00"),  # Friday: by the end of Monday
        ("2026-11-21T09:00", "2026-11-24T00:00"),  # Saturday
        ("2026-11-22T23:59", "2026-11-24T00:00"),  # Sunday
        ("2026-10-30T09:00", "2026-11-03T00:00"),  # the clock goes back meanwhile
    ],
)
def test_a_batch_is_red_after_the_next_business_day_where_the_agency_is(closed: str, red: str) -> None:
    at = datetime.fromisoformat(closed).replace(tzinfo=DENVER).astimezone(UTC)
    assert red_from(at, DENVER) == datetime.fromisoformat(red).replace(tzinfo=DENVER)


@given(day=st.dates(date(2020, 1, 1), date(2040, 1, 1)), count=st.integers(1, 20))
def test_business_days_are_counted_one_by_one(day: date, count: int) -> None:
    found = business_day_after(day, count)
    between = [day + timedelta(days=n) for n in range(1, (found - day).days + 1)]
    assert sum(each.weekday() < 5 for each in between) == count
    assert found.weekday() < 5
