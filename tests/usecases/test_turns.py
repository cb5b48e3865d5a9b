"""Who is served next: matters, agencies, and what the clock looks at."""

import asyncio
import random
from collections import Counter
from collections.abc import Sequence
from datetime import timedelta
from uuid import UUID, uuid4

from hypothesis import given
from hypothesis import strategies as st

from notifier.core.model import Channel
from notifier.store.attempts import claim, give_back
from notifier.usecases.dispatch import dispatch
from notifier.usecases.stops import place_stop
from notifier.usecases.turns import FADE_SECONDS, FEW, LONGEST_REST, Turns
from tests.usecases.desk import Desk, now, person, phone
from workers import rota as clocks
from workers.rota import LOOKS, Rota

SMS = Channel.SMS
A_MINUTE = timedelta(minutes=1)


class Clock:
    """A clock that stands until it is moved."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


# Matters.


def take(desk: Desk, turns: Turns, chunk: int) -> Counter[UUID]:
    with desk.tx() as tx:
        served = turns.served_in(desk.office.agency_id)
        taken = [one.matter_id for one in claim(tx, SMS, chunk=chunk, lease=A_MINUTE, served=served)]
    turns.serve(desk.office.agency_id, taken)
    return Counter(taken)


def people(count: int) -> list[UUID]:
    return [uuid4() for _ in range(count)]


def matters(desk: Desk, *counts: int) -> list[UUID]:
    return [desk.approved(*(person(phone=phone(n % 50)) for n in range(count))) for count in counts]


def test_a_handful_is_shared_alike_between_matters(desk: Desk) -> None:
    one, other = matters(desk, 30, 30)
    assert take(desk, Turns(), 10) == {one: 5, other: 5}


def test_what_one_leaves_the_others_fill(desk: Desk) -> None:
    long, short = matters(desk, 30, 2)
    assert take(desk, Turns(), 10) == {long: 8, short: 2}
    (quiet,) = matters(desk, 5)
    with desk.tx() as tx:
        give_back(tx, [one for one in claim(tx, SMS, chunk=100, lease=A_MINUTE) if one.matter_id != quiet])
    assert take(desk, Turns(), 10).total() == 10


def test_a_short_matter_is_done_at_once_however_long_the_others_are(desk: Desk) -> None:
    """With no memory it would get a share of one in twelve; whoever was served least is in front."""
    matters(desk, *[40] * 11)
    turns = Turns()
    for _ in range(12):
        take(desk, turns, 10)
    (short,) = matters(desk, 6)
    handfuls = 0
    left = 6
    while left:
        left -= take(desk, turns, 10)[short]
        handfuls += 1
    assert handfuls <= 6  # one in each handful at least


def test_more_matters_than_a_handful_has_places_are_all_served_in_turn(desk: Desk) -> None:
    all_of_them = matters(desk, *[3] * 12)
    turns = Turns()
    seen: Counter[UUID] = Counter()
    for _ in range(3):
        seen += take(desk, turns, 4)
    assert seen == dict.fromkeys(all_of_them, 1)


def test_a_stopped_matter_has_no_share(desk: Desk) -> None:
    one, other = matters(desk, 10, 10)
    with desk.tx() as tx:
        place_stop(tx, matter_id=other, reason="doubt", principal=desk.office.uploader, now=now())
    assert take(desk, Turns(), 8) == {one: 8}


def test_a_worker_remembers_whom_it_served(desk: Desk) -> None:
    matters(desk, 10, 10, 10)

    async def work() -> Sequence[int]:
        sender = desk.sender(SMS, concurrency=12)
        for _ in range(2):
            await dispatch(desk.office.agency_id, sender=sender, now=now())
        await sender.carrier.close()
        return sorted(sender.turns.served_in(desk.office.agency_id).values())

    assert asyncio.run(work()) == [4, 4, 4]


def test_what_was_served_long_ago_counts_no_more() -> None:
    clock, agency, matter = Clock(), uuid4(), uuid4()
    turns = Turns(clock)
    turns.serve(agency, [matter] * 100)
    clock.now += FADE_SECONDS
    turns.serve(agency, [])
    assert turns.served_in(agency) == {matter: 50}
    for _ in range(10):
        clock.now += FADE_SECONDS
        turns.serve(agency, [])
    assert turns.served_in(agency) == {}


# Agencies.


def test_the_agency_that_had_least_is_in_front_and_equals_come_in_any_order() -> None:
    random.seed(1)
    turns, agencies = Turns(), people(5)
    orders = {tuple(turns.in_order(agencies)) for _ in range(50)}
    assert len(orders) > 10
    turns.looked_at(agencies[2], 100, among=5)
    assert {order[-1] for order in (turns.in_order(agencies) for _ in range(20))} == {agencies[2]}


def test_of_a_few_agencies_none_ever_rests() -> None:
    turns, agencies = Turns(), people(FEW)
    for agency in agencies:
        turns.looked_at(agency, 0, among=FEW)
    assert set(turns.in_order(agencies)) == set(agencies)


def test_of_many_those_without_work_rest_and_nobody_rests_for_long() -> None:
    clock, agencies = Clock(), people(1000)
    turns = Turns(clock)
    for agency in agencies:
        turns.looked_at(agency, 1 if agency in agencies[:3] else 0, among=1000)
    assert set(turns.in_order(agencies)) == set(agencies[:3])
    clock.now += LONGEST_REST
    assert set(turns.in_order(agencies)) == set(agencies)


@given(st.lists(st.integers(0, 9), min_size=1, max_size=200))
def test_whoever_is_always_served_in_order_gets_no_more_than_one_turn_ahead(sizes: list[int]) -> None:
    turns, agencies = Turns(Clock()), people(4)
    had: Counter[UUID] = Counter()
    for size in sizes:
        first = turns.in_order(agencies)[0]
        turns.looked_at(first, size, among=4)
        had[first] += size
        assert max(had[agency] for agency in agencies) - min(had[agency] for agency in agencies) <= max(sizes)


# The clock.


def test_the_clock_looks_at_a_few_agencies_in_every_tick() -> None:
    rota, agencies = Rota(), people(20)
    for tick in range(3):
        assert set(rota.whose_turn(agencies, tick)) == set(agencies)
        for agency in agencies:
            rota.looked_at(agency, tick, is_busy=False, among=20)


def test_of_a_thousand_busy_agencies_each_has_its_turn_within_ten_ticks() -> None:
    rota, agencies = Rota(), people(1000)
    seen: Counter[UUID] = Counter()
    for tick in range(10):
        for place, agency in enumerate(rota.whose_turn(agencies, tick)):
            rota.looked_at(agency, tick + place / 1000, is_busy=True, among=1000)
            seen[agency] += 1
    assert set(seen) == set(agencies)


def test_a_thousand_idle_agencies_cost_little_and_each_is_looked_at_within_a_minute() -> None:
    rota, agencies = Rota(), people(1000)
    busy, last, looks = set(agencies[:5]), dict.fromkeys(agencies, 0.0), []
    for tick in range(200):
        turn = rota.whose_turn(agencies, tick)
        looks.append(len(turn))
        assert len(turn) <= LOOKS
        for agency in turn:
            if tick >= 60:
                assert tick - last[agency] <= clocks.LONGEST_REST + 2
            last[agency] = tick
            rota.looked_at(agency, tick, is_busy=agency in busy, among=1000)
        if tick >= 20:
            assert busy <= set(turn)
    assert sum(looks[100:]) / 100 < 60


def test_chores_of_many_agencies_do_not_fall_into_one_tick() -> None:
    rota, agencies = Rota(), people(600)
    counts = Counter(rota.count(agency) % 60 for agency in agencies)
    assert max(counts.values()) < 40
    agency = agencies[0]
    assert rota.count(agency) + 1 == rota.count(agency)
