"""Piece numbers and article numbers: what is typed wrong is seen."""

from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from notifier.core.articles import article_check_digit, parse_article
from notifier.core.pieces import parse_piece, piece_number

ids = st.uuids()
digits = st.integers(0, 9)


@given(piece=ids)
def test_the_number_printed_on_a_letter_names_it(piece: UUID) -> None:
    number = piece_number(piece)
    ref = parse_piece(number)
    assert ref is not None
    assert ref.names(piece)
    assert piece.hex[-12:] in ref.tails
    assert len(number.replace("-", "")) == 15


@given(piece=ids, page=st.integers(1, 99))
def test_the_code_of_every_page_names_its_letter_and_no_other(piece: UUID, page: int) -> None:
    for scanned in (f"{piece.hex.upper()}-{page}", piece.hex, str(piece), f" {str(piece).upper()}\n"):
        ref = parse_piece(scanned)
        assert ref is not None
        assert ref.names(piece)
        assert not ref.names(UUID(int=piece.int ^ 1 << 100))
        assert ref.tails == (piece.hex[-12:],)


@given(piece=ids, place=st.integers(0, 14), other=st.integers(1, 9))
def test_one_wrong_digit_makes_no_number(piece: UUID, place: int, other: int) -> None:
    number = piece_number(piece).replace("-", "")
    wrong = number[:place] + str((int(number[place]) + other) % 10) + number[place + 1 :]
    assert parse_piece(wrong) is None


def test_a_number_is_read_however_it_is_written() -> None:
    piece = uuid4()
    number = piece_number(piece)
    for written in (number.replace("-", " "), number.replace("-", ""), number.replace("-", "\u2013"), f"  {number} "):
        ref = parse_piece(written)
        assert ref is not None
        assert ref.names(piece)


@pytest.mark.parametrize("text", ["", "-", "1", "4829-1637-047", "x" * 32, "0" * 200, "99999-99999-99999", "\x00"])
def test_anything_else_is_no_piece(text: str) -> None:
    assert parse_piece(text) is None


# Numbers that the post itself prints in its examples, or that carriers' own tests use.
@pytest.mark.parametrize(
    "number",
    [
        "9400111202555842332669",
        "9261292700768711948021",
        "9361 2898 7870 0317 6337 95",
        "0307 1790 0005 2348 3741",
        "9505-5110-6960-5048-6006-24",
        "420802059400111202555842332669",
        "4208020512349400111202555842332669",
    ],
)
def test_an_article_number_of_the_post_is_read(number: str) -> None:
    found = parse_article(number)
    assert found is not None
    assert number.replace(" ", "").replace("-", "").endswith(found)
    assert len(found) in {20, 22}


@given(body=st.lists(digits, min_size=21, max_size=21), place=st.integers(0, 21), other=st.integers(1, 9))
def test_one_wrong_digit_makes_no_article_number(body: list[int], place: int, other: int) -> None:
    first = "".join(map(str, body))
    number = first + article_check_digit(first)
    assert parse_article(number) == number
    wrong = number[:place] + str((int(number[place]) + other) % 10) + number[place + 1 :]
    assert parse_article(wrong) is None


@pytest.mark.parametrize(
    "text", ["", "12345", "9" * 19, "9400111202555842332660", "94001112025558423326x9", "\u0661" * 20]
)
def test_anything_else_is_no_article_number(text: str) -> None:
    assert parse_article(text) is None
