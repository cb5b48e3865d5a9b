"""`notifier check`: the effective settings, and whether what they name can be reached. It changes nothing."""

import os
import socket
import sys
from collections.abc import Callable, Iterator
from typing import Final
from urllib.parse import urlsplit

import click
import psycopg
from redis.exceptions import RedisError
from sqlalchemy.exc import SQLAlchemyError

from notifier.bootstrap import open_packs, open_redis, open_renderer, timetables
from notifier.commands.installation import DEMO, embedded, read_settings
from notifier.core.errors import NotifierError, SettingsError
from notifier.programs import REDIS
from notifier.servers.place import is_alive
from notifier.settings import Settings
from notifier.store.engine import Database, require_safe_role
from notifier.store.keys import open_keyring
from notifier.store.migrate import is_current
from notifier.terminal import table, terminal

SECONDS: Final = 3  # for each thing that is asked


class _Wrong(Exception):
    """Something is not as it must be; the text says what."""


@click.command()
def check() -> None:
    """Show the effective settings and what is wrong. Status 2: they are wrong; 1: something cannot be reached.

    Secrets are masked, and nothing is changed. The database, Redis, keys, fonts and carriers are each asked for a few
    seconds at most.
    """
    settings = read_settings()
    console = terminal()
    console.print(table(["setting", "value", "from"], settings.effective()))
    console.print()
    found = [(name, *_ask(question)) for name, question in _questions(settings)]
    console.print(table(["asked", "", "answer"], found))
    sys.exit(0 if all(state == "ok" for _, state, _ in found) else 1)


def _ask(question: Callable[[], str]) -> tuple[str, str]:
    try:
        return "ok", question()
    except (_Wrong, SettingsError, NotifierError) as error:
        return "WRONG", str(error)
    # The texts of these may hold an address or a row.
    except (psycopg.Error, SQLAlchemyError, RedisError, OSError) as error:
        return "WRONG", f"cannot be reached, or refuses us ({type(error).__name__})"


def _questions(settings: Settings) -> Iterator[tuple[str, Callable[[], str]]]:
    yield "database", lambda: _database(settings)
    yield "Redis", lambda: _redis(settings)
    yield "keys", lambda: _keys(settings)
    yield "fonts and texts", lambda: _texts(settings)
    yield "packs and carriers.toml", lambda: f"packs: {len(open_packs())}, carriers: {len(timetables())}"
    for carrier in (settings.twilio, settings.sendgrid, settings.lob):
        if carrier is not None:
            yield type(carrier).__name__, lambda url=carrier.base_url: _connects(url)  # type: ignore[misc]


def _database(settings: Settings) -> str:
    if settings.database_url is None:
        folder, _ = embedded(settings)
        place = next(parent for parent in (folder, *folder.parents) if parent.exists())
        if not (place.is_dir() and os.access(place, os.W_OK | os.X_OK)):
            raise _Wrong("NOTIFIER_DATA_DIR cannot be used: not a folder, or closed to us")
        if folder.parent.name == DEMO:
            return "embedded; the demonstration's, which is running"
        return f"embedded; {'running' if is_alive(folder) else 'starts with `notifier run`'}"
    with psycopg.connect(settings.database_url, connect_timeout=SECONDS) as connection:
        version = connection.info.server_version // 10_000
    db = Database(settings.database_url, pool_size=1)
    try:
        require_safe_role(db)
        with db.no_agency() as conn:
            if not is_current(conn):
                raise _Wrong("not at the schema of this code: run `notifier migrate`")
    finally:
        db.close()
    return f"PostgreSQL {version}, at the schema of this code; agencies are kept apart"


def _redis(settings: Settings) -> str:
    if settings.redis_url is None:
        return f"embedded; {'running' if is_alive(settings.data_dir / REDIS) else 'starts with `notifier run`'}"
    client = open_redis(settings.redis_url)
    try:
        client.ping()
    finally:
        client.close()
    return "answers"


def _keys(settings: Settings) -> str:
    if settings.database_url is None:
        folder, key_dir = embedded(settings)
        if not folder.exists():
            return "made with the database"
        open_keyring(key_dir)
        return "there, and closed to others"
    keys = open_keyring(settings.key_dir)
    db = Database(settings.database_url, pool_size=1)
    try:
        with db.no_agency() as conn:
            keys.require_current(conn)
    finally:
        db.close()
    return "the keys that the database knows"


def _texts(settings: Settings) -> str:
    return f"texts in {', '.join(sorted(open_renderer(settings).available_languages()))}"


def _connects(url: str) -> str:
    parts = urlsplit(url)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    with socket.create_connection((parts.hostname or "", port), timeout=SECONDS):
        return "accepts connections; its credentials are not tried"
