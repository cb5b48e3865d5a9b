"""`notifier run` and `notifier migrate`: the service with the settings of the environment."""

import os
import sys

import click

from notifier.commands.installation import read_settings
from notifier.programs import environment, parts, servers
from notifier.service import CHECKOUT
from notifier.store.migrate import migrate as upgrade
from notifier.supervisor import Ended, Stopped, running


@click.command()
def run() -> None:
    """Start the service: embedded servers where none are named, web, a worker for each queue, and the clock.

    Ctrl-C stops all of it. On many machines run the parts on their own instead; the Procfile has them.
    """
    settings = read_settings()
    with servers(settings.data_dir, database_url=settings.database_url, redis_url=settings.redis_url) as found:
        upgrade(found.database_url, settings.key_dir)
        env = environment(os.environ, DATABASE_URL=found.database_url, REDIS_URL=found.redis_url)
        try:
            with running(parts(env), folder=CHECKOUT, say=click.echo) as crew:
                click.echo(f"notifier: web listens on {settings.bind}; Ctrl-C stops everything", err=True)
                crew.wait()
        except (KeyboardInterrupt, Stopped):
            click.echo("notifier: stopped", err=True)
        except Ended as ended:
            click.echo(f"notifier: {ended}; stopped everything", err=True)
            sys.exit(1)


@click.command()
def migrate() -> None:
    """Bring the database to the newest schema, and make the first keys of an installation."""
    settings = read_settings()
    if settings.database_url is None:
        with servers(settings.data_dir, database_url=None, redis_url="") as found:
            upgrade(found.database_url, settings.key_dir)
    else:
        upgrade(settings.database_url, settings.key_dir)
    click.echo("The database is at the newest schema.", err=True)
