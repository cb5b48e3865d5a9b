"""What the notice says, paragraph by paragraph, in one language: the same for every layout that shows it.

Order and conditions stand here, words in the catalogues. A notice has to cover twenty points:

    1 who holds the records         8 what follows if you say no, or do not   15 large print, Braille, signing
    2 who asks, signed by a judge?  9 what we never ask for; never pay        16 minors and guardians
    3 which records                10 it asks you to go nowhere; court dates  17 if the letter is not for you
    4 what has been given          11 free legal help; notarios               18 this is not legal advice
    5 what we will do, and when    12 interpreters                            19 why notice was delayed (its own kind)
    6 what you can do              13 how to check that it is real            20 other languages (the tagline sheet)
    7 how: by phone, in writing    14 no change to your services
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final, Literal

from notifier.core.codes import format_code
from notifier.core.errors import MissingText
from notifier.render.catalogue import Run, StrictCatalogue
from notifier.render.content import NoticeContent
from notifier.render.dates import hours, legal_date
from notifier.render.words import Words

Emphasis = Literal["plain", "strong", "unbroken"]

# Values that stand out; the unbroken ones are also never split between two lines.
EMPHASIS: Final[dict[str | None, Emphasis]] = {
    "phone": "unbroken",
    "main_phone": "unbroken",
    "code": "unbroken",
    "page": "unbroken",
    "date": "strong",
    "not_before": "strong",
    "act_by": "strong",
}


@dataclass(frozen=True, slots=True)
class Piece:
    """Words with one emphasis."""

    text: str = field(repr=False)
    emphasis: Emphasis = "plain"


@dataclass(frozen=True, slots=True)
class Fact:
    """A label and the lines that answer it."""

    label: str
    lines: tuple[Piece, ...]


@dataclass(frozen=True, slots=True)
class Block:
    """One thing on the page; only the field of its kind is filled: `pieces` for headings and paragraphs."""

    kind: Literal["heading", "paragraph", "items", "facts"]
    pieces: tuple[Piece, ...] = ()
    items: tuple[str, ...] = field(default=(), repr=False)
    facts: tuple[Fact, ...] = ()


@dataclass(frozen=True, slots=True)
class Writer:
    """The content and the words of one language."""

    content: NoticeContent
    say: StrictCatalogue
    words: Words

    def heading(self, message_id: str) -> Block:
        """A heading."""
        return Block("heading", (Piece(self.say.say(message_id)),))

    def paragraph(self, message_id: str, **values: str) -> Block:
        """A paragraph whose values stand out."""
        return Block("paragraph", tuple(_piece(run) for run in self.say.runs(message_id, **values)))

    def fact(self, message_id: str, *lines: str, emphasis: Emphasis = "plain") -> Fact:
        """A label with its answer."""
        return Fact(self.say.say(message_id), tuple(Piece(line, emphasis) for line in lines))

    def named(self, message_ids: Mapping[str, str], name: str) -> str:
        """The message id that stands for `name`.

        Raises:
            MissingText: `config/record_types.toml` no longer names it.
        """
        if name not in message_ids:
            raise MissingText(self.tag, "a word that record_types.toml does not name")
        return message_ids[name]

    @property
    def tag(self) -> str:
        """The language."""
        return self.say.language.tag


def key_facts(w: Writer, recipient: tuple[str, ...]) -> tuple[Fact, ...]:
    """What somebody needs who reads nothing else: whose letter, the code, the number to call, the date."""
    facts = [
        w.fact("letter.fact.for", *recipient),
        w.fact("letter.fact.code", format_code(w.content.code), emphasis="unbroken"),
        Fact(
            w.say.say("letter.fact.phone"),
            (Piece(w.content.help_phone, "unbroken"), Piece(hours(w.content.phone_hours, w.say))),
        ),
    ]
    if w.content.not_before is not None:
        facts.append(w.fact("letter.fact.until", legal_date(w.content.not_before, w.tag), emphasis="strong"))
    return tuple(facts)


def initial_notice(w: Writer) -> Iterator[Block]:
    """The whole notice after its title and key facts."""
    yield from who_asked(w)
    yield from what_they_want(w)
    yield from what_happens_next(w)
    yield from saying_no(w)
    yield from free_help(w)
    yield from is_it_real(w)


def who_asked(w: Writer) -> Iterator[Block]:
    """Points 1 and 2: who holds the records, who asks, with which paper, and whether a judge signed it."""
    content = w.content
    yield w.heading("letter.who.heading")
    yield w.paragraph("letter.who.us", agency=content.agency_name)
    facts = [
        w.fact("letter.fact.issuer", content.issuer),
        w.fact("letter.fact.instrument", w.say.say(w.words.instrument(content.instrument, content.judge_signed))),
    ]
    if content.number:
        facts.append(w.fact("letter.fact.number", content.number))
    if content.dated is not None:
        facts.append(w.fact("letter.fact.dated", legal_date(content.dated, w.tag)))
    facts.append(w.fact("letter.fact.judge", w.say.say(w.words.judge_signed[content.judge_signed])))
    yield Block("facts", facts=tuple(facts))


def what_they_want(w: Writer) -> Iterator[Block]:
    """Points 3 and 4: which records, and what has been given."""
    content = w.content
    yield w.heading("letter.what.heading")
    yield w.paragraph("letter.what.records")
    yield Block(
        "items", items=tuple(w.say.say(w.named(w.words.record_types, record)) for record in content.record_types)
    )
    if content.already_released:
        yield w.paragraph("letter.what.already_released")
    elif content.nothing_given_attested_on is not None:
        yield w.paragraph("letter.what.nothing_given", date=legal_date(content.nothing_given_attested_on, w.tag))


def what_happens_next(w: Writer) -> Iterator[Block]:
    """Point 5: what we will do, and the date."""
    yield w.heading("letter.next.heading")
    if w.content.not_before is not None:
        yield w.paragraph("letter.next.dated", not_before=legal_date(w.content.not_before, w.tag))
    else:
        yield w.paragraph("letter.next.undated")


def saying_no(w: Writer) -> Iterator[Block]:
    """Points 6, 7, 8, 10 and 14: what the person can do, how, what follows, a court's dates, no retaliation."""
    content = w.content
    yield w.heading("letter.no.heading")
    yield w.paragraph("letter.no.how", phone=content.help_phone, code=format_code(content.code))
    if content.page_address is not None:
        yield w.paragraph("letter.no.page", page=content.page_address)
    for effect in content.effects:
        yield w.paragraph(w.named(w.words.effects, effect))
    if content.not_before is not None:
        yield w.paragraph("letter.no.nothing_dated", not_before=legal_date(content.not_before, w.tag))
    else:
        yield w.paragraph("letter.no.nothing_undated")
    if content.act_by is not None:
        yield w.paragraph("letter.no.court_dated", act_by=legal_date(content.act_by, w.tag))
    else:
        yield w.paragraph("letter.no.court_undated")
    yield w.paragraph("letter.no.services")


