"""`notifier officer`: who works in an agency. Keys are officers', and two of them stand behind a notice."""

from uuid import UUID

import click

from notifier.commands.installation import choose_agency, installation
from notifier.core.model import Role
from notifier.terminal import table, terminal
from notifier.usecases.access import add_officer
from notifier.usecases.office import list_officers

ROLES = click.Choice([role.value for role in Role])


@click.group()
def officer() -> None:
    """Officers of an agency."""


@officer.command("add")
@click.argument("name")
@click.option("--agency", "agency_id", type=click.UUID, help="Which agency; not needed when there is only one.")
@click.option("--role", "roles", type=ROLES, multiple=True, required=True, help="May be given again.")
def add(name: str, agency_id: UUID | None, roles: tuple[str, ...]) -> None:
    """Add an officer; prints their id."""
    with installation() as house, house.db.transaction(choose_agency(house, agency_id)) as tx:
        made = add_officer(tx, name=name, roles=[Role(role) for role in roles], now=house.now())
    click.echo(made)


@officer.command("list")
@click.option("--agency", "agency_id", type=click.UUID, help="Which agency; not needed when there is only one.")
def show(agency_id: UUID | None) -> None:
    """List the officers of an agency."""
    with installation() as house, house.db.transaction(choose_agency(house, agency_id)) as tx:
        lines = list_officers(tx)
    rows = [
        (
            line.officer_id,
            line.name,
            ", ".join(line.roles),
            "left" if line.removed_at else f"{line.created_at:%Y-%m-%d}",
        )
        for line in lines
    ]
    terminal().print(table(["officer", "name", "roles", "since"], rows))
