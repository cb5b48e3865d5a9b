"""CSV as it comes in: its header, its cells, and what is refused of it."""

import pytest

from notifier.core.errors import Malformed
from notifier.core.roster_csv import COLUMNS
from tests.core.rosters import CSV_MARIA, csv_bytes, from_csv, refusal, said


def test_a_csv_in_another_encoding_is_refused_at_its_row() -> None:
    error = refusal(from_csv([b"external_id,name\nA,Maria\nB," + "Peña".encode("cp1252") + b"\n"]))
    assert isinstance(error, Malformed)
    assert said(error) == [("/1", "not_utf8")]


@pytest.mark.parametrize(
    ("header", "found"),
    [
        (["external_id"], [("/header", "missing_column")]),
        (["external_id", "name", "dob"], [("/header/2", "unknown_column")]),
        (["external_id", "name", "Name "], [("/header/2", "duplicate_column")]),
        (["A-1", "María"], [("/header/0", "unknown_column"), ("/header/1", "unknown_column")]),
        (["external_id;name"], [("/header/0", "unknown_column")]),
        ([""], [("/header/0", "unknown_column")]),
    ],
)
def test_a_csv_header_is_checked_and_not_repeated(header: list[str], found: list[tuple[str, str]]) -> None:
    error = refusal(from_csv([csv_bytes(header=header)]))
    assert error.code == "bad-header"
    assert said(error)[: len(found)] == found
    assert "A-1" not in f"{error}{error.findings}"


def test_csv_columns_may_be_in_any_order_and_optional_ones_left_out() -> None:
    (row,) = from_csv([b'Name, external_id\r\n"Garc\xc3\xada, Jos\xc3\xa9",A-1\r\n'])
    assert (row.external_id, row.name, row.contacts) == ("A-1", "García, José", ())


def test_a_csv_cell_with_several_street_lines_is_an_address_with_several_lines() -> None:
    cells = [*CSV_MARIA[:6], "c/o Church\r\n1313 Sherman Street", "Apt 4", *CSV_MARIA[8:]]
    (row,) = from_csv([csv_bytes(cells)])
    address = row.contacts[-1].address
    assert address is not None
    assert address.lines == ("c/o Church", "1313 Sherman Street", "Apt 4")


@pytest.mark.parametrize(
    ("changed", "pointer", "code"),
    [
        ({"external_id": ""}, "/0/external_id", "blank"),
        ({"name": "a\nb"}, "/0/name", "control_character"),
        ({"phone": "\0"}, "/0/phone", "control_character"),
        ({"phone": "", "email": "x" * 321}, "/0/email", "too_long"),
        ({"address_line1": "a\nb\nc"}, "/0/address_line1", "too_many"),
        ({"address_line1": "a\tb"}, "/0/address_line1", "control_character"),
        ({"address_line2": "a\tb"}, "/0/address_line2", "control_character"),
        ({"city": "a\tb", "phone": ""}, "/0/city", "control_character"),
        ({"language": "xx"}, "/0/language", "unknown_language"),
    ],
)
def test_a_fault_in_a_csv_cell_points_to_its_column(changed: dict[str, str], pointer: str, code: str) -> None:
    cells = {**dict(zip(COLUMNS, CSV_MARIA, strict=True)), **changed}
    assert said(refusal(from_csv([csv_bytes(list(cells.values()))]))) == [(pointer, code)]


@pytest.mark.parametrize(
    ("rows", "code"),
    [
        (b"A,b,c\n", "wrong_number_of_cells"),
        (b"A\n", "wrong_number_of_cells"),
        (b'A,"never closed\n', "not_csv"),
        (b'A,"x"y\n', "not_csv"),
        (b"A,b\rB,c\n", "not_csv"),
        (b"A," + b"x" * 200_000 + b"\n", "line_too_long"),
        (b'A,"' + b"x\n" * 100_000 + b'"\n', "line_too_long"),
        (b'A,"b' + b'\n","b' * 60_000 + b'"\n', "line_too_long"),
    ],
)
def test_rows_that_are_not_csv_are_refused(rows: bytes, code: str) -> None:
    error = refusal(from_csv([b"external_id,name\n" + rows]))
    assert isinstance(error, Malformed)
    assert said(error) == [("/0", code)]


def test_a_csv_header_that_cannot_be_read_is_refused() -> None:
    assert said(refusal(from_csv([b'"external_id\n']))) == [("/header", "not_csv")]


def test_a_name_alone_on_a_country_column_makes_no_address() -> None:
    (row,) = from_csv([csv_bytes(["A", "Khadija", *[""] * 9, "US"])])
    assert row.contacts == ()
