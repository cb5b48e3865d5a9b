"""The migrated schema, the tables as the code sees them, and the walls between agencies."""

import re

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Table, func, insert, inspect, select, text, update
from sqlalchemy.exc import ProgrammingError

from notifier.servers import postgres
from notifier.store import tables as t
from notifier.store.engine import APP_ROLE, Database
from notifier.store.migrate import is_current
from tests.installation import Office
from tests.store.conftest import as_superuser, rolled_back
from tests.store.rows import fill

TENANT = [table for table in t.metadata.sorted_tables if "agency_id" in table.c and table is not t.directory]
GLOBAL = {"directory", "kek", "installation", "quarantine", "alembic_version"}
every_tenant_table = pytest.mark.parametrize("table", TENANT, ids=lambda table: table.name)


@pytest.fixture(scope="module", autouse=True)
def _a_row_in_every_table(server: postgres.Postgres, office: Office, other_office: Office) -> None:
    with as_superuser(server) as connection:
        for opened in (office, other_office):
            fill(connection, TENANT, opened.agency_id)


def test_the_migrated_schema_is_the_one_that_the_code_sees(db: Database) -> None:
    with db.engine.connect() as connection:
        options = {"compare_type": True, "include_object": lambda _o, _n, kind, _r, _c: kind in {"table", "column"}}
        context = MigrationContext.configure(connection, opts=options)
        assert compare_metadata(context, t.metadata) == []
        assert is_current(connection)


def test_the_primary_keys_are_the_ones_that_the_code_sees(db: Database) -> None:
    found = inspect(db.engine)
    for table in t.metadata.sorted_tables:
        assert found.get_pk_constraint(table.name)["constrained_columns"] == [c.name for c in table.primary_key], table


def test_every_table_is_an_agencys_own_or_known_to_be_shared(db: Database) -> None:
    assert set(inspect(db.engine).get_table_names()) == {table.name for table in TENANT} | GLOBAL


@every_tenant_table
def test_a_tables_keys_start_with_the_agency(db: Database, table: Table) -> None:
    found = inspect(db.engine)
    uniques = [key["column_names"] for key in found.get_unique_constraints(table.name)]
    for columns in [found.get_pk_constraint(table.name)["constrained_columns"], *uniques]:
        assert columns[0] == "agency_id"
    for key in found.get_foreign_keys(table.name):
        assert key["constrained_columns"][0] == key["referred_columns"][0] == "agency_id"


@every_tenant_table
def test_a_table_is_under_forced_row_level_security(db: Database, table: Table) -> None:
    with db.engine.connect() as connection:
        row = connection.execute(
            text("select relrowsecurity, relforcerowsecurity from pg_class where oid = cast(:name as regclass)"),
            {"name": table.name},
        ).one()
        policies = connection.execute(
            text("select permissive, roles, cmd, qual, with_check from pg_policies where tablename = :name"),
            {"name": table.name},
        ).all()
    assert tuple(row) == (True, True)
    assert [(p.permissive, p.roles, p.cmd, p.with_check) for p in policies] == [("PERMISSIVE", [APP_ROLE], "ALL", None)]
    assert re.sub(r"[\s()]", "", policies[0].qual) == (
        "agency_id=NULLIFcurrent_setting'app.agency'::text,true,''::text::uuid"
    )


@every_tenant_table
def test_a_transaction_sees_its_own_agency_only(db: Database, office: Office, table: Table) -> None:
    with rolled_back(db, office.agency_id) as tx:
        seen = set(tx.conn.execute(select(table.c.agency_id)).scalars())
    assert seen == {office.agency_id}


@every_tenant_table
def test_outside_every_agency_nothing_is_seen(db: Database, table: Table) -> None:
    with db.no_agency() as connection:
        assert connection.execute(select(func.count()).select_from(table)).scalar_one() == 0


@every_tenant_table
def test_even_the_owner_of_the_tables_sees_nothing_without_an_agency(db: Database, table: Table) -> None:
    with db.engine.connect() as connection:
        assert connection.execute(select(func.count()).select_from(table)).scalar_one() == 0


@every_tenant_table
def test_a_row_cannot_be_written_for_another_agency(
    db: Database, office: Office, other_office: Office, table: Table
) -> None:
    with rolled_back(db, other_office.agency_id) as tx:
        row = dict(tx.conn.execute(select(table).limit(1)).mappings().one())
    with pytest.raises(ProgrammingError, match="row-level security"), rolled_back(db, office.agency_id) as tx:
        tx.conn.execute(insert(table).values(row))


