"""A long list of made-up people: the same one every time, with some of everything that happens to real lists."""

import csv
import io
import json
from collections.abc import Iterator
from typing import IO, Any, Final

from notifier.core.articles import article_check_digit
from notifier.demo.people import SPANISH, address

FIRST: Final = ("María", "Jordan", "Luis", "Taylor", "Rosa", "Sam", "Ana", "Chris", "Elena", "Robin", "Pedro", "Alex")
LAST: Final = ("Ejemplo", "Sample", "Muestra", "Specimen", "Modelo", "Test", "Prueba", "Example", "Ficticia", "Dummy")
# Area codes of the West: with 555-01xx behind them, none of these numbers is anybody's.
AREAS: Final = (303, 719, 720, 970, 307, 308, 402, 406, 435, 505, 575, 605, 620, 701, 785, 801, 385, 208, 480, 520)
# Per hundred people. A number's last two digits and a mailbox's first word are the sandbox's words for an outcome.
LANGUAGES: Final[tuple[str | None, ...]] = (*["en"] * 55, *[SPANISH] * 35, *["am", "so", "vi", "ht"], *[None] * 6)
PHONES: Final = (*range(50), *range(12), 50, 52, 53, 54, 60, 62, 71, 74, 80, 81, 82, *[-1] * 27)
MAILBOXES: Final = (
    *["delivered"] * 52,
    *["bounced", "bounced", "blocked", "dropped", "deferred", "delivered-then-bounced", "processed", "opened"],
    *[""] * 40,
)
COLUMNS: Final = (
    "external_id",
    "name",
    "language",
    "phone",
    "email",
    "address_line1",
    "city",
    "region",
    "postal_code",
)


def sample_people(count: int) -> Iterator[dict[str, Any]]:
    """So many people as the API takes them, one after the other; each list is the beginning of every longer one."""
    for number in range(count):
        yield _person(number)


def _person(number: int) -> dict[str, Any]:
    hundred, place = divmod(number, 100)
    # Steps that have no factor in common with 100, so that languages, phones and mailboxes mix differently.
    language, phone = LANGUAGES[place * 37 % 100], PHONES[place * 61 % 100]
    mailbox = MAILBOXES[place * 83 % 100]
    contacts: list[dict[str, Any]] = []
    if phone >= 0:
        contacts.append({"kind": "phone", "value": f"+1{AREAS[hundred % len(AREAS)]}55501{phone:02}"})
    if mailbox:
        contacts.append({"kind": "email", "value": f"{mailbox}.{number}@example.org"})
    if place % 2:
        contacts.append({"kind": "post", "address": address(place, 100 + number)})
    name = f"{FIRST[number % len(FIRST)]} {LAST[number // len(FIRST) % len(LAST)]}"
    known = {} if language is None else {"language": language}
    return {"external_id": f"S-{number + 1:07}", "name": name, **known, "contacts": contacts}


def ndjson(people: Iterator[dict[str, Any]]) -> Iterator[str]:
    """One JSON object a line."""
    return (json.dumps(person, ensure_ascii=False) + "\n" for person in people)


def comma_separated(people: Iterator[dict[str, Any]]) -> Iterator[str]:
    """CSV with a header."""
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, COLUMNS, lineterminator="\n")
    writer.writeheader()
    for person in people:
        writer.writerow(_flat(person))
        yield buffer.getvalue()
        buffer.seek(0)
        buffer.truncate()
    yield buffer.getvalue()


def _flat(person: dict[str, Any]) -> dict[str, str]:
    row: dict[str, str] = {name: person[name] for name in COLUMNS[:3] if name in person}
    for contact in person["contacts"]:
        if contact["kind"] == "post":
            place = contact["address"]
            row |= {"address_line1": place["lines"][0]}
            row |= {name: place[name] for name in ("city", "region", "postal_code")}
        else:
            row[contact["kind"]] = contact["value"]
    return row


def sample_labels(manifest: IO[str]) -> Iterator[dict[str, str]]:
    """A made-up label for each letter of a batch's manifest, as declaring certified letters takes them.

    The same letter gets the same number every time, and no two the same.
    """
    for row in csv.DictReader(manifest):
        piece = row["piece_number"]
        digits = "9407100" + piece.replace("-", "")[:14]
        yield {"piece": piece, "article": digits + article_check_digit(digits)}


def labels_csv(labels: Iterator[dict[str, str]]) -> Iterator[str]:
    """CSV with a header, as `notifier mailroom declare --labels` reads it."""
    yield "piece,article\n"
    yield from (f"{label['piece']},{label['article']}\n" for label in labels)
