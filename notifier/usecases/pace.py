"""How fast one sender of one carrier sends: a bucket of tokens in Redis, one a message, that all workers draw from.

Redis's own clock fills it, so that no two machines need agree on the time. While Redis is away each process fills a
bucket of its own, more slowly. What is drawn and not used is used for the next handful, or given back.
"""

import hashlib
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, cast

import structlog
from redis import Redis
from redis.commands.core import Script
from redis.exceptions import RedisError

from notifier.carriers.timetable import Rate

LONGEST_PAUSE: Final = 60.0  # seconds: no answer of a carrier's may stop the line for longer
SHORTEST_PAUSE: Final = 0.5  # seconds, for a carrier that said "too fast" and not for how long
AGAIN_SECONDS: Final = 5.0  # until a Redis that did not answer is asked again
KEEP_SECONDS: Final = 3600
_DIGITS: Final = 16

# KEYS: the bucket. ARGV: per second, burst, wanted, given back, pause in seconds.
# A pause empties the bucket, and it fills again from the pause's end.
_DRAW: Final = """
local clock = redis.call('time')
local now = clock[1] + clock[2] / 1000000
local rate, burst, wanted = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local kept = redis.call('hmget', KEYS[1], 'tokens', 'at')
local tokens, at = tonumber(kept[1]) or burst, tonumber(kept[2]) or now
if at > now + tonumber(ARGV[6]) then at = now end
if now > at then
  tokens = tokens + (now - at) * rate
  at = now
end
tokens = math.min(burst, tokens + tonumber(ARGV[4]))
if tonumber(ARGV[5]) > 0 then
  tokens = 0
  at = math.max(at, now + tonumber(ARGV[5]))
end
local given = 0
if at <= now then given = math.min(wanted, math.floor(tokens)) end
tokens = tokens - given
redis.call('hset', KEYS[1], 'tokens', tostring(tokens), 'at', string.format('%.6f', at))
redis.call('expire', KEYS[1], ARGV[7])
local wait = 0
if given < wanted then wait = math.max(0, at - now) + math.max(0, 1 - tokens) / rate end
return {given, string.format('%.3f', wait)}
"""

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Bucket:
    """So many tokens at a moment on some clock; a moment that lies ahead is the end of a pause."""

    tokens: float
    at: float


def draw(
    bucket: Bucket, *, per_second: float, burst: int, wanted: int, back: int = 0, pause: float = 0.0, now: float
) -> tuple[Bucket, int, float]:
    """The bucket afterwards, how many tokens are given, and how long to wait for one more. As the script does it."""
    at = max(bucket.at, now)
    tokens = min(float(burst), bucket.tokens + max(0.0, now - bucket.at) * per_second + back)
    if pause > 0:
        tokens, at = 0.0, max(at, now + pause)
    given = min(wanted, int(tokens)) if at <= now else 0
    tokens -= given
    wait = 0.0 if given == wanted else at - now + max(0.0, 1 - tokens) / per_second
    return Bucket(tokens, at), given, wait


class Pace:
    """The tokens of one sender, in this process. Any thread may use it; it never raises."""

    def __init__(
        self,
        redis: Redis | None,
        *,
        carrier: str,
        sender: str,
        rate: Rate,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Without a Redis it is this process's own. `sender` is a number or mailbox of ours: only its digest leaves."""
        self._rate, self._carrier, self._clock = rate, carrier, clock
        self._key = f"notifier:pace:{carrier}:{hashlib.sha256(sender.encode()).hexdigest()[:_DIGITS]}"
        self._script: Script | None = None if redis is None else redis.register_script(_DRAW)
        self._lock = threading.Lock()
        self._spare = 0
        self._own: Bucket | None = None
        self._resumes = self._away_until = float("-inf")

    def take(self, wanted: int) -> int:
        """Up to so many tokens; 0 means that none may be sent now."""
        with self._lock:
            if self._clock() < self._resumes:
                return 0
            if self._spare < wanted:
                self._spare, wait = self._draw(wanted, back=self._spare)
                if self._spare == 0:
                    self._resumes = self._clock() + wait
            given = min(wanted, self._spare)
            self._spare -= given
            return given

    def give_back(self, unused: int) -> None:
        """These were not needed: the next handful may have them."""
        with self._lock:
            self._spare += unused

    def settle(self) -> None:
        """Give everything back that is left: nothing is to be sent for now."""
        with self._lock:
            if self._spare:
                self._draw(0, back=self._spare)
                self._spare = 0

    def pause(self, seconds: float | None) -> None:
        """The carrier says that it is too fast; `seconds` is for how long it wants to be left alone, if it said so."""
        pause = min(LONGEST_PAUSE, max(SHORTEST_PAUSE, seconds or 0.0))
        with self._lock:
            self._spare = 0
            self._resumes = max(self._resumes, self._clock() + pause)
            self._draw(0, pause=pause)

    @property
    def wait_seconds(self) -> float:
        """How long nothing is given, as far as this process knows."""
        return max(0.0, self._resumes - self._clock())

    def _draw(self, wanted: int, *, back: int = 0, pause: float = 0.0) -> tuple[int, float]:
        now = self._clock()
        if self._script is not None and now >= self._away_until:
            try:
                return self._shared(self._script, wanted, back, pause)
            except (RedisError, ValueError, TypeError) as error:
                log.warning("pace.alone", carrier=self._carrier, error=type(error).__name__)
                self._away_until = self._clock() + AGAIN_SECONDS
        burst = self._burst_alone
        own, given, wait = draw(
            self._own or Bucket(burst, now),
            per_second=self._rate.alone_per_second,
            burst=burst,
            wanted=wanted,
            back=back,
            pause=pause,
            now=now,
        )
        self._own = own
        return given, wait

    def _shared(self, script: Script, wanted: int, back: int, pause: float) -> tuple[int, float]:
        rate = self._rate
        values = [rate.per_second, rate.burst, wanted, back, pause, LONGEST_PAUSE, KEEP_SECONDS]
        given, wait = cast("tuple[int, bytes]", script(keys=[self._key], args=values))
        self._own = None
        return int(given), float(wait)

    @property
    def _burst_alone(self) -> int:
        """A second's worth at most: several processes begin at once when Redis goes."""
        return max(1, min(self._rate.burst, int(self._rate.alone_per_second)))
