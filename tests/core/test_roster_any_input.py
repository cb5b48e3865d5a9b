"""Any input at all is people or a refusal: never another error, never a word of what came in."""

import csv
import io
import itertools
import json
from collections.abc import Callable, Iterator, Sequence

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from notifier.core.errors import Refused
from notifier.core.roster import PersonRow, read_csv, read_json_list, read_ndjson, read_objects, to_contacts
from notifier.core.roster_csv import COLUMNS

quick = settings(deadline=None, max_examples=150)
TAGS = {"en": "en", "es": "es-419"}

Outcome = list[PersonRow] | Refused


def nothing_near(_: str) -> str | None:
    return None


def read(reader: Callable[..., Iterator[PersonRow]], source: object) -> Outcome:
    """What comes of it; an error that is no refusal fails the test."""
    rows: list[PersonRow] = []
    try:
        rows.extend(reader(source, resolve_language=TAGS.get, suggest=nothing_near))
    except Refused as error:
        return error
    return rows


def repeats_nothing(found: Outcome) -> bool:
    """True for rows, and for a refusal in which no part of the input stands, with nothing chained behind it."""
    if isinstance(found, list):
        return True
    shown = f"{found!r}{found.detail}{found.findings!r}"
    return bool(found.code) and CANARY not in shown and found.__context__ is None and len(found.findings) <= 100


def as_lines(rows: Sequence[object]) -> bytes:
    return b"".join(json.dumps(row).encode() + b"\n" for row in rows)


def csv_bytes(header: Sequence[str], rows: Sequence[Sequence[str]]) -> bytes:
    out = io.StringIO()
    csv.writer(out).writerows([header, *rows])
    return out.getvalue().encode()


CANARY = "Zqxj"
text = st.text(st.characters(exclude_categories=["Cs"]), max_size=12).map(lambda t: CANARY + t + CANARY)
anything = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), text, st.just("\ud800" + CANARY)),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(text, inner, max_size=3)),
    max_leaves=6,
)
address = st.fixed_dictionaries(
    {},
    optional={
        "lines": st.one_of(anything, st.lists(text, max_size=4)),
        "city": anything,
        "region": text,
        "postal_code": text,
        "country": anything,
        f"{CANARY}key": anything,
    },
)
contact = st.fixed_dictionaries(
    {"kind": st.one_of(st.sampled_from(["phone", "email", "post"]), anything)},
    optional={"value": anything, "address": st.one_of(address, anything), f"{CANARY}key": anything},
)
person = st.fixed_dictionaries(
    {"external_id": st.one_of(text, anything), "name": st.one_of(text, anything)},
    optional={
        "native_name": anything,
        "language": st.one_of(st.sampled_from(["es", "en"]), anything),
        "contacts": st.one_of(st.lists(contact, max_size=3), anything),
        f"{CANARY}key": anything,
    },
)
damage = st.lists(st.tuples(st.integers(0, 2000), st.binary(max_size=3)), max_size=2)


def damaged(body: bytes, changes: list[tuple[int, bytes]]) -> bytes:
    for at, put in changes:
        body = body[:at] + put + body[at + 1 :]
    return body


@quick
@given(rows=st.lists(st.one_of(person, anything), max_size=4), changes=damage)
def test_any_json_is_people_or_a_refusal_that_repeats_nothing(
    rows: list[object], changes: list[tuple[int, bytes]]
) -> None:
    for body in (as_lines(rows), damaged(as_lines(rows), changes)):
        found = read(read_ndjson, [body])
        assert repeats_nothing(found)
        if isinstance(found, list):
            assert len(found) == len([line for line in body.split(b"\n") if line.strip()])
            assert all(point.problem or point.usable for row in found for point in to_contacts(row))
    assert repeats_nothing(read(read_json_list, damaged(json.dumps(rows).encode(), changes)))
    assert repeats_nothing(read(read_objects, rows))


@quick
@given(
    names=st.lists(st.text(st.characters(exclude_categories=["C", "Z"]), min_size=1), min_size=1, unique=True),
    language=st.sampled_from(["en", None]),
)
def test_every_well_formed_row_comes_out_as_it_went_in(names: list[str], language: str | None) -> None:
    rows = [{"external_id": str(n), "name": name[:200], "language": language} for n, name in enumerate(names)]
    found = read(read_ndjson, [as_lines(rows)])
    assert isinstance(found, list)
    assert [row.model_dump(exclude={"contacts", "native_name"}) for row in found] == rows


cells = st.lists(
    st.one_of(text, st.sampled_from(["", "es", '"', "a\nb", "=1+1", "\0", "303-555-0142"])),
    min_size=len(COLUMNS),
    max_size=len(COLUMNS),
)


@quick
@given(rows=st.lists(cells, max_size=4), extra=st.lists(text, max_size=2), changes=damage)
def test_any_csv_is_people_or_a_refusal_that_repeats_nothing(
    rows: list[list[str]], extra: list[str], changes: list[tuple[int, bytes]]
) -> None:
    body = csv_bytes([*COLUMNS, *extra], rows)
    found = read(read_csv, [body])
    assert repeats_nothing(found)
    if isinstance(found, list):
        assert [(row.external_id, row.name) for row in found] == [(row[0], row[1]) for row in rows]
    assert repeats_nothing(read(read_csv, [damaged(body, changes)]))


@quick
@given(body=st.binary(max_size=300), width=st.integers(1, 50))
@example(body=b"\xef\xbb", width=1)
@example(body=b'\xef\xbb\xbf"', width=1)
@pytest.mark.parametrize("reader", [read_ndjson, read_csv])
def test_any_bytes_in_any_chunks_come_to_the_same(
    reader: Callable[..., Iterator[PersonRow]], body: bytes, width: int
) -> None:
    whole = read(reader, [body])
    piecemeal = read(reader, [body[at : at + width] for at in range(0, len(body), width)])
    assert str(whole) == str(piecemeal)
    assert isinstance(read(read_json_list, body), list | Refused)


@quick
@given(
    numbers=st.lists(st.integers(0, 10_000), min_size=1, max_size=30, unique=True),
    cuts=st.lists(st.integers(0, 1000), max_size=6),
)
def test_where_the_chunks_are_cut_makes_no_difference(numbers: list[int], cuts: list[int]) -> None:
    body = as_lines([{"external_id": f"é-{n}", "name": "ማርያ"} for n in numbers])
    edges = [0, *sorted(min(cut, len(body)) for cut in cuts), len(body)]
    found = read(read_ndjson, [body[start:end] for start, end in itertools.pairwise(edges)])
    assert isinstance(found, list)
    assert [row.external_id for row in found] == [f"é-{n}" for n in numbers]
