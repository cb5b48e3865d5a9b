"""The one way into PostgreSQL: a transaction as the application's role, inside one agency."""

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, NamedTuple
from uuid import UUID

from psycopg import InterfaceError as PsycopgInterfaceError
from psycopg import OperationalError as PsycopgOperationalError
from sqlalchemy import Connection, Engine, Row, create_engine, text
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from notifier.core.errors import SettingsError

APP_ROLE = "notifier_app"
# What is raised while the database is away, or gave up on us; the same may go well a moment later.
AWAY: Final = (
    OperationalError,
    InterfaceError,
    PoolTimeoutError,
    PsycopgOperationalError,
    PsycopgInterfaceError,
)
GIVE_UP_SECONDS: Final = 10  # on a server that does not answer, or while all our connections are in use
_ENTER = text("select set_config('role', :role, true), set_config('app.agency', :agency, true)")


class Policy(NamedTuple):
    """A row-level policy as `pg_policies` tells it, for our role; conditions without spaces and brackets."""

    name: str
    command: str
    sees: str | None
    writes: str | None
    roles: tuple[str, ...] = (APP_ROLE,)
    kind: str = "PERMISSIVE"


_OWN: Final = "agency_id=NULLIFcurrent_setting'app.agency'::text,true,''::text::uuid"
TENANT_POLICIES: Final = frozenset({Policy("own_agency", "ALL", _OWN, None)})
# A key or a code is looked up before its agency is known; an entry is made for one's own agency only.
SHARED_POLICIES: Final[Mapping[str, frozenset[Policy]]] = MappingProxyType(
    {
        "directory": frozenset(
            {Policy("own_agency", "INSERT", None, _OWN), Policy("known_to_all", "SELECT", "true", None)}
        )
    }
)


@dataclass(frozen=True, slots=True)
class Tx:
    """A transaction in one agency. Row-level security shows and takes this agency's rows only."""

    conn: Connection
    agency_id: UUID


class Database:
    """A pool of connections; works behind PgBouncer in transaction mode (no session state, no LISTEN)."""

    def __init__(self, url: str, *, pool_size: int = 8, give_up_seconds: float = GIVE_UP_SECONDS) -> None:
        """`url` is a libpq URL (`postgresql://...`). `give_up_seconds`: while all connections are in use."""
        self.engine: Engine = create_engine(
            psycopg_url(url),
            pool_size=pool_size,
            max_overflow=4,
            pool_timeout=give_up_seconds,
            # Server-side prepared statements are session state.
            connect_args={
                "prepare_threshold": None,
                "application_name": "notifier",
                "connect_timeout": GIVE_UP_SECONDS,
            },
            hide_parameters=True,
        )

    @contextmanager
    def transaction(self, agency_id: UUID) -> Iterator[Tx]:
        """One transaction in one agency: committed at the end, rolled back on any exception."""
        with self._begin(str(agency_id)) as conn:
            yield Tx(conn, agency_id)

    @contextmanager
    def no_agency(self) -> Iterator[Connection]:
        """One transaction outside every agency: it sees the directory, the keys' register and the quarantine only."""
        with self._begin("") as conn:
            yield conn

    @contextmanager
    def _begin(self, agency: str) -> Iterator[Connection]:
        with self._enter(agency) as conn:
            try:
                yield conn
            except BaseException:
                conn.rollback()
                raise
            conn.commit()

    def _enter(self, agency: str) -> Connection:
        """A connection inside a transaction. Its first statement also tells whether the connection still lives.

        After a restart of the server every kept connection is dead; one that is found so ends them all, and the next
        is a new one. Nothing was done yet, so that beginning again is safe; later in the transaction it would not be.
        """
        values = {"role": APP_ROLE, "agency": agency}
        try:
            return self._connect(values)
        except DBAPIError as error:
            if not error.connection_invalidated:
                raise
        return self._connect(values)

    def _connect(self, values: Mapping[str, str]) -> Connection:
        conn = self.engine.connect()
        try:
            conn.execute(_ENTER, values)
        except BaseException:
            conn.close()
            raise
        return conn

    def close(self) -> None:
        """Give every connection back."""
        self.engine.dispose()


def psycopg_url(url: str) -> str:
    """The same URL, naming the driver."""
    return url.replace("postgresql://", "postgresql+psycopg://", 1).replace("postgres://", "postgresql+psycopg://", 1)


def require_safe_role(db: Database) -> None:
    """Refuse to run where the database would not keep agencies apart.

    Raises:
        SettingsError: everything that is wrong: no tables or no application role yet; that role is a superuser,
            bypasses row-level security or owns a table; a table with an agency is not under forced row-level security,
            or its policies are not, word for word, the ones that the migrations made.
    """
    with db.engine.connect() as conn:
        role = conn.execute(
            text(
                "select rolsuper, rolbypassrls, oid from pg_roles"
                " where rolname = :role and to_regclass('public.agency') is not null"
            ),
            {"role": APP_ROLE},
        ).one_or_none()
        if role is None:
            raise SettingsError([f"the database has no tables or no role {APP_ROLE} yet: run `notifier migrate`"])
        problems = [*_role_problems(conn, role), *_table_problems(conn, role.oid)]
    if problems:
        raise SettingsError(problems)


def _role_problems(conn: Connection, role: Row[tuple[bool, bool, int]]) -> list[str]:
    if role.rolsuper:
        return [f"the role {APP_ROLE} is a superuser: row-level security would not hold"]
    inherited = conn.execute(
        text(
            "select rolname from pg_roles where (rolsuper or rolbypassrls) and rolname <> :role"
            " and pg_has_role(:role, oid, 'member') order by 1"
        ),
        {"role": APP_ROLE},
    ).scalars()
    problems = [f"the role {APP_ROLE} is a member of {name}, which bypasses row-level security" for name in inherited]
    return [f"the role {APP_ROLE} bypasses row-level security", *problems] if role.rolbypassrls else problems


def _table_problems(conn: Connection, role_oid: int) -> list[str]:
    rows = conn.execute(
        text(
            "select c.relname as name,"
            " not (c.relrowsecurity and c.relforcerowsecurity) or c.relowner = :role_oid as bare"
            " from pg_class c join pg_attribute a on a.attrelid = c.oid and a.attname = 'agency_id'"
            " join pg_namespace n on n.oid = c.relnamespace and n.nspname = 'public'"
            " where c.relkind in ('r', 'p') and not a.attisdropped order by 1"
        ),
        {"role_oid": role_oid},
    ).all()
    ours = {row.name: SHARED_POLICIES.get(row.name, TENANT_POLICIES) for row in rows}
    found = _policies(conn)
    return [f"the table {row.name} is not under forced row-level security" for row in rows if row.bare] + [
        f"the table {name} has other policies than ours"
        for name in sorted(ours.keys() | found.keys())
        if found.get(name, frozenset()) != ours.get(name, frozenset())
    ]


def _policies(conn: Connection) -> dict[str, set[Policy]]:
    """What `pg_policies` says of each table of ours."""
    found: dict[str, set[Policy]] = defaultdict(set)
    rows = conn.execute(
        text(
            "select tablename, policyname, cmd, qual, with_check, roles, permissive from pg_policies"
            " where schemaname = 'public'"
        )
    )
    for row in rows:
        policy = Policy(
            row.policyname, row.cmd, _bare(row.qual), _bare(row.with_check), tuple(row.roles), row.permissive
        )
        found[row.tablename].add(policy)
    return found


def _bare(condition: str | None) -> str | None:
    """PostgreSQL prints a condition with brackets and spaces of its own."""
    return None if condition is None else re.sub(r"[\s()]", "", condition)
