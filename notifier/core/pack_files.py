"""Reads packs from TOML. Every problem of every file is listed; one problem and none is loaded."""

import hashlib
import re
import tomllib
from collections.abc import Mapping, Sequence
from datetime import timedelta
from enum import StrEnum
from typing import TypeVar

from notifier.core.errors import SettingsError
from notifier.core.model import Channel, PostService, TaskKind
from notifier.core.policy import (
    DEFAULT_PACK,
    Confidence,
    Evidence,
    LegalStatus,
    NoticeFrom,
    Pack,
    Packs,
    PlanRow,
    Reach,
    Source,
)

_SLUG = re.compile(r"[a-z0-9]+(?:[._-][a-z0-9]+)*")
_MOST_HOURS = 366 * 24
_MOST_ATTEMPTS = 10
_MOST_RESENDS = 3
_MOST_GAP_MINUTES = 240
# What a plan may ask a caseworker to do; the other tasks are opened by what happens.
_TASKS = frozenset({TaskKind.CALL})
_DO = ("message", "task")

Choice = TypeVar("Choice", bound=StrEnum)


def load_packs(directory_texts: Mapping[str, bytes]) -> Packs:
    """The packs of a folder, given as bytes by file name; each file is named "<id>.toml".

    Raises:
        SettingsError: everything that is wrong with any of them, or the agency default is not among them.
    """
    problems: list[str] = []
    packs: dict[str, Pack] = {}
    for file_name, content in sorted(directory_texts.items()):
        pack = _pack(file_name, content, problems)
        if pack is not None:
            packs[pack.id] = pack
    if not problems and DEFAULT_PACK not in packs:
        problems.append(f"packs: {DEFAULT_PACK}.toml is missing")
    if problems:
        raise SettingsError(problems)
    return packs


def read_pack(pack_id: str, content: bytes) -> Pack | None:
    """One pack as it was kept with a matter; None when this release cannot read it any more."""
    problems: list[str] = []
    pack = _pack(f"{pack_id}.toml", content, problems)
    return None if problems else pack


def _pack(file_name: str, content: bytes, problems: list[str]) -> Pack | None:
    try:
        document = tomllib.loads(content.decode())
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        problems.append(f"{file_name}: is not TOML: {error}")
        return None
    table = _Table(document, file_name, problems)
    pack = Pack(
        id=table.slug("id"),
        version=table.number("version", 1, 1_000_000),
        title=table.text("title"),
        legal_status=table.choice("legal_status", LegalStatus),
        notice_from=table.choice("from", NoticeFrom),
        sources=tuple(_source(entry) for entry in table.tables("sources")),
        plan=tuple(_plan_row(entry) for entry in table.tables("plan")),
        effect=table.slug("effect"),
        sha256=hashlib.sha256(content).hexdigest(),
        resend_unknown=table.number("resend_unknown", 0, _MOST_RESENDS, otherwise=0),
        household_gap=timedelta(minutes=table.number("household_gap_minutes", 0, _MOST_GAP_MINUTES, otherwise=0)),
        content=content,
    )
    table.refuse_the_rest()
    problems += [f"{file_name}: {problem}" for problem in _contradictions(pack, file_name)]
    return pack


def _source(table: "_Table") -> Source:
    source = Source(table.text("citation"), table.choice("confidence", Confidence), table.text("note"))
    table.refuse_the_rest()
    return source


def _plan_row(table: "_Table") -> PlanRow:
    is_task = table.word("do", _DO, otherwise="message") == "task"
    row = PlanRow(
        id=table.slug("id"),
        channel=None if is_task else table.choice("channel", Channel),
        after=table.choice("after", Evidence),
        delay=timedelta(hours=table.number("delay_hours", 0, _MOST_HOURS)),
        max_attempts=1 if is_task else table.number("max_attempts", 1, _MOST_ATTEMPTS),
        needs=table.choices("needs", Evidence),
        unless=table.choices("unless", Evidence),
        service=table.choice_or_none("service", PostService),
        contacts=table.choice_or_none("contacts", Reach) or Reach.ALL,
        min_spacing=timedelta(hours=table.number("min_spacing_hours", 0, _MOST_HOURS, otherwise=0)),
        task=table.choice("task", TaskKind) if is_task else None,
    )
    table.refuse_the_rest()
    return row


