"""Requests that wait for the same commit: whoever comes first does the work of all who came meanwhile.

There is no thread and no timer of its own. A request that comes while nobody is at work is done at once; those that
come while somebody is wait for the next turn, which one of them takes.
"""

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Final, Generic, TypeVar, cast

T = TypeVar("T")
R = TypeVar("R")

PACE: Final = 0.025  # seconds between the beginnings of two turns: when much comes, it comes in larger groups
MUCH: Final = 10  # in one turn: the next one begins after twice the pace
MOST: Final = 200  # in one turn


class CutOff(Exception):
    """The thread that worked for this one was ended."""


class _Place(Generic[T, R]):
    """One who waits. Woken without a result, it is to take the next turn."""

    __slots__ = ("_bell", "item", "result")

    def __init__(self, item: T) -> None:
        self.item = item
        self.result: R | Exception | None = None
        self._bell = threading.Lock()
        self._bell.acquire()

    def wait(self) -> None:
        self._bell.acquire()

    def wake(self) -> None:
        self._bell.release()


class Together(Generic[T, R]):
    """Does work for several threads in one go.

    `work` takes items and returns one result, or exception, for each; `afterwards` is what nobody waits for.
    """

    def __init__(
        self,
        work: Callable[[Sequence[T]], Sequence[R | Exception]],
        *,
        afterwards: Callable[[], None] = lambda: None,
        pace: float = PACE,
        most: int = MOST,
    ) -> None:
        """One per process; its threads share it."""
        self._work = work
        self._afterwards = afterwards
        self._pace = pace
        self._most = most
        self._lock = threading.Lock()
        self._waiting: deque[_Place[T, R]] = deque()
        self._is_busy = False
        self._next = float("-inf")

    def do(self, item: T) -> R:
        """Wait until `item` was worked on, and return or raise what came of it."""
        place: _Place[T, R] = _Place(item)
        with self._lock:
            self._waiting.append(place)
            is_next = not self._is_busy
            self._is_busy = True
        if not is_next:
            place.wait()
        if place.result is None:
            self._take_a_turn()
            self._afterwards()
        if isinstance(place.result, Exception):
            raise place.result
        return cast("R", place.result)

    def _take_a_turn(self) -> None:
        """Work for everybody who waits, which includes whoever calls this."""
        time.sleep(max(0.0, self._next - time.monotonic()))
        with self._lock:
            turn = [self._waiting.popleft() for _ in range(min(self._most, len(self._waiting)))]
        self._next = time.monotonic() + self._pace * (2 if len(turn) >= MUCH else 1)
        results: Sequence[R | Exception] = [CutOff() for _ in turn]
        try:
            results = self._work([place.item for place in turn])
        except Exception as error:  # noqa: BLE001 # each of them raises it
            results = [error] * len(turn)
        finally:  # even when this thread is ended nobody is left waiting
            for place, result in zip(turn, results, strict=True):
                place.result = result
            with self._lock:
                following = self._waiting[0] if self._waiting else None
                self._is_busy = following is not None
            for place in (*turn[1:], *((following,) if following else ())):
                place.wake()
