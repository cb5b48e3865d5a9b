"""Many rows in one statement: INSERT ... SELECT FROM unnest over binary arrays.

COPY is refused under row-level security; this costs as little
(docs/decisions/0031-many-rows-in-one-statement.md).
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache
from itertools import islice
from typing import Final, TypeVar

from psycopg import Connection as PsycopgConnection
from psycopg import Cursor, sql
from psycopg.abc import Buffer
from psycopg.adapt import Dumper
from psycopg.pq import Format
from psycopg.rows import TupleRow

from notifier.store.arrays import binary_array
from notifier.store.engine import Tx

T = TypeVar("T")
Columns = Mapping[str, tuple[str, Sequence[object]]]
_TYPE_OF_THE_CAST: Final = 0


class _Array(bytes):
    """An array in binary form."""


class _ArrayDumper(Dumper):
    """Hands an array over as it is; what it is an array of, the statement says."""

    format = Format.BINARY
    oid = _TYPE_OF_THE_CAST

    def dump(self, obj: Buffer) -> Buffer:
        """The bytes themselves."""
        return obj


def insert_rows(
    tx: Tx, table: str, columns: Columns, *, on_conflict_do_nothing: bool = False, returning: str = ""
) -> list[TupleRow]:
    """Insert one row per element. `columns` maps a name to (PostgreSQL type, values); the agency is added.

    Returns the rows of `returning` (a column name) where asked for.
    """
    with driver(tx).cursor(binary=True) as cursor:
        _execute(cursor, tx, table, columns, skip="" if on_conflict_do_nothing else None, returning=returning)
        return cursor.fetchall() if returning else []


def insert_new_rows(tx: Tx, table: str, columns: Columns, *, key: str) -> int:
    """As `insert_rows`, leaving out rows whose `key` (columns with a unique index) is there; how many were new.

    The index is looked into once a row. A query for what is there beforehand would read the table again and again:
    the planner has no idea yet of a list that is coming in.
    """
    with driver(tx).cursor(binary=True) as cursor:
        _execute(cursor, tx, table, columns, skip=key, returning="")
        return cursor.rowcount


def _execute(
    cursor: Cursor[TupleRow], tx: Tx, table: str, columns: Columns, *, skip: str | None, returning: str
) -> None:
    kinds = tuple((name, kind) for name, (kind, _) in columns.items())
    parameters: dict[str, object] = {"agency": tx.agency_id}
    parameters.update({name: _Array(binary_array(kind, values)) for name, (kind, values) in columns.items()})
    cursor.adapters.register_dumper(_Array, _ArrayDumper)
    cursor.execute(_insert(table, kinds, skip=skip, returning=returning), parameters)


@cache  # the tables and columns of our own code: a few dozen
def _insert(table: str, kinds: tuple[tuple[str, str], ...], *, skip: str | None, returning: str) -> bytes:
    conflict = "" if skip is None else f" on conflict {f'({skip})' if skip else ''} do nothing"
    return (
        sql.SQL(
            "insert into {table} (agency_id, {names})"  # noqa: S608 # our own words, composed by psycopg.sql below
            " select %(agency)b::uuid, {names} from unnest({arrays}) as t({names})"
            + conflict
            + (" returning {returning}" if returning else "")
        )
        .format(
            table=sql.Identifier(table),
            names=sql.SQL(", ").join(sql.Identifier(name) for name, _ in kinds),
            arrays=sql.SQL(", ").join(
                sql.SQL("{value}::{kind}[]").format(value=sql.Placeholder(name, format="b"), kind=sql.SQL(kind))
                for name, kind in kinds
            ),
            returning=sql.Identifier(returning) if returning else sql.SQL(""),
        )
        .as_bytes()
    )


def in_chunks(rows: Iterable[T], size: int) -> Iterator[list[T]]:
    """Rows in the handfuls that one statement takes (itertools.batched comes with Python 3.12)."""
    source = iter(rows)
    while chunk := list(islice(source, size)):
        yield chunk


def driver(tx: Tx) -> PsycopgConnection[TupleRow]:
    """The driver's own connection of this transaction, for what SQLAlchemy has no words for."""
    connection = tx.conn.connection.driver_connection
    if not isinstance(connection, PsycopgConnection):
        raise TypeError("not a psycopg connection")
    return connection