def _contradictions(pack: Pack, file_name: str) -> list[str]:
    found = []
    if file_name != f"{pack.id}.toml":
        found.append("id: must be the file's name without .toml")
    row_ids = [row.id for row in pack.plan]
    found += [f"plan: two rows are called {row_id}" for row_id in sorted(set(row_ids)) if row_ids.count(row_id) > 1]
    found += [
        f"plan: {row.id} can never be due: what it needs or follows also stops it"
        for row in pack.plan
        if row.unless & (row.needs | {row.after})
    ]
    found += [f"plan: {row.id}: {problem}" for row in pack.plan for problem in _row_contradictions(row, pack)]
    if pack.legal_status is LegalStatus.LAW and all(s.confidence is Confidence.POLICY for s in pack.sources):
        found.append("sources: a pack that states law must cite it")
    if pack.notice_from is NoticeFrom.REQUESTER and pack.plan:
        found.append("plan: notice from the requester is never sent by us")
    if pack.id == DEFAULT_PACK:
        at_once = {row.channel for row in pack.plan if row.after is Evidence.APPROVAL and not (row.needs or row.delay)}
        found += [f"plan: nothing goes out by {channel} at once" for channel in Channel if channel not in at_once]
    return found


def _row_contradictions(row: PlanRow, pack: Pack) -> list[str]:
    found = []
    if row.task is not None and row.task not in _TASKS:
        found.append(f"a plan asks for these tasks only: {', '.join(sorted(_TASKS))}")
    if row.service is not None and row.channel is not Channel.LETTER:
        found.append("only a letter has a service")
    plain = any(other.channel is Channel.LETTER and other.service is not PostService.CERTIFIED for other in pack.plan)
    if row.service is PostService.CERTIFIED and not plain:
        found.append("certified mail is often left unclaimed: a plain letter must go too")
    if row.task is not None and (row.contacts is not Reach.ALL or row.min_spacing):
        found.append("a task has no contact points and no spacing")
    return found


class _Table:
    """One TOML table, read key by key; every problem is written down and a stand-in is given, so that all are found."""

    def __init__(self, table: Mapping[str, object], where: str, problems: list[str]) -> None:
        self._rest = dict(table)
        self._where = where
        self._problems = problems

    def text(self, key: str) -> str:
        """A text that is not blank."""
        value = self._rest.pop(key, None)
        if isinstance(value, str) and value.strip():
            return value
        self._report(key, "must be a text")
        return ""

    def slug(self, key: str) -> str:
        """Lower-case words joined by dots, dashes or underscores."""
        value = self.text(key)
        if value and not _SLUG.fullmatch(value):
            self._report(key, "must be lower-case letters and digits, joined by . - or _")
        return value

    def number(self, key: str, least: int, most: int, *, otherwise: int | None = None) -> int:
        """A whole number within limits; `otherwise` stands for one that is left out."""
        value = self._rest.pop(key, otherwise)
        if isinstance(value, int) and not isinstance(value, bool) and least <= value <= most:
            return value
        self._report(key, f"must be a whole number from {least} to {most}")
        return least

    def choice(self, key: str, choices: type[Choice]) -> Choice:
        """One of a closed list."""
        found = self._known(key, self._rest.pop(key, None), choices)
        return next(iter(choices)) if found is None else found

    def choice_or_none(self, key: str, choices: type[Choice]) -> Choice | None:
        """One of a closed list, or None when it is left out."""
        return self.choice(key, choices) if key in self._rest else None

    def word(self, key: str, words: Sequence[str], *, otherwise: str) -> str:
        """One of a few words; `otherwise` when it is left out."""
        value = self._rest.pop(key, otherwise)
        if isinstance(value, str) and value in words:
            return value
        self._report(key, f"must be one of: {', '.join(words)}")
        return otherwise

    def choices(self, key: str, choices: type[Choice]) -> frozenset[Choice]:
        """Any of a closed list."""
        value = self._rest.pop(key, None)
        if not isinstance(value, list):
            self._report(key, "must be a list")
            return frozenset()
        known = (self._known(key, item, choices) for item in value)
        return frozenset(item for item in known if item is not None)

    def tables(self, key: str) -> list["_Table"]:
        """The tables of an array; none when it is left out."""
        value = self._rest.pop(key, [])
        if not isinstance(value, list) or not all(isinstance(entry, dict) for entry in value):
            self._report(key, f"must be written as [[{key}]]")
            return []
        return [_Table(entry, f"{self._where}: {key}[{index}]", self._problems) for index, entry in enumerate(value)]

    def refuse_the_rest(self) -> None:
        """Report every key that nobody asked for."""
        for key in sorted(self._rest):
            self._report(key, "is not known")

    def _known(self, key: str, value: object, choices: type[Choice]) -> Choice | None:
        found = next((choice for choice in choices if choice.value == value), None)
        if found is None:
            self._report(key, f"must be one of: {', '.join(choices)}")
        return found

    def _report(self, key: str, problem: str) -> None:
        self._problems.append(f"{self._where}: {key}: {problem}")
