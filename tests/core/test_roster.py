"""The list of people: every row in is a person out, or nothing is; and no message repeats what came in."""

import io
import json
import re
import sys
import tracemalloc
import unicodedata
from collections.abc import Callable, Iterator

import pytest

from notifier.core.contacts import Problem
from notifier.core.errors import Invalid, Malformed
from notifier.core.model import ContactKind
from notifier.core.person_row import MAX_CONTACTS
from notifier.core.roster import PersonRow, to_contacts
from tests.core.rosters import (
    CSV_MARIA,
    MARIA,
    as_lines,
    csv_bytes,
    from_csv,
    json_list,
    maria,
    ndjson,
    objects,
    refusal,
    said,
)


def test_the_same_person_is_read_from_json_ndjson_and_csv() -> None:
    (from_lines,) = ndjson([as_lines(MARIA)])
    assert [from_lines] == list(from_csv([csv_bytes(CSV_MARIA)])) == list(json_list(json.dumps([MARIA]).encode()))
    assert from_lines.name == MARIA["name"]
    assert from_lines.language == "es-419"
    assert [point.kind for point in to_contacts(from_lines)] == [ContactKind.PHONE, ContactKind.EMAIL, ContactKind.POST]
    assert all(point.usable for point in to_contacts(from_lines))


def test_a_binary_stream_and_chunks_are_read_alike() -> None:
    body = as_lines(maria(), maria(external_id="A-2"))
    assert list(ndjson(io.BytesIO(body))) == list(ndjson([body[:7], body[7:]]))


@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
@pytest.mark.parametrize("end", [b"", b"\n", b"\r\n", b"\n\n \n"])
def test_a_byte_order_mark_and_blank_lines_at_the_end_are_no_rows(mark: bytes, end: bytes) -> None:
    line = json.dumps(MARIA).encode()
    assert len(list(ndjson([mark + line + b"\r\n" + line.replace(b"A-1", b"A-2") + end]))) == 2
    assert len(list(from_csv([mark + csv_bytes(CSV_MARIA).rstrip() + end.replace(b" ", b"")]))) == 1


def test_a_blank_line_between_rows_is_refused() -> None:
    error = refusal(ndjson([as_lines(MARIA) + b"\n\n" + as_lines(maria(external_id="A-2"))]))
    assert isinstance(error, Malformed)
    assert said(error) == [("/1", "blank_line"), ("/2", "blank_line")]
    body = csv_bytes(CSV_MARIA)
    assert said(refusal(from_csv([body + b"\n" + body.splitlines()[1] + b"\n"])))[0] == ("/1", "blank_line")


@pytest.mark.parametrize("body", [b"", b"\n\n", b"\xef\xbb\xbf"])
def test_an_empty_list_is_refused(body: bytes) -> None:
    assert refusal(ndjson([body])).code == "empty-list"
    assert refusal(json_list(b"[]")).code == "empty-list"
    assert refusal(objects([])).findings[0].pointer == "/people"
    assert refusal(from_csv([csv_bytes()])).code == "empty-list"
    assert refusal(from_csv([b""])).code == "empty-list"


def test_a_person_without_contacts_is_kept() -> None:
    (row,) = ndjson([as_lines({"external_id": "A-1", "name": "Khadija"})])
    assert (row.contacts, row.language, to_contacts(row)) == ((), None, ())


def test_a_contact_that_cannot_be_used_does_not_refuse_the_person() -> None:
    contacts = [{"kind": "phone", "value": "none"}, {"kind": "post", "address": {"city": "Denver"}}]
    (row,) = ndjson([as_lines(maria(contacts=contacts))])
    assert [point.problem for point in to_contacts(row)] == [Problem.NOT_A_NUMBER, Problem.NO_STREET]


def test_the_same_contact_written_twice_is_one() -> None:
    contacts = [{"kind": "phone", "value": value} for value in ("303-555-0142", "+1 (303) 555-0142", "303-555-0143")]
    (row,) = ndjson([as_lines(maria(contacts=contacts))])
    assert [point.value for point in to_contacts(row)] == ["+13035550142", "+13035550143"]


