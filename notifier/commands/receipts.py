"""`notifier receipts`: what carriers said and nobody could place."""

from collections import defaultdict
from collections.abc import Callable, Iterator
from datetime import datetime
from uuid import UUID

import click

from notifier.bootstrap import open_readers
from notifier.commands.installation import installation
from notifier.store.engine import Database, Tx
from notifier.terminal import table, terminal
from notifier.usecases.access import all_agencies
from notifier.usecases.applying import count_failed, queue_failed
from notifier.usecases.quarantine import Kept, list_quarantine
from notifier.usecases.replaying import Again, replay

MEANING = {
    Again.PLACED: "found their attempt; the workers apply them",
    Again.KEPT: "still name none of our attempts, or cannot be read",
    Again.NOT_PROVED: "are not proved by today's keys of the carrier",
    Again.NO_READER: "are of a carrier that is not in use",
    Again.SEALED: "cannot be opened: is a key file missing?",
}


@click.group()
def receipts() -> None:
    """What carriers said and nobody could place. It is kept, sealed, for 30 days; it holds no name that is shown."""


@receipts.command("list")
@click.option("--each", is_flag=True, help="Also each by itself, with its id.")
def show(each: bool) -> None:  # noqa: FBT001 # click passes it by name
    """Show how much there is, for which reason and since when."""
    with installation() as house:
        kept, now = list_quarantine(house.db), house.now()
        failed = sum(_in_each_agency(house.db, count_failed))
    if failed:
        click.echo(f"{failed} could not be applied; `notifier receipts replay` tries them once more.")
    if not kept:
        click.echo("In quarantine: nothing.")
        return
    groups: dict[tuple[str, str], list[Kept]] = defaultdict(list)
    for one in kept:
        groups[one.carrier, one.reason].append(one)
    rows = [
        (carrier, reason, len(some), _age(some[0].received_at, now), _age(some[-1].received_at, now))
        for (carrier, reason), some in sorted(groups.items())
    ]
    terminal().print(table(["carrier", "reason", "count", "oldest", "newest"], rows))
    if each:
        lines = [(one.quarantine_id, one.carrier, one.reason, _age(one.received_at, now)) for one in kept]
        terminal().print("", table(["id", "carrier", "reason", "age"], lines))


@receipts.command("replay")
@click.option("--id", "quarantine_id", type=click.UUID, help="Only this one.")
@click.option("--reason", help="Only those that are there for this reason.")
def read_again(quarantine_id: UUID | None, reason: str | None) -> None:
    """Read them again with today's readers and keys; what finds its attempt is stored and applied.

    Run it after an update, after a restored backup, or after a carrier's key was corrected. Running it twice applies
    nothing twice.
    """
    with installation() as house:
        found = replay(
            house.db,
            readers=open_readers(house.settings),
            vault=house.vault,
            quarantine_id=quarantine_id,
            reason=reason,
        )
        failed = 0 if quarantine_id or reason else sum(_in_each_agency(house.db, queue_failed))
    if failed:
        click.echo(f"{failed} that could not be applied are tried once more")
    if not found and not failed:
        click.echo("Nothing to read again.")
    for outcome in Again:
        if found[outcome]:
            click.echo(f"{found[outcome]} {MEANING[outcome]}")


def _in_each_agency(db: Database, what: Callable[[Tx], int]) -> Iterator[int]:
    for agency_id in all_agencies(db):
        with db.transaction(agency_id) as tx:
            yield what(tx)


def _age(since: datetime, now: datetime) -> str:
    minutes = max(0, int((now - since).total_seconds() // 60))
    if minutes < 60:  # noqa: PLR2004 # an hour
        return f"{minutes} min"
    hours = minutes // 60
    return f"{hours} h" if hours < 48 else f"{hours // 24} days"  # noqa: PLR2004 # two days
