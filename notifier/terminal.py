"""What commands show on a terminal, and the same where the output is a file."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from notifier.core.status import AttemptStatus

# What moves by itself; all else waits for a carrier, the post or a human.
MOVING = frozenset({AttemptStatus.PLANNED.value, AttemptStatus.SENDING.value})
WIDTH = 160  # columns, where nobody says how wide the output is


def terminal() -> Console:
    """Standard output. Nothing is highlighted or read as markup: names are printed as they are."""
    console = Console(highlight=False, markup=False, emoji=False)
    return console if console.is_terminal else Console(width=WIDTH, highlight=False, markup=False, emoji=False)


def table(columns: Sequence[str], rows: Iterable[Sequence[object]], *, title: str | None = None) -> Table:
    """A table of texts."""
    made = Table(*columns, title=title, title_justify="left", box=None, pad_edge=False, header_style="bold")
    for row in rows:
        made.add_row(*("" if cell is None else str(cell) for cell in row))
    return made


def day(when: datetime | None) -> str:
    """A day in UTC."""
    return "never" if when is None else f"{when.astimezone(UTC):%Y-%m-%d}"


def matter_picture(matter: Mapping[str, Any]) -> RenderableType:
    """A matter, as the API shows it."""
    people = [(each["persons"], each["outcome"], each["meaning"]) for each in matter["outcomes"] if each["persons"]]
    counted = table(["people", "outcome", "what it means"], [*people, (matter["persons"], "in all", "")])
    counted.columns[0].justify = "right"
    attempts: Mapping[str, Mapping[str, int]] = matter["attempts"]
    seen = [status.value for status in AttemptStatus if any(status.value in counts for counts in attempts.values())]
    rows = [(channel, *(counts.get(status, "") for status in seen)) for channel, counts in attempts.items()]
    by_channel = table(["channel", *seen], rows)
    for column in by_channel.columns[1:]:
        column.justify = "right"
    shown: list[RenderableType] = [counted, Text("")]
    shown += [by_channel, Text("")] if rows else []
    return Group(*shown, Text(_next(matter)))


def _next(matter: Mapping[str, Any]) -> str:
    stopped = " Sending is stopped." if matter["stops"] else ""
    if matter["next_at"]:
        return f"Next due: {matter['next_at'][:16].replace('T', ' ')} UTC.{stopped}"
    return f"Nothing is due by itself.{stopped}"


def is_moving(matter: Mapping[str, Any]) -> bool:
    """Whether something is still to be handed over."""
    return any(counts.get(status) for counts in matter["attempts"].values() for status in MOVING)


def is_over(matter: Mapping[str, Any]) -> bool:
    """Whether everybody is where only a human or a later rule moves them."""
    return all(each["final"] for each in matter["outcomes"] if each["persons"])