def test_what_counts_as_seen_at_a_glance_can_be_seen() -> None:
    seen = (chr(point) for point in range(sys.maxunicode + 1) if re.match(r"\w", chr(point)))
    assert not [letter for letter in seen if unicodedata.category(letter)[0] in "CZ"]


@pytest.mark.parametrize("name", ["Nguyê\u0303n", "Khadija ", "O\u2019Neil", "محمد\u200cحسن", "FNU Khadija", "PÃ©rez"])
def test_a_name_is_kept_as_it_is_written(name: str) -> None:
    (row,) = ndjson([as_lines(maria(name=name))])
    assert row.name == name


@pytest.mark.parametrize(
    ("row", "pointer", "code"),
    [
        ([], "/0", "wrong_type"),
        (3, "/0", "wrong_type"),
        ({"name": "x"}, "/0/external_id", "missing"),
        (maria(name=None), "/0/name", "wrong_type"),
        (maria(name=7), "/0/name", "wrong_type"),
        (maria(name=""), "/0/name", "blank"),
        (maria(name=" \u200b\u00a0"), "/0/name", "blank"),
        (maria(name="x" * 201), "/0/name", "too_long"),
        (maria(name="a\0b"), "/0/name", "control_character"),
        (maria(name="a\nb"), "/0/name", "control_character"),
        (maria(name="a\u2028b"), "/0/name", "control_character"),
        (maria(name="a\ud800"), "/0/name", "lone_surrogate"),
        (maria(external_id=" "), "/0/external_id", "blank"),
        (maria(status="x"), "/0", "unknown_field"),
        (maria(language="Spanish"), "/0/language", "unknown_language"),
        (maria(language=""), "/0/language", "blank"),
        (maria(contacts={}), "/0/contacts", "wrong_type"),
        (maria(contacts="phone"), "/0/contacts", "wrong_type"),
        (maria(contacts=[{"kind": "phone", "value": "1"}] * (MAX_CONTACTS + 1)), "/0/contacts", "too_many"),
        (maria(contacts=["303"]), "/0/contacts/0", "wrong_type"),
        (maria(contacts=[{"kind": "fax", "value": "1"}]), "/0/contacts/0/kind", "not_one_of"),
        (maria(contacts=[{"kind": "phone"}]), "/0/contacts/0", "contact_shape"),
        (maria(contacts=[{"kind": "post", "value": "x"}]), "/0/contacts/0", "contact_shape"),
        (maria(contacts=[{"kind": "email", "value": "x", "address": {}}]), "/0/contacts/0", "contact_shape"),
        (maria(contacts=[{"kind": "phone", "value": 3035550142}]), "/0/contacts/0/value", "wrong_type"),
        (
            maria(contacts=[{"kind": "post", "address": {"lines": ["x"] * 4}}]),
            "/0/contacts/0/address/lines",
            "too_many",
        ),
        (
            maria(contacts=[{"kind": "post", "address": {"city": "a\tb"}}]),
            "/0/contacts/0/address/city",
            "control_character",
        ),
    ],
)
def test_a_row_of_the_wrong_shape_refuses_the_list_and_is_pointed_at(row: object, pointer: str, code: str) -> None:
    error = refusal(ndjson([as_lines(row)]))
    assert isinstance(error, Invalid)
    assert (pointer, code) in said(error)
    assert said(refusal(objects([row], at="/people"))) == [(f"/people{pointer}", code) for pointer, code in said(error)]


@pytest.mark.parametrize(
    ("line", "code"),
    [
        (b"{", "not_json"),
        (b"NaN", "not_json"),
        (b'{"name": Infinity}', "not_json"),
        (b'{"name": "a\x00b"}', "not_json"),
        (b"1" * 5000, "not_json"),
        (b'{"name": "a", "name": "b"}', "duplicate_key"),
        (b'{"contacts": [{"kind": "phone", "kind": "phone"}]}', "duplicate_key"),
        (b'{"name": "\xe9"}', "not_utf8"),
        (b'{"name": "\xed\xa0\x80"}', "not_utf8"),
        (b"[" * 60_000, "too_deep"),
        (b'{"a":' * 20_000, "too_deep"),
        (b'"' + b"x" * 140_000 + b'"', "line_too_long"),
    ],
)
def test_a_line_that_is_not_json_refuses_the_list_and_the_rest_is_still_looked_at(line: bytes, code: str) -> None:
    error = refusal(ndjson([as_lines(MARIA) + line + b"\n" + as_lines({"name": "x"})]))
    assert isinstance(error, Malformed)
    assert said(error) == [("/1", code), ("/2/external_id", "missing")]


