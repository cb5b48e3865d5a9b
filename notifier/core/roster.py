"""Reads the list of people: JSON, NDJSON or CSV in UTF-8. Every row in is a person out, or nothing is.

A reader gives rows as it reads, so that a list of any length needs little memory, and raises at the end if anything
was wrong: what it gave before counts only when it ends without an error. After the first fault it gives no more rows,
but reads on, to find the others. Rows are counted from 0, without a CSV header. No message repeats a value.
"""

import unicodedata
from collections.abc import Callable, Iterable, Iterator

from pydantic import ValidationError

from notifier.core.errors import Finding, Invalid, Malformed
from notifier.core.first_rows import FirstRows
from notifier.core.person_row import AddressRow, ContactRow, PersonRow, findings, to_contacts
from notifier.core.roster_csv import csv_rows
from notifier.core.roster_lines import ByteSource, Faults, fault, lines
from notifier.core.strict_json import parse

__all__ = [
    "AddressRow",
    "ContactRow",
    "PersonRow",
    "findings",
    "read_csv",
    "read_json_list",
    "read_ndjson",
    "read_objects",
    "to_contacts",
]

MAX_ROW_BYTES = 131_072
MAX_FINDINGS = 100


Lookup = Callable[[str], str | None]
"""`resolve_language` gives the declared tag for a writing of it; `suggest` the nearest one, for a human to confirm."""


def read_ndjson(
    source: ByteSource, *, resolve_language: Lookup, suggest: Lookup, max_line_bytes: int = MAX_ROW_BYTES
) -> Iterator[PersonRow]:
    """The people of a list with one JSON object a line. Blank lines are allowed at the end only.

    Raises:
        Malformed: not text in UTF-8, or some line is not JSON; with at most 100 findings.
        Invalid: some row breaks a rule, with at most 100 findings; or `empty-list`.
    """
    rows = _ndjson_rows(lines(source, max_bytes=max_line_bytes), max_line_bytes)
    return _accepted(rows, at="", resolve_language=resolve_language, suggest=suggest)


def read_csv(
    source: ByteSource, *, resolve_language: Lookup, suggest: Lookup, max_row_bytes: int = MAX_ROW_BYTES
) -> Iterator[PersonRow]:
    """The people of a CSV file with a header (RFC 4180).

    Raises:
        Malformed: not text in UTF-8, or not CSV; with at most 100 findings.
        Invalid: as for NDJSON; or `bad-header`.
    """
    rows = csv_rows(source, max_row_bytes=max_row_bytes)
    return _accepted(rows, at="", resolve_language=resolve_language, suggest=suggest)


def read_json_list(body: bytes, *, resolve_language: Lookup, suggest: Lookup, at: str = "") -> Iterator[PersonRow]:
    """The people of a JSON array; held in memory whole, so the caller limits its size.

    Raises:
        Malformed: not JSON.
        Invalid: not an array, or as for NDJSON.
    """
    rows = parse(body)
    if not isinstance(rows, list):
        raise Invalid("not-a-list", "the body must be a JSON array", [Finding(at, "wrong_type", "must be a list")])
    return read_objects(rows, resolve_language=resolve_language, suggest=suggest, at=at)


def read_objects(
    values: Iterable[object], *, resolve_language: Lookup, suggest: Lookup, at: str = "/people"
) -> Iterator[PersonRow]:
    """The people of parsed JSON, or rows already checked for their shape; pointers start with `at`.

    Raises:
        Invalid: as for NDJSON.
    """
    return _accepted(map(_row, values), at=at, resolve_language=resolve_language, suggest=suggest)


def _ndjson_rows(found: Iterator[bytes | None], max_bytes: int) -> Iterator[PersonRow | Faults]:
    blank_lines = 0
    for line in found:
        if line is not None and (not line or line.isspace()):
            blank_lines += 1
            continue
        for _ in range(blank_lines):
            yield fault("blank_line", "is blank and is not the end")
        blank_lines = 0
        yield fault("line_too_long", f"a row may have at most {max_bytes} bytes") if line is None else _json_row(line)


def _json_row(line: bytes) -> PersonRow | Faults:
    try:
        return _row(parse(line))
    except Malformed as error:
        return Faults(error.findings, is_malformed=True)


def _row(value: object) -> PersonRow | Faults:
    try:
        return PersonRow.model_validate(value)
    except ValidationError as error:
        return Faults(findings(error))


def _accepted(
    rows: Iterable[PersonRow | Faults], *, at: str, resolve_language: Lookup, suggest: Lookup
) -> Iterator[PersonRow]:
    """The rows while all is well; what holds over the whole list is checked here."""
    found: list[Finding] = []
    is_malformed = False
    first_rows = FirstRows()
    number = -1
    for number, read in enumerate(rows):
        if isinstance(read, Faults):
            is_malformed |= read.is_malformed
            row, here = None, read.findings
        else:
            row, unknown = _with_declared_tag(read, resolve_language, suggest)
            here = (*_twice(read, number, first_rows, at), *unknown)
        found += [Finding(f"{at}/{number}{finding.pointer}", finding.code, finding.detail) for finding in here]
        if len(found) >= MAX_FINDINGS:
            break
        if row is not None and not found:
            yield row
    if number < 0:
        raise Invalid("empty-list", "there is nobody on the list", [Finding(at, "empty", "must have at least one row")])
    if found:
        raise _refusal(found, is_malformed=is_malformed)


def _refusal(found: list[Finding], *, is_malformed: bool) -> Malformed | Invalid:
    counted = f"at least {MAX_FINDINGS}" if len(found) >= MAX_FINDINGS else str(len(found))
    detail = f"faults: {counted}; nothing was stored"
    if is_malformed:
        return Malformed("malformed-list", detail, found[:MAX_FINDINGS])
    return Invalid("invalid-list", detail, found[:MAX_FINDINGS])


def _twice(row: PersonRow, number: int, first_rows: FirstRows, at: str) -> tuple[Finding, ...]:
    first = first_rows.first(unicodedata.normalize("NFC", row.external_id).encode(), number)
    if first == number:
        return ()
    return (Finding("/external_id", "duplicate_external_id", f"is the same as {at}/{first}/external_id"),)


def _with_declared_tag(
    row: PersonRow, resolve_language: Lookup, suggest: Lookup
) -> tuple[PersonRow, tuple[Finding, ...]]:
    if row.language is None:
        return row, ()
    declared = resolve_language(row.language)
    if declared is None:
        near = suggest(row.language)
        hint = f"; did you mean {near}?" if near else ""
        return row, (Finding("/language", "unknown_language", f"is not a declared language tag{hint}"),)
    return row if declared == row.language else row.model_copy(update={"language": declared}), ()
