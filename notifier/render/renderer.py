"""The renderer: built once per process, it makes every text message, email and letter."""

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from io import BytesIO
from pathlib import Path
from typing import Final
from uuid import UUID

import jinja2
import pikepdf

from notifier.core import language as tongues
from notifier.core import sms
from notifier.core.codes import format_code
from notifier.core.errors import MissingText, SettingsError
from notifier.core.language import ENGLISH, Languages
from notifier.core.pieces import piece_number
from notifier.render import catalogue as texts
from notifier.render import layout, words
from notifier.render.catalogue import Edition, StrictCatalogue
from notifier.render.content import Letter, NoticeContent, Rendered, RenderedEmail
from notifier.render.marks import page_mark
from notifier.render.paragraphs import Writer
from notifier.render.typeset import Typesetter, Unprintable, typesetter
from notifier.render.words import Words

PAGES_PER_LANGUAGE: Final = 3  # a guess: a letter that turns out longer is set a second time


@dataclass(frozen=True, slots=True)
class Addressee:
    """Whom a letter goes to, as it is printed. `native_name` is left out when no font has its letters.

    `is_printed` False: whoever prints the letter prints the addresses too, and the windows are left free for them.
    """

    name: str = field(repr=False)
    address_lines: tuple[str, ...] = field(repr=False)
    native_name: str | None = field(default=None, repr=False)
    is_printed: bool = True

    @property
    def address_block(self) -> tuple[str, ...]:
        """The lines in the window of the envelope."""
        return tuple(line for line in map(_one_line, (self.name, *self.address_lines)) if line)

    @property
    def names(self) -> tuple[str, ...]:
        """The name, and the name as its bearer writes it."""
        return tuple(_one_line(name) for name in (self.name, self.native_name or "") if name.strip())