@every_tenant_table
def test_only_where_rows_end_they_can_be_deleted(db: Database, office: Office, table: Table) -> None:
    if table.name in {"blob", "content", "dek", "open_work"}:
        return
    with pytest.raises(ProgrammingError, match="permission denied"), rolled_back(db, office.agency_id) as tx:
        tx.conn.execute(table.delete())


@every_tenant_table
def test_another_agencys_rows_cannot_be_changed_or_deleted(
    db: Database, office: Office, other_office: Office, table: Table
) -> None:
    column = t.event.c.opening if table is t.event else table.c.agency_id
    value = b"x" if table is t.event else office.agency_id
    with rolled_back(db, office.agency_id) as tx:
        theirs = update(table).where(table.c.agency_id == other_office.agency_id).values({column: value})
        assert tx.conn.execute(theirs).rowcount == 0
        if table in {t.blob, t.content, t.dek, t.open_work}:
            assert tx.conn.execute(table.delete().where(table.c.agency_id == other_office.agency_id)).rowcount == 0


@every_tenant_table
def test_a_row_cannot_be_given_to_another_agency(
    db: Database, office: Office, other_office: Office, table: Table
) -> None:
    with (
        pytest.raises(ProgrammingError, match=r"row-level security|permission denied"),
        rolled_back(db, office.agency_id) as tx,
    ):
        tx.conn.execute(update(table).values(agency_id=other_office.agency_id))


@every_tenant_table
def test_a_table_cannot_be_emptied_or_dropped_by_the_application(db: Database, office: Office, table: Table) -> None:
    for command in (f"truncate {table.name} cascade", f"drop table {table.name} cascade"):
        with (
            pytest.raises(ProgrammingError, match=r"permission denied|must be owner"),
            rolled_back(db, office.agency_id) as tx,
        ):
            tx.conn.execute(text(command))


@pytest.mark.parametrize("column", [c.name for c in t.event.c if c.name != "opening"])
def test_what_an_event_says_cannot_be_changed(db: Database, office: Office, column: str) -> None:
    with pytest.raises(ProgrammingError, match="permission denied"), rolled_back(db, office.agency_id) as tx:
        tx.conn.execute(text(f"update event set {column} = {column}"))  # noqa: S608 # a column's name


def test_an_event_cannot_be_deleted(db: Database, office: Office) -> None:
    with pytest.raises(ProgrammingError, match="permission denied"), rolled_back(db, office.agency_id) as tx:
        tx.conn.execute(text("delete from event"))


def test_the_directory_holds_no_personal_data_and_cannot_be_changed(db: Database, office: Office) -> None:
    assert [column.name for column in t.directory.c] == ["kind", "token", "agency_id", "ref"]
    for command in ("update directory set ref = ref", "delete from directory"):
        with pytest.raises(ProgrammingError, match="permission denied"), rolled_back(db, office.agency_id) as tx:
            tx.conn.execute(text(command))


def test_an_agency_makes_entries_in_the_directory_for_itself_only(
    db: Database, office: Office, other_office: Office
) -> None:
    entry = {"kind": "api_key", "token": b"x", "ref": office.agency_id}
    with rolled_back(db, office.agency_id) as tx:
        tx.conn.execute(insert(t.directory).values(entry | {"agency_id": office.agency_id}))
    with pytest.raises(ProgrammingError, match="row-level security"), rolled_back(db, office.agency_id) as tx:
        tx.conn.execute(insert(t.directory).values(entry | {"agency_id": other_office.agency_id}))
    with pytest.raises(ProgrammingError, match="row-level security"), db.no_agency() as connection:
        connection.execute(insert(t.directory).values(entry | {"agency_id": office.agency_id}))


def test_everybody_finds_the_agency_of_an_entry(db: Database, office: Office, other_office: Office) -> None:
    with db.no_agency() as connection:
        known = set(connection.execute(select(t.directory.c.agency_id)).scalars())
    assert {office.agency_id, other_office.agency_id} <= known


def test_an_agency_that_is_no_uuid_opens_nothing(db: Database) -> None:
    with db.engine.begin() as connection:
        connection.execute(text("select set_config('role', :role, true)"), {"role": APP_ROLE})
        assert connection.execute(text("select count(*) from person")).scalar_one() == 0


def test_a_pooled_connection_forgets_its_agency(db: Database, office: Office) -> None:
    with rolled_back(db, office.agency_id):
        pass
    with db.engine.connect() as connection:
        row = connection.execute(text("select current_user, current_setting('app.agency', true)")).one()
    assert row[0] != APP_ROLE
    assert not row[1]
