"""docs/data-model.md says of every table what it is, and of every sealed column that it is sealed."""

import re
from pathlib import Path

import pytest
from sqlalchemy import LargeBinary, Table

from notifier.store.tables import metadata

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "data-model.md").read_text()
NOW = PAGE.partition("**What comes with a later capability.**")[0]
every_table = pytest.mark.parametrize("table", metadata.sorted_tables, ids=lambda table: table.name)


@every_table
def test_every_table_is_on_the_page(table: Table) -> None:
    assert f"`{table.name}`" in NOW


@every_table
def test_every_key_is_on_the_page_as_it_is(table: Table) -> None:
    names = [column.name for column in table.primary_key if column.name != "agency_id"]
    if "agency_id" not in table.primary_key:
        return
    told = re.findall(rf"`{table.name}`; (?:`([a-z_, ]+)`|none)", NOW)
    assert told == [", ".join(names)]


@every_table
def test_a_sealed_column_is_told(table: Table) -> None:
    if "sealed" not in table.c or "agency_id" not in table.primary_key or table.name == "blob_piece":
        return
    assert isinstance(table.c.sealed.type, LargeBinary)
    (line,) = [line for line in NOW.splitlines() if f"| `{table.name}`;" in line]
    assert re.search(r"\*(matter|person)\*", line.split("|")[4])


def test_what_comes_later_is_no_table_yet() -> None:
    later = set(re.findall(r"`\(agency, ([a-z]+)_id", PAGE))
    assert later
    assert not later & {table.name for table in metadata.sorted_tables}


def test_the_page_is_one_page() -> None:
    assert len(PAGE.splitlines()) <= 70
