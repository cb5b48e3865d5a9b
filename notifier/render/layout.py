"""The data that `templates/letter/notice.typ` lays out."""

from collections.abc import Sequence
from dataclasses import asdict

from notifier.core.language import Languages, Tagline
from notifier.core.model import Mode
from notifier.render.catalogue import StrictCatalogue
from notifier.render.content import NoticeContent
from notifier.render.dates import plain_date
from notifier.render.paragraphs import Writer, initial_notice, key_facts

Json = dict[str, object]


def part(w: Writer, english: StrictCatalogue, recipient: tuple[str, ...]) -> Json:
    """One language of the letter."""
    return {
        "lang": w.tag.split("-")[0],
        "direction": w.say.language.direction,
        "own_name": w.say.language.own_name,
        "sheet_name": w.say.say("sheet.title"),
        "marks": marks(w.content.mode, w.say, english),
        "page_line": _page_line(w.say),
        "date": plain_date(w.content.letter_date, w.tag),
        "title": w.say.say("letter.title"),
        "subtitle": w.say.say("letter.not_a_bill"),
        "key_facts": [asdict(fact) for fact in key_facts(w, recipient)],
        "blocks": [asdict(block) for block in initial_notice(w)],
        "signature": w.content.agency_name,
    }


def sheet(
    content: NoticeContent, written: Sequence[StrictCatalogue], english: StrictCatalogue, languages: Languages
) -> Json:
    """The sheet of many languages: titled in those the letter is `written` in, and filled with the others."""
    printed = {catalogue.language.tag for catalogue in written}
    others = [language for language in languages.by_tag.values() if language.tag not in printed]
    return {
        "lang": english.language.tag,
        "marks": [*([[english.say("mark.test")]] if content.mode is Mode.TEST else []), [english.say("mark.draft")]],
        "page_line": _page_line(english),
        "title": " / ".join(catalogue.say("sheet.title") for catalogue in written),
        "lines": [
            {
                "lang": language.tag.split("-")[0],
                "own_name": language.own_name,
                "text": tagline(language.tagline, content),
            }
            for language in others
            if language.tagline is not None
        ],
    }


def tagline(line: Tagline, content: NoticeContent) -> str:
    """One language's line; it offers every language only where interpreters are under contract."""
    then = line.help if content.interpreter_on_file else line.call
    return f"{line.letter} {then.format(phone=content.help_phone)}"


def marks(mode: Mode, catalogue: StrictCatalogue, english: StrictCatalogue) -> list[list[str]]:
    """What stands on every page of one language: that it is a test, that it is a draft; each in English as well."""
    ids = [*(["mark.test"] if mode is Mode.TEST else []), *(["mark.draft"] if catalogue.is_draft else [])]
    sources = [catalogue] if catalogue is english else [catalogue, english]
    return [[source.say(message_id) for source in sources] for message_id in ids]


def _page_line(catalogue: StrictCatalogue) -> str:
    return catalogue.say("letter.page", page="{page}", pages="{pages}")
