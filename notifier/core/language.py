"""The languages a person can have, as `config/languages.toml` declares them.

A tag means one language and no other. Haitian Creole is never shown French, Ukrainian never Russian, Sorani never
Arabic: what is not declared here is refused, with the nearest declared tag suggested to a human.
"""

import difflib
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from notifier.core.errors import SettingsError
from notifier.core.sms import Encoding

ENGLISH: Final = "en"
SPANISH: Final = "es-419"
UNWRITTEN: Final = "Zxxx"

END_OF_ISOLATE: Final = "\u2069"

TEXT_FIELDS: Final = ("name", "own_name", "script", "iso3")
TAGLINE_FIELDS: Final = ("letter", "help", "call")
SHORTEST_HINT: Final = 3  # letters; anything shorter resembles everything
CLOSE_ENOUGH: Final = 0.75  # of 1.0, as difflib measures likeness


class Direction(StrEnum):
    """Which way a text runs; `AUTO` leaves it to the first letter that has a direction."""

    LTR = "ltr"
    RTL = "rtl"
    AUTO = "auto"


OPENING: Final = MappingProxyType({Direction.LTR: "\u2066", Direction.RTL: "\u2067", Direction.AUTO: "\u2068"})


@dataclass(frozen=True, slots=True)
class Tagline:
    """What one language says on the sheet of many languages; `help` and `call` hold `{phone}`."""

    letter: str
    help: str
    call: str


@dataclass(frozen=True, slots=True)
class Language:
    """One declared language. `sms` is what its ordinary text needs; each text is counted for itself."""

    tag: str
    name: str
    own_name: str
    script: str
    direction: Direction
    sms: Encoding
    iso3: str
    tagline: Tagline | None = None

    @property
    def is_written(self) -> bool:
        """False for a signed language."""
        return self.script != UNWRITTEN


@dataclass(frozen=True, slots=True)
class LetterLanguages:
    """The languages of one letter, in the order they are printed, and whether the sheet of many languages is added."""

    languages: tuple[str, ...]
    tagline_sheet: bool


@dataclass(frozen=True, slots=True)
class Languages:
    """All declared languages by tag, in the order of the file; `names` maps every accepted spelling to its tag."""

    by_tag: Mapping[str, Language]
    names: Mapping[str, str]

    def resolve(self, tag: str) -> Language | None:
        """The language of a declared tag or alias, upper and lower case alike (RFC 5646, 2.1.1); otherwise None."""
        found = self.names.get(tag.lower())
        return None if found is None else self.by_tag[found]

    def suggest(self, tag: str) -> str | None:
        """The nearest declared tag, for a human to confirm; None when nothing is near."""
        asked = tag.strip().lower().replace("_", "-")
        known = self.names.get(asked)
        return known or self._same_language(asked.split("-")[0]) or self._spelled_like(asked)

    def _same_language(self, primary: str) -> str | None:
        for language in self.by_tag.values():
            if primary in {language.tag.split("-")[0].lower(), language.iso3}:
                return language.tag
        return None

    def _spelled_like(self, asked: str) -> str | None:
        if len(asked) < SHORTEST_HINT:
            return None
        words: dict[str, str] = {}
        for language in self.by_tag.values():
            for word in f"{language.name} {language.own_name}".lower().replace(",", " ").replace("(", " ").split():
                words.setdefault(word.rstrip(")"), language.tag)
        begun = [word for word in words if word.startswith(asked)]
        near = begun or difflib.get_close_matches(asked, words, n=1, cutoff=CLOSE_ENOUGH)
        return words[near[0]] if near else None


