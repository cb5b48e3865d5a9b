"""One letter as Lob keeps it and shows it."""

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from secrets import token_hex
from typing import Any

from notifier.carriers.sandbox.lob_rules import CERTIFIED
from notifier.carriers.sandbox.magic import Plan
from notifier.carriers.sandbox.options import Switches


@dataclass(slots=True)
class MadeLetter:
    """One letter as Lob keeps it."""

    fields: Mapping[str, str]
    plan: Plan
    id: str = field(default_factory=lambda: "ltr_" + token_hex(8))
    created: float = field(default_factory=time.time)
    status: str = "processed"
    scans: list[tuple[str, float]] = field(default_factory=list)
    deleted: bool = False
    in_order: asyncio.Lock = field(default_factory=asyncio.Lock)  # its events never overtake each other by chance

    @property
    def attempt(self) -> str:
        """The attempt named in the metadata, for the record."""
        return self.fields.get("metadata[attempt]", "")

    @property
    def way(self) -> str:
        """What a scan's event begins with."""
        return "letter.certified." if self.fields.get("extra_service") in CERTIFIED else "letter."


def resource(letter: MadeLetter, switches: Switches) -> dict[str, Any]:
    """The letter as the API shows it: addresses in capitals, as the vendor standardises them."""
    ends = {"to": {"object": "address"}, "from": {"object": "address"}, "metadata": {}}
    plain: dict[str, Any] = {}
    for name, value in letter.fields.items():
        end, _, part = name.removesuffix("]").partition("[")
        if part:
            ends[end][part] = value.upper() if end != "metadata" and part != "name" else value
        else:
            plain[name] = {"true": True, "false": False}.get(value, value)
    kind = "certified" if letter.way == "letter.certified." else "normal"
    return {
        "id": letter.id,
        "description": None,
        **plain,
        **ends,
        "carrier": "USPS",
        "status": letter.status,
        "tracking_number": None,
        "tracking_events": [
            {"type": kind, "name": _scan_name(word), "time": date(when), "object": "tracking_event"}
            for word, when in letter.scans
        ],
        "url": f"https://lob-assets.com/letters/{letter.id}.pdf",
        "date_created": date(letter.created),
        "date_modified": date(letter.created),
        "send_date": date(letter.created + switches.cancel_window_ms / 1000),
        "object": "letter",
        **({"deleted": True} if letter.deleted else {}),
    }


def error(status: int, code: str, message: str) -> dict[str, object]:
    """The body of an error answer."""
    return {"error": {"message": message, "status_code": status, "code": code}}


def _scan_name(word: str) -> str:
    return "-".join(part.capitalize() for part in word.replace("_", " ").title().split("-"))


def date(moment: float) -> str:
    """As the vendor writes it."""
    return datetime.fromtimestamp(moment, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
