"""`notifier apikey`: keys for the HTTP API. A token is printed once and kept nowhere."""

from uuid import UUID

import click

from notifier.commands.installation import choose_agency, installation
from notifier.core.model import KeyKind, Mode
from notifier.terminal import table, terminal
from notifier.usecases.access import Scope, create_key, list_keys, revoke_key
from notifier.usecases.office import Thing, find_agency

SCOPES = click.Choice([scope.value for scope in Scope])


@click.group()
def apikey() -> None:
    """Keys for the HTTP API."""


@apikey.command("create")
@click.option("--officer", "officer_id", type=click.UUID, required=True, help="Whose key it is.")
@click.option("--machine", is_flag=True, help="A system's key: it may propose, read and hold, never approve.")
@click.option("--live/--test", default=False, help="What its matters are; test is the default.")
@click.option(
    "--days", type=click.IntRange(min=1), help="When it ends. A personal key ends after 7 days at the latest."
)
@click.option("--scope", "scopes", type=SCOPES, multiple=True, help="Only these; may be given again. [default: all]")
def create(
    officer_id: UUID,
    machine: bool,  # noqa: FBT001 # click passes it by name
    live: bool,  # noqa: FBT001 # as above
    days: int | None,
    scopes: tuple[str, ...],
) -> None:
    """Create a key; prints its token, this once."""
    with installation() as house, house.db.transaction(find_agency(house.db, Thing.OFFICER, officer_id)) as tx:
        made = create_key(
            tx,
            officer_id=officer_id,
            kind=KeyKind.MACHINE if machine else KeyKind.PERSONAL,
            mode=Mode.LIVE if live else Mode.TEST,
            scopes=[Scope(scope) for scope in scopes] or None,
            days=days,
            vault=house.vault,
            now=house.now(),
        )
    click.echo(f"Key {made.key_id}. This is its token; it is not kept and cannot be shown again.", err=True)
    click.echo(made.token)


@apikey.command("revoke")
@click.argument("key_id", type=click.UUID)
def revoke(key_id: UUID) -> None:
    """End a key at once."""
    with installation() as house, house.db.transaction(find_agency(house.db, Thing.KEY, key_id)) as tx:
        revoke_key(tx, key_id, now=house.now())
    click.echo("It no longer opens anything.", err=True)


@apikey.command("list")
@click.option("--agency", "agency_id", type=click.UUID, help="Which agency; not needed when there is only one.")
def show(agency_id: UUID | None) -> None:
    """List the keys of an agency, newest first."""
    with installation() as house, house.db.transaction(choose_agency(house, agency_id)) as tx:
        keys, now = list_keys(tx), house.now()
    rows = []
    for key in keys:
        ended = "revoked" if key["revoked_at"] else "expired" if key["expires_at"] and key["expires_at"] <= now else ""
        ends = ended or (f"{key['expires_at']:%Y-%m-%d}" if key["expires_at"] else "never")
        used = f"{key['last_used_at']:%Y-%m-%d %H:%M}" if key["last_used_at"] else "never"
        rows.append(
            (key["key_id"], key["officer_name"], key["kind"], key["mode"], ends, used, ", ".join(key["scopes"]))
        )
    terminal().print(table(["key", "officer", "kind", "mode", "ends", "last used (UTC)", "scopes"], rows))