def test_a_json_list_must_be_json_and_a_list() -> None:
    with pytest.raises(Malformed, match="not JSON"):
        json_list(b"[" * 100_000)
    with pytest.raises(Invalid, match="not-a-list"):
        json_list(b'{"people": []}')


def test_an_unknown_language_gets_a_suggestion_and_is_not_repeated() -> None:
    error = refusal(ndjson([as_lines(maria(language="Spanglish"))]))
    assert error.findings[0].detail == "is not a declared language tag; did you mean es-419?"


def test_a_doubled_external_id_is_refused_and_the_first_row_is_named() -> None:
    rows = [maria(external_id="é"), maria(external_id="A-2"), maria(external_id="e\u0301")]
    error = refusal(ndjson([as_lines(*rows)]))
    assert said(error) == [("/2/external_id", "duplicate_external_id")]
    assert error.findings[0].detail == "is the same as /0/external_id"


def test_no_row_is_given_after_the_first_fault_and_all_faults_are_found() -> None:
    rows = ndjson([as_lines(maria(), {"name": "x"}, maria(external_id="A-3"), maria(name=""))])
    assert next(rows).external_id == "A-1"
    assert said(refusal(rows)) == [("/1/external_id", "missing"), ("/3/name", "blank")]


def test_at_most_a_hundred_faults_are_told() -> None:
    error = refusal(ndjson([as_lines({})] * 500))
    assert len(error.findings) == 100
    assert "at least 100" in error.detail


@pytest.mark.parametrize(
    ("body", "name"),
    [
        ("external_id,name\nA,María\n".encode("utf-16"), "UTF-16"),
        ("external_id,name\nA,María\n".encode("utf-16-le"), "UTF-16"),
        ("external_id,name\nA,María\n".encode("utf-32"), "UTF-32"),
        (b"PK\x03\x04\x14\0", "spreadsheet"),
        (b"%PDF-1.7\n", "PDF"),
        (b"\x1f\x8b\x08\0", "gzip"),
    ],
)
@pytest.mark.parametrize("read", [ndjson, from_csv])
def test_another_encoding_or_kind_of_file_is_refused_by_name(
    body: bytes, name: str, read: Callable[[list[bytes]], Iterator[PersonRow]]
) -> None:
    error = refusal(read([body]))
    assert isinstance(error, Malformed)
    assert name in error.detail


def test_neither_a_row_nor_its_parts_show_a_person_when_printed() -> None:
    (row,) = ndjson([as_lines(maria(native_name="マリア"))])
    shown = f"{row!r}{row.contacts!r}{row}"
    for secret in ("A-1", "García", "es-419", "303", "maria", "Sherman", "Denver", "80203", "マリア"):
        assert secret not in shown


def test_a_hundred_thousand_lines_are_a_hundred_thousand_people() -> None:
    def body() -> Iterator[bytes]:
        for start in range(0, 100_000, 500):
            yield b"".join(b'{"external_id":"%d","name":"Khadija"}\n' % n for n in range(start, start + 500))

    assert sum(1 for _ in ndjson(body())) == 100_000


def test_a_long_list_does_not_pile_up_in_memory() -> None:
    def body() -> Iterator[bytes]:
        for n in range(10_000):
            yield as_lines(maria(external_id=f"A-{n}"))

    tracemalloc.start()
    try:
        assert sum(1 for _ in ndjson(body())) == 10_000
        assert tracemalloc.get_traced_memory()[1] < 3_000_000
    finally:
        tracemalloc.stop()


def test_an_over_long_line_in_many_chunks_is_skipped_and_the_next_row_is_read() -> None:
    chunks = [b'{"external_id": "', *[b"x" * 1000] * 200, b'"}\n' + as_lines({}), b"y" * 70_000, b"y" * 70_000]
    codes = [code for _, code in said(refusal(ndjson(chunks)))]
    assert codes == ["line_too_long", "missing", "missing", "line_too_long"]
