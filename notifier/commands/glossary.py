"""`notifier glossary`: every word of a status with its sentence, as docs/glossary.md has them."""

from collections.abc import Iterable, Iterator
from typing import Final

import click

from notifier.core.flags import FLAG_MEANING
from notifier.core.inbound import INBOUND_MEANING
from notifier.core.model import ContactFlag, InboundKind, Resolution, TaskKind
from notifier.core.problem import Problem
from notifier.core.reasons import REASON_MEANING
from notifier.core.status import AttemptStatus, PersonOutcome, Proof, Reason
from notifier.core.tasks import RESOLUTION_MEANING, TASK_MEANING
from notifier.usecases.timeline import PROVES

INTRODUCTION: Final = """\
# Glossary

Every word that says where a person, a message or a contact stands. The API gives the same sentences. This page is made
by `notifier glossary > docs/glossary.md`; a test holds it to the code.
"""


@click.command()
def glossary() -> None:
    """Print every word of a status with its sentence."""
    click.echo(render(), nl=False)


def render() -> str:
    """The page, in Markdown."""
    return INTRODUCTION + "".join(_sections())


def _sections() -> Iterator[str]:
    yield _section(
        "Where a person stands",
        "Exactly one holds at any time; the counts add up to the rows that came in. *Final*: sending is over, and a"
        " human or a later rule decides what follows.",
        ("outcome", "final", "meaning"),
        ((word.value, _yes(is_so=word.is_final), word.meaning) for word in PersonOutcome),
    )
    yield _section(
        "Where one message stands",
        "One try over one channel. *Final*: nothing more is expected; a late return or bounce is applied all the same.",
        ("status", "final", "meaning"),
        ((word.value, _yes(is_so=word.is_final), word.meaning) for word in AttemptStatus),
    )
    yield _section(
        "Why a message failed",
        "Our word; the carrier's own code stands beside it.",
        ("reason", "meaning"),
        ((word.value, REASON_MEANING[word]) for word in Reason),
    )
    yield _section(
        "What a message proves",
        "Opens and clicks are never proof.",
        ("level", "meaning"),
        ((f"P{level.value}", PROVES[level]) for level in Proof),
    )
    yield _section(
        "What is wrong with a contact",
        "A contact that cannot be used is kept and shown with one of these; its person is never dropped.",
        ("problem", "meaning"),
        ((word.value, word.meaning) for word in Problem),
    )
    yield _section(
        "What was learned of a contact",
        "While one of these holds, nothing is sent to that contact; other ways to reach the person go on.",
        ("flag", "meaning"),
        ((word.value, FLAG_MEANING[word]) for word in ContactFlag),
    )
    yield _section(
        "What people write to us",
        "Everything is kept. Only a command does anything, and only to that number.",
        ("kind", "meaning"),
        ((word.value, INBOUND_MEANING[word]) for word in InboundKind),
    )
    yield _section(
        "What waits for a caseworker",
        "Opened by whatever finds it, once while it is open.",
        ("task", "meaning"),
        ((word.value, TASK_MEANING[word]) for word in TaskKind),
    )
    yield _section(
        "What came of a task",
        "An officer's word.",
        ("resolution", "meaning"),
        ((word.value, RESOLUTION_MEANING[word]) for word in Resolution),
    )


def _section(title: str, text: str, columns: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = [_line(columns), _line(("---",) * len(columns))]
    lines += [_line((f"`{row[0]}`", *row[1:])) for row in rows]
    return f"\n## {title}\n\n{text}\n\n" + "".join(lines)


def _line(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |\n"


def _yes(*, is_so: bool) -> str:
    return "yes" if is_so else ""
