"""A print batch: the letters of one run as one file in postal order, with its manifest and its sheet of totals."""

import csv
import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Final
from uuid import UUID

import pikepdf

from notifier.core.model import PostService
from notifier.core.pieces import piece_number
from notifier.render.content import sha256
from notifier.render.typeset import Typesetter

LETTER_SIZE: Final = (612, 792)  # points
COLUMNS: Final = ("seq", "piece_id", "piece_number", "service", "pages", "sheets", "address", "postal_code", "sha256")
LINE_SEPARATOR: Final = " | "
# What a spreadsheet takes for the beginning of a formula; the last four are the full-width forms.
FORMULA_STARTS: Final = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")


@dataclass(frozen=True, slots=True)
class Piece:
    """One letter to print. `piece_id` is a UUID without dashes; `sort_key` is its place in postal order.

    `address_lines` as they show in the window.
    """

    piece_id: str
    pdf: bytes = field(repr=False)
    address_lines: tuple[str, ...] = field(repr=False)
    sort_key: tuple[str, ...] = field(repr=False)
    postal_code: str = field(repr=False)
    pages: int
    sheets: int

    @property
    def number(self) -> str:
        """What stands beside the 2D code of each page."""
        return piece_number(UUID(hex=self.piece_id))


@dataclass(frozen=True, slots=True)
class PrintBatch:
    """What the mailroom gets: the letters, the manifest (UTF-8 CSV with a byte order mark), the sheet of totals."""

    pdf: bytes = field(repr=False)
    manifest: bytes = field(repr=False)
    totals: bytes = field(repr=False)
    pages: int
    sheets: int


def print_batch(
    batch_id: str, pieces: Sequence[Piece], *, service: PostService, closed_on: date, typesetter: Typesetter
) -> PrintBatch:
    """Put letters of one service into one file in postal order, each beginning on a sheet of its own.

    Raises:
        ValueError: no piece, a piece twice, or one whose pages are not as many as it says.
    """
    ordered = sorted(pieces, key=lambda piece: (piece.sort_key, piece.piece_id))
    if not ordered or len({piece.piece_id for piece in ordered}) < len(ordered):
        raise ValueError("a batch needs at least one piece, and each only once")
    pdf, manifest = _merged(ordered), _manifest(ordered, service)
    pages, sheets = sum(piece.pages for piece in ordered), sum(piece.sheets for piece in ordered)
    totals = {
        "batch_id": batch_id,
        "closed_on": closed_on.isoformat(),
        "is_certified": service is PostService.CERTIFIED,
        "pieces": len(ordered),
        "pages": pages,
        "sheets": sheets,
        "first_piece": ordered[0].number,
        "last_piece": ordered[-1].number,
        "pdf_sha256": sha256(pdf),
        "manifest_sha256": sha256(manifest),
    }
    return PrintBatch(pdf, manifest, typesetter.pdf("totals.typ", totals, closed_on), pages, sheets)


def _merged(pieces: Iterable[Piece]) -> bytes:
    merged = pikepdf.new()
    for piece in pieces:
        with pikepdf.open(io.BytesIO(piece.pdf)) as letter:
            if len(letter.pages) != piece.pages or (piece.pages + 1) // 2 != piece.sheets:
                raise ValueError("a piece has not as many pages as it says")
            merged.add_pages_from(letter)
        if piece.pages % 2:
            merged.add_blank_page(page_size=LETTER_SIZE)
    out = io.BytesIO()
    merged.save(out, deterministic_id=True, object_stream_mode=pikepdf.ObjectStreamMode.generate)
    return out.getvalue()


def _manifest(pieces: Iterable[Piece], service: PostService) -> bytes:
    text = io.StringIO(newline="")
    rows = csv.writer(text)
    rows.writerow(COLUMNS)
    for seq, piece in enumerate(pieces, start=1):
        address = LINE_SEPARATOR.join(piece.address_lines)
        digest, named = sha256(piece.pdf), (piece.piece_id, piece.number, service.value)
        cells = (seq, *named, piece.pages, piece.sheets, address, piece.postal_code, digest)
        rows.writerow([_cell(str(cell)) for cell in cells])
    return text.getvalue().encode("utf-8-sig")


def _cell(text: str) -> str:
    """The text, with an apostrophe before what a spreadsheet would run."""
    return f"'{text}" if text.lstrip(" ").startswith(FORMULA_STARTS) else text
