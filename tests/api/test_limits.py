"""A key may call so often; the count is in Redis, or here while Redis is away."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import cast
from uuid import uuid4

from redis import Redis
from redis.exceptions import ConnectionError as RedisConnectionError

from notifier.api.limits import REST_SECONDS, WINDOW_SECONDS, RateLimiter
from notifier.service import Service
from notifier.web import create_app
from tests.api.calling import Caller


@dataclass
class Clock:
    now: float = 1_000_000_020.0

    def __call__(self) -> float:
        return self.now


def count(limiter: RateLimiter, times: int) -> list[tuple[int, bool]]:
    key = uuid4()
    return [(found.remaining, found.exceeded) for found in (limiter.take(key) for _ in range(times))]


def test_a_window_is_used_up_and_begins_again(service: Service) -> None:
    clock, key = Clock(), uuid4()
    limiter = RateLimiter(service.redis, requests=2, clock=clock)
    assert [limiter.take(key).exceeded for _ in range(3)] == [False, False, True]
    assert limiter.take(uuid4()).exceeded is False
    clock.now += WINDOW_SECONDS
    assert limiter.take(key).exceeded is False


def test_two_processes_share_a_window(service: Service) -> None:
    clock, key = Clock(), uuid4()
    one, other = (RateLimiter(service.redis, requests=3, clock=clock) for _ in range(2))
    assert [limiter.take(key).remaining for limiter in (one, other, one)] == [2, 1, 0]


def test_without_redis_each_process_counts_for_itself() -> None:
    clock = Clock()
    limiter = RateLimiter(Redis.from_url("redis://127.0.0.1:9"), requests=2, clock=clock)
    assert count(limiter, 3) == [(1, False), (0, False), (0, True)]
    clock.now += WINDOW_SECONDS
    assert count(limiter, 1) == [(1, False)]


class Away:
    """A Redis that is away, and counts who asks for it."""

    def __init__(self) -> None:
        self.asked = 0

    def pipeline(self, *, transaction: bool) -> None:
        assert not transaction
        self.asked += 1
        raise RedisConnectionError


def test_redis_is_left_alone_for_a_while_after_it_failed() -> None:
    clock, away = Clock(), Away()
    limiter = RateLimiter(cast("Redis", away), clock=clock)
    count(limiter, 3)
    assert away.asked == 1
    clock.now += REST_SECONDS
    count(limiter, 3)
    assert away.asked == 2


def test_what_is_counted_is_forgotten(service: Service) -> None:
    key = uuid4()
    RateLimiter(service.redis, clock=Clock()).take(key)
    (name,) = service.redis.keys(f"notifier:rate:{key}:*")
    assert 0 < int(str(service.redis.ttl(name))) <= 2 * WINDOW_SECONDS


def test_a_key_that_calls_too_often_is_told_when_to_come_back(service: Service, machine: Caller) -> None:
    first = machine.get("/v1/matters")
    assert first.headers["RateLimit-Policy"] == '"key";q=600;w=60'
    assert first.headers["RateLimit"].startswith('"key";r=599;t=')
    exhaust(service, machine.get)
    refused = machine.get("/v1/matters")
    assert (refused.status_code, refused.get_json()["code"]) == (429, "rate-limited")
    assert 0 < int(refused.headers["Retry-After"]) <= WINDOW_SECONDS
    assert refused.headers["RateLimit"].startswith('"key";r=0;')


def exhaust(service: Service, get: Callable[..., object]) -> None:
    """Set the counts in Redis to the limit, in this window and the next, should a minute begin just now."""
    get("/v1/matters")
    for name in service.redis.keys("notifier:rate:*"):
        head, _, window = name.decode().rpartition(":") if isinstance(name, bytes) else name.rpartition(":")
        service.redis.set(f"{head}:{window}", 600)
        service.redis.set(f"{head}:{int(window) + 1}", 600, ex=120)


def test_answers_without_a_key_carry_no_counts(service: Service) -> None:
    assert "RateLimit" not in create_app(service).test_client().get("/healthz").headers
