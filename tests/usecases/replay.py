"""Where each attempt stands, told from the bytes of the ledger alone. Written apart from the code that it checks."""

import json
from collections.abc import Iterable
from typing import Any

# What an event makes of an attempt, whatever it was.
AFTER = {
    "attempt.not_sent": "planned",
    "attempt.handed_over": "handed_over",
    "attempt.lost_track": "unknown",
    "attempt.refused": "failed",
    "attempt.accepted": "accepted",
    "attempt.arrived": "delivered",
    "attempt.bounced": "failed",
    "attempt.came_back": "returned",
    "attempt.went_silent": "silent",
    "attempt.cancelled": "cancelled",
    "attempt.withdrawn": "planned",
}
# Our own two words about a message that left us say nothing to somebody who has heard more from the carrier.
OURS = {"attempt.handed_over": {"planned", "unknown", "cancelled"}, "attempt.lost_track": {"planned"}}

Standing = tuple[str, str | None, str | None]


def replayed(bodies: Iterable[bytes]) -> dict[str, Standing]:
    """Attempt id -> (status, carrier's reference, batch). A claim writes no event: "sending" counts as "planned"."""
    standing: dict[str, Standing] = {}
    for body in bodies:
        leaf = json.loads(body)
        data = leaf["data"]
        if leaf["type"] == "notice.ordered":
            standing.update({attempt["id"]: ("planned", None, None) for attempt in data["attempts"]})
        elif leaf["type"] == "attempt.ordered":
            standing[data["attempt"]] = ("planned", None, None)
        elif leaf["type"] in AFTER:
            standing[data["attempt"]] = _after(standing[data["attempt"]], leaf["type"], data)
        elif leaf["type"] == "receipt.ignored":
            assert data["status"].replace("sending", "planned") == standing[data["attempt"]][0]
    return standing


def flags_replayed(bodies: Iterable[bytes]) -> set[tuple[str, str]]:
    """(contact point, flag) of every flag in force."""
    flags: set[tuple[str, str]] = set()
    for body in bodies:
        leaf = json.loads(body)
        if leaf["type"] == "contact.flagged":
            flags.add((leaf["data"]["contact"], leaf["data"]["flag"]))
        elif leaf["type"] == "contact.flag_lifted":
            flags.remove((leaf["data"]["contact"], leaf["data"]["flag"]))
    return flags


def _after(before: Standing, kind: str, data: dict[str, Any]) -> Standing:
    status = AFTER[kind] if before[0] in OURS.get(kind, {before[0]}) else before[0]
    assert data["status"].replace("sending", "planned") == status, (kind, before, data["status"])
    ref = before[1] if "duplicate_possible" in data else data.get("carrier_ref")
    batch = None if kind == "attempt.withdrawn" else data.get("batch") or before[2]
    return status, None if kind == "attempt.withdrawn" else ref or before[1], batch
