"""The command `notifier`. Exit status: 0 done, 1 refused or failed, 2 set up or called wrongly."""

import sys
from collections.abc import Mapping
from importlib import import_module
from types import MappingProxyType
from typing import Final

import click
from sqlalchemy.exc import InterfaceError, OperationalError

from notifier.core.errors import LedgerError, Refused, Sealed, SettingsError
from notifier.servers.errors import CannotStart
from notifier.supervisor import Stopped

# Each command and where it is; its module is imported when it is used, so that `notifier --help` answers at once.
COMMANDS: Final[Mapping[str, tuple[str, str]]] = MappingProxyType(
    {
        "agency": ("notifier.commands.agency:agency", "Agencies of this installation."),
        "apikey": ("notifier.commands.apikey:apikey", "Keys for the HTTP API."),
        "check": ("notifier.commands.check:check", "Show the effective settings and what is wrong with them."),
        "clock": ("notifier.commands.clock:clock", "The clock of a test matter."),
        "demo": ("notifier.commands.demo:demo", "Start everything with made-up people and show it work."),
        "glossary": ("notifier.commands.glossary:glossary", "What every word of a status means."),
        "keys": ("notifier.commands.keys:keys", "The keys that everything stored is sealed with."),
        "mailroom": ("notifier.commands.mailroom:mailroom", "Letters to print and to declare mailed."),
        "matter": ("notifier.commands.matter:matter", "Matters and their people, over the HTTP API."),
        "migrate": ("notifier.commands.run:migrate", "Bring the database to the newest schema."),
        "officer": ("notifier.commands.officer:officer", "Officers of an agency."),
        "openapi": ("notifier.commands.openapi:openapi", "The published description of the API."),
        "receipts": ("notifier.commands.receipts:receipts", "What carriers said and nobody could place."),
        "run": ("notifier.commands.run:run", "Start the service: servers, web, workers, clock."),
        "sample": ("notifier.commands.sample:sample", "A list of made-up people."),
        "sandbox": ("notifier.commands.sandbox:sandbox", "Stand in for the carriers, for development."),
        "stop": ("notifier.commands.stop:stop", "Stop sending at once; two officers let it go on."),
        "tasks": ("notifier.commands.tasks:tasks", "What waits for a caseworker."),
    }
)
FAILED, WRONG = 1, 2


class Commands(click.Group):
    """The commands of COMMANDS."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 # click calls it so
        """Their names."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 # click calls it so
        """One of them, imported now."""
        if cmd_name not in COMMANDS:
            return None
        module, _, name = COMMANDS[cmd_name][0].partition(":")
        command = getattr(import_module(module), name)
        return command if isinstance(command, click.Command) else None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002 # as above
        """Their one-line texts, without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in COMMANDS.items()])


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(package_name="affected-person-notifier", prog_name="notifier")
def commands() -> None:
    """Tell every person named in a demand for records, and prove it."""


def main() -> None:
    """Run one command; errors of ours are told in words, and nothing that a caller wrote is repeated."""
    if any("\udc80" <= character <= "\udcff" for argument in sys.argv for character in argument):
        _fail(["An argument is not UTF-8."], WRONG)
    try:
        commands()
    except SettingsError as error:
        _fail([*error.problems], WRONG)
    except Refused as error:
        _fail([error.detail, *(f"{finding.pointer}: {finding.detail}" for finding in error.findings)], FAILED)
    except (CannotStart, Sealed, LedgerError) as error:
        _fail([str(error)], FAILED)
    except (OperationalError, InterfaceError):  # their texts hold addresses and rows
        _fail(["The database cannot be reached, or refuses us: `notifier check` tells more."], FAILED)
    except Stopped:
        sys.exit(0)


def _fail(lines: list[str], status: int) -> None:
    for line in lines:
        click.echo(f"notifier: {line}", err=True)
    sys.exit(status)
