"""Lists of people as an agency would write them, and how they are read."""

import csv
import io
import json
from collections.abc import Iterable, Iterator, Sequence

import pytest

from notifier.core.errors import Refused
from notifier.core.roster import PersonRow, read_csv, read_json_list, read_ndjson, read_objects
from notifier.core.roster_csv import COLUMNS
from notifier.core.roster_lines import ByteSource

TAGS = {"en": "en", "es": "es-419", "es-419": "es-419", "ar": "ar"}


def near(tag: str) -> str | None:
    return "es-419" if tag.lower().startswith("sp") else None


def ndjson(source: ByteSource) -> Iterator[PersonRow]:
    return read_ndjson(source, resolve_language=TAGS.get, suggest=near)


def from_csv(source: ByteSource) -> Iterator[PersonRow]:
    return read_csv(source, resolve_language=TAGS.get, suggest=near)


def json_list(body: bytes) -> Iterator[PersonRow]:
    return read_json_list(body, resolve_language=TAGS.get, suggest=near)


def objects(values: Iterable[object], at: str = "/people") -> Iterator[PersonRow]:
    return read_objects(values, at=at, resolve_language=TAGS.get, suggest=near)


MARIA: dict[str, object] = {
    "external_id": "A-1",
    "name": "María de los Ángeles García Hernández",
    "native_name": None,
    "language": "es",
    "contacts": [
        {"kind": "phone", "value": "303-555-0142"},
        {"kind": "email", "value": "maria@example.org"},
        {
            "kind": "post",
            "address": {
                "lines": ["1313 Sherman Street", "Apt 4"],
                "city": "Denver",
                "region": "CO",
                "postal_code": "80203",
            },
        },
    ],
}


def maria(**changes: object) -> dict[str, object]:
    return {**MARIA, **changes}


def as_lines(*rows: object) -> bytes:
    return b"".join(json.dumps(row).encode() + b"\n" for row in rows)


def refusal(rows: Iterable[PersonRow]) -> Refused:
    with pytest.raises(Refused) as caught:
        list(rows)
    return caught.value


def said(error: Refused) -> list[tuple[str, str]]:
    return [(finding.pointer, finding.code) for finding in error.findings]


def csv_bytes(*rows: Sequence[str], header: Sequence[str] = COLUMNS) -> bytes:
    out = io.StringIO()
    csv.writer(out).writerows([header, *rows])
    return out.getvalue().encode()


CSV_MARIA = (
    "A-1",
    "María de los Ángeles García Hernández",
    "",
    "es",
    "303-555-0142",
    "maria@example.org",
    "1313 Sherman Street",
    "Apt 4",
    "Denver",
    "CO",
    "80203",
    "",
)
