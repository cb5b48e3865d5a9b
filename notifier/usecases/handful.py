"""What a worker has claimed and not handed over yet, and how old its claim is."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from notifier.core.breaker import Permit
from notifier.usecases.compose import Unwritten
from notifier.usecases.writing import Outgoing

# Linux's monotonic clock stands while the machine is asleep, and a lease does not.
_CLOCK: Final = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


def uptime() -> float:
    """Seconds since this machine was started, those included in which it was asleep."""
    return time.clock_gettime(_CLOCK)


@dataclass(frozen=True, slots=True)
class Handful:
    """What was claimed together. Its clock is the database's, read once and carried on by this machine's."""

    claimed: int
    outgoing: Sequence[Outgoing]
    unwritten: Sequence[Unwritten]
    claimed_at: datetime
    began: float  # `uptime` before the claim
    permit: Permit = Permit.ALL

    @property
    def age(self) -> timedelta:
        """How long the lease has run at most."""
        return timedelta(seconds=uptime() - self.began)

    @property
    def now(self) -> datetime:
        """The time on the database's clock, by which attempts are due."""
        return self.claimed_at + self.age
