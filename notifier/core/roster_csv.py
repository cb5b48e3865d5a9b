"""CSV as RFC 4180 has it, in UTF-8, with a header of the names in `COLUMNS`."""

import csv
import re
from collections.abc import Iterator, Sequence

from pydantic import ValidationError

from notifier.core.errors import Finding, Invalid, Malformed
from notifier.core.person_row import PersonRow, findings
from notifier.core.roster_lines import ByteSource, Faults, fault, lines

COLUMNS = (
    "external_id",
    "name",
    "native_name",
    "language",
    "phone",
    "email",
    "address_line1",
    "address_line2",
    "city",
    "region",
    "postal_code",
    "country",
)
REQUIRED = ("external_id", "name")
_IN_ADDRESS = ("city", "region", "postal_code", "country")
_LINE_END = re.compile(r"\r\n|\r|\n")


class _Unreadable(Exception):
    """The bytes of a record cannot be used, as (code, detail)."""


class _Records:
    """Decoded lines for the csv module, and the size of the record being read."""

    def __init__(self, found: Iterator[bytes | None], max_bytes: int) -> None:
        self._found = found
        self._max_bytes = max_bytes
        self._size = 0
        self._reader = csv.reader(self, strict=True)

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        line = next(self._found)
        self._size += self._max_bytes if line is None else len(line) + 1
        if line is None or self._size > self._max_bytes:
            code = "line_too_long"
            raise _Unreadable(code, f"a row may have at most {self._max_bytes} bytes")
        try:
            return line.decode() + "\n"
        except UnicodeDecodeError as error:
            code = "not_utf8"
            raise _Unreadable(code, f"byte {error.start + 1} of the line is not UTF-8") from None

    def next_record(self) -> list[str] | Faults | None:
        """The next record; None at the end; Faults when nothing after it can be trusted."""
        self._size = 0
        try:
            return next(self._reader, None)
        except csv.Error:
            return fault("not_csv", "a quotation mark is missing or out of place")
        except _Unreadable as error:
            return fault(*error.args)


def csv_rows(source: ByteSource, *, max_row_bytes: int) -> Iterator[PersonRow | Faults]:
    """The data rows. Blank lines are allowed at the end only.

    Raises:
        Malformed: the header cannot be read.
        Invalid: `bad-header`, with findings that point to "/header/<column>".
    """
    records = _Records(lines(source, max_bytes=max_row_bytes), max_row_bytes)
    columns = _columns(records.next_record())
    blank_lines = 0
    while (record := records.next_record()) is not None:
        if isinstance(record, Faults):
            yield record
            return
        if not record:
            blank_lines += 1
            continue
        for _ in range(blank_lines):
            yield fault("blank_line", "is blank and is not the end")
        blank_lines = 0
        yield _row(columns, record)


def _columns(header: list[str] | Faults | None) -> tuple[str, ...]:
    if isinstance(header, Faults):
        in_header = [Finding("/header", finding.code, finding.detail) for finding in header.findings]
        raise Malformed("malformed-list", "the header cannot be read", in_header)
    columns = tuple(column.strip().lower() for column in header or ())
    found: list[Finding] = []
    for place, column in enumerate(columns):
        if column not in COLUMNS:
            found.append(Finding(f"/header/{place}", "unknown_column", f"is none of: {', '.join(COLUMNS)}"))
        elif column in columns[:place]:
            found.append(Finding(f"/header/{place}", "duplicate_column", f"{column} is there already"))
    found += [Finding("/header", "missing_column", f"{name} is required") for name in REQUIRED if name not in columns]
    if header is not None and found:
        raise Invalid("bad-header", "the first row must name the columns, separated by commas", found[:100])
    return columns


def _row(columns: Sequence[str], record: Sequence[str]) -> PersonRow | Faults:
    if len(record) != len(columns):
        return fault("wrong_number_of_cells", f"must have {len(columns)} cells, like the header")
    cells = dict(zip(columns, record, strict=True))
    contacts: list[dict[str, object]] = [
        {"kind": kind, "value": cells[kind]} for kind in ("phone", "email") if cells.get(kind, "").strip()
    ]
    first, second = (_address_lines(cells.get(column, "")) for column in ("address_line1", "address_line2"))
    address: dict[str, object] = {part: cells[part] for part in _IN_ADDRESS if cells.get(part, "").strip()}
    if first or second or address.keys() - {"country"}:
        contacts.append({"kind": "post", "address": {"lines": (*first, *second), **address}})
    person: dict[str, object] = {column: cells[column] for column in REQUIRED}
    person |= {column: cells[column] for column in ("native_name", "language") if cells.get(column, "").strip()}
    try:
        return PersonRow.model_validate({**person, "contacts": contacts})
    except ValidationError as error:
        kinds = [str(contact["kind"]) for contact in contacts]
        return Faults(tuple(_at_column(finding, kinds, len(first)) for finding in findings(error)))


def _address_lines(cell: str) -> list[str]:
    """A cell may hold several street lines."""
    return [line for line in _LINE_END.split(cell) if line.strip()]


def _at_column(finding: Finding, kinds: Sequence[str], first_lines: int) -> Finding:
    """The finding with a pointer to its column instead of its place in the model."""
    parts = finding.pointer.split("/")[1:]
    match parts:
        case ["contacts", index, "value"]:
            column = kinds[int(index)]
        case ["contacts", _, "address", "lines"]:
            column = "address_line1"
        case ["contacts", _, "address", "lines", line]:
            column = "address_line1" if int(line) < first_lines else "address_line2"
        case _:
            column = parts[-1]
    return Finding(f"/{column}", finding.code, finding.detail)
