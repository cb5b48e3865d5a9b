"""One breaker for all workers, in a real Redis; each its own while Redis is away; and what it keeps from being sent."""

import asyncio
import json
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

import pytest
from redis import Redis
from structlog.testing import capture_logs

from notifier.bootstrap import open_redis
from notifier.carriers.base import Message, Outcome, SendResult
from notifier.core.breaker import Permit, Rules
from notifier.core.model import Channel
from notifier.core.status import Reason
from notifier.servers import redis as redis_server
from notifier.store.ledger import read_chain
from notifier.usecases.breaker import AGAIN_SECONDS, LOOK_EVERY, PROBE, Breaker, Standing, breaker_states
from notifier.usecases.carrier_alarms import CarrierAlarms
from notifier.usecases.dispatch import Sender, dispatch
from notifier.usecases.pace import Pace
from tests.usecases.desk import Desk, mailbox, now, person, phone

SMS, EMAIL = Channel.SMS, Channel.EMAIL
RULES = Rules(failures=5, rest=0.4, cap=3, probe=5)
LONG = replace(RULES, rest=600, cap=600)


@pytest.fixture
def slug() -> str:
    return f"carrier_{uuid4().hex}"


class Clock:
    """A clock that stands until it is moved; what it shows has nothing to do with Redis's."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def breaker(redis: Redis | None, slug: str, rules: Rules = LONG, clock: Callable[[], float] | None = None) -> Breaker:
    return Breaker(redis, carrier=slug, rules=rules, draw=lambda: 1.0, clock=clock or Clock())


def looks_again(*clocks: Clock) -> None:
    for clock in clocks:
        clock.now += LOOK_EVERY


def test_what_one_worker_finds_out_all_know(redis: Redis, slug: str) -> None:
    clocks = [Clock() for _ in range(3)]
    one, two, three = (breaker(redis, slug, clock=clock) for clock in clocks)
    assert [each.ask() for each in (one, two, three)] == [Permit.ALL] * 3
    one.tell(Permit.ALL, worked=False, failed=3)
    two.tell(Permit.ALL, worked=False, failed=2)
    looks_again(*clocks)
    assert [each.ask() for each in (one, two, three)] == [Permit.NONE] * 3
    assert one.rest_seconds > 500


def test_one_worker_alone_probes_and_its_answer_is_everybodys(redis: Redis, slug: str) -> None:
    clocks = [Clock(), Clock()]
    one, other = (breaker(redis, slug, replace(RULES, rest=0.001), clock) for clock in clocks)
    one.tell(Permit.ALL, worked=False, failed=5)
    time.sleep(0.01)  # Redis's clock counts
    looks_again(*clocks)
    permits = [one.ask(), other.ask(), one.ask()]
    assert permits == [Permit.PROBE, Permit.NONE, Permit.NONE]
    one.tell(Permit.PROBE, worked=True, failed=0)
    looks_again(*clocks)
    assert (one.ask(), other.ask()) == (Permit.ALL, Permit.ALL)


def test_opening_and_closing_are_told_once_whoever_tells(redis: Redis, slug: str) -> None:
    one, other = breaker(redis, slug), breaker(redis, slug)
    with capture_logs() as logs:
        for _ in range(3):
            one.tell(Permit.ALL, worked=False, failed=3)
            other.tell(Permit.ALL, worked=False, failed=3)
        one.tell(Permit.ALL, worked=True, failed=0)
        other.tell(Permit.ALL, worked=True, failed=0)
    assert [line["event"] for line in logs] == ["breaker.opened", "breaker.closed"]


def test_where_it_stands_can_be_read(redis: Redis, slug: str) -> None:
    one, nobody_asked = breaker(redis, slug), f"{slug}_too"
    one.ask()
    assert breaker_states(redis, [slug, nobody_asked]) == {
        slug: Standing(is_open=False),
        nobody_asked: Standing(is_open=None),
    }
    one.tell(Permit.ALL, worked=False, failed=6)
    standing = breaker_states(redis, [slug])[slug]
    assert (standing.is_open, standing.failures) == (True, 6)
    assert standing.since is not None
    assert standing.until is not None
    assert abs((standing.since - datetime.now(UTC)).total_seconds()) < 5
    assert 590 < (standing.until - standing.since).total_seconds() < 610
    with open_redis("redis://127.0.0.1:1/0") as nobody:
        assert breaker_states(nobody, [slug]) == {slug: Standing(is_open=None)}
    assert breaker_states(redis, []) == {}


def test_an_emptied_redis_is_told_again_what_a_worker_knows(redis: Redis, slug: str) -> None:
    one, other = breaker(redis, slug), breaker(redis, slug)
    one.tell(Permit.ALL, worked=False, failed=5)
    redis.delete(f"notifier:breaker:{slug}")
    assert one.ask() is Permit.NONE
    assert other.ask() is Permit.NONE


def test_what_nobody_can_read_is_no_reason_to_stop(redis: Redis, slug: str) -> None:
    redis.set(f"notifier:breaker:{slug}", "what?", ex=60)
    assert breaker(redis, slug).ask() is Permit.ALL


@contextmanager
def running(folder: Path) -> Iterator[str]:
    with redis_server.running(folder) as server:
        yield server.url


def test_while_redis_is_away_each_worker_has_its_own(server_folder: Path, slug: str) -> None:
    folder, clocks = server_folder / f"breaker-{uuid4().hex[:8]}", [Clock(), Clock()]
    with running(folder) as url:
        one, other = (breaker(open_redis(url), slug, clock=clock) for clock in clocks)
        assert (one.ask(), other.ask()) == (Permit.ALL, Permit.ALL)
    one.tell(Permit.ALL, worked=False, failed=5)
    looks_again(*clocks)
    assert (one.ask(), other.ask()) == (Permit.NONE, Permit.ALL)
    with running(folder) as again:
        assert again == url
        clocks[0].now += AGAIN_SECONDS
        assert one.ask() is Permit.NONE  # and says so to all
        with open_redis(again) as redis:
            since = breaker_states(redis, [slug])[slug].since
        assert since is not None
        assert abs((datetime.now(UTC) - since).total_seconds() - LOOK_EVERY - AGAIN_SECONDS) < 30  # by Redis's clock
        clocks[1].now += AGAIN_SECONDS
        assert other.ask() is Permit.NONE


# What it does to sending.


@dataclass
class Ill:
    """A carrier that answers nobody, until it is well."""

    slug: str = "twilio_sms"
    channel: Channel = SMS
    answer: SendResult = field(default_factory=lambda: SendResult(uuid4(), Outcome.UNKNOWN, reason=Reason.TIMED_OUT))
    calls: int = 0
    most: int = 0
    seconds: float = 0.05

    async def send(self, messages: Sequence[Message]) -> list[SendResult]:
        self.calls += 1
        await asyncio.sleep(self.seconds)
        return [replace(self.answer, attempt_id=message.attempt_id) for message in messages]

    async def close(self) -> None:
        """It has nothing."""


def send_all(desk: Desk, ill: Ill, shared: Breaker, *, lanes: int = 4, handfuls: int = 6, **changes: object) -> int:
    """As a worker sends: several handfuls at once, until nothing is claimed."""

    async def lane(sender: Sender) -> int:
        claimed = [await dispatch(desk.office.agency_id, sender=sender, now=now()) for _ in range(handfuls)]
        return sum(claimed)

    async def work() -> int:
        sender = desk.sender(SMS, **changes)
        try:
            busy = replace(sender, carrier=ill, breaker=shared)
            return sum(await asyncio.gather(*(lane(busy) for _ in range(lanes))))
        finally:
            await sender.carrier.close()

    return asyncio.run(work())


def tries(desk: Desk) -> int:
    return int(desk.one("select coalesce(sum(tries), 0) from attempt"))


def test_a_carrier_that_hangs_costs_what_was_under_way_and_no_more(desk: Desk, redis: Redis, slug: str) -> None:
    matter_id = desk.approved(*(person(phone=phone(n % 50, area=303 + n // 50)) for n in range(100)))
    ill = Ill()
    send_all(desk, ill, breaker(redis, slug), concurrency=8)
    assert ill.calls <= 8 + LONG.failures
    assert desk.statuses(matter_id) == {"unknown": ill.calls, "planned": 100 - ill.calls}


def test_while_it_is_open_nothing_is_claimed_and_everything_has_its_next_date(
    desk: Desk, redis: Redis, slug: str
) -> None:
    matter_id = desk.approved(*(person(phone=phone(n)) for n in range(30)))
    ill, shared = Ill(), breaker(redis, slug)
    send_all(desk, ill, shared, concurrency=4)
    before = tries(desk)
    assert send_all(desk, ill, breaker(redis, slug), concurrency=4) == 0
    assert tries(desk) == before
    assert desk.one("select count(*) from attempt where status = 'planned' and due_at is null") == 0
    assert desk.one("select count(*) from attempt where status = 'unknown' and check_at is null") == 0
    standing = breaker_states(redis, [slug])[slug]
    assert standing.until is not None
    assert standing.until > datetime.now(UTC)
    assert desk.statuses(matter_id).keys() == {"unknown", "planned"}


@pytest.mark.parametrize("reason", [Reason.MISCONFIGURED, Reason.CARRIER_ERROR])
def test_credentials_that_are_refused_open_it_too(desk: Desk, redis: Redis, slug: str, reason: Reason) -> None:
    matter_id = desk.approved(*(person(phone=phone(n)) for n in range(30)))
    ill = Ill(answer=SendResult(uuid4(), Outcome.NOT_SENT, reason=reason))
    send_all(desk, ill, breaker(redis, slug), concurrency=4)
    assert ill.calls <= 4 + LONG.failures
    assert desk.statuses(matter_id) == {"planned": 30}


@pytest.mark.parametrize(
    ("outcome", "reason"),
    [(Outcome.REFUSED, Reason.NUMBER_DEAD), (Outcome.NOT_SENT, Reason.UNSPECIFIED), (Outcome.HANDED_OVER, None)],
)
def test_any_answer_about_a_message_keeps_it_closed(
    desk: Desk, redis: Redis, slug: str, outcome: Outcome, reason: Reason | None
) -> None:
    desk.approved(*(person(phone=phone(n)) for n in range(20)))
    send_all(desk, Ill(answer=SendResult(uuid4(), outcome, reason=reason)), breaker(redis, slug), lanes=1)
    assert breaker_states(redis, [slug])[slug] == Standing(is_open=False)


def test_a_carrier_that_is_too_busy_is_slowed_down_and_not_left(desk: Desk, redis: Redis, slug: str) -> None:
    desk.approved(*(person(phone=phone(n)) for n in range(20)))
    busy = Ill(answer=SendResult(uuid4(), Outcome.NOT_SENT, reason=Reason.RATE_LIMITED, retry_after=30.0))

    async def work() -> tuple[int, float]:
        sender = desk.sender(SMS, concurrency=4)
        pace = Pace(redis, carrier=slug, sender="us", rate=sender.wire.rate)
        paced = replace(sender, carrier=busy, breaker=breaker(redis, slug), pace=pace)
        claimed = [await dispatch(desk.office.agency_id, sender=paced, now=now()) for _ in range(3)]
        await sender.carrier.close()
        return sum(claimed), pace.wait_seconds

    claimed, wait = asyncio.run(work())
    assert claimed == 2  # one handful of half the places
    assert 25 < wait <= 30
    assert breaker_states(redis, [slug])[slug] == Standing(is_open=False)


def test_a_probe_is_a_few_messages_and_when_it_works_everything_goes_on(desk: Desk, redis: Redis, slug: str) -> None:
    matter_id = desk.approved(*(person(phone=phone(n)) for n in range(30)))
    ill, shared = Ill(), Breaker(redis, carrier=slug, rules=replace(RULES, rest=0.01))
    send_all(desk, ill, shared, concurrency=2, handfuls=3)
    unknown = desk.statuses(matter_id)["unknown"]
    while shared.rest_seconds:
        asyncio.run(asyncio.sleep(shared.rest_seconds))
    calls = ill.calls
    send_all(desk, ill, shared, lanes=3, handfuls=1, concurrency=20)
    assert ill.calls - calls <= PROBE
    assert desk.statuses(matter_id)["unknown"] <= unknown + PROBE
    while shared.rest_seconds:
        asyncio.run(asyncio.sleep(shared.rest_seconds))
    well = Ill(answer=SendResult(uuid4(), Outcome.HANDED_OVER))
    send_all(desk, well, shared, handfuls=10)
    assert desk.statuses(matter_id)["planned"] == 0
    assert desk.statuses(matter_id)["handed_over"] == well.calls


def test_an_email_call_that_is_lost_is_one_failure_however_many_it_carried(desk: Desk, redis: Redis, slug: str) -> None:
    desk.approved(*(person(email=mailbox()) for _ in range(20)))
    ill = Ill(slug="sendgrid_email", channel=EMAIL)

    async def work() -> None:
        sender = desk.sender(EMAIL)
        await dispatch(
            desk.office.agency_id, sender=replace(sender, carrier=ill, breaker=breaker(redis, slug)), now=now()
        )
        await sender.carrier.close()

    asyncio.run(work())
    assert breaker_states(redis, [slug])[slug] == Standing(is_open=False, failures=1)


# The alarm.


def alarms(desk: Desk) -> list[tuple[str, str]]:
    with desk.tx() as tx:
        leaves = map(json.loads, read_chain(tx, desk.office.agency_id))
    return [(leaf["type"], leaf["data"]["carrier"]) for leaf in leaves if leaf["type"].startswith("alarm.")]


def test_an_alarm_is_raised_once_an_outage_where_something_waits_and_cleared_when_it_is_over(desk: Desk) -> None:
    clocks = [CarrierAlarms(), CarrierAlarms()]
    is_open, closed, silent = Standing(is_open=True), Standing(is_open=False), Standing(is_open=None)

    def tick(twilio: Standing, waiting: Sequence[Channel], who: Sequence[CarrierAlarms] = clocks) -> None:
        for one in who:
            one.follow(
                desk.service.db,
                desk.office.agency_id,
                {"twilio_sms": twilio, "sendgrid_email": closed},
                waiting=waiting,
                now=now(),
            )

    raised, cleared = ("alarm.raised", "twilio_sms"), ("alarm.cleared", "twilio_sms")
    tick(closed, [SMS])
    tick(is_open, [EMAIL])
    assert alarms(desk) == []
    for _ in range(3):
        tick(is_open, [SMS, EMAIL])
    tick(silent, [SMS])
    tick(is_open, [], [CarrierAlarms()])  # a clock that was started anew
    assert alarms(desk) == [raised]
    tick(closed, [])
    tick(closed, [SMS], [CarrierAlarms()])
    assert alarms(desk) == [raised, cleared]
    tick(is_open, [SMS])
    assert alarms(desk) == [raised, cleared, raised]
