"""A print batch: every piece once, in postal order, on sheets of its own, and a manifest that runs nothing."""

import csv
from dataclasses import replace
from datetime import date
from hashlib import sha256
from io import BytesIO, StringIO

import pytest
from pypdf import PdfReader

from notifier.core.model import PostService
from notifier.render.batch import Piece, PrintBatch, print_batch
from notifier.render.renderer import Addressee, Renderer
from tests.render.samples import letter, page_texts, text_of

BATCH_ID = "b" * 32


def piece(
    renderer: Renderer, number: int, postal_code: str, *, name: str = "Ana Example", sheet: bool = False
) -> Piece:
    piece_id = f"{number:032x}"
    made = letter(
        renderer,
        addressee=Addressee(name, ("1 Example Street", f"DENVER CO {postal_code}")),
        languages=("en",),
        tagline_sheet=sheet,
        piece_id=piece_id,
    )
    return Piece(piece_id, made.pdf, made.address_block, ("", postal_code), postal_code, made.pages, made.sheets)


def printed(renderer: Renderer, pieces: list[Piece]) -> PrintBatch:
    return print_batch(
        BATCH_ID,
        pieces,
        service=PostService.FIRST_CLASS,
        closed_on=date(2026, 11, 24),
        typesetter=renderer.typesetter,
    )


def rows_of(batch: PrintBatch) -> list[dict[str, str]]:
    return list(csv.DictReader(StringIO(batch.manifest.decode("utf-8-sig"), newline="")))


@pytest.fixture(scope="module")
def pieces(renderer: Renderer) -> list[Piece]:
    return [
        piece(renderer, 1, "80204"),
        piece(renderer, 2, "80011", sheet=True),
        piece(renderer, 3, "02134"),
        replace(piece(renderer, 4, "06000", sheet=True), sort_key=("MX", "06000"), postal_code="06000"),
    ]


def test_the_letters_are_in_postal_order_with_those_abroad_last(renderer: Renderer, pieces: list[Piece]) -> None:
    assert [int(row["piece_id"], 16) for row in rows_of(printed(renderer, pieces))] == [3, 2, 1, 4]


def test_the_order_the_pieces_came_in_changes_nothing(renderer: Renderer, pieces: list[Piece]) -> None:
    assert printed(renderer, pieces) == printed(renderer, pieces[::-1])


def test_every_piece_begins_on_a_sheet_of_its_own(renderer: Renderer, pieces: list[Piece]) -> None:
    batch = printed(renderer, pieces)
    texts = page_texts(batch.pdf)
    fronts = [number for number, text in enumerate(texts) if "Page 1 of" in text]
    assert fronts == [0, 2, 6, 8]
    assert [number for number, text in enumerate(texts) if not text] == [5, 11]
    assert len(texts) == 2 * batch.sheets == 12
    assert batch.pages == 10


def test_the_pages_of_two_pieces_are_never_on_one_sheet(renderer: Renderer, pieces: list[Piece]) -> None:
    texts = page_texts(printed(renderer, pieces).pdf)
    ids = [{one.number for one in pieces if one.number in text} for text in texts]
    assert set().union(*ids) == {one.number for one in pieces}
    assert all(len(ids[front] | ids[front + 1]) == 1 for front in range(0, len(ids), 2))


def test_the_manifest_tells_each_piece_as_it_is_printed(renderer: Renderer, pieces: list[Piece]) -> None:
    rows = rows_of(printed(renderer, pieces))
    assert [row["seq"] for row in rows] == ["1", "2", "3", "4"]
    by_id = {one.piece_id: one for one in pieces}
    for row in rows:
        one = by_id[row["piece_id"]]
        assert (row["piece_number"], row["service"]) == (one.number, "first_class")
        assert row["address"] == " | ".join(one.address_lines)
        assert row["postal_code"] == one.postal_code
        assert (int(row["pages"]), int(row["sheets"])) == (one.pages, one.sheets)
        assert row["sha256"] == sha256(one.pdf).hexdigest()


@pytest.mark.parametrize("name", ["=HYPERLINK()", "+1", "-1", "@SUM(A1)", " =1", "\uff1d1"])
def test_a_name_that_a_spreadsheet_would_run_is_quoted(renderer: Renderer, name: str) -> None:
    one = replace(piece(renderer, 1, "80204"), address_lines=(name, "DENVER CO 80204"))
    assert rows_of(printed(renderer, [one]))[0]["address"] == f"'{name} | DENVER CO 80204"


def test_a_name_with_quotes_commas_and_letters_of_any_script_survives(renderer: Renderer) -> None:
    name = 'Ana "Anita", Example\u00f1 Пример'
    one = replace(piece(renderer, 1, "80204"), address_lines=(name,))
    assert rows_of(printed(renderer, [one]))[0]["address"] == name


def test_the_totals_name_the_batch_and_nobody(renderer: Renderer, pieces: list[Piece]) -> None:
    batch = printed(renderer, pieces)
    totals = text_of(batch.totals)
    for value in (BATCH_ID, "2026-11-24", pieces[2].number, pieces[3].number, "First-Class Mail", "Declared mailed by"):
        assert value in totals
    assert "Pieces (envelopes) 4" in totals
    assert "Pages 10" in totals
    assert "both sides printed 6" in totals
    assert sha256(batch.pdf).hexdigest() in totals.replace(" ", "")
    assert sha256(batch.manifest).hexdigest() in totals.replace(" ", "")
    assert "Ana" not in totals
    assert "DENVER" not in totals
    assert len(PdfReader(BytesIO(batch.totals)).pages) == 1


def test_nothing_a_piece_twice_or_a_wrong_number_of_pages_is_no_batch(renderer: Renderer, pieces: list[Piece]) -> None:
    with pytest.raises(ValueError, match="at least one piece"):
        printed(renderer, [])
    with pytest.raises(ValueError, match="only once"):
        printed(renderer, [pieces[0], pieces[0]])
    with pytest.raises(ValueError, match="as many pages"):
        printed(renderer, [replace(pieces[0], pages=3, sheets=2)])
    with pytest.raises(ValueError, match="as many pages"):
        printed(renderer, [replace(pieces[0], sheets=2)])


def test_nothing_personal_shows_when_a_piece_is_printed_for_a_log(pieces: list[Piece]) -> None:
    assert "Ana" not in repr(pieces)
    assert "80204" not in repr(pieces)
