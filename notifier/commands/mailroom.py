"""`notifier mailroom`: print batches, over the HTTP API, with an officer's personal key."""

import json
from datetime import datetime
from pathlib import Path
from typing import Final
from uuid import UUID

import click

from notifier.calling import Api
from notifier.commands.options import personal_key_option, url_option
from notifier.terminal import table, terminal

PARTS: Final = {"pdf": "pdf", "manifest": "csv", "totals": "pdf"}
Folder = click.Path(file_okay=False, path_type=Path)


@click.group()
def mailroom() -> None:
    """Letters to print and to declare mailed."""


@mailroom.command("list")
@url_option
@personal_key_option
def show(url: str, key: str) -> None:
    """List the print batches, newest first."""
    batches = Api(url, key).get("/v1/print-batches")["batches"]
    rows = [
        (each["batch_id"], each["closed_at"][:16], each["pieces"], each["sheets"], each["mailed_on"] or "not yet")
        for each in batches
    ]
    terminal().print(table(["batch", "closed (UTC)", "pieces", "sheets", "mailed on"], rows))


@mailroom.command("download")
@click.argument("batch_id", type=click.UUID)
@click.option("--to", "folder", type=Folder, default=Path(), show_default="this folder", help="Where to.")
@url_option
@personal_key_option
def download(batch_id: UUID, folder: Path, url: str, key: str) -> None:
    """Download a batch: the letters in postal order, their manifest and the totals sheet.

    They hold names and addresses: print them, and do not keep them.
    """
    api = Api(url, key)
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    for part, ending in PARTS.items():
        path = folder / f"{batch_id}-{part}.{ending}"
        with path.open("wb") as file:
            path.chmod(0o600)
            api.download(f"/v1/print-batches/{batch_id}/{part}", file)
        click.echo(path)


@mailroom.command("declare")
@click.argument("batch_id", type=click.UUID)
@click.option(
    "--mailed-on", type=click.DateTime(["%Y-%m-%d"]), required=True, help="The day it was handed to the post."
)
@url_option
@personal_key_option
def declare(batch_id: UUID, mailed_on: datetime, url: str, key: str) -> None:
    """Declare that every piece of a batch was handed to the post."""
    body = json.dumps({"mailed_on": f"{mailed_on:%Y-%m-%d}"}).encode()
    done = Api(url, key).post(
        f"/v1/print-batches/{batch_id}/mailed", body, once=f"mailed-{batch_id}-{mailed_on:%Y%m%d}"
    )
    click.echo(f"{done.document['pieces']} pieces declared mailed on {done.document['mailed_on']}")
