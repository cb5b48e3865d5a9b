"""What commands work on: the settings, the database and the keys of this installation.

Without DATABASE_URL the embedded server of this checkout is meant: the one that `notifier run` brings along, or, when
only a demo is running, the demo's.
"""

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

import click

from notifier.programs import POSTGRES
from notifier.servers import postgres
from notifier.servers.errors import CannotStart
from notifier.servers.place import is_alive
from notifier.service import CONFIG_DIR
from notifier.settings import Settings
from notifier.store.engine import Database, require_safe_role
from notifier.store.keys import open_keyring
from notifier.store.vault import Vault
from notifier.usecases.office import list_agencies

DEMO = "demo"  # folder of the demo's data and keys, below the installation's


@dataclass(frozen=True, slots=True)
class Installation:
    """The database and the keys at hand."""

    settings: Settings
    db: Database
    vault: Vault

    def now(self) -> datetime:
        """The time."""
        return datetime.now(UTC)


def read_settings() -> Settings:
    """The settings of this environment.

    Raises:
        SettingsError: everything that is wrong with them.
    """
    return Settings.load(os.environ, CONFIG_DIR)


@contextmanager
def installation() -> Iterator[Installation]:
    """Open the installation for one command; an embedded server that was not running ends with it.

    Raises:
        SettingsError: the settings, the keys or the database's role are wrong.
        CannotStart: there is no database yet.
    """
    with ExitStack() as stack:
        settings = stack.enter_context(reachable(read_settings()))
        db = Database(str(settings.database_url), pool_size=4)
        stack.callback(db.close)
        require_safe_role(db)
        yield Installation(settings, db, Vault(open_keyring(settings.key_dir)))


@contextmanager
def reachable(settings: Settings) -> Iterator[Settings]:
    """The settings with a database that answers for the length of a block."""
    if settings.database_url is not None:
        yield settings
        return
    folder, keys = embedded(settings)
    if not (folder.exists() or is_alive(folder)):
        raise CannotStart(
            "There is no database yet: set DATABASE_URL, or start with `notifier run` or `notifier demo`."
        )
    if folder.parent.name == DEMO:
        click.echo("notifier: no database of its own is running here; this is the demonstration's", err=True)
    with postgres.running(folder) as server:
        yield replace(settings, database_url=server.url, key_dir=keys)


def embedded(settings: Settings) -> tuple[Path, Path]:
    """The folders of the embedded database and of its keys."""
    own, demo = settings.data_dir / POSTGRES, settings.data_dir / DEMO / POSTGRES
    if is_alive(demo) and not is_alive(own):
        return demo, settings.key_dir / DEMO
    return own, settings.key_dir


def choose_agency(house: Installation, given: UUID | None) -> UUID:
    """The agency that is meant: the one given, or the only one there is."""
    if given is not None:
        return given
    agencies = list_agencies(house.db)
    if len(agencies) != 1:
        raise click.UsageError("Say which agency: --agency ID (`notifier agency list` shows them).")
    return agencies[0].agency_id
