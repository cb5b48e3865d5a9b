"""Which agencies the clock looks at in a tick: every one where few are, else those whose turn it is.

A look costs a few probes of the database. Whoever has new work rings the bell at once and does not wait for the clock,
so an agency in which nothing is open is looked at every now and then only.
"""

import random
from collections import Counter
from collections.abc import Collection
from typing import Final
from uuid import UUID

FEW: Final = 20  # so many agencies are all looked at in every tick
LOOKS: Final = 100  # of more, at most so many
IDLE_LOOKS: Final = 20.0  # looks a second, at agencies with nothing open, all together
LONGEST_REST: Final = 60.0  # seconds between two looks at one of them
PHASES: Final = 60
NEVER: Final = float("-inf")


class Rota:
    """What one clock remembers of the agencies. `now` is seconds on a clock that never goes back."""

    def __init__(self) -> None:
        """Every agency's turn is at once."""
        self._next: dict[UUID, float] = {}
        self._looks: Counter[UUID] = Counter()

    def whose_turn(self, agencies: Collection[UUID], now: float) -> list[UUID]:
        """The agencies to look at now, those that have waited longest in front."""
        due = [agency_id for agency_id in agencies if self._next.get(agency_id, NEVER) <= now]
        if len(agencies) <= FEW:
            return due
        return sorted(due, key=lambda agency_id: self._next.get(agency_id, NEVER))[:LOOKS]

    def count(self, agency_id: UUID) -> int:
        """How often it was looked at; each agency begins elsewhere, so that not all have chores at once."""
        if agency_id not in self._looks:
            self._looks[agency_id] = random.randrange(PHASES)  # noqa: S311 # spread
        self._looks[agency_id] += 1
        return self._looks[agency_id]

    def looked_at(self, agency_id: UUID, now: float, *, is_busy: bool, among: int) -> None:
        """A busy one has its next turn as soon as the others had theirs, an idle one after a rest."""
        rest = 0.0 if is_busy or among <= FEW else min(LONGEST_REST, among / IDLE_LOOKS)
        self._next[agency_id] = now + rest * random.uniform(0.5, 1)  # noqa: S311 # not all at once
