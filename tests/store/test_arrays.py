"""What PostgreSQL reads out of our binary arrays is what went in."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta, timezone
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest
from psycopg import sql

from notifier.servers import postgres
from notifier.store.arrays import binary_array

ONE = uuid4()
VALUES: dict[str, Sequence[Any]] = {
    "bytea": [b"", b"\0\xff", None, b"x" * 70_000],
    "int2": [0, -(2**15), 2**15 - 1, None],
    "int4": [0, -(2**31), 2**31 - 1, None],
    "int8": [0, -(2**63), 2**63 - 1, None],
    "text": ["", "ማርያ", None, "'\\\"{},NULL", "NULL"],
    "timestamptz": [
        datetime(1970, 1, 1, tzinfo=UTC),
        datetime(2026, 11, 22, 16, 0, 0, 123_456, tzinfo=timezone(timedelta(hours=-7))),
        None,
        datetime(9999, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC),
    ],
    "uuid": [ONE, None, UUID(int=0)],
}


@pytest.fixture(scope="module")
def connection(server: postgres.Postgres) -> Any:
    with psycopg.connect(server.url, autocommit=True, prepare_threshold=None) as found:
        yield found


@pytest.mark.parametrize("kind", VALUES)
def test_an_array_is_read_as_it_was_written(connection: psycopg.Connection[Any], kind: str) -> None:
    with_null = VALUES[kind]
    for values in (with_null, [value for value in with_null if value is not None], [None], []):
        assert as_read(connection, kind, values) == list(values)


def test_a_uuid_may_be_given_as_its_bytes(connection: psycopg.Connection[Any]) -> None:
    assert as_read(connection, "uuid", [ONE.bytes, ONE]) == [ONE, ONE]
    with pytest.raises(ValueError, match="not a UUID"):
        binary_array("uuid", [b"x"])


def test_a_type_without_a_place_is_refused() -> None:
    with pytest.raises(KeyError):
        binary_array("float8", [1.0])


def as_read(connection: psycopg.Connection[Any], kind: str, values: Sequence[Any]) -> Any:
    """Let PostgreSQL's own receive function read the bytes: COPY in the binary format hands them over as they are."""
    array = binary_array(kind, values)
    head = b"PGCOPY\n\xff\r\n\0" + bytes(8)
    body = (1).to_bytes(2) + len(array).to_bytes(4) + array + b"\xff\xff"
    connection.execute(sql.SQL("create temporary table arrived (value {}[])").format(sql.Identifier(kind)))
    with connection.cursor() as cursor, cursor.copy("copy arrived from stdin (format binary)") as copy:
        copy.write(head + body)
    row = connection.execute("select value from arrived").fetchone()
    connection.execute("drop table arrived")
    return row[0] if row else None
