"""The servers that tests run against: real ones, started once a session, gone at its end.

`DATABASE_URL` or `REDIS_URL` in the environment: that server instead (its role must be allowed to make databases).
`NOTIFIER_TEST_PG_VERSION`: the major version of the embedded PostgreSQL.
"""

import os
import secrets
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import psycopg
import pytest
from psycopg import sql

from notifier.servers import postgres, redis

Prepare = Callable[[str], object]
DatabaseFromTemplate = Callable[[Prepare], AbstractContextManager[str]]


@pytest.fixture(scope="session")
def server_folder() -> Iterator[Path]:
    """A short-named folder for servers, which root's unprivileged servers reach (pytest's own is closed to them)."""
    folder = Path(tempfile.mkdtemp(prefix="notifier-test-"))
    if os.geteuid() == 0:
        folder.chmod(0o711)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture(scope="session")
def postgres_url(server_folder: Path) -> Iterator[str]:
    """A running PostgreSQL, as a role that is no superuser and may make databases and roles."""
    if given := os.environ.get("DATABASE_URL"):
        yield given.replace("postgresql+psycopg://", "postgresql://")
        return
    version = os.environ.get("NOTIFIER_TEST_PG_VERSION")
    folder = server_folder / "postgres"
    with postgres.running(folder, version=int(version) if version else None, durable=False) as server:
        yield server.url


@pytest.fixture(scope="session")
def redis_url(server_folder: Path) -> Iterator[str]:
    """A running Redis. Tests share it: empty what you fill."""
    if given := os.environ.get("REDIS_URL"):
        yield given
        return
    with redis.running(server_folder / "redis") as server:
        yield server.url


@pytest.fixture(scope="module")
def fresh_database_url(postgres_url: str) -> Iterator[str]:
    """An empty database of this test module's own."""
    with _new_database(postgres_url) as url:
        yield url


@pytest.fixture(scope="session")
def database_from_template(postgres_url: str) -> Iterator[DatabaseFromTemplate]:
    """A function that gives a new database, made ready by `prepare(url)`; `prepare` runs once a session.

    Each call copies what the first one made: some 30 ms. `prepare` must leave no connection open.

        @pytest.fixture
        def database_url(database_from_template):
            with database_from_template(migrate) as url:
                yield url
    """
    templates: dict[Prepare, str] = {}
    with ExitStack() as kept:

        @contextmanager
        def copy(prepare: Prepare) -> Iterator[str]:
            if prepare not in templates:
                url = kept.enter_context(_new_database(postgres_url))
                prepare(url)
                templates[prepare] = urlsplit(url).path[1:]
            with _new_database(postgres_url, template=templates[prepare]) as url:
                yield url

        yield copy


@contextmanager
def _new_database(server_url: str, *, template: str = "template0") -> Iterator[str]:
    name = f"test_{secrets.token_hex(8)}"
    with psycopg.connect(server_url, autocommit=True) as connection:
        create = sql.SQL("create database {} template {} strategy file_copy")
        connection.execute(create.format(sql.Identifier(name), sql.Identifier(template)))
    try:
        yield urlunsplit(urlsplit(server_url)._replace(path=f"/{name}"))
    finally:
        with psycopg.connect(server_url, autocommit=True) as connection:
            _drop(connection, name)


def _drop(connection: psycopg.Connection[Any], name: str) -> None:
    """Drop a database that may still be in use. No ordinary role may end an autovacuum, so that is waited for."""
    for _ in range(60):
        try:
            connection.execute(sql.SQL("drop database {} with (force)").format(sql.Identifier(name)))
        except psycopg.errors.InsufficientPrivilege:
            time.sleep(0.5)
        else:
            return
    connection.execute(sql.SQL("drop database {}").format(sql.Identifier(name)))
