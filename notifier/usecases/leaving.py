"""Whether this process is asked to end: nothing new is begun, what is under way ends, and then it is gone."""

import time
from collections.abc import Callable
from typing import Final

from notifier.carriers.timetable import END_SECONDS, LAST_WORD_SECONDS

LAST_CALL: Final = END_SECONDS - LAST_WORD_SECONDS


class Leaving:
    """One for a process; a signal handler may ask."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """`clock` counts seconds."""
        self._clock = clock
        self._since: float | None = None

    def ask(self) -> None:
        """From now on nothing new is begun; asking again changes nothing."""
        if self._since is None:
            self._since = self._clock()

    @property
    def is_asked(self) -> bool:
        """Whether nothing new is begun."""
        return self._since is not None

    @property
    def is_late(self) -> bool:
        """Whether what is still under way is given up now, while there is time to write that down."""
        return self._since is not None and self._clock() - self._since >= LAST_CALL

    @property
    def is_over(self) -> bool:
        """Whether there is no time left for anything."""
        return self._since is not None and self._clock() - self._since >= END_SECONDS
