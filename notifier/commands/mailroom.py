"""`notifier mailroom`: print batches and returned mail, over the HTTP API, with an officer's personal key."""

import csv
import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import IO, Any, Final
from uuid import UUID, uuid4

import click

from notifier.calling import Api, CallFailed
from notifier.commands.options import personal_key_option, url_option
from notifier.core.model import Signature
from notifier.core.returned_mail import RULES, UspsReason
from notifier.terminal import table, terminal

PARTS: Final = {"pdf": "pdf", "manifest": "csv", "totals": "pdf"}
ADDRESS_COLUMNS: Final = ("line1", "line2", "city", "region", "postal_code")
ROW: Final = re.compile(r"/(?:pieces|certified)/([0-9]+)/")
WHY_NOT: Final[Mapping[str, str]] = {
    "unknown_letter": "no letter of this agency has that number, or two have it; scan the code",
    "mode_mismatch": "this key is for test matters and the letter is live, or the other way round",
    "never_written": "by the records there is no such paper",
    "impossible_day": "that day is to come, or lies before the letter was printed, as the clock of its matter has it",
    "recorded_otherwise": "it was recorded before with another reason or address",
    "confidential_address": "the return is recorded; the new address is not kept, for the confidentiality program",
    "erased": "the return is recorded; the data of the person was erased, and no address is kept for them",
}
Folder = click.Path(file_okay=False, path_type=Path)
Day = click.DateTime(["%Y-%m-%d"])


@click.group()
def mailroom() -> None:
    """Letters to print, to declare mailed, and those that come back."""


@mailroom.command("list")
@url_option
@personal_key_option
def show(url: str, key: str) -> None:
    """List the print batches, newest first. What should have been mailed by now is RED."""
    batches = Api(url, key).get("/v1/print-batches")["batches"]
    rows = [
        (
            each["batch_id"],
            each["closed_at"][:16],
            each["service"],
            each["pieces"] - each["withdrawn"],
            each["sheets"],
            _standing(each),
        )
        for each in batches
    ]
    terminal().print(table(["batch", "closed (UTC)", "service", "pieces", "sheets", "mailed on"], rows))


def _standing(batch: dict[str, Any]) -> str:
    if batch["voided_at"]:
        return "void"
    return str(batch["mailed_on"] or ("RED: not yet" if batch["red"] else "not yet"))


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
        with TemporaryDirectory(dir=folder, prefix=".") as here:  # what was refused replaces no file
            whole = Path(here) / path.name
            with whole.open("wb") as file:
                whole.chmod(0o600)
                api.download(f"/v1/print-batches/{batch_id}/{part}", file)
            whole.replace(path)
        click.echo(path)


@mailroom.command("declare")
@click.argument("batch_id", type=click.UUID)
@click.option("--mailed-on", type=Day, required=True, help="The day it was handed to the post.")
@click.option("--place", help="Where: one of the agency's places of mailing, if it has several.")
@click.option(
    "--labels",
    type=click.File(encoding="utf-8-sig"),
    help="For certified letters: CSV with the columns piece,article, each letter scanned with its label.",
)
@url_option
@personal_key_option
def declare(batch_id: UUID, mailed_on: datetime, place: str | None, labels: IO[str] | None, url: str, key: str) -> None:
    """Declare that every letter still in a batch was handed to the post."""
    body: dict[str, Any] = {"mailed_on": f"{mailed_on:%Y-%m-%d}"}
    if place is not None:
        body["place"] = place
    if labels is not None:
        body["certified"] = _rows(labels, "piece", "article")
    done = _post(Api(url, key), f"/v1/print-batches/{batch_id}/mailed", body)
    click.echo(f"{done['pieces']} pieces declared mailed on {done['mailed_on']}")
    if done["withdrawn"]:
        click.echo(f"{done['withdrawn']} were withdrawn before")


@mailroom.command("void")
@click.argument("batch_id", type=click.UUID)
@click.option("--piece", "pieces", multiple=True, help="The number of a single piece; may be given again.")
@click.option("--destroyed", is_flag=True, help="None of it was mailed, and the paper is destroyed.")
@url_option
@personal_key_option
def void(batch_id: UUID, pieces: tuple[str, ...], destroyed: bool, url: str, key: str) -> None:  # noqa: FBT001 # click passes it by name
    """Say that a batch, or some pieces of it, were not mailed: their letters are printed in another one."""
    if not destroyed:
        raise click.UsageError("Add --destroyed when none of it was mailed and the paper is destroyed.")
    body = {"pieces": list(pieces)} if pieces else {}
    done = _post(Api(url, key), f"/v1/print-batches/{batch_id}/void", body)
    click.echo(f"{done['pieces']} pieces withdrawn, {done['left']} left in the batch")


