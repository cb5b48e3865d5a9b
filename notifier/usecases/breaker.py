"""The breaker of each carrier, shared by all workers through Redis, and each process's own while Redis is away.

The state is one small value, read together with Redis's clock and swapped only if nobody else was faster, so that the
rules are those of core/breaker.py and nowhere else. While a carrier works nothing is written and little is read.
"""

import json
import random
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from typing import Final, cast

import structlog
from redis import Redis
from redis.exceptions import RedisError

from notifier.carriers.timetable import Wire
from notifier.core.breaker import CLOSED, Permit, Rules, State, ask, tell

PROBE: Final = 3  # messages sent to see whether a carrier is back
LOOK_EVERY: Final = 0.5  # seconds for which what was read is believed
AGAIN_SECONDS: Final = 5.0  # until a Redis that did not answer is asked again
KEEP_SECONDS: Final = 86_400
SWAPS: Final = 10  # somebody else was faster so often: give up, the next answer tells again
_SWAP: Final = """
if (redis.call('get', KEYS[1]) or '') ~= ARGV[1] then return 0 end
redis.call('set', KEYS[1], ARGV[2], 'ex', ARGV[3])
return 1
"""

Step = Callable[[State, float], tuple[State, Permit]]

log = structlog.get_logger()


def rules_of(wire: Wire) -> Rules:
    """A carrier's rules; the answers of a probe are waited for until its lease ends."""
    breaker = wire.breaker
    return Rules(breaker.failures, breaker.rest_seconds, breaker.cap_seconds, wire.lease_seconds)


class Breaker:
    """One carrier's breaker in this process. Any thread may use it; it never raises."""

    def __init__(
        self,
        redis: Redis | None,
        *,
        carrier: str,
        rules: Rules,
        draw: Callable[[], float] = random.random,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Without a Redis it is this process's own. `clock` counts while Redis is away, and between two looks."""
        self._redis, self._carrier, self._rules = redis, carrier, rules
        self._draw, self._clock = draw, clock
        self._lock = threading.Lock()
        self._state = CLOSED
        self._ahead = 0.0  # Redis's clock minus ours
        self._looked = self._away_until = float("-inf")

    def ask(self) -> Permit:
        """What may be sent now."""
        with self._lock:
            if not self._state.is_open and self._clock() - self._looked < LOOK_EVERY:
                return Permit.ALL
            return self._step(lambda state, now: ask(state, self._rules, now=now))

    def tell(self, permit: Permit, *, worked: bool, failed: int) -> None:
        """What calls came to. None of either after a probe: there was nothing to send, and it is given back."""
        with self._lock:
            if not failed and self.is_untroubled:
                return
            if not worked and not failed and permit is not Permit.PROBE:
                return
            draw = self._draw()

            def step(state: State, now: float) -> tuple[State, Permit]:
                return tell(state, self._rules, permit, worked=worked, failed=failed, draw=draw, now=now), permit

            self._step(step)

    @property
    def is_untroubled(self) -> bool:
        """Whether a sign that the carrier works would be no news, as far as this process knows."""
        return self._state == CLOSED

    @property
    def rest_seconds(self) -> float:
        """How long nothing is sent, as far as this process knows; 0 while it is closed."""
        state = self._state
        return max(0.0, state.until - self._clock() - self._ahead) if state.is_open else 0.0

    @property
    def is_resting(self) -> bool:
        """Whether nothing is sent, as was read a moment ago; later on somebody's probe may have closed it."""
        return self.rest_seconds > 0 and self._clock() - self._looked < LOOK_EVERY

    def _step(self, step: Step) -> Permit:
        if self._redis is not None and self._clock() >= self._away_until:
            try:
                return self._shared(self._redis, step)
            except (RedisError, ValueError, TypeError) as error:
                log.warning("breaker.alone", carrier=self._carrier, error=type(error).__name__)
                self._away_until = self._clock() + AGAIN_SECONDS
        self._looked = self._clock()
        after, permit = step(self._state, self._clock() + self._ahead)
        self._move(self._state, after)
        return permit

    def _shared(self, redis: Redis, step: Step) -> Permit:
        for _ in range(SWAPS):
            kept, now = _read(redis, self._carrier)
            ahead, self._looked = now - self._clock(), self._clock()
            # Redis knows nothing, because it is new or was emptied: what this process knows is true for all.
            before = _later(self._state, ahead - self._ahead) if kept is None else _parse(kept)
            self._ahead = ahead
            after, permit = step(before, now)
            if after == before and kept is not None:
                self._state = after
                return permit
            if redis.eval(_SWAP, 1, _key(self._carrier), kept or "", _words(after), KEEP_SECONDS):
                self._move(before, after)
                return permit
        return Permit.NONE

    def _move(self, before: State, after: State) -> None:
        self._state = after
        if after.is_open and after.rests != before.rests:
            rest = round(after.until - self._clock() - self._ahead, 1)
            log.warning("breaker.opened", carrier=self._carrier, failures=after.failures, rest_seconds=rest)
        elif before.is_open and not after.is_open:
            log.warning("breaker.closed", carrier=self._carrier)


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a carrier's breaker stands, for people to read. `is_open` is None when Redis cannot tell."""

    is_open: bool | None
    failures: int = 0
    since: datetime | None = None
    until: datetime | None = None


def breaker_states(redis: Redis, carriers: Iterable[str]) -> Mapping[str, Standing]:
    """Where each carrier's breaker stands. Redis away, or emptied and nobody has asked since: nobody can tell."""
    slugs = list(carriers)
    try:
        kept = cast("list[bytes | None]", redis.mget([_key(slug) for slug in slugs])) if slugs else []
        return {slug: _standing(value) for slug, value in zip(slugs, kept, strict=True)}
    except (RedisError, ValueError, TypeError):
        return {slug: Standing(None) for slug in slugs}


def _standing(kept: bytes | None) -> Standing:
    if kept is None:
        return Standing(None)
    state = _parse(kept)
    if not state.is_open:
        return Standing(False, state.failures)  # noqa: FBT003 # it says what it is
    return Standing(True, state.failures, _moment(state.since), _moment(state.until))  # noqa: FBT003 # as above


def _moment(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


def _read(redis: Redis, carrier: str) -> tuple[bytes | None, float]:
    pipeline = redis.pipeline(transaction=False)
    pipeline.time()
    pipeline.get(_key(carrier))
    (seconds, micros), kept = pipeline.execute()
    return kept, seconds + micros / 1e6


def _later(state: State, by: float) -> State:
    """The same state by a clock that shows so much more."""
    return replace(state, until=state.until + by, since=state.since + by) if state.is_open else state


def _parse(kept: bytes) -> State:
    return State(**json.loads(kept))


def _words(state: State) -> str:
    return json.dumps(asdict(state))


def _key(carrier: str) -> str:
    return f"notifier:breaker:{carrier}"
