"""What processes have used, read from /proc (Linux): CPU of whole trees, and the peak of memory.

A process that ends is not lost: once its parent has waited for it, its CPU stands in the parent's `cutime` and
`cstime`. A connection to PostgreSQL that comes and goes inside a window is counted that way.
"""

import os
import time
from collections import defaultdict
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

PROC = Path("/proc")
TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")
RESET_PEAK = "5"  # proc(5): writing it to clear_refs sets VmHWM to what is resident now


class _Stat(NamedTuple):
    parent: int
    ticks: int  # user and system, of itself and of its ended children


@dataclass(frozen=True, slots=True)
class Reading:
    """Seconds on a steady clock, and CPU-seconds of each part so far."""

    at: float
    cpu: Mapping[str, float]

    def since(self, earlier: "Reading") -> "Reading":
        """What passed and what was used in between."""
        return Reading(self.at - earlier.at, {part: used - earlier.cpu[part] for part, used in self.cpu.items()})

    def plus(self, other: "Reading") -> "Reading":
        """Two windows together."""
        return Reading(self.at + other.at, {part: used + other.cpu[part] for part, used in self.cpu.items()})

    def used(self, *parts: str) -> float:
        """CPU-seconds of some parts together."""
        return sum(self.cpu[part] for part in parts)


class Meter:
    """Reads what the parts of an installation use. `parts` maps a name to the process at the root of its tree."""

    def __init__(self, parts: Mapping[str, int], *, aside: Collection[int] = ()) -> None:
        """`aside` are processes inside the trees that are not counted."""
        self._parts = dict(parts)
        self._aside = frozenset(aside)

    def read(self) -> Reading:
        """Now. Each process is rounded to a tick (10 ms), up and down alike, so measure seconds and not moments."""
        stats = _all_stats()
        children: dict[int, list[int]] = defaultdict(list)
        for pid, stat in stats.items():
            children[stat.parent].append(pid)
        used = {
            part: sum(stats[pid].ticks for pid in _tree(root, children) if pid in stats and pid not in self._aside)
            for part, root in self._parts.items()
        }
        return Reading(time.monotonic(), {part: ticks / TICKS_PER_SECOND for part, ticks in used.items()})

    def members(self, part: str) -> list[int]:
        """The living processes of a part."""
        children: dict[int, list[int]] = defaultdict(list)
        for pid, stat in _all_stats().items():
            children[stat.parent].append(pid)
        return _tree(self._parts[part], children)


def forget_peaks(pids: Collection[int]) -> None:
    """Let each process's peak of memory begin anew, where it stands now."""
    for pid in pids:
        (PROC / str(pid) / "clear_refs").write_text(RESET_PEAK, "ascii")


def peak_megabytes(pid: int) -> float:
    """The most that a process had resident since then (10^6 bytes; pages that it shares with others included)."""
    for line in (PROC / str(pid) / "status").read_text("ascii").splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024 / 1e6
    raise LookupError("VmHWM")


def _all_stats() -> dict[int, _Stat]:
    found = {}
    for entry in os.listdir(PROC):  # noqa: PTH208 - names are enough, and this is read while others work
        if entry.isdigit():
            try:
                words = (PROC / entry / "stat").read_bytes().rpartition(b")")[2].split()
            except OSError:  # it ended
                continue
            # Counted from field 3 of proc_pid_stat(5): ppid, then utime, stime, cutime, cstime.
            found[int(entry)] = _Stat(int(words[1]), sum(map(int, words[11:15])))
    return found


def _tree(root: int, children: Mapping[int, list[int]]) -> list[int]:
    pids = [root]
    for pid in pids:
        pids.extend(children.get(pid, ()))
    return pids