@mailroom.command("returned")
@click.argument("scans", type=click.File(encoding="utf-8-sig"))
@url_option
@personal_key_option
def returned(scans: IO[str], url: str, key: str) -> None:
    """Scan in letters that came back. SCANS is CSV (- for standard input) with piece,reason,returned_on.

    The address on a yellow label goes into line1,line2,city,region,postal_code. `notifier mailroom reasons` lists the
    reasons. Ends with status 1 when a letter was not recorded.
    """
    rows = _rows(scans, "piece", "reason", "returned_on", *ADDRESS_COLUMNS)
    # Nothing is recorded twice anyhow; what could not be recorded yesterday is looked at anew.
    body = {"pieces": [_scan(row) for row in rows]}
    done = _post(Api(url, key), "/v1/returned-mail", body, once=str(uuid4()))["pieces"]
    told = [
        (number, each["result"], each["next_step"] or "", _followed(each)) for number, each in enumerate(done, start=1)
    ]
    terminal().print(table(["row", "result", "what to do", "mailed at once"], told))
    for result in sorted({each["result"] for each in done} & WHY_NOT.keys()):
        click.echo(f"{result}: {WHY_NOT[result]}")
    if any(each["result"] not in {"recorded", "known"} for each in done):
        raise click.exceptions.Exit(1)


def _followed(result: dict[str, Any]) -> str:
    return "a letter" if result["remailed_as"] else ""


@mailroom.command("delivered")
@click.argument("attempt_id", type=click.UUID)
@click.option("--on", "day", type=Day, required=True, help="The day of delivery.")
@click.option(
    "--signature",
    type=click.Choice([one.value for one in Signature]),
    required=True,
    help="Whose name is on the receipt.",
)
@url_option
@personal_key_option
def delivered(attempt_id: UUID, day: datetime, signature: str, url: str, key: str) -> None:
    """Enter what the receipt of a certified letter says."""
    body = {"delivered_on": f"{day:%Y-%m-%d}", "signature": signature}
    done = _post(Api(url, key), f"/v1/letters/{attempt_id}/delivered", body)
    click.echo(f"{done['status']} on {done['delivered_on']}")


@mailroom.command("reasons")
def reasons() -> None:
    """List the reasons why the post brings letters back, and what each means."""
    rows = [(reason.value, RULES[reason].meaning, RULES[reason].step.value) for reason in UspsReason]
    terminal().print(table(["reason", "meaning", "what to do"], rows))


def _post(api: Api, path: str, body: dict[str, Any], *, once: str | None = None) -> dict[str, Any]:
    """Once, however often the very same is sent; `once` makes it another request."""
    sent = json.dumps(body).encode()
    try:
        return api.post(path, sent, once=once or hashlib.sha256(path.encode() + b"\n" + sent).hexdigest()).document
    except CallFailed as error:
        raise CallFailed(ROW.sub(lambda found: f"row {int(found[1]) + 1}: ", error.message), error.status) from None


def _rows(file: IO[str], *columns: str) -> list[dict[str, str]]:
    """The rows of a CSV; a column that is not known is refused, one that is empty is left out."""
    try:
        reader = csv.DictReader(file)
        if not set(reader.fieldnames or ()) <= set(columns):
            raise click.UsageError(f"The columns of the CSV can be {', '.join(columns)}.")
        return [{name: value for name, value in row.items() if value and name in columns} for row in reader]
    except (UnicodeDecodeError, csv.Error):
        raise click.UsageError("The file is no CSV in UTF-8.") from None


def _scan(row: dict[str, str]) -> dict[str, Any]:
    scan: dict[str, Any] = {name: row.get(name, "") for name in ("piece", "returned_on")}
    scan["reason"] = row.get("reason", "").upper()
    if any(row.get(name) for name in ADDRESS_COLUMNS):
        place: dict[str, Any] = {name: row.get(name, "") for name in ("city", "region", "postal_code")}
        scan["forwarding_address"] = place | {"lines": list(_lines(row))}
    return scan


def _lines(row: dict[str, str]) -> Iterable[str]:
    return (row[name] for name in ("line1", "line2") if row.get(name))
