"""`notifier tasks`: what waits for a caseworker, over the HTTP API."""

import json
from typing import Any, Final
from urllib.parse import urlencode
from uuid import UUID

import click

from notifier.calling import Api
from notifier.commands.options import key_option, personal_key_option, url_option
from notifier.core.model import Resolution, TaskKind
from notifier.terminal import table, terminal

COLUMNS: Final = ["task", "what", "due (UTC)", "matter", "person", "came of it"]


@click.group()
def tasks() -> None:
    """What waits for a caseworker."""


@tasks.command("list")
@click.option("--kind", type=click.Choice([kind.value for kind in TaskKind]), help="Of this kind only.")
@click.option("--matter", "matter_id", type=click.UUID, help="Of this matter only.")
@click.option("--all", "also_done", is_flag=True, help="Also those that are done.")
@url_option
@key_option
def show(kind: str | None, matter_id: UUID | None, also_done: bool, url: str, key: str) -> None:  # noqa: FBT001 # click passes it by name
    """List the tasks, the one due first in front."""
    api = Api(url, key)
    asked = {"kind": kind, "matter": matter_id, "open": None if not also_done else "false", "limit": 500}
    rows: list[dict[str, Any]] = []
    cursor: str | None = None
    while True:
        query = urlencode({name: value for name, value in {**asked, "cursor": cursor}.items() if value is not None})
        page = api.get(f"/v1/tasks?{query}")
        rows += page["tasks"]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    terminal().print(
        table(
            COLUMNS,
            [
                (
                    row["task_id"],
                    row["kind"],
                    row["due_at"][:16],
                    row["matter_id"] or "",
                    row["person_id"] or "",
                    row["resolution"] or "",
                )
                for row in rows
            ],
        )
    )


@tasks.command("done")
@click.argument("task_id", type=click.UUID)
@click.option(
    "--resolution", type=click.Choice([one.value for one in Resolution]), required=True, help="What came of it."
)
@url_option
@personal_key_option
def finish(task_id: UUID, resolution: str, url: str, key: str) -> None:
    """Say what came of a task."""
    body = json.dumps({"resolution": resolution}).encode()
    done = Api(url, key).post(f"/v1/tasks/{task_id}/done", body, once=f"task-{task_id}-{resolution}")
    click.echo(done.document["resolution_meaning"])
