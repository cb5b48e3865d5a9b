"""`notifier matter`: a matter and its list, over the HTTP API."""

import hashlib
import json
import time
from pathlib import Path
from typing import Any, Final
from uuid import UUID

import click
from rich.live import Live

from notifier.calling import Answer, Api
from notifier.commands.options import key_option, url_option
from notifier.terminal import is_moving, is_over, matter_picture, terminal

MEDIA: Final = {".csv": "text/csv", ".ndjson": "application/x-ndjson", ".json": "application/json"}
EVERY_SECONDS: Final = 1.0
QUIET_SECONDS: Final = 10.0

List = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.group()
def matter() -> None:
    """Matters and their people, over the HTTP API."""


@matter.command("import")
@click.argument("file", type=List)
@click.option("--demand", type=List, help="JSON of the new matter: external_id, demand, packs, targets.")
@click.option("--matter", "matter_id", type=click.UUID, help="Or the matter to which the list is added.")
@url_option
@key_option
def bring(file: Path, demand: Path | None, matter_id: UUID | None, url: str, key: str) -> None:
    """Open a matter for a demand and send its list: FILE is .csv, .ndjson or .json.

    The same files give the same Idempotency-Keys: after a crash run it again; nothing is ever stored twice.
    """
    media_type = MEDIA.get(file.suffix.lower())
    if media_type is None:
        raise click.UsageError(f"FILE must end with one of {', '.join(MEDIA)}.")
    if (demand is None) == (matter_id is None):
        raise click.UsageError("Give either --demand or --matter.")
    api = Api(url, key)
    where = str(matter_id) if demand is None else _open_matter(api, demand)
    received = _send_list(api, where, file, media_type)
    if received.is_replay:
        click.echo("This very list is in the matter already; nothing was added.", err=True)
    click.echo(json.dumps({"matter_id": where, **received.document}, indent=2))


def _open_matter(api: Api, demand: Path) -> str:
    body = demand.read_bytes()
    made = api.post("/v1/matters", body, once=f"matter-{hashlib.sha256(body).hexdigest()}")
    return str(made.document["matter_id"])


def _send_list(api: Api, matter_id: str, file: Path, media_type: str) -> Answer:
    with file.open("rb") as source:
        digest = hashlib.file_digest(source, "sha256").hexdigest()
        return api.post(
            f"/v1/matters/{matter_id}/people",
            source,
            once=f"list-{digest}-{matter_id}",
            media_type=media_type,
            size=file.stat().st_size,
        )


@matter.command("show")
@click.argument("matter_id", type=click.UUID)
@click.option("--watch", is_flag=True, help="Stay until nothing has changed for 10 seconds, or everybody is final.")
@url_option
@key_option
def show(matter_id: UUID, watch: bool, url: str, key: str) -> None:  # noqa: FBT001 # click passes it by name
    """Show how far telling the people of a matter has come."""
    api = Api(url, key)
    found = _read(api, matter_id)
    console = terminal()
    if not watch:
        console.print(matter_picture(found))
        return
    with Live(matter_picture(found), console=console, auto_refresh=False, transient=not console.is_terminal) as live:
        since = time.monotonic()
        while not is_over(found) and (is_moving(found) or time.monotonic() - since < QUIET_SECONDS):
            time.sleep(EVERY_SECONDS)
            before, found = found, _read(api, matter_id)
            if found != before:
                since = time.monotonic()
                live.update(matter_picture(found), refresh=True)
    if not console.is_terminal:
        console.print(matter_picture(found))


def _read(api: Api, matter_id: UUID) -> dict[str, Any]:
    return api.get(f"/v1/matters/{matter_id}")
