"""The texts of the notices: one gettext catalogue per language, and the edition they make up together.

A message is one paragraph. Its context (`msgctxt`) is its stable id and its `msgid` is the English paragraph, so that a
translation of an English paragraph that has changed since is known to be stale. What is missing, empty, fuzzy, stale or
holds other placeholders than the English is never replaced by anything: it raises `MissingText`.
"""

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from io import BytesIO
from pathlib import Path
from string import Formatter
from types import MappingProxyType
from typing import Final

from babel.messages.catalog import Catalog
from babel.messages.pofile import PoFileError, read_po

from notifier.core.errors import MissingText, SettingsError
from notifier.core.language import ENGLISH, Direction, Language, Languages, isolate

CATALOGUE: Final = Path("LC_MESSAGES", "messages.po")
HEADER: Final = re.compile(rb'^"X-(Status|Origin): (.*)\\n"$', re.MULTILINE)
# Values that read from left to right in every language; the others follow their first letter.
LEFT_TO_RIGHT: Final = frozenset({"phone", "main_phone", "code", "page", "pages"})


class Status(StrEnum):
    """How far a catalogue can be trusted, as its own header says."""

    MASTER = "master"  # the English text itself
    DRAFT = "draft"  # a translation that no qualified translator has approved


@dataclass(frozen=True, slots=True)
class Run:
    """A piece of a message: fixed text, or the value put in for `placeholder`."""

    text: str
    placeholder: str | None = None


@dataclass(frozen=True, slots=True)
class Edition:
    """The English texts with their translations. `languages` maps a tag to the SHA-256 of all its messages, in hex."""

    id: str
    languages: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class StrictCatalogue:
    """The texts of one language by message id; `unusable` are the ids of the master that it has no valid text for."""

    language: Language
    status: Status
    origin: str
    sha256: str
    texts: Mapping[str, str]
    unusable: frozenset[str]

    @property
    def is_draft(self) -> bool:
        """True when whatever is made from it must say that it is a draft."""
        return self.status is Status.DRAFT

    def say(self, message_id: str, **values: str) -> str:
        """The message with its placeholders filled.

        Raises:
            MissingText: there is no valid text.
        """
        return "".join(run.text for run in self.runs(message_id, **values))

    def runs(self, message_id: str, **values: str) -> tuple[Run, ...]:
        """The message in pieces, so that a layout can set its values apart.

        Raises:
            MissingText: there is no valid text.
        """
        text = self.texts.get(message_id)
        if text is None or message_id in self.unusable:
            raise MissingText(self.language.tag, message_id)
        return tuple(self._pieces(text, values))

    def _pieces(self, text: str, values: Mapping[str, str]) -> Iterator[Run]:
        for literal, name, _, _ in Formatter().parse(text):
            if literal:
                yield Run(literal)
            if name is not None:
                yield Run(self._placed(name, values[name]), name)

    def _placed(self, name: str, value: str) -> str:
        if self.language.direction is not Direction.RTL:
            return value
        return isolate(value, Direction.LTR if name in LEFT_TO_RIGHT else Direction.AUTO)


def load(locale_dir: Path, languages: Languages) -> Mapping[str, StrictCatalogue]:
    """The catalogues under `locale_dir` by tag, English first.

    Raises:
        SettingsError: a catalogue cannot be read, is of an undeclared language, or English is missing.
    """
    problems: list[str] = []
    files = {tag: _read(locale_dir, tag, problems) for tag in _tags(locale_dir)}
    undeclared = sorted(files.keys() - languages.by_tag.keys())
    problems.extend(f"templates/locale/{tag}: no such language in languages.toml" for tag in undeclared)
    if ENGLISH not in files:
        problems.append(f"templates/locale/{ENGLISH}: the English master is missing")
    if problems:
        raise SettingsError(problems)
    master = files[ENGLISH].texts
    return MappingProxyType({tag: _strict(languages.by_tag[tag], file, master) for tag, file in files.items()})


def edition(locale_dir: Path) -> Edition:
    """The edition that the catalogues under `locale_dir` make up; a changed word anywhere makes another one.

    Raises:
        SettingsError: a catalogue cannot be read.
    """
    problems: list[str] = []
    hashes = {tag: _read(locale_dir, tag, problems).sha256 for tag in _tags(locale_dir)}
    if problems:
        raise SettingsError(problems)
    return edition_of(hashes)


def edition_of(hashes: Mapping[str, str]) -> Edition:
    """The edition of catalogues with these hashes."""
    return Edition(_sha256(sorted(hashes.items()))[:16], MappingProxyType(dict(hashes)))


@dataclass(frozen=True, slots=True)
class _Message:
    source: str
    text: str
    is_fuzzy: bool


@dataclass(frozen=True, slots=True)
class _File:
    status: Status
    origin: str
    texts: Mapping[str, _Message]

    @property
    def sha256(self) -> str:
        return _sha256([[i, m.source, m.text, m.is_fuzzy] for i, m in sorted(self.texts.items())])


def _tags(locale_dir: Path) -> list[str]:
    found = sorted(path.parents[1].name for path in locale_dir.glob(f"*/{CATALOGUE}"))
    return sorted(found, key=lambda tag: tag != ENGLISH)


def _read(locale_dir: Path, tag: str, problems: list[str]) -> _File:
    content = (locale_dir / tag / CATALOGUE).read_bytes()
    header = {name.decode(): value.decode() for name, value in HEADER.findall(content)}
    if header.get("Status") not in set(Status) or not header.get("Origin"):
        problems.append(f"templates/locale/{tag}: its header does not say X-Status ({', '.join(Status)}) and X-Origin")
    try:
        catalogue = read_po(BytesIO(content), abort_invalid=True)
    except (PoFileError, UnicodeDecodeError):
        problems.append(f"templates/locale/{tag}: not a PO file")
        catalogue = Catalog()
    status = Status.MASTER if header.get("Status") == Status.MASTER else Status.DRAFT
    return _File(status, header.get("Origin", ""), _messages(tag, catalogue, problems))


def _messages(tag: str, catalogue: Catalog, problems: list[str]) -> dict[str, _Message]:
    messages: dict[str, _Message] = {}
    for message in catalogue:
        if not message.id:
            continue
        if not message.context or message.context in messages or not isinstance(message.id, str):
            problems.append(f"templates/locale/{tag}: a message without a context of its own, or with plural forms")
            continue
        messages[message.context] = _Message(message.id, str(message.string), message.fuzzy)
    return messages


def _strict(language: Language, file: _File, master: Mapping[str, _Message]) -> StrictCatalogue:
    usable = {i for i, english in master.items() if _is_usable(file.texts.get(i), english)}
    texts = {i: message.text for i, message in file.texts.items() if i in usable}
    unusable = frozenset(master.keys() - usable)
    return StrictCatalogue(language, file.status, file.origin, file.sha256, MappingProxyType(texts), unusable)


def _is_usable(message: _Message | None, english: _Message) -> bool:
    return (
        message is not None
        and bool(message.text.strip())
        and not message.is_fuzzy
        and message.source == english.source
        and placeholders(message.text) == placeholders(english.source)
    )


def placeholders(text: str) -> frozenset[str] | None:
    """The names in braces; None when the text is not well-formed, or uses more than a plain name."""
    try:
        fields = [(name, form, conversion) for _, name, form, conversion in Formatter().parse(text) if name is not None]
    except ValueError:
        return None
    is_plain = all(name.isidentifier() and not form and not conversion for name, form, conversion in fields)
    return frozenset(name for name, _, _ in fields) if is_plain else None


def _sha256(value: object) -> str:
    return hashlib.sha256(json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()).hexdigest()
