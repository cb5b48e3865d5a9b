"""A day in the mailroom, from the command line and over real HTTP."""

import csv
import json
from collections.abc import Mapping
from pathlib import Path
from uuid import UUID, uuid4
from zoneinfo import ZoneInfo

import pytest

from notifier.calling import Api
from notifier.core.pieces import piece_number
from notifier.core.returned_mail import UspsReason
from notifier.service import Service
from notifier.usecases.access import authenticate
from notifier.usecases.letters import Mailroom, compose_letters
from notifier.usecases.mailroom import close_batch
from tests.test_cli import (  # noqa: F401 # fixtures
    Run,
    agency,
    api_url,
    demand_file,
    house,
    keys,
    run,
    service,
)

HEADER = ["piece", "reason", "returned_on", "line1", "city", "region", "postal_code"]


@pytest.fixture
def batch(run: Run, keys: dict[str, str], service: Service, tmp_path: Path) -> str:  # noqa: F811
    """Two letters in a closed batch."""
    people = tmp_path / "people.json"
    home = {"lines": ["1313 Test Street"], "city": "Denver", "region": "CO", "postal_code": "80203"}
    post = [{"kind": "post", "address": home}]
    rows = [{"external_id": f"P-{n}", "name": "Sample Person", "language": "en", "contacts": post} for n in range(2)]
    people.write_text(json.dumps(rows))
    made = json.loads(run("matter", "import", str(people), "--demand", str(demand_file(tmp_path)), **keys).stdout)
    Api(keys["API_URL"], keys["PERSONAL_KEY"]).post(
        f"/v1/matters/{made['matter_id']}/approve", b"{}", once=str(uuid4())
    )
    closed = close(service, keys)
    assert closed is not None
    return closed


def close(service: Service, keys: Mapping[str, str]) -> str | None:  # noqa: F811
    """Write every letter and close a batch, as a worker does."""
    who = authenticate(keys["PERSONAL_KEY"], db=service.db, vault=service.vault, now=service.now())
    mailroom = Mailroom(service.vault, service.renderer)
    with service.db.transaction(who.agency_id) as tx:
        compose_letters(tx, mailroom=mailroom, now=service.now())
    with service.db.transaction(who.agency_id) as tx:
        closed = close_batch(tx, mailroom=mailroom, now=service.now())
    return None if closed is None else str(closed)


def numbers(folder: Path, batch: str) -> list[str]:
    with (folder / f"{batch}-manifest.csv").open(encoding="utf-8-sig", newline="") as file:
        return [row["piece_number"] for row in csv.DictReader(file)]


def test_a_batch_is_printed_spoilt_mailed_and_comes_back(
    run: Run,  # noqa: F811
    keys: dict[str, str],  # noqa: F811
    batch: str,
    service: Service,  # noqa: F811
    tmp_path: Path,
) -> None:
    assert run("mailroom", "download", batch, "--to", str(tmp_path), **keys).exit_code == 0
    first, second = numbers(tmp_path, batch)

    careless = run("mailroom", "void", batch, "--piece", first, **keys)
    assert careless.exit_code == 2
    withdrawn = run("mailroom", "void", batch, "--piece", first, "--destroyed", **keys)
    assert withdrawn.output == "1 pieces withdrawn, 1 left in the batch\n"
    again = close(service, keys)
    assert again is not None

    today = f"{service.now().astimezone(ZoneInfo('America/Denver')):%Y-%m-%d}"
    for each, count in ((batch, 1), (again, 1)):
        done = run("mailroom", "declare", each, "--mailed-on", today, **keys)
        assert done.output.startswith(f"{count} pieces declared mailed on {today}"), done.output
    assert today in run("mailroom", "list", **keys).output

    scans = tmp_path / "returned.csv"
    with scans.open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(HEADER)
        rows.writerow([first, "ank", today])
        rows.writerow([second, "FOE", today, "200 Sample Avenue", "Boulder", "CO", "80301"])
        rows.writerow([piece_number(uuid4()), "VAC", today])
    told = run("mailroom", "returned", str(scans), **keys)
    assert told.exit_code == 1
    lines = [line for line in told.output.splitlines() if line[:3].strip().isdigit()]
    assert ["recorded" in lines[0], "recorded" in lines[1], "unknown_letter" in lines[2]] == [True] * 3
    assert ["a letter" in line for line in lines] == [False, True, False]


def test_a_whole_batch_is_voided_and_not_downloaded_any_more(
    run: Run,  # noqa: F811
    keys: dict[str, str],  # noqa: F811
    batch: str,
    tmp_path: Path,
) -> None:
    assert "2 pieces withdrawn, 0 left" in run("mailroom", "void", batch, "--destroyed", **keys).output
    assert "void" in run("mailroom", "list", **keys).output
    refused = run("mailroom", "download", batch, "--to", str(tmp_path), **keys)
    assert refused.exit_code == 1
    assert "batch-voided" in refused.stderr


def test_wrong_words_are_told(run: Run, keys: dict[str, str], tmp_path: Path) -> None:  # noqa: F811
    scans = tmp_path / "returned.csv"
    scans.write_text("barcode,reason\n1,2\n")
    assert run("mailroom", "returned", str(scans), **keys).exit_code == 2
    missing = run("mailroom", "delivered", str(UUID(int=0)), "--on", "2026-11-20", "--signature", "agent", **keys)
    assert "404 unknown-letter" in missing.stderr


def test_the_reasons_of_the_post_are_listed(run: Run) -> None:  # noqa: F811
    listed = run("mailroom", "reasons").output
    assert all(reason.value in listed for reason in UspsReason)
