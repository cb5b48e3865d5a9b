"""How often one key may call: a fixed window in Redis, or in this process while Redis is away.

The headers are those of draft-ietf-httpapi-ratelimit-headers-11.
"""

import threading
import time
from collections.abc import Callable
from typing import Final, NamedTuple, cast
from uuid import UUID

from redis import Redis
from redis.exceptions import RedisError

REQUESTS: Final = 600
WINDOW_SECONDS: Final = 60
POLICY: Final = f'"key";q={REQUESTS};w={WINDOW_SECONDS}'
# How long Redis is left alone after it failed, so that not every request waits for it.
REST_SECONDS: Final = 5.0


class Allowance(NamedTuple):
    """What is left of a window: requests, and seconds until the next one. `exceeded`: this request is one too many."""

    remaining: int
    reset: int
    exceeded: bool

    @property
    def header(self) -> str:
        """The value of `RateLimit`."""
        return f'"key";r={self.remaining};t={self.reset}'


class RateLimiter:
    """Counts the requests of each key. Without Redis each process counts for itself, so more is let through."""

    def __init__(self, redis: Redis, *, requests: int = REQUESTS, clock: Callable[[], float] = time.time) -> None:
        """`redis` may be down at any time; `clock` gives seconds."""
        self._redis = redis
        self._requests = requests
        self._clock = clock
        self._redis_from = 0.0
        self._window = 0
        self._counts: dict[UUID, int] = {}
        self._lock = threading.Lock()

    def take(self, key_id: UUID) -> Allowance:
        """Count one request of a key."""
        now = self._clock()
        window = int(now // WINDOW_SECONDS)
        used = self._in_redis(key_id, window, now)
        if used is None:
            used = self._here(key_id, window)
        reset = max(1, round((window + 1) * WINDOW_SECONDS - now))
        return Allowance(max(0, self._requests - used), reset, exceeded=used > self._requests)

    def _in_redis(self, key_id: UUID, window: int, now: float) -> int | None:
        if now < self._redis_from:
            return None
        name = f"notifier:rate:{key_id}:{window}"
        try:
            with self._redis.pipeline(transaction=False) as pipe:
                pipe.incr(name)
                pipe.expire(name, 2 * WINDOW_SECONDS)
                return cast("int", pipe.execute()[0])
        except RedisError:
            self._redis_from = now + REST_SECONDS
            return None

    def _here(self, key_id: UUID, window: int) -> int:
        with self._lock:
            if window != self._window:
                self._window, self._counts = window, {}
            self._counts[key_id] = self._counts.get(key_id, 0) + 1
            return self._counts[key_id]
