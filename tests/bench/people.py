"""Made-up lists of people: numbers kept for fiction (555-01xx), mailboxes at example.com, .org and .net.

The same every time, so that two runs measure the same work.
"""

import json
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

ALL_KINDS = frozenset({"phone", "email", "post"})
# Whatever number the carrier's table could know; n11 and 900 are refused at intake.
AREAS = tuple(area for area in range(201, 1000) if area % 100 != 11 and area != 900)
DELIVERED = 50  # the sandbox delivers to the last two digits 00 to 49
WRITINGS = ("+1{0}55501{1:02d}", "({0}) 555-01{1:02d}", "{0}-555-01{1:02d}", "{0}.555.01{1:02d}")
GIVEN = ("Ana", "Bao", "Chidi", "Dawit", "Elena", "Fatima", "Guillermo", "Hye-jin", "Ibrahim", "Jesús", "Khadija")
FAMILY = ("Sample", "Muster", "Ejemplo", "Exemple", "Mẫu", "de la Muestra y Prueba", "O'Sample", "Sample-Specimen")
NATIVE = {"am": "ናሙና ሰው", "ar": "شخص مثال", "ne": "नमूना व्यक्ति", "zh-Hans": "样本"}
LANGUAGES = ("en", "es-419", "es-419", "vi", "am", "ar", "ne", "zh-Hans", None)
ODD_ONE_IN = 50  # one contact in so many cannot be used


def rows(
    count: int, *, kinds: Collection[str], languages: tuple[str | None, ...], odd: bool
) -> Iterator[dict[str, Any]]:
    """`count` people. With `odd`, one in fifty has a contact that cannot be used, each kind in turn."""
    for number in range(count):
        language = languages[number % len(languages)]
        row: dict[str, Any] = {
            "external_id": f"B-{number:07d}",
            "name": f"{GIVEN[number % len(GIVEN)]} {FAMILY[number % len(FAMILY)]} {number}",
            "contacts": _contacts(number, kinds, is_odd=odd and number % ODD_ONE_IN == 0),
        }
        if language:
            row["language"] = language
        if language in NATIVE:
            row["native_name"] = NATIVE[language]
        yield row


def write_list(path: Path, found: Iterator[dict[str, Any]]) -> None:
    """As NDJSON in UTF-8."""
    with path.open("w", encoding="utf-8") as file:
        for row in found:
            file.write(json.dumps(row, ensure_ascii=False) + "\n")


def _contacts(number: int, kinds: Collection[str], *, is_odd: bool) -> list[dict[str, Any]]:
    spoilt = sorted(kinds)[number // ODD_ONE_IN % len(kinds)] if is_odd else ""
    contacts: list[dict[str, Any]] = []
    if "phone" in kinds:
        area, last = AREAS[number // DELIVERED % len(AREAS)], number % DELIVERED
        written = WRITINGS[number % len(WRITINGS)].format(area, last)
        contacts.append({"kind": "phone", "value": f"{written} ask for Ana" if spoilt == "phone" else written})
    if "email" in kinds:
        domain = ("com", "org", "net")[number % 3]
        at = " at " if spoilt == "email" else "@"
        contacts.append({"kind": "email", "value": f"person{number}{at}example.{domain}"})
    if "post" in kinds:
        address = {
            "lines": [f"{number % 9000 + 1} Sample Street", f"Apt {number % 40 + 1}"][: 1 + number % 2],
            "city": "" if spoilt == "post" else "Denver",
            "region": "CO",
            "postal_code": f"802{number % 90 + 10}",
        }
        contacts.append({"kind": "post", "address": address})
    return contacts
