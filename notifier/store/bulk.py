"""Many rows in one statement: INSERT ... SELECT FROM unnest over binary arrays.

COPY is refused under row-level security; this costs as little
(docs/decisions/0031-many-rows-in-one-statement.md).
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache
from itertools import islice
from typing import TypeVar

from psycopg import Connection as PsycopgConnection
from psycopg import sql
from psycopg.rows import TupleRow

from notifier.store.engine import Tx

T = TypeVar("T")
Columns = Mapping[str, tuple[str, Sequence[object]]]


def insert_rows(
    tx: Tx, table: str, columns: Columns, *, on_conflict_do_nothing: bool = False, returning: str = ""
) -> list[TupleRow]:
    """Insert one row per element. `columns` maps a name to (PostgreSQL type, values); the agency is added.

    Returns the rows of `returning` (a column name) where asked for.
    """
    kinds = tuple((name, kind) for name, (kind, _) in columns.items())
    statement = _insert(table, kinds, skip=on_conflict_do_nothing, returning=returning)
    parameters: dict[str, object] = {"agency": tx.agency_id}
    parameters.update({name: list(values) for name, (_, values) in columns.items()})
    with driver(tx).cursor(binary=True) as cursor:
        cursor.execute(statement, parameters)
        return cursor.fetchall() if returning else []


@cache  # the tables and columns of our own code: a few dozen
def _insert(table: str, kinds: tuple[tuple[str, str], ...], *, skip: bool, returning: str) -> bytes:
    return (
        sql.SQL(
            "insert into {table} (agency_id, {names})"  # noqa: S608 # composed by psycopg.sql below
            " select %(agency)b::uuid, {names} from unnest({arrays}) as t({names})"
            + (" on conflict do nothing" if skip else "")
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
