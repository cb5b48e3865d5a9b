"""Whose turn it is: who was served least goes first, so that a short matter never waits for a long one to end.

Nobody knows beforehand how much a matter or an agency has to send. Whoever has had little gets more at once: what is
short is soon done, what is long shares alike. What was served a while ago counts less and less.
"""

import random
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Final
from uuid import UUID

FADE_SECONDS: Final = 30.0  # after so long everything that was served counts half
FEW: Final = 20  # so many agencies are all looked at each time
LOOK_SECONDS: Final = 0.01  # times their number, if there are more: so long one with nothing to do is left alone
LONGEST_REST: Final = 10.0  # seconds until such an agency is looked at again


class Turns:
    """What one process remembers of agencies and their matters, for one kind of work. Any thread may use it."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """`clock` counts seconds."""
        self._clock = clock
        self._lock = threading.Lock()
        self._served: Counter[UUID] = Counter()
        self._matters: defaultdict[UUID, Counter[UUID]] = defaultdict(Counter)
        self._rests_until: dict[UUID, float] = {}
        self._faded = clock()

    def served_in(self, agency_id: UUID) -> Mapping[UUID, int]:
        """How much each matter of an agency has had lately; one that is not in it has had nothing."""
        with self._lock:
            return dict(self._matters[agency_id])

    def serve(self, agency_id: UUID, matters: Iterable[UUID]) -> None:
        """These matters were served, once for each time they are named."""
        with self._lock:
            self._fade()
            self._matters[agency_id].update(matters)

    def in_order(self, agencies: Collection[UUID]) -> list[UUID]:
        """The agencies that do not rest, those served least in front, and equals in any order."""
        with self._lock:
            self._fade()
            now = self._clock()
            awake = [agency_id for agency_id in agencies if self._rests_until.get(agency_id, now) <= now]
            return sorted(awake, key=lambda agency_id: (self._served[agency_id], random.random()))  # noqa: S311 # fairness

    def looked_at(self, agency_id: UUID, done: int, *, among: int) -> None:
        """It had so much to do. With nothing it is left alone for a while, the longer the more agencies there are."""
        rest = 0.0 if done or among <= FEW else min(LONGEST_REST, LOOK_SECONDS * among)
        with self._lock:
            self._served[agency_id] += done
            if rest:  # not all of them at once
                self._rests_until[agency_id] = self._clock() + rest * random.uniform(0.5, 1)  # noqa: S311 # as above

    def _fade(self) -> None:
        now = self._clock()
        if now - self._faded < FADE_SECONDS:
            return
        self._faded = now
        self._served = _half(self._served)
        faded = {agency_id: _half(matters) for agency_id, matters in self._matters.items()}
        self._matters = defaultdict(Counter, {agency_id: matters for agency_id, matters in faded.items() if matters})
        self._rests_until = {agency_id: until for agency_id, until in self._rests_until.items() if until > now}


def _half(counts: Counter[UUID]) -> Counter[UUID]:
    return Counter({one: count // 2 for one, count in counts.items() if count > 1})
