"""`notifier agency`: the agencies of this installation."""

from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import click

from notifier.bootstrap import carriers_in_use, open_renderer
from notifier.commands.installation import installation
from notifier.core.model import Channel
from notifier.terminal import table, terminal
from notifier.usecases.access import add_agency
from notifier.usecases.office import list_agencies
from notifier.usecases.printable import require_printable_agency
from notifier.usecases.profile import AgencyProfile
from notifier.usecases.return_address import require_postal


@click.group()
def agency() -> None:
    """Agencies of this installation. Each sees only its own matters, people and keys."""


@agency.command("add")
@click.argument("name")
@click.option("--help-phone", required=True, help="A staffed number that people can call; printed as written.")
@click.option("--phone-hours", required=True, help='When it is answered, like "mon-fri 08:00-17:00".')
@click.option("--main-phone", required=True, help="The number on the agency's website, to check a letter by.")
@click.option("--address", "lines", multiple=True, required=True, help="A line of the return address; two to four.")
@click.option("--zone", required=True, help="Time zone, like America/Denver.")
@click.option("--interpreters/--no-interpreters", default=False, show_default=True, help="Is a contract on file?")
@click.option("--other-formats/--no-other-formats", default=False, show_default=True, help="Are Braille etc. made?")
@click.option("--legal-help", multiple=True, help="Where people get free legal help; may be given again.")
@click.option("--mailing-place", multiple=True, help="Where its mail is handed over, in a word with dashes.")
@click.option("--lone-officer-in-test", is_flag=True, help="In test matters one officer may approve alone.")
def add(  # noqa: PLR0913, PLR0917 # one for each thing that a letter prints
    name: str,
    help_phone: str,
    phone_hours: str,
    main_phone: str,
    lines: tuple[str, ...],
    zone: str,
    interpreters: bool,  # noqa: FBT001 # click passes it by name
    other_formats: bool,  # noqa: FBT001 # as above
    legal_help: tuple[str, ...],
    mailing_place: tuple[str, ...],
    lone_officer_in_test: bool,  # noqa: FBT001 # as above
) -> None:
    """Add an agency; prints its id."""
    profile = AgencyProfile.read(
        {
            "help_phone": help_phone,
            "phone_hours": phone_hours,
            "main_phone": main_phone,
            "return_address": lines,
            "interpreter_on_file": interpreters,
            "other_formats_on_file": other_formats,
            "legal_help": legal_help,
            "mailing_places": mailing_place,
        }
    )
    if not _is_zone(zone):
        raise click.UsageError("--zone must be a time zone like America/Denver.")
    with installation() as house:
        require_printable_agency(name, profile, renderer=open_renderer(house.settings))
        require_postal(profile, carriers_in_use(house.settings)[Channel.LETTER])
        made = add_agency(
            house.db,
            name=name,
            profile=profile,
            zone=zone,
            lone_officer_in_test=lone_officer_in_test,
            vault=house.vault,
            now=house.now(),
        )
    click.echo(made)


@agency.command("list")
def show() -> None:
    """List the agencies."""
    with installation() as house:
        lines = list_agencies(house.db)
    rows = [(line.agency_id, line.name, line.zone, f"{line.created_at:%Y-%m-%d}") for line in lines]
    terminal().print(table(["agency", "name", "time zone", "since"], rows))


def _is_zone(name: str) -> bool:
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return False
    return True
