"""One made-up row for any table, whatever its columns are."""

from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta
from uuid import UUID, uuid4

import psycopg
from psycopg import sql
from psycopg.types.json import Jsonb
from sqlalchemy import Column, Table, types
from sqlalchemy.dialects import postgresql

# Where a check constraint takes certain words only.
WORDS = {
    ("api_key", "kind"): "machine",
    ("api_key", "mode"): "test",
    ("matter", "mode"): "test",
    ("print_batch", "mode"): "test",
    ("print_batch", "service"): "first_class",
    ("dek", "purpose"): "agency",
    ("target", "kind"): "person",
    ("recipient", "role"): "self",
    ("contact_point", "kind"): "phone",
    ("stop", "scope"): "matter",
    ("attempt", "service"): "certified",
    ("inbound", "kind"): "stop",
}


def fill(connection: "psycopg.Connection[tuple[object, ...]]", tables: Iterable[Table], agency_id: UUID) -> None:
    """Put a row of this agency into each table, past foreign keys and policies; needs a superuser."""
    connection.execute("set session_replication_role = replica")
    for table in tables:
        row = {column.name: made_up(table, column) for column in table.c} | {"agency_id": agency_id}
        statement = sql.SQL("insert into {} ({}) values ({}) on conflict do nothing").format(
            sql.Identifier(table.name),
            sql.SQL(", ").join(map(sql.Identifier, row)),
            sql.SQL(", ").join(sql.Placeholder() * len(row)),
        )
        connection.execute(statement, list(row.values()))


def made_up(table: Table, column: "Column[object]") -> object:
    """Any value that the column takes."""
    word = WORDS.get((table.name, column.name))
    if word is not None:
        return word
    for kind, value in (
        (types.Uuid, uuid4()),
        (types.LargeBinary, uuid4().bytes),
        (types.Boolean, False),
        (types.Integer, 1),
        (types.Interval, timedelta(0)),
        (types.DateTime, datetime(2026, 11, 22, tzinfo=UTC)),
        (types.Date, date(2026, 11, 22)),
        (postgresql.JSONB, Jsonb({})),
        (types.ARRAY, ["x"]),
        (types.String, "x"),
    ):
        if isinstance(column.type, kind):
            return value
    raise TypeError(column.name)
