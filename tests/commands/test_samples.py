"""Made-up people: always the same, and nobody who can exist."""

import csv
import io
import json
import re
from collections.abc import Mapping
from pathlib import Path
from uuid import uuid4

import pytest

from notifier.core.articles import parse_article
from notifier.core.contacts import blind_form
from notifier.core.person_row import PersonRow, to_contacts
from notifier.core.pieces import piece_number
from notifier.demo.people import made_up_people
from notifier.demo.sample import sample_people
from tests.commands.cli import Run


def test_the_sample_is_the_same_every_time_and_begins_every_longer_one(run: Run) -> None:
    short, long = run("sample", "--people", "50").output, run("sample", "--people", "150").output
    assert long.startswith(short)
    assert long == run("sample", "--people", "150").output


def test_made_up_labels_are_well_formed_and_one_for_each_letter_of_a_manifest(run: Run, tmp_path: Path) -> None:
    manifest = tmp_path / "manifest.csv"
    pieces = [piece_number(uuid4()) for _ in range(50)]
    manifest.write_text("seq,piece_number\n" + "".join(f"1,{piece}\n" for piece in pieces), encoding="utf-8-sig")
    made = list(csv.DictReader(io.StringIO(run("sample", "--labels", str(manifest)).output)))
    assert [row["piece"] for row in made] == pieces
    assert {parse_article(row["article"]) for row in made} == {row["article"] for row in made}
    assert len({row["article"] for row in made}) == len(pieces)
    manifest.write_text("something,else\n1,2\n")
    assert run("sample", "--labels", str(manifest)).exit_code == 2


def test_both_forms_of_the_sample_hold_the_same_people(run: Run) -> None:
    rows = list(csv.DictReader(io.StringIO(run("sample", "--people", "100", "--format", "csv").output)))
    people = [json.loads(line) for line in run("sample", "--people", "100").output.splitlines()]
    assert [row["external_id"] for row in rows] == [person["external_id"] for person in people]
    assert sum(bool(row["phone"]) + bool(row["email"]) + bool(row["city"]) for row in rows) == sum(
        len(person["contacts"]) for person in people
    )


@pytest.mark.parametrize("people", [[person.row for person in made_up_people()], list(sample_people(2000))])
def test_nobody_in_the_demonstration_or_the_sample_can_exist(people: list[Mapping[str, object]]) -> None:
    rows = [PersonRow.model_validate(person) for person in people]
    assert len({row.external_id for row in rows}) == len(rows)
    values = [contact.value for row in rows for contact in row.contacts if contact.value]
    fiction = re.compile(r"\+1[2-9]\d{2}55501\d{2}|[a-z.0-9-]+@example\.(com|org|net)|555-01")
    assert [value for value in values if not fiction.fullmatch(value)] == []


def test_a_longer_sample_does_not_repeat_its_numbers_soon() -> None:
    points = [point for row in sample_people(500) for point in to_contacts(PersonRow.model_validate(row))]
    assert len({blind_form(point) for point in points}) > len(points) * 0.9


def test_the_demonstration_has_enough_people_languages_and_channels() -> None:
    rows = [PersonRow.model_validate(person.row) for person in made_up_people()]
    assert len(rows) >= 24
    assert {row.language for row in rows} >= {"en", "es-419", "am", None}
    assert {contact.kind for row in rows for contact in row.contacts} == {"phone", "email", "post"}
