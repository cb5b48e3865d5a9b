"""When a carrier is left alone, whatever its calls come to and in whatever order the answers arrive."""

from dataclasses import replace
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from notifier.core.breaker import CLOSED, Permit, Rules, State, ask, tell

RULES = Rules(failures=5, rest=10, cap=80, probe=30)
DRAWS = st.floats(0, 1)


def fail(state: State, times: int = 1, *, permit: Permit = Permit.ALL, draw: float = 1.0, now: float = 0.0) -> State:
    return tell(state, RULES, permit, worked=False, failed=times, draw=draw, now=now)


def test_so_many_failures_in_a_row_open_it() -> None:
    state = CLOSED
    for _ in range(4):
        state = fail(state)
        assert ask(state, RULES, now=0) == (state, Permit.ALL)
    state = fail(state, now=7)
    assert (state.is_open, state.until, state.since) == (True, 17, 7)
    assert ask(state, RULES, now=16.9) == (state, Permit.NONE)


def test_one_answer_forgets_the_failures_before_it() -> None:
    state = fail(CLOSED, 4)
    state = tell(state, RULES, Permit.ALL, worked=True, failed=1, draw=0, now=0)
    assert state == CLOSED
    assert not fail(state, 4).is_open


def test_after_its_rest_one_asker_alone_gets_a_probe() -> None:
    state, permit = ask(fail(CLOSED, 5), RULES, now=10)
    assert permit is Permit.PROBE
    assert ask(state, RULES, now=39.9)[1] is Permit.NONE
    assert ask(state, RULES, now=40)[1] is Permit.PROBE  # who had it is gone


def test_a_probe_that_works_closes_it_and_one_that_fails_makes_it_rest_twice_as_long() -> None:
    state = fail(CLOSED, 5)
    rests = [state.until]
    for _ in range(5):
        began = state.until
        probing, _ = ask(state, RULES, now=began)
        state = fail(probing, permit=Permit.PROBE, now=began)
        rests.append(state.until - began)
    assert rests == [10, 20, 40, 80, 80, 80]
    probing, permit = ask(state, RULES, now=state.until)
    assert tell(probing, RULES, permit, worked=True, failed=0, draw=0, now=state.until) == CLOSED


def test_a_probe_with_nothing_to_send_is_given_back() -> None:
    probing, permit = ask(fail(CLOSED, 5), RULES, now=10)
    back = tell(probing, RULES, permit, worked=False, failed=0, draw=0, now=11)
    assert ask(back, RULES, now=11)[1] is Permit.PROBE
    assert back.rests == 1


def test_what_was_under_way_when_it_opened_makes_no_rest_longer() -> None:
    state = fail(CLOSED, 5)
    assert fail(state, 100, now=1) == state
    assert tell(state, RULES, Permit.ALL, worked=True, failed=3, draw=0, now=1) == CLOSED


@pytest.mark.parametrize(("draw", "until"), [(0.0, 5), (0.5, 7.5), (1.0, 10)])
def test_a_rest_is_from_half_of_its_length_to_all_of_it(draw: float, until: float) -> None:
    assert fail(CLOSED, 5, draw=draw).until == until


def test_it_never_overflows() -> None:
    state = replace(fail(CLOSED, 5), rests=10_000)
    assert fail(state, permit=Permit.PROBE, now=0).until == RULES.cap


class Call(NamedTuple):
    """One step of the world: time passes, somebody asks, and perhaps tells what came of it."""

    passed: float
    worked: bool
    failed: int
    draw: float


CALLS = st.builds(Call, st.floats(0, 200), st.booleans(), st.integers(0, 7), DRAWS)


@given(st.lists(CALLS, max_size=60))
def test_whatever_happens_it_never_stays_shut_and_never_lets_a_crowd_through(calls: list[Call]) -> None:
    state, now = CLOSED, 0.0
    in_a_row = 0
    for call in calls:
        now += call.passed
        state, permit = ask(state, RULES, now=now)
        assert (permit is Permit.ALL) == (not state.is_open)
        assert state.until <= now + max(RULES.cap, RULES.probe)  # there is always a next try, and when is known
        if permit is Permit.NONE:
            continue
        if permit is Permit.PROBE:
            assert ask(state, RULES, now=now)[1] is Permit.NONE
        state = tell(state, RULES, permit, worked=call.worked, failed=call.failed, draw=call.draw, now=now)
        in_a_row = 0 if call.worked else in_a_row + call.failed
        assert state.is_open == (in_a_row >= RULES.failures)


@given(st.integers(1, 20), DRAWS)
def test_each_rest_is_within_its_bounds(rests: int, draw: float) -> None:
    state = replace(fail(CLOSED, 5), rests=rests)
    rest = fail(state, permit=Permit.PROBE, draw=draw, now=0).until
    longest = min(RULES.cap, RULES.rest * 2**rests)
    assert longest / 2 <= rest <= longest


def test_a_clock_that_was_set_back_makes_nobody_wait_for_longer_than_a_rest_can_be() -> None:
    state = fail(CLOSED, 5, now=1_000_000)
    assert ask(state, RULES, now=1_000_000 - 69)[1] is Permit.NONE
    again, permit = ask(state, RULES, now=1_000_000 - 3600)
    assert permit is Permit.PROBE
    assert again.until == 1_000_000 - 3600 + RULES.probe
