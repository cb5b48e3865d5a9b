"""The letter in its envelope: the windows show the addresses and nothing else, whichever way the letter lies in it."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from io import BytesIO
from typing import Any

import pikepdf
import pytest
from pypdf import PdfReader

from notifier.core.model import Mode
from notifier.render.renderer import Addressee, Renderer
from tests.render.samples import ADDRESSEE, CONTENT, DATED, letter, one_line

INCH = 72.0
WIDTH, HEIGHT = 8.5, 11.0
FOLD = 11 / 3
LARGEST = Addressee(
    "Muhammad Abd al-Rahman ibn Khalid Example Nguyen Thi Hong",
    (
        "c/o Example Community Center and Shelter, Bldg 12",
        "98765 North Very Long Boulevard Southwest",
        "Apt 1234-B",
        "GREENWOOD VILLAGE CO 80111-0100",
    ),
)


@dataclass(frozen=True)
class Text:
    """A run of text: `left` and `baseline` in inches from the upper left corner of the page, `size` in points."""

    words: str
    left: float
    baseline: float
    size: float

    @property
    def right(self) -> float:
        """A generous guess: no letter of this font is wider on average than 0.65 of its size."""
        return self.left + len(self.words) * 0.65 * self.size / INCH


def placed(pdf: bytes, page: int) -> list[Text]:
    found: list[Text] = []

    def visit(words: str, cm: Sequence[float], _tm: Sequence[float], _font: Any, size: float) -> None:
        if words.strip():
            found.append(Text(one_line(words), cm[4] / INCH, HEIGHT - cm[5] / INCH, size))

    PdfReader(BytesIO(pdf)).pages[page].extract_text(visitor_text=visit)
    return found


@pytest.mark.parametrize("addressee", [ADDRESSEE, LARGEST], ids=["short", "long"])
@pytest.mark.parametrize("mode", Mode)
def test_the_recipient_window_shows_the_name_and_address_and_nothing_else(
    renderer: Renderer, addressee: Addressee, mode: Mode
) -> None:
    made = letter(renderer, replace(DATED, mode=mode), addressee, tagline_sheet=True)
    # The window is 4 by 1 inches, 0.625 from the left and 1.75 from the top.
    shown = [text for text in placed(made.pdf, 0) if text.left < 4.7 and 1.6 < text.baseline < 3.0]
    assert one_line(" ".join(text.words for text in shown)) == " ".join(made.address_block)
    for text in shown:
        assert 0.625 < text.left < 0.9
        assert text.baseline - 0.8 * text.size / INCH > 1.75
        assert text.baseline + 0.25 * text.size / INCH < 2.75
    assert made.address_block == (addressee.name, *addressee.address_lines)


def test_the_return_window_shows_the_return_address_and_nothing_else(renderer: Renderer) -> None:
    made = letter(renderer, replace(DATED, mode=Mode.TEST))
    shown = [text for text in placed(made.pdf, 0) if text.left < 4.7 and text.baseline < 1.6]
    assert [text.words for text in shown] == list(CONTENT.return_address)
    for text in shown:
        assert 0.625 < text.left < 0.7
        assert 0.5 < text.baseline < 1.375


@pytest.mark.parametrize("mode", Mode)
def test_no_line_of_the_notice_stands_above_the_first_fold(renderer: Renderer, mode: Mode) -> None:
    made = letter(renderer, replace(DATED, mode=mode), languages=("en", "es-419"), tagline_sheet=True)
    above = [text for text in placed(made.pdf, 0) if text.baseline < FOLD + 0.1]
    beside_the_windows = [text for text in above if text.left > 5.3]
    in_the_windows = [text for text in above if text.left < 0.9]
    assert len(in_the_windows) + len(beside_the_windows) == len(above)
    assert len(in_the_windows) == len(made.address_block) + len(CONTENT.return_address)
    words = one_line(" ".join(text.words for text in beside_the_windows))
    for secret in ("4829-1637-047", CONTENT.issuer, CONTENT.number, "records", "registros", "2026-12"):
        assert secret not in words


def test_the_notice_begins_just_below_the_fold(renderer: Renderer) -> None:
    title = next(text for text in placed(letter(renderer).pdf, 0) if text.words.startswith("Carta importante"))
    assert FOLD < title.baseline - title.size / INCH < FOLD + 0.3


def test_everything_people_have_to_read_is_at_least_12_points(renderer: Renderer) -> None:
    content = replace(DATED, mode=Mode.TEST, record_types=tuple(renderer.words.record_types))
    made = letter(renderer, content, languages=("en", "es-419"), tagline_sheet=True)
    for page in range(made.pages):
        small = [text for text in placed(made.pdf, page) if text.size < 12]
        body = [text for text in small if text.left < 5 and 1.5 < text.baseline < HEIGHT - 0.9]
        assert body == []


def test_every_page_keeps_clear_of_the_edges(renderer: Renderer) -> None:
    made = letter(renderer, replace(DATED, mode=Mode.TEST), LARGEST, tagline_sheet=True)
    for page in range(made.pages):
        for text in placed(made.pdf, page):
            assert text.left > 0.4
            assert 0.2 < text.baseline < HEIGHT - 0.2


def test_every_page_of_a_letter_of_any_length_has_its_mark(renderer: Renderer) -> None:
    every = tuple(renderer.words.record_types)
    long = replace(
        DATED, record_types=every, legal_help=tuple(f"Example Legal Aid {n}, 303-555-0142" for n in range(90))
    )
    made = letter(renderer, long, languages=("en",))
    assert made.pages > 3
    with pikepdf.open(BytesIO(made.pdf)) as pdf:
        drawings = [len(page.Contents.read_bytes()) > 0 and _strokes(page) for page in pdf.pages]
    assert min(drawings) > 100


def _strokes(page: pikepdf.Page) -> int:
    """How many lines are drawn: the mark is made of a few hundred, everything else of a handful."""
    return sum(str(instruction.operator) in {"l", "re"} for instruction in pikepdf.parse_content_stream(page))


def test_the_letter_is_an_accessible_pdf_that_names_its_languages_and_nobody(renderer: Renderer) -> None:
    with pikepdf.open(BytesIO(letter(renderer).pdf)) as pdf:
        assert pdf.Root.MarkInfo.Marked
        assert pdf.Root.Lang == "es"
        assert b"pdfuaid" in pdf.Root.Metadata.read_bytes()
        title = str(pdf.docinfo.Title)
        assert title == "Carta importante sobre sus registros"
        assert {(float(page.mediabox[2]), float(page.mediabox[3])) for page in pdf.pages} == {(612.0, 792.0)}


def test_every_font_is_embedded_and_is_noto_sans(renderer: Renderer) -> None:
    with pikepdf.open(BytesIO(letter(renderer, tagline_sheet=True).pdf)) as pdf:
        fonts = [font for page in pdf.pages for font in page.Resources.Font.values()]
        names = {str(font.BaseFont) for font in fonts}
        assert all("/FontFile2" in font.DescendantFonts[0].FontDescriptor for font in fonts)
    assert {name.split("+")[1] for name in names} == {"NotoSans-Regular", "NotoSans-Bold"}
