"""What a letter can name: kinds of records, kinds of papers, what saying no does.

`config/record_types.toml` lists them. Each is a message of the catalogues: no free text stands inside a translated
sentence.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from notifier.core.errors import SettingsError
from notifier.core.model import Instrument, JudgeSigned

TABLES: Final = ("record_types", "instruments", "judge_signed", "effects")


@dataclass(frozen=True, slots=True)
class PaperWords:
    """The message that names a kind of paper, and the one for when it is not known to be signed by a judge."""

    text: str
    unsigned: str


@dataclass(frozen=True, slots=True)
class Words:
    """Message ids by what they name."""

    record_types: Mapping[str, str]
    instruments: Mapping[str, PaperWords]
    judge_signed: Mapping[str, str]
    effects: Mapping[str, str]

    def record_type_known(self, record_type: str) -> bool:
        """True when a letter can name it; `other` can always be named."""
        return record_type in self.record_types

    def instrument(self, instrument: Instrument, judge_signed: JudgeSigned) -> str:
        """The message id that names the paper without claiming more for it than is known."""
        words = self.instruments[instrument]
        return words.text if judge_signed is JudgeSigned.YES else words.unsigned

    def message_ids(self) -> Iterator[str]:
        """Every message that can be named."""
        yield from self.record_types.values()
        yield from self.judge_signed.values()
        yield from self.effects.values()
        for words in self.instruments.values():
            yield words.text
            yield words.unsigned


def load(document: Mapping[str, object]) -> Words:
    """The words of the parsed `config/record_types.toml`.

    Raises:
        SettingsError: everything that is wrong with the file.
    """
    problems: list[str] = []
    if document.keys() != set(TABLES):
        problems.append(f"record_types.toml: it needs exactly the tables {', '.join(TABLES)}")
    records, papers, judges, effects = (_table(document, name, problems) for name in TABLES)
    if "other" not in records:
        problems.append("record_types.toml: [record_types] needs other")
    if papers.keys() != set(Instrument):
        problems.append("record_types.toml: [instruments] needs exactly the kinds of papers there are")
    if judges.keys() != set(JudgeSigned):
        problems.append("record_types.toml: [judge_signed] needs exactly yes, no, not_sure")
    words = Words(
        record_types=_texts(records, problems),
        instruments=MappingProxyType({name: _paper(name, entry, problems) for name, entry in papers.items()}),
        judge_signed=_texts(judges, problems),
        effects=_texts(effects, problems),
    )
    if problems:
        raise SettingsError(problems)
    return words


def _table(document: Mapping[str, object], name: str, problems: list[str]) -> Mapping[str, object]:
    table = document.get(name)
    if not isinstance(table, Mapping):
        problems.append(f"record_types.toml: [{name}] is no table")
        return {}
    return table


def _texts(table: Mapping[str, object], problems: list[str]) -> Mapping[str, str]:
    problems.extend(f"record_types.toml: {name} names no message" for name, text in table.items() if not _is_id(text))
    return MappingProxyType({name: str(text) for name, text in table.items()})


def _paper(name: str, entry: object, problems: list[str]) -> PaperWords:
    fields = entry if isinstance(entry, Mapping) else {}
    text = fields.get("text")
    unsigned = fields.get("unsigned", text)
    if fields.keys() - {"text", "unsigned"} or not _is_id(text) or not _is_id(unsigned):
        problems.append(f"record_types.toml: {name} needs text, and may have unsigned")
    return PaperWords(str(text), str(unsigned))


def _is_id(value: object) -> bool:
    return isinstance(value, str) and bool(value)
