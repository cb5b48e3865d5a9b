"""Callbacks that come at once share a commit; nobody waits for a timer, for another's mistake, or for ever."""

import threading
import time
from collections.abc import Callable, Sequence
from itertools import pairwise

import pytest

from notifier.callbacks.together import CutOff, Together

SECONDS = 10


class Worked:
    """Work that remembers its turns; the first one lasts until it is told to go on."""

    def __init__(self) -> None:
        self.turns: list[list[int]] = []
        self.has_begun = threading.Event()
        self.may_go_on = threading.Event()

    def __call__(self, items: Sequence[int]) -> list[int | Exception]:
        self.turns.append(list(items))
        if len(self.turns) == 1:
            self.has_begun.set()
            assert self.may_go_on.wait(SECONDS)
        return [ValueError(item) if item < 0 else item * 10 for item in items]


def ask(together: Together[int, int], item: int, results: dict[int, object]) -> threading.Thread:
    def run() -> None:
        try:
            results[item] = together.do(item)
        except BaseException as error:  # noqa: BLE001 - it is looked at by the test
            results[item] = error

    thread = threading.Thread(target=run)
    thread.start()
    return thread


def meanwhile(work: Worked, together: Together[int, int], *items: int) -> dict[int, object]:
    """Ask for 0, and for `items` while that is being worked on; what everybody was told."""
    results: dict[int, object] = {}
    threads = [ask(together, 0, results)]
    assert work.has_begun.wait(SECONDS)
    threads += [ask(together, item, results) for item in items]
    until(lambda: waiting(together) == len(items))
    work.may_go_on.set()
    for thread in threads:
        thread.join(SECONDS)
        assert not thread.is_alive()
    return results


def waiting(together: Together[int, int]) -> int:
    return len(together._waiting)  # noqa: SLF001 - there is no other way to know that they wait


def until(is_so: Callable[[], bool]) -> None:
    end = time.monotonic() + SECONDS
    while not is_so():
        assert time.monotonic() < end
        time.sleep(0.005)


def test_those_who_come_while_one_is_at_work_are_done_in_one_turn() -> None:
    work = Worked()
    results = meanwhile(work, Together(work), 1, 2, 3)
    assert results == {0: 0, 1: 10, 2: 20, 3: 30}
    assert [sorted(turn) for turn in work.turns] == [[0], [1, 2, 3]]


def test_a_turn_takes_no_more_than_its_most() -> None:
    work = Worked()
    results = meanwhile(work, Together(work, most=2), 1, 2, 3)
    assert results == {0: 0, 1: 10, 2: 20, 3: 30}
    assert sorted(map(len, work.turns)) == [1, 1, 2]


def test_each_is_told_its_own_result() -> None:
    work = Worked()
    results = meanwhile(work, Together(work), 1, -2, 3)
    assert (results[1], results[3]) == (10, 30)
    assert isinstance(results[-2], ValueError)


def test_what_fails_as_a_whole_is_told_to_all_and_ends_nothing() -> None:
    def work(items: Sequence[int]) -> list[int | Exception]:
        if 13 in items:
            raise ZeroDivisionError
        return list(items)

    together: Together[int, int] = Together(work)
    with pytest.raises(ZeroDivisionError):
        together.do(13)
    assert together.do(4) == 4


def test_when_the_thread_that_works_is_ended_the_others_are_told() -> None:
    work = Worked()

    def ended(items: Sequence[int]) -> list[int | Exception]:
        if len(work.turns) == 1:
            raise SystemExit
        return work(items)

    together: Together[int, int] = Together(ended)
    results = meanwhile(work, together, 1, 2)
    assert {type(results[item]) for item in (1, 2)} == {SystemExit, CutOff}
    work.turns.append([])
    assert together.do(5) == 50


def test_a_lone_one_waits_for_no_timer() -> None:
    together: Together[int, int] = Together(list, pace=30.0)
    began = time.monotonic()
    assert together.do(1) == 1
    assert time.monotonic() - began < 10


def test_when_much_comes_turns_begin_at_their_pace() -> None:
    begun: list[float] = []

    def work(items: Sequence[int]) -> list[int | Exception]:
        begun.append(time.monotonic())
        return list(items)

    together: Together[int, int] = Together(work, pace=0.05)
    for item in range(4):
        together.do(item)
    gaps = [later - earlier for earlier, later in pairwise(begun)]
    assert min(gaps) >= 0.045


def test_many_threads_each_get_what_is_theirs() -> None:
    results: dict[int, object] = {}
    together: Together[int, int] = Together(lambda items: [item * 10 for item in items], pace=0.001)
    threads = [ask(together, item, results) for item in range(200)]
    for thread in threads:
        thread.join(SECONDS)
    assert results == {item: item * 10 for item in range(200)}


def test_nobody_else_waits_for_what_is_done_afterwards() -> None:
    work, may_end = Worked(), threading.Event()
    together: Together[int, int] = Together(work, afterwards=lambda: until(may_end.is_set))
    results: dict[int, object] = {}
    threads = [ask(together, 0, results)]
    assert work.has_begun.wait(SECONDS)
    threads += [ask(together, item, results) for item in (1, 2)]
    until(lambda: waiting(together) == 2)
    work.may_go_on.set()
    until(lambda: len(results) == 1)  # of the two of the second turn, the one that did not do the work
    assert not may_end.is_set()
    may_end.set()
    for thread in threads:
        thread.join(SECONDS)
    assert results == {0: 0, 1: 10, 2: 20}
