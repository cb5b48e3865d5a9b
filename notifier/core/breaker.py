"""When a carrier that does not answer is left alone, and when it is tried again: one pure step at a time.

Closed, everything is sent. After so many calls in a row without an answer that shows the carrier at work it opens:
nothing is sent until `until`. Then one asker at a time gets a probe, a few messages; one answer closes it, none makes
the next rest twice as long. Times are seconds on any one clock.
"""

from dataclasses import dataclass, replace
from enum import StrEnum, auto
from typing import Final

_LONGEST_DOUBLING: Final = 40  # a float's power overflows long before anybody waits for it


class Permit(StrEnum):
    """What may be sent now."""

    ALL = auto()
    PROBE = auto()  # a few messages, to see whether the carrier is back
    NONE = auto()


@dataclass(frozen=True, slots=True)
class Rules:
    """`failures` calls in a row open it; it rests for `rest` seconds, twice as long each time, at most `cap`.

    `probe` is how many seconds the answers of a probe may take: for so long nobody else gets one.
    """

    failures: int
    rest: float
    cap: float
    probe: float


@dataclass(frozen=True, slots=True)
class State:
    """Where a breaker stands. `rests` in a row, 0 while it is closed; `since` it opened, and rests `until`."""

    failures: int = 0
    rests: int = 0
    until: float = 0.0
    since: float = 0.0

    @property
    def is_open(self) -> bool:
        """Whether nothing is sent but probes."""
        return self.rests > 0


CLOSED: Final = State()


def ask(state: State, rules: Rules, *, now: float) -> tuple[State, Permit]:
    """What may be sent; whoever gets a probe keeps everybody else from one until its answers are in."""
    if not state.is_open:
        return state, Permit.ALL
    if now < state.until <= now + max(rules.cap, rules.probe):  # further ahead, the clock was set back
        return state, Permit.NONE
    return replace(state, until=now + rules.probe), Permit.PROBE


def tell(state: State, rules: Rules, permit: Permit, *, worked: bool, failed: int, draw: float, now: float) -> State:
    """What calls came to: `worked` when any answer shows the carrier at work, `failed` calls that got none.

    `draw` from 0 to 1 is the jitter: a rest is from half of its length to all of it. Failures that were under way when
    it opened change nothing: only a probe makes a rest longer.
    """
    if worked:
        return CLOSED
    if failed == 0:  # a probe with nothing to send is given back
        return replace(state, until=min(state.until, now)) if state.is_open and permit is Permit.PROBE else state
    if not state.is_open and state.failures + failed < rules.failures:
        return replace(state, failures=state.failures + failed)
    if state.is_open and permit is not Permit.PROBE:
        return state
    rest = min(rules.cap, rules.rest * 2.0 ** min(state.rests, _LONGEST_DOUBLING)) * (1 + draw) / 2
    since = state.since if state.is_open else now
    return State(state.failures + failed, state.rests + 1, now + rest, since)
