"""A carrier that does not answer at once, while it is tried whether it is back."""

import asyncio
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from uuid import uuid4

import pytest
from redis import Redis

from notifier.bootstrap import open_redis
from notifier.carriers.base import Message, Outcome, SendResult
from notifier.core.breaker import Permit, Rules
from notifier.core.model import Channel
from notifier.core.status import Reason
from notifier.usecases.breaker import LOOK_EVERY, PROBE, Breaker
from notifier.usecases.dispatch import RECORD_EVERY, dispatch
from tests.usecases.desk import Desk, now, person, phone
from workers.jobs import _round

SMS = Channel.SMS
RULES = Rules(failures=5, rest=0.3, cap=60, probe=30)


@pytest.fixture
def redis(redis_url: str) -> Iterator[Redis]:
    with open_redis(redis_url) as client:
        yield client


@pytest.fixture
def slug() -> str:
    return f"carrier_{uuid4().hex}"


@dataclass
class Hanging:
    """A carrier that takes its time, and then has said nothing, but of the messages that it answers."""

    slug: str = "twilio_sms"
    channel: Channel = SMS
    seconds: float = 4 * RECORD_EVERY
    answered: int = 0  # so many of those it was given first, and at once
    taken: list[str] = field(default_factory=list)

    async def send(self, messages: Sequence[Message]) -> list[SendResult]:
        self.taken += [str(message.attempt_id) for message in messages]
        if len(self.taken) <= self.answered:
            return [SendResult(message.attempt_id, Outcome.HANDED_OVER) for message in messages]
        await asyncio.sleep(self.seconds)
        return [SendResult(one.attempt_id, Outcome.UNKNOWN, reason=Reason.TIMED_OUT) for one in messages]

    async def close(self) -> None:
        """It has nothing."""


def opened(redis: Redis | None, slug: str, rules: Rules = RULES) -> Breaker:
    """A breaker that has just opened and rested."""
    breaker = Breaker(redis, carrier=slug, rules=rules, draw=lambda: 1.0)
    breaker.tell(Permit.ALL, worked=False, failed=rules.failures)
    time.sleep(rules.rest + 0.01)
    return breaker


def test_nobody_else_gets_a_probe_while_the_first_waits_for_its_answers(desk: Desk, redis: Redis, slug: str) -> None:
    matter_id = desk.approved(*(person(phone=phone(n)) for n in range(30)))
    shared, carrier = opened(redis, slug), Hanging()

    async def work() -> None:
        made = desk.sender(SMS)
        sender = replace(made, carrier=carrier, breaker=shared)
        first = asyncio.create_task(dispatch(desk.office.agency_id, sender=sender, now=now()))
        await asyncio.sleep(0.1)
        while not first.done():
            await dispatch(desk.office.agency_id, sender=sender, now=now())
            await asyncio.sleep(0.05)
        await first
        await made.carrier.close()

    asyncio.run(work())
    assert len(carrier.taken) == PROBE
    assert desk.statuses(matter_id) == {"unknown": PROBE, "planned": 30 - PROBE}


def test_a_probe_for_which_nothing_was_left_is_given_back(desk: Desk, redis: Redis, slug: str) -> None:
    shared = opened(redis, slug)

    async def work() -> None:
        made = desk.sender(SMS)
        sender = replace(made, carrier=Hanging(), breaker=shared)
        assert await dispatch(desk.office.agency_id, sender=sender, now=now()) == 0
        await made.carrier.close()

    asyncio.run(work())
    assert shared.ask() is Permit.PROBE


def test_everybody_soon_knows_that_a_probe_has_worked(redis: Redis, slug: str) -> None:
    one, other = opened(redis, slug), Breaker(redis, carrier=slug, rules=RULES)
    assert (one.ask(), other.ask()) == (Permit.PROBE, Permit.NONE)
    assert other.is_resting
    one.tell(Permit.PROBE, worked=True, failed=0)
    time.sleep(LOOK_EVERY)
    assert not other.is_resting
    assert other.ask() is Permit.ALL


def test_who_looks_again_during_the_rest_goes_on_resting(redis: Redis, slug: str) -> None:
    long = replace(RULES, rest=60)
    one, other = (Breaker(redis, carrier=slug, rules=long, draw=lambda: 1.0) for _ in range(2))
    assert not one.is_resting
    one.tell(Permit.ALL, worked=False, failed=5)
    time.sleep(LOOK_EVERY)
    assert (one.ask(), other.ask()) == (Permit.NONE, Permit.NONE)
    assert one.is_resting
    assert other.is_resting


def test_a_worker_goes_on_soon_after_another_ones_probe_has_worked(desk: Desk, redis: Redis, slug: str) -> None:
    matter_id = desk.approved(*(person(phone=phone(n)) for n in range(5)))
    shared = opened(redis, slug)
    other = Breaker(redis, carrier=slug, rules=RULES)

    async def work() -> int:
        made = desk.sender(SMS)
        sender = replace(made, carrier=Hanging(answered=100), breaker=other)
        agencies, until = [desk.office.agency_id], time.monotonic() + 60
        assert shared.ask() is Permit.PROBE
        assert await _round(sender, agencies, desk.service, until) == 0
        shared.tell(Permit.PROBE, worked=True, failed=0)
        await asyncio.sleep(LOOK_EVERY)
        sent = await _round(sender, agencies, desk.service, until)
        await made.carrier.close()
        return sent

    assert asyncio.run(work()) == 5
    assert desk.statuses(matter_id) == {"handed_over": 5}
