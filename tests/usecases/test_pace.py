"""How fast one sender sends: together with all other workers, and alone while Redis is away."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from redis import Redis

from notifier.bootstrap import open_redis
from notifier.carriers.timetable import Rate
from notifier.servers import redis as redis_server
from notifier.usecases.pace import LONGEST_PAUSE, Bucket, Pace, draw

SLOW = Rate(per_second=0.001, burst=10, alone_per_second=0.0005)  # what is drawn does not come back within a test
QUICK = Rate(per_second=50, burst=10, alone_per_second=20)
NOBODY = "redis://127.0.0.1:1/0"


@pytest.fixture
def sender() -> str:
    return f"+1303555{uuid4().int % 10_000:04}{uuid4().hex}"


def pace(redis: Redis | None, sender: str, rate: Rate = SLOW, **more: Callable[[], float]) -> Pace:
    return Pace(redis, carrier="twilio_sms", sender=sender, rate=rate, **more)


def test_all_workers_together_send_no_more_than_the_bucket_holds(redis: Redis, sender: str) -> None:
    workers = [pace(redis, sender) for _ in range(3)]
    assert [worker.take(4) for worker in workers] == [4, 4, 2]
    assert [worker.take(4) for worker in workers] == [0, 0, 0]


def test_another_sender_has_a_bucket_of_its_own(redis: Redis, sender: str) -> None:
    assert pace(redis, sender).take(10) == 10
    assert pace(redis, f"{sender} too").take(10) == 10


def test_a_bucket_fills_again_with_time(redis: Redis, sender: str) -> None:
    one = pace(redis, sender, QUICK)
    assert one.take(10) == 10
    assert one.take(10) == 0
    assert 0 < one.wait_seconds <= 0.02
    time.sleep(0.1)
    assert 4 <= one.take(10) <= 10


def test_what_was_not_used_is_for_the_next_handful_and_then_for_all(redis: Redis, sender: str) -> None:
    one, other = pace(redis, sender), pace(redis, sender)
    assert one.take(10) == 10
    one.give_back(6)
    assert other.take(1) == 0
    assert one.take(2) == 2
    one.settle()
    other = pace(redis, sender)
    assert other.take(10) == 4


def test_a_carrier_that_says_too_fast_is_left_alone_by_all(redis: Redis, sender: str) -> None:
    one, other = pace(redis, sender, QUICK), pace(redis, sender, QUICK)
    assert other.take(1) == 1
    one.pause(0.6)
    assert one.take(5) == 0
    assert other.take(5) == 0
    assert 0.4 < other.wait_seconds <= 0.63
    time.sleep(0.75)
    assert 0 < other.take(10) < 10  # the bucket was emptied: no burst when the pause ends


@pytest.mark.parametrize(("said", "paused"), [(86_400.0, LONGEST_PAUSE), (None, 0.5)])
def test_a_pause_is_never_longer_than_a_minute_and_never_nothing(
    redis: Redis, sender: str, said: float | None, paused: float
) -> None:
    one, other = pace(redis, sender, QUICK), pace(redis, sender, QUICK)
    one.pause(said)
    assert other.take(1) == 0
    assert paused - 0.1 < other.wait_seconds <= paused + 0.03


def test_redis_is_told_a_digest_and_never_the_number(redis: Redis, sender: str) -> None:
    pace(redis, sender).take(1)
    keys = [key for key in redis.scan_iter("notifier:pace:*") if redis.hget(key, "tokens") == b"9"]
    assert keys
    assert not [key for key in keys if b"303555" in key]


def test_without_redis_each_process_sends_alone_and_slower(sender: str) -> None:
    now = [1000.0]
    with open_redis(NOBODY) as nobody:
        one = pace(nobody, sender, Rate(per_second=100, burst=100, alone_per_second=5), clock=lambda: now[0])
        assert one.take(50) == 5  # a second's worth: several processes begin at once
        now[0] += 0.5
        assert one.take(50) == 2
        one.pause(3)
        now[0] += 2.9
        assert one.take(50) == 0
        now[0] += 0.4
        assert one.take(50) == 1


@contextmanager
def running(folder: Path) -> Iterator[str]:
    with redis_server.running(folder) as server:
        yield server.url


def test_when_redis_is_back_all_draw_from_one_bucket_again(server_folder: Path, sender: str) -> None:
    now = [0.0]
    folder = server_folder / f"pace-{uuid4().hex[:8]}"
    with running(folder) as url:
        one = pace(open_redis(url), sender, clock=lambda: now[0])
        assert one.take(10) == 10
    now[0] += 2000
    assert one.take(10) == 1  # its own bucket, which holds one
    with running(folder) as again:
        assert again == url
        now[0] += 1
        assert one.take(10) == 0  # Redis is not asked yet
        now[0] += 2000
        assert one.take(10) == 10  # a new Redis: a full bucket


def test_an_emptied_redis_gives_a_full_bucket_and_nothing_breaks(redis: Redis, sender: str) -> None:
    one = pace(redis, sender)
    assert one.take(10) == 10
    for key in redis.scan_iter("notifier:pace:*"):
        redis.delete(key)
    other = pace(redis, sender)
    assert other.take(4) == 4


# The rule itself.

STEPS = st.lists(
    st.tuples(st.floats(0, 5), st.integers(0, 30), st.integers(0, 5), st.one_of(st.just(0.0), st.floats(0.01, 3))),
    max_size=40,
)


@given(STEPS)
def test_no_stretch_of_time_gives_more_than_the_burst_and_what_it_filled(
    steps: list[tuple[float, int, int, float]],
) -> None:
    bucket, now, total, returned = Bucket(10, 0), 0.0, 0, 0
    for passed, wanted, back, pause in steps:
        now += passed
        bucket, given_, wait = draw(bucket, per_second=2, burst=10, wanted=wanted, back=back, pause=pause, now=now)
        total, returned = total + given_, returned + back
        assert 0 <= given_ <= wanted
        assert 0 <= bucket.tokens <= 10
        assert (wait > 0) == (given_ < wanted)
        assert not (pause and given_)
        assert total <= 10 + 2 * now + returned + 1e-6
    later = now + 100
    assert draw(bucket, per_second=2, burst=10, wanted=10, now=later)[1] == 10


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(st.integers(0, 8), st.integers(0, 5)), max_size=15))
def test_redis_does_what_the_rule_says(redis: Redis, steps: list[tuple[int, int]]) -> None:
    one = pace(redis, uuid4().hex)
    bucket = Bucket(10, 0)
    for wanted, back in steps:
        bucket, given_, _ = draw(bucket, per_second=0.001, burst=10, wanted=wanted, back=back, now=0)
        assert one._draw(wanted, back=back)[0] == given_  # noqa: SLF001 # below what a handful may keep
