"""How many messages may be claimed, and how many calls in flight, for everybody who sends on one wire."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from notifier.carriers.timetable import Wire

HANDFUL: Final = 200  # attempts claimed at once at most
SHARE: Final = 2  # a handful is at most this part of all places, so that one is written while another is under way


class Places:
    """Nobody claims much more than can leave at once: a killed worker leaves few doubts, and a stop holds soon.

    For one event loop.
    """

    def __init__(self, wire: Wire) -> None:
        """As many places as messages fit into the carrier's calls, and those that are made ready ahead."""
        self._calls = asyncio.Semaphore(wire.concurrency)
        self._free = wire.concurrency * wire.batch + wire.ahead
        self._handful = min(HANDFUL, max(1, self._free // SHARE))
        self._changed = asyncio.Condition()

    @asynccontextmanager
    async def handful(self) -> AsyncIterator["Held"]:
        """Wait for half a handful of free places and hold up to a whole one; what is still held at the end is freed."""
        async with self._changed:
            await self._changed.wait_for(lambda: 2 * self._free >= self._handful)
            held = Held(self, min(self._free, self._handful))
            self._free -= held.count
        try:
            yield held
        finally:
            await held.free(held.count)

    async def begin_call(self) -> bool:
        """Wait until a call may begin; whether that took a while. Whoever waits has begun nothing."""
        has_waited = self._calls.locked()
        await self._calls.acquire()
        return has_waited

    def end_call(self) -> None:
        """The next may begin."""
        self._calls.release()

    async def add(self, count: int) -> None:
        """These are free again."""
        async with self._changed:
            self._free += count
            self._changed.notify_all()


class Held:
    """Places that one handful holds."""

    def __init__(self, places: Places, count: int) -> None:
        """`count` is how many are held now."""
        self._places = places
        self.count = count

    async def free(self, count: int) -> None:
        """Give some back."""
        self.count -= count
        await self._places.add(count)
