"""`notifier keys`: the key that wraps the keys of everything stored."""

import click

from notifier.commands.installation import installation
from notifier.usecases.key_rotation import rotate


@click.group()
def keys() -> None:
    """The keys that everything stored is sealed with."""


@keys.command("rotate")
def turn() -> None:
    """Make a new key-encryption key and destroy the old ones; run it every night.

    Everything goes on meanwhile. Backups of the database from before can no longer be opened: that is what makes an
    erasure hold. Back up the key folder afterwards, apart from the database.
    """
    with installation() as house:
        done = rotate(
            house.db,
            house.vault.keys,
            now=house.now(),
            told=lambda count: click.echo(f"{count} data keys wrapped anew", err=True),
        )
    click.echo(f"new key {done.to}; destroyed: {', '.join(done.destroyed) or 'none'}")
    click.echo(f"{done.rewrapped} data keys wrapped anew, {done.resealed} quarantined callbacks sealed anew")
