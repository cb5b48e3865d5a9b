"""A matter of a million people: how its list comes in and is approved, and whether sending in it costs more.

Everybody on it has a phone only, one of the 39,000 that are kept for fiction. Sending is stopped over the API when
enough was measured: a million messages would take half an hour.
"""

import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median
from typing import Any, TypeAlias

from tests.bench.house import House
from tests.bench.people import ALL_KINDS, rows, write_list
from tests.bench.processes import Reading, forget_peaks, peak_megabytes
from tests.bench.runs import SMS_LANGUAGES, Outcome, Run, per_thousand, spent
from tests.bench.watch import WentWrong

SENDS = 5000
SMALL = 35  # people of a matter that must not wait for a large one
AHEAD = 600  # so many have been handed over when a window begins: the engine is under way
SPARE = 1400  # so many more than that are there to be sent when a window ends: it has not run dry
WINDOWS = 3
PATIENCE = 900.0  # seconds, after which something is wrong

Sent: TypeAlias = tuple[Reading, int]


def million(house: House, people: int) -> Outcome:
    """Sending in small matters; then the million come in, are approved, and sending begins among them."""
    house.sandbox.control(receipts="off")
    sends, ahead = min(SENDS, people // 8), min(AHEAD, people // 16)
    small = [_in_a_small_matter(house, sends, ahead) for _ in range(WINDOWS)]
    path = _list(house, people)
    matter_id, began = house.caller.open_matter(), _lines(house)
    listed, list_peak = _request(house, lambda: house.caller.send_list(matter_id, path), "rows", people)
    path.unlink()
    house.caller.stop(matter_id)
    approved, approve_peak = _request(house, lambda: house.caller.approve(matter_id), "persons", people)
    large = [_window(house, matter_id, sends, ahead) for _ in range(WINDOWS)]
    _check(house, matter_id, people, began)
    beside = _beside(house, matter_id, ahead)
    before, after = _cost(small), _cost(large)
    return Outcome(
        {
            "intake_million": people,
            "intake_million_s": listed.at,
            "intake_million_cpu_s_per_1000": per_thousand(listed, people),
            "intake_million_peak_mb": list_peak,
            "approve_million_s": approved.at,
            "approve_million_cpu_s_per_1000": per_thousand(approved, people),
            "approve_million_peak_mb": approve_peak,
            "sms_small_cpu_s_per_1000": before,
            "sms_million_cpu_s_per_1000": after,
            "cost_growth": after / before,
            "beside_million_s": beside,
        },
        {
            "intake of a million": spent(listed, people),
            "approving a million": spent(approved, people),
            "sms in a small matter": spent(*small[-1]),
            "sms in a million": spent(*large[-1]),
        },
    )


def _beside(house: House, matter_id: str, ahead: int) -> float:
    """Seconds until everybody of a small matter was told in all ways, approved while the large one is going out."""
    path = house.folder / "list.ndjson"
    write_list(path, rows(SMALL, kinds=ALL_KINDS, languages=SMS_LANGUAGES, odd=False))
    small_id = house.caller.open_matter()
    house.caller.send_list(small_id, path)
    at_first = house.watch.handed_over(matter_id)
    house.caller.resume(matter_id)
    house.until(lambda: house.watch.handed_over(matter_id) >= at_first + ahead, seconds=PATIENCE)
    began, had = time.monotonic(), house.watch.handed_over(matter_id)
    house.caller.approve(small_id)
    house.until(lambda: house.watch.handed_over(small_id) == len(ALL_KINDS) * SMALL, seconds=PATIENCE)
    seconds, meanwhile = time.monotonic() - began, house.watch.handed_over(matter_id) - had
    house.caller.stop(matter_id)
    house.until(lambda: not house.watch.is_sending(matter_id), seconds=PATIENCE)
    house.watch.require_stored(small_id, SMALL, len(ALL_KINDS) * SMALL)
    sys.stderr.write(f"{SMALL} people told in all ways in {seconds:.1f} s, {meanwhile} of the large matter meanwhile\n")
    return seconds


def _request(house: House, ask: Callable[[], dict[str, Any]], counted: str, people: int) -> tuple[Reading, float]:
    """What one request used, and the most memory of a web process in MB."""
    web = house.meter.members("web")
    house.rest()
    forget_peaks(web)
    before = house.meter.read()
    answer = ask()
    window = house.meter.read().since(before)
    if answer[counted] != people:
        raise WentWrong(f"{answer[counted]} {counted} of {people}")
    peak = max(map(peak_megabytes, web))
    sys.stderr.write(
        f"{people} {counted}: {window.at:.0f} s, {per_thousand(window, people):.3g} CPU-s, {peak:.0f} MB\n"
    )
    return window, peak


def _in_a_small_matter(house: House, sends: int, ahead: int) -> Sent:
    people = ahead + sends + SPARE
    path = _list(house, people)
    matter_id, began = house.caller.open_matter(), _lines(house)
    house.caller.send_list(matter_id, path)
    house.caller.stop(matter_id)
    house.caller.approve(matter_id)
    found = _window(house, matter_id, sends, ahead)
    _check(house, matter_id, people, began)
    return found


def _window(house: House, matter_id: str, sends: int, ahead: int) -> Sent:
    """Let a stopped matter go on until so many more were handed over, and stop it again; how many there were."""
    house.rest()
    at_first = house.watch.handed_over(matter_id)
    house.caller.resume(matter_id)
    house.until(lambda: house.watch.handed_over(matter_id) >= at_first + ahead, seconds=PATIENCE)
    before, had = house.meter.read(), house.watch.handed_over(matter_id)
    house.until(lambda: house.watch.handed_over(matter_id) >= had + sends, seconds=PATIENCE)
    window, count = house.meter.read().since(before), house.watch.handed_over(matter_id) - had
    house.caller.stop(matter_id)
    house.until(lambda: not house.watch.is_sending(matter_id), seconds=PATIENCE)
    sys.stderr.write(f"{count} sent: {window.at:.0f} s, {per_thousand(window, count):.3g} CPU-s\n")
    return window, count


def _check(house: House, matter_id: str, people: int, began: int) -> None:
    house.sandbox.settle(60)
    house.watch.require_stored(matter_id, people, people)
    house.watch.require_one_each(matter_id, house.sandbox, after=began)


def _list(house: House, people: int) -> Path:
    path = house.folder / "list.ndjson"
    write_list(path, rows(people, kinds={"phone"}, languages=SMS_LANGUAGES, odd=False))
    return path


def _lines(house: House) -> int:
    return int(house.sandbox.summary()["lines"])


def _cost(windows: Sequence[Sent]) -> float:
    return median(per_thousand(window, count) for window, count in windows)


LARGE = (
    Run(
        "million",
        {
            "intake_million": "people",
            "intake_million_s": "s",
            "intake_million_cpu_s_per_1000": "CPU-s",
            "intake_million_peak_mb": "MB",
            "approve_million_s": "s",
            "approve_million_cpu_s_per_1000": "CPU-s",
            "approve_million_peak_mb": "MB",
            "sms_small_cpu_s_per_1000": "CPU-s",
            "sms_million_cpu_s_per_1000": "CPU-s",
            "cost_growth": "ratio",
            "beside_million_s": "s",
        },
        1_000_000,
        1,
        million,
        is_large=True,
    ),
)
