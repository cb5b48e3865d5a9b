"""A notice to render: synthetic, and with every value easy to find again."""

import re
from dataclasses import replace
from datetime import date
from io import BytesIO
from pathlib import Path

from pypdf import PdfReader

from notifier.core.model import Instrument, JudgeSigned, Mode
from notifier.render.content import Letter, NoticeContent, parse_hours
from notifier.render.renderer import Addressee, Renderer

ROOT = Path(__file__).parents[2]
LOCALE_DIR = ROOT / "templates" / "locale"
PIECE = "0123456789abcdef0123456789abcdef"

CONTENT = NoticeContent(
    mode=Mode.LIVE,
    letter_date=date(2026, 11, 24),
    agency_name="Denver Agency",
    return_address=("Denver Agency", "PO Box 100", "Denver CO 80201"),
    help_phone="303-555-0100",
    phone_hours=parse_hours("mon-fri 08:00-17:00"),
    main_phone="303-555-0199",
    interpreter_on_file=True,
    legal_help=("Example Legal Aid, 303-555-0142",),
    instrument=Instrument.ADMIN_SUBPOENA,
    judge_signed=JudgeSigned.NO,
    record_types=("home_address", "wages"),
    code="48291637047",
    issuer="Example Field Office",
    number="EX-2026-0001",
    dated=date(2026, 11, 13),
)
DATED = replace(CONTENT, act_by=date(2026, 12, 15), not_before=date(2026, 12, 28))

ADDRESSEE = Addressee("María Example Pérez", ("1234 Example Street Apt 5", "DENVER CO 80204"))

BOTH = ("es-419", "en")


def letter(
    renderer: Renderer,
    content: NoticeContent = CONTENT,
    addressee: Addressee = ADDRESSEE,
    languages: tuple[str, ...] = BOTH,
    *,
    tagline_sheet: bool = False,
    piece_id: str = PIECE,
) -> Letter:
    return renderer.letter(content, addressee, languages=languages, tagline_sheet=tagline_sheet, piece_id=piece_id)


def page_texts(pdf: bytes) -> list[str]:
    """The text of each page on one line; pypdf takes kerning before a comma for a space."""
    return [one_line(page.extract_text()) for page in PdfReader(BytesIO(pdf)).pages]


def text_of(pdf: bytes) -> str:
    return " ".join(page_texts(pdf))


def one_line(text: str) -> str:
    return re.sub(r" ([,.;:?!)])", r"\1", " ".join(text.split()))
