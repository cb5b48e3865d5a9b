"""What a bench gives: build/bench.json, a table, and the same table in docs/performance.md."""

import json
import os
import platform
import re
import subprocess
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import TypeAlias

from tests.sandbox import ROOT

JSON_FILE = ROOT / "build" / "bench.json"
DOCS_FILE = ROOT / "docs" / "performance.md"
BEGIN, END = "<!-- bench: begin -->", "<!-- bench: end -->"

Series: TypeAlias = "dict[str, list[float]]"


@dataclass(frozen=True, slots=True)
class Report:
    """What was measured, round after round. `units` names the unit of each key, in the order they are shown.

    `ratios` names for a key the two keys it is the ratio of: its middle value is the ratio of their medians.
    """

    units: Mapping[str, str]
    ratios: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    figures: Series = field(default_factory=lambda: defaultdict(list))
    spent: dict[str, Series] = field(default_factory=lambda: defaultdict(lambda: defaultdict(list)))

    def add(self, figures: Mapping[str, float], spent: Mapping[str, Mapping[str, float]]) -> None:
        """One run's."""
        for key, value in figures.items():
            self.figures[key].append(value)
        for window, parts in spent.items():
            for part, used in parts.items():
                self.spent[window][part].append(used)

    def summary(self) -> dict[str, dict[str, float | str]]:
        """Key -> min, median, max, unit."""
        return {
            key: {
                "min": _rounded(min(self.figures[key])),
                "median": _rounded(self._middle(key)),
                "max": _rounded(max(self.figures[key])),
                "unit": unit,
            }
            for key, unit in self.units.items()
            if self.figures.get(key)
        }

    def _middle(self, key: str) -> float:
        if key in self.ratios:
            above, below = self.ratios[key]
            return median(self.figures[above]) / median(self.figures[below])
        return median(self.figures[key])

    def tables(self) -> str:
        """Two tables in Markdown: the figures, and what each part used."""
        figures = [
            [f"`{key}`", found["unit"], *(_shown(found[of]) for of in ("median", "min", "max")), len(self.figures[key])]
            for key, found in self.summary().items()
        ]
        parts = list(dict.fromkeys(part for window in self.spent.values() for part in window))
        spent = [[window, *(f"{median(used[part]):.2f}" for part in parts)] for window, used in self.spent.items()]
        return "\n".join(
            [
                *_table(["key", "unit", "median", "min", "max", "runs"], figures),
                "",
                "CPU-seconds for 1,000, by part (medians):",
                "",
                *_table(["what", *parts], spent),
            ]
        )

    def save(self) -> None:
        """Write build/bench.json."""
        JSON_FILE.parent.mkdir(exist_ok=True)
        JSON_FILE.write_text(json.dumps(self.summary(), indent=1) + "\n", "utf-8")


def conditions(command: str, *, server_version: str, loads: Sequence[float], seconds: float) -> list[str]:
    """Under what conditions it was measured, a line each. `loads` are load averages: one before, one after each run."""
    return [
        f"command: `{command}`, {seconds / 60:.0f} minutes",
        f"commit: {_commit()}",
        f"Python {platform.python_version()}, PostgreSQL {server_version}",
        f"machine: {os.cpu_count()} cores, {_model()}, {platform.system()} {platform.machine()}",
        f"load average: {loads[0]:.1f} before; {min(loads[1:]):.1f} to {max(loads[1:]):.1f} between the runs",
    ]


def write_docs(text: str, path: Path = DOCS_FILE) -> None:
    """Put `text` between the marks of a page.

    Raises:
        ValueError: the page has no such marks.
    """
    page = path.read_text("utf-8")
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"{path.name} has no place for figures")
    path.write_text(f"{before}{BEGIN}\n\n{text}\n\n{END}{after}", "utf-8")


def _table(head: Sequence[object], body: Sequence[Sequence[object]]) -> list[str]:
    cells = [[str(cell) for cell in row] for row in (head, *body)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines = ["| " + " | ".join(map(str.ljust, row, widths)) + " |" for row in cells]
    rule = "|" + "|".join("-" * (width + 2) for width in widths) + "|"
    return [lines[0], rule, *lines[1:]]


def _rounded(value: float) -> float:
    """Three digits that count."""
    return float(f"{value:.3g}")


def _shown(value: float | str) -> str:
    return f"{float(value):,.0f}" if float(value) >= 100 else f"{float(value):.3g}"


def _commit() -> str:
    try:
        commit = _git("rev-parse", "--short=12", "HEAD")
        return f"{commit}, with changes that are not committed" if _git("status", "--porcelain") else commit
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def _git(*words: str) -> str:
    done = subprocess.run(["git", *words], cwd=ROOT, stdout=subprocess.PIPE, check=True)  # noqa: S607 - the one on PATH
    return done.stdout.decode().strip()


def _model() -> str:
    found = re.search(r"^model name\s*:\s*(.*)$", Path("/proc/cpuinfo").read_text("utf-8"), re.MULTILINE)
    return found[1] if found else "unknown"