def free_help(w: Writer) -> Iterator[Block]:
    """Points 11, 12, 15 and 16: legal help, interpreters, other forms of the letter, minors."""
    content = w.content
    yield w.heading("letter.help.heading")
    if content.interpreter_on_file:
        yield w.paragraph("letter.help.interpreter", phone=content.help_phone)
    if content.legal_help:
        yield w.paragraph("letter.help.legal")
        yield Block("items", items=content.legal_help)
    yield w.paragraph("letter.help.notario")
    yield w.paragraph("letter.help.read_aloud")
    if content.other_formats_on_file:
        yield w.paragraph("letter.help.formats")
    yield w.paragraph("letter.help.minors")


def is_it_real(w: Writer) -> Iterator[Block]:
    """Points 9, 13, 17 and 18: what we never ask, how to check, a letter gone astray, no legal advice."""
    content = w.content
    yield w.heading("letter.real.heading")
    yield w.paragraph(
        "letter.real.verify",
        agency=content.agency_name,
        main_phone=content.main_phone,
        code=format_code(content.code),
    )
    yield w.paragraph("letter.real.never")
    yield w.paragraph("letter.real.not_you")
    yield w.paragraph("letter.real.not_advice")


def _piece(run: Run) -> Piece:
    return Piece(run.text, EMPHASIS.get(run.placeholder, "plain"))
