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
from tests.commands.cli import Run, demand_file

HEADER = ["piece", "reason", "returned_on", "line1", "city", "region", "postal_code"]


@pytest.fixture
def batch(run: Run, keys: dict[str, str], service: Service, tmp_path: Path) -> str:
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


def close(service: Service, keys: Mapping[str, str]) -> str | None:
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
    run: Run,
    keys: dict[str, str],
    batch: str,
    service: Service,
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
    assert "unknown_letter: no letter of this agency has that number" in told.output
    again = run("mailroom", "returned", str(scans), **keys).output
    assert [line.split()[1] for line in again.splitlines()[1:4]] == ["known", "known", "unknown_letter"]


def test_a_whole_batch_is_voided_and_not_downloaded_any_more(
    run: Run,
    keys: dict[str, str],
    batch: str,
    tmp_path: Path,
) -> None:
    assert "2 pieces withdrawn, 0 left" in run("mailroom", "void", batch, "--destroyed", **keys).output
    assert "void" in run("mailroom", "list", **keys).output
    (tmp_path / f"{batch}-pdf.pdf").write_text("downloaded before")
    refused = run("mailroom", "download", batch, "--to", str(tmp_path), **keys)
    assert refused.exit_code == 1
    assert "batch-voided" in refused.stderr
    assert [path.read_text() for path in tmp_path.glob(f"*{batch}*")] == ["downloaded before"]


def test_wrong_words_are_told(run: Run, keys: dict[str, str], tmp_path: Path) -> None:
    scans = tmp_path / "returned.csv"
    scans.write_text("barcode,reason\n1,2\n")
    assert run("mailroom", "returned", str(scans), **keys).exit_code == 2
    scans.write_bytes("piece,reason,returned_on\n1,UTF,2026-11-20\nß,UTF,2026-11-20\n".encode("latin-1"))
    assert "The file is no CSV in UTF-8." in run("mailroom", "returned", str(scans), **keys).stderr
    scans.write_text(f"piece,reason,returned_on\n{piece_number(uuid4())},UTF,2026-11-20\n1,UTF,2026-11-20\n")
    assert "  row 2: piece: is no code" in run("mailroom", "returned", str(scans), **keys).stderr
    missing = run("mailroom", "delivered", str(UUID(int=0)), "--on", "2026-11-20", "--signature", "agent", **keys)
    assert "404 unknown-letter" in missing.stderr


def test_the_reasons_of_the_post_are_listed(run: Run) -> None:
    listed = run("mailroom", "reasons").output
    assert all(reason.value in listed for reason in UspsReason)
