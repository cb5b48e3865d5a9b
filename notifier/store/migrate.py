"""Bring a database to the newest schema and make the installation's first keys."""

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, create_engine, text
from sqlalchemy.pool import NullPool

from notifier.store.engine import psycopg_url
from notifier.store.keys import KeyRing, ensure_keys

_LOCK = 7_236_114  # any number: it keeps two migrations of one database apart


def migrate(url: str, key_dir: Path) -> KeyRing:
    """Upgrade to the newest schema, then make or check the keys; returns the key ring.

    Raises:
        SettingsError: the database knows keys whose files are missing or different.
    """
    engine = create_engine(psycopg_url(url), poolclass=NullPool, hide_parameters=True)
    with engine.begin() as connection:
        connection.execute(text("select pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
        command.upgrade(_config(connection), "head")
        return ensure_keys(key_dir, connection)


def is_current(connection: Connection) -> bool:
    """True when the database is at the schema this code was written for."""
    heads = set(ScriptDirectory.from_config(_config(connection)).get_heads())
    return set(MigrationContext.configure(connection).get_current_heads()) == heads


def _config(connection: Connection) -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).with_name("migrations")))
    config.attributes["connection"] = connection
    return config