@dataclass(frozen=True, slots=True)
class Renderer:
    """Makes texts from content. Every method raises `MissingText` where a text or a glyph is missing."""

    languages: Languages
    words: Words
    edition: Edition
    catalogues: Mapping[str, StrictCatalogue]
    typesetter: Typesetter
    pages: jinja2.Environment

    def available_languages(self) -> frozenset[str]:
        """The tags that have a valid text for every message."""
        return frozenset(tag for tag, catalogue in self.catalogues.items() if not catalogue.unusable)

    def is_printable(self, *texts: str) -> bool:
        """Whether the fonts of the letter have every character: asked of the typesetter itself, in milliseconds."""
        try:
            self.typesetter.pdf("probe.typ", {"texts": [_one_line(text) for text in texts]}, date(2000, 1, 1))
        except Unprintable:
            return False
        return True

    def sms(self, content: NoticeContent, language: str) -> Rendered:
        """The text message: agency, phone and code, and nothing about the matter."""
        catalogue = self._catalogue(language)
        text = self._page("sms/notice.txt", content, catalogue)
        return Rendered(text, sms.count(text), catalogue.is_draft)

    def email(self, content: NoticeContent, language: str) -> RenderedEmail:
        """The email: it says what the text message says."""
        catalogue = self._catalogue(language)
        subject, text, html = (
            self._page(f"email/{name}", content, catalogue) for name in ("subject.txt", "body.txt", "body.html")
        )
        return RenderedEmail(_one_line(subject), text, html, catalogue.is_draft)

    def letter(
        self,
        content: NoticeContent,
        addressee: Addressee,
        *,
        languages: Sequence[str],
        tagline_sheet: bool,
        piece_id: str,
    ) -> Letter:
        """The letter in `languages`, in this order, each beginning on a new page.

        Raises:
            MissingText: a text is missing, the name or address has a letter that no font has, or does not fit.
            ValueError: the piece id cannot be put into a page mark.
        """
        try:
            return self._letter(content, addressee, languages, piece_id, tagline_sheet=tagline_sheet)
        except Unprintable as error:
            if addressee.native_name is None:
                raise MissingText(languages[0], f"letter: {error}") from None
        return self.letter(
            content,
            replace(addressee, native_name=None),
            languages=languages,
            tagline_sheet=tagline_sheet,
            piece_id=piece_id,
        )

    def _letter(
        self, content: NoticeContent, to: Addressee, languages: Sequence[str], piece_id: str, *, tagline_sheet: bool
    ) -> Letter:
        english = self._catalogue(ENGLISH)
        chosen = [self._catalogue(tag) for tag in languages]
        parts = [layout.part(Writer(content, catalogue, self.words), english, to.names) for catalogue in chosen]
        data = {
            "title": parts[0]["title"],
            "piece_number": piece_number(UUID(hex=piece_id)),
            "return_address": [_one_line(line) for line in content.return_address] if to.is_printed else [],
            "address_block": to.address_block if to.is_printed else [],
            "parts": parts,
            "sheet": layout.sheet(content, chosen, english, self.languages) if tagline_sheet else None,
        }
        marks = PAGES_PER_LANGUAGE * len(chosen) + tagline_sheet
        pdf, pages = self._set(data, content, piece_id, marks)
        if pages > marks:
            pdf, pages = self._set(data, content, piece_id, pages)
        is_draft = tagline_sheet or any(catalogue.is_draft for catalogue in chosen)
        return Letter(pdf, pages, (pages + 1) // 2, to.address_block, is_draft)

    def _set(self, data: Mapping[str, object], content: NoticeContent, piece_id: str, marks: int) -> tuple[bytes, int]:
        page_marks = [page_mark(piece_id, page) for page in range(1, marks + 1)]
        pdf = self.typesetter.pdf("notice.typ", {**data, "page_marks": page_marks}, content.letter_date)
        with pikepdf.open(BytesIO(pdf)) as document:
            return pdf, len(document.pages)

    def _page(self, template: str, content: NoticeContent, catalogue: StrictCatalogue) -> str:
        return self.pages.get_template(template).render(
            say=catalogue.say,
            lang=catalogue.language.tag,
            direction=catalogue.language.direction.value,
            marks=layout.marks(content.mode, catalogue, self._catalogue(ENGLISH)),
            agency=_one_line(content.agency_name),
            phone=content.help_phone,
            code=format_code(content.code),
        )

    def _catalogue(self, tag: str) -> StrictCatalogue:
        if tag not in self.catalogues:
            raise MissingText(tag, "no catalogue")
        return self.catalogues[tag]


def build_renderer(*, config_dir: Path, template_dir: Path, font_dirs: Sequence[Path]) -> Renderer:
    """The renderer of these folders; it reads `languages.toml`, `record_types.toml` and `locale/` once.

    Raises:
        SettingsError: everything that is wrong in the first of those files that has something wrong.
    """
    languages = tongues.load(_toml(config_dir / "languages.toml"))
    named = words.load(_toml(config_dir / "record_types.toml"))
    catalogues = texts.load(template_dir / "locale", languages)
    unknown = sorted(set(named.message_ids()) - catalogues[ENGLISH].texts.keys())
    if unknown:
        raise SettingsError([f"record_types.toml: there is no message {message_id}" for message_id in unknown])
    return Renderer(
        languages=languages,
        words=named,
        edition=texts.edition_of({tag: catalogue.sha256 for tag, catalogue in catalogues.items()}),
        catalogues=catalogues,
        typesetter=typesetter(template_dir / "letter", font_dirs),
        pages=jinja2.Environment(
            loader=jinja2.FileSystemLoader(template_dir),
            autoescape=jinja2.select_autoescape(["html"]),
            undefined=jinja2.StrictUndefined,
            auto_reload=False,  # a text never changes under a running process; looking is a third of the rendering
            trim_blocks=True,
            lstrip_blocks=True,
        ),
    )


def _toml(path: Path) -> dict[str, object]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError([f"{path.name}: {type(error).__name__}"]) from None


def _one_line(text: str) -> str:
    return " ".join(text.split())