def load(document: Mapping[str, object]) -> Languages:
    """The languages of the parsed `config/languages.toml`.

    Raises:
        SettingsError: everything that is wrong with the file.
    """
    problems: list[str] = []
    by_tag = {tag: _language(tag, entry, problems) for tag, entry in document.items()}
    names = {tag.lower(): tag for tag in by_tag}
    for tag, entry in document.items():
        aliases = _aliases(tag, entry, problems)
        taken = [alias for alias in aliases if names.setdefault(alias.lower(), tag) != tag]
        problems.extend(f"languages.toml: {alias} is declared twice" for alias in taken)
    if ENGLISH not in by_tag:
        problems.append(f"languages.toml: [{ENGLISH}] is missing")
    if problems:
        raise SettingsError(problems)
    return Languages(MappingProxyType(by_tag), MappingProxyType(names))


def isolate(text: str, direction: Direction = Direction.AUTO) -> str:
    """`text` in a bidirectional isolate (UAX 9), so that what stands around it cannot reorder it."""
    return f"{OPENING[direction]}{text}{END_OF_ISOLATE}"


def letter_languages(tag: str | None, available: Collection[str]) -> LetterLanguages:
    """The languages of a letter to someone whose language is `tag`; None when it is not known.

    `available` are the tags that have a complete text. English is always printed. Who reads neither is given English,
    Spanish when there is one, and the sheet of many languages.
    """
    if tag == ENGLISH:
        return LetterLanguages((ENGLISH,), tagline_sheet=False)
    if tag is not None and tag in available:
        return LetterLanguages((tag, ENGLISH), tagline_sheet=False)
    return LetterLanguages((ENGLISH, *(t for t in (SPANISH,) if t in available)), tagline_sheet=True)


def message_language(tag: str | None, available: Collection[str]) -> str:
    """The language of a text message or email: the person's own when it has a text, otherwise English."""
    return tag if tag is not None and tag in available else ENGLISH


def _language(tag: str, entry: object, problems: list[str]) -> Language:
    fields = entry if isinstance(entry, Mapping) else {}
    texts = {field: fields.get(field) for field in TEXT_FIELDS}
    problems.extend(f"languages.toml: [{tag}] has no {field}" for field, text in texts.items() if not _is_text(text))
    if not isinstance(entry, Mapping) or fields.keys() - {*TEXT_FIELDS, "direction", "sms", "aliases", "tagline"}:
        problems.append(f"languages.toml: [{tag}] is no table or holds an unknown key")
    direction, sms = fields.get("direction"), fields.get("sms")
    if direction not in {Direction.LTR, Direction.RTL}:
        problems.append(f"languages.toml: [{tag}] direction is neither ltr nor rtl")
    if sms not in set(Encoding):
        problems.append(f"languages.toml: [{tag}] sms is neither gsm7 nor ucs2")
    return Language(
        tag=tag,
        direction=Direction.RTL if direction == Direction.RTL else Direction.LTR,
        sms=Encoding.UCS2 if sms == Encoding.UCS2 else Encoding.GSM7,
        tagline=_tagline(tag, fields.get("tagline"), problems),
        **{field: str(text) for field, text in texts.items()},
    )


def _tagline(tag: str, entry: object, problems: list[str]) -> Tagline | None:
    if entry is None:
        return None
    fields = entry if isinstance(entry, Mapping) else {}
    texts = {field: fields.get(field) for field in TAGLINE_FIELDS}
    if fields.keys() != texts.keys() or not all(_is_text(text) for text in texts.values()):
        problems.append(f"languages.toml: [{tag}.tagline] needs exactly {', '.join(TAGLINE_FIELDS)}")
    elif "{phone}" not in str(texts["help"]) or "{phone}" not in str(texts["call"]):
        problems.append(f"languages.toml: [{tag}.tagline] does not say {{phone}}")
    return Tagline(**{field: str(text) for field, text in texts.items()})


def _aliases(tag: str, entry: object, problems: list[str]) -> list[str]:
    aliases = entry.get("aliases", []) if isinstance(entry, Mapping) else []
    if not isinstance(aliases, list) or not all(_is_text(alias) for alias in aliases):
        problems.append(f"languages.toml: [{tag}] aliases is no list of tags")
        return []
    return aliases


def _is_text(value: object) -> bool:
    return isinstance(value, str) and bool(value.strip())
