"""`python -m tests.bench`: measure what sending, receiving and taking in cost, on a whole installation.

The small runs take turns, so that whatever else the machine does falls on all of them alike. Lists come in at the
end: the database would grow by 100,000 people between two small runs.
"""

import argparse
import itertools
import os
import signal
import sys
import time
from collections.abc import Sequence

from notifier.doorbell import QUEUES
from notifier.servers.errors import CannotStart
from tests.bench.house import House, open_house
from tests.bench.large import LARGE
from tests.bench.processes import peak_megabytes
from tests.bench.report import JSON_FILE, Report, conditions, write_docs
from tests.bench.runs import MOST_ROUNDS, RATIOS, RUNS, Run, warm_up
from tests.bench.watch import WentWrong
from tests.sandbox import ROOT

ALL = (*RUNS, *LARGE)
OF_ALL = {"worker_peak_mb": "MB"}


def main(words: Sequence[str]) -> int:
    """Measure and report."""
    asked = _parser().parse_args(words)
    chosen = [run for run in ALL if asked.only in {None, *OF_ALL} or asked.only in run.keys]
    if not chosen:
        sys.stderr.write(f"no such key; there are: {', '.join(key for run in ALL for key in run.keys)}\n")
        return 2
    if asked.write_docs and (asked.only or asked.people):
        sys.stderr.write("only the whole bench goes into the docs\n")
        return 2
    report = Report({key: unit for run in chosen for key, unit in run.keys.items()} | OF_ALL, RATIOS)
    began, load_before = time.monotonic(), os.getloadavg()[0]
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("told to stop"))  # so that everything we started is ended
    with open_house() as house:
        warm_up(house)
        loads = _measure(chosen, house, report, rounds=asked.rounds, people=asked.people)
        version = house.watch.server_version
    report.save()
    command = " ".join(["python -m tests.bench", *words])
    facts = conditions(command, server_version=version, loads=(load_before, *loads), seconds=time.monotonic() - began)
    text = "\n".join([*(f"- {fact}" for fact in facts), "", report.tables()])
    sys.stdout.write(f"\n{text}\n\n{JSON_FILE.relative_to(ROOT)}\n")
    if asked.write_docs:
        write_docs(text)
    return 0


def _measure(
    runs: Sequence[Run], house: House, report: Report, *, rounds: int | None, people: int | None
) -> list[float]:
    """Do every run in its turn; returns the load average after each."""
    loads = []
    small, large = ([run for run in runs if run.is_large is wanted] for wanted in (False, True))
    turns = [[run for run in small if number < (rounds or run.rounds)] for number in range(rounds or MOST_ROUNDS)]
    turns += [[run] * (rounds or run.rounds) for run in large]
    for run in itertools.chain.from_iterable(turns):
        count = run.people if people is None else people if run.is_large else min(run.people, people)
        outcome = run.measure(house, count)
        report.add({**outcome.figures, "worker_peak_mb": _largest_worker(house)}, outcome.spent)
        shown = ", ".join(f"{key} {outcome.figures[key]:.3g}" for key in run.keys)
        sys.stderr.write(f"{run.name}: {shown}\n")
        loads.append(os.getloadavg()[0])
    return loads


def _largest_worker(house: House) -> float:
    """The most memory that a worker had resident since it began."""
    return max(peak_megabytes(pid) for queue in QUEUES for pid in house.meter.members(queue))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description="Measure a whole installation.")
    parser.add_argument("--rounds", type=_count, help="do every run so many times")
    parser.add_argument(
        "--people", type=_count, help="so many on the long lists, and at most so many in the small runs"
    )
    parser.add_argument("--only", metavar="KEY", help="only the run that gives this key")
    parser.add_argument("--write-docs", action="store_true", help="put the tables into docs/performance.md")
    return parser


def _count(word: str) -> int:
    number = int(word)
    if number < 1:
        raise ValueError
    return number


if __name__ == "__main__":
    if sys.platform != "linux":
        sys.exit("the bench reads /proc and sets a process's cores: it runs on Linux only")
    try:
        sys.exit(main(sys.argv[1:]))
    except (WentWrong, CannotStart) as problem:
        sys.exit(str(problem))
