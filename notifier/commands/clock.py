"""`notifier clock`: walking a test matter through time."""

from datetime import timedelta
from uuid import UUID

import click

from notifier.commands.installation import installation
from notifier.usecases.clock_offset import advance_clock
from notifier.usecases.office import Thing, find_agency


@click.group()
def clock() -> None:
    """The clock of a test matter. A live matter keeps real time."""


@clock.command("advance")
@click.argument("matter_id", type=click.UUID)
@click.option("--days", type=click.FloatRange(min=0, min_open=True, max=3650), required=True, help="How far.")
def advance(matter_id: UUID, days: float) -> None:
    """Move a test matter's clock forward; prints its new time. What is due then happens within seconds."""
    with installation() as house, house.db.transaction(find_agency(house.db, Thing.MATTER, matter_id)) as tx:
        moved = advance_clock(tx, matter_id, timedelta(days=days), now=house.now())
    click.echo(f"{moved:%Y-%m-%d %H:%M} UTC")
