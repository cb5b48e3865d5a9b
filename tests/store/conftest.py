"""The store is tested on every PostgreSQL that is bundled, on servers of its own: some tests spoil roles."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import UUID

import psycopg
import pytest

from notifier.servers import postgres
from notifier.store.engine import Database, Tx
from notifier.store.vault import Vault
from tests.installation import Office, installation, open_office


@pytest.fixture(scope="session", params=postgres.versions())
def server(request: pytest.FixtureRequest, server_folder: Path) -> Iterator[postgres.Postgres]:
    folder = server_folder / f"store{request.param}"
    with postgres.running(folder, version=request.param, durable=False) as running:
        yield running


@pytest.fixture(scope="module")
def url(server: postgres.Postgres) -> Iterator[str]:
    """An empty database of this test module's own."""
    with new_database(server) as url:
        yield url


@pytest.fixture(scope="module")
def key_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("store") / "keys"


@pytest.fixture(scope="module")
def stored(url: str, key_dir: Path) -> Iterator[tuple[Database, Vault]]:
    with installation(url, key_dir) as opened:
        yield opened


@pytest.fixture(scope="module")
def db(stored: tuple[Database, Vault]) -> Database:
    return stored[0]


@pytest.fixture(scope="module")
def vault(stored: tuple[Database, Vault]) -> Vault:
    return stored[1]


@pytest.fixture(scope="module")
def office(db: Database, vault: Vault) -> Office:
    return open_office(db, vault)


@pytest.fixture(scope="module")
def other_office(db: Database, vault: Vault) -> Office:
    return open_office(db, vault, name="Another Agency")


@pytest.fixture
def tx(db: Database, office: Office) -> Iterator[Tx]:
    """A transaction that leaves nothing behind."""
    with rolled_back(db, office.agency_id) as tx:
        yield tx


@contextmanager
def rolled_back(db: Database, agency_id: UUID) -> Iterator[Tx]:
    with db.transaction(agency_id) as tx:
        yield tx
        tx.conn.rollback()


@contextmanager
def new_database(server: postgres.Postgres) -> Iterator[str]:
    """An empty database on this server."""
    with psycopg.connect(server.url, autocommit=True) as connection:
        connection.execute("drop database if exists store with (force)")
        connection.execute("create database store template template0 strategy file_copy")
    yield server.url.replace("/notifier?", "/store?")


def as_superuser(server: postgres.Postgres) -> "psycopg.Connection[tuple[object, ...]]":
    """A connection to the same database that no policy binds."""
    return psycopg.connect(server.admin_url.replace("/postgres?", "/store?"), autocommit=True)
