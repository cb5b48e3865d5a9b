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


def tasks_replayed(bodies: Iterable[bytes]) -> dict[str, tuple[object, ...]]:
    """Task id -> (kind, what it is about, whom it is about, opened, due, resolution, by whom)."""
    tasks: dict[str, tuple[object, ...]] = {}
    for leaf in map(json.loads, bodies):
        data = leaf["data"]
        if leaf["type"] == "task.opened":
            about = (data["kind"], data["about"], leaf.get("person"), leaf["at"], data["due"])
            tasks[data["task"]] = (*about, None, None)
        elif leaf["type"] == "task.done":
            assert tasks[data["task"]][-1] is None
            tasks[data["task"]] = (*tasks[data["task"]][:-2], data["resolution"], leaf["actor"]["id"])
    return tasks


def returns_replayed(bodies: Iterable[bytes]) -> dict[str, tuple[object, ...]]:
    """Attempt id -> (the post's reason, the day, the contact point that it named, the letter that followed)."""
    returns: dict[str, tuple[object, ...]] = {}
    for leaf in map(json.loads, bodies):
        data = leaf["data"]
        if "usps_reason" in data:
            day = returns.get(data["attempt"], (None, data["returned_on"]))[1]
            returns[data["attempt"]] = (data["usps_reason"], day, data.get("forwarded_to"), None)
        elif (
            leaf["type"] == "attempt.ordered"
            and data.get("linked_from") in returns
            and "duplicate_possible" not in data
        ):
            returns[data["linked_from"]] = (*returns[data["linked_from"]][:3], data["attempt"])
    return returns


def batches_replayed(bodies: Iterable[bytes]) -> dict[str, tuple[object, ...]]:
    """Batch id -> (service, pieces, how many were withdrawn, day of mailing, place, voided, red)."""
    batches: dict[str, dict[str, object]] = {}
    for leaf in map(json.loads, bodies):
        data = leaf["data"]
        if leaf["type"] == "print_batch.closed":
            batches[data["batch"]] = {**data, "withdrawn": 0}
        elif leaf["type"] == "print_batch.mailed":
            batches[data["batch"]] |= {"mailed_on": data["mailed_on"], "place": data.get("place")}
        elif leaf["type"] == "print_batch.voided":
            batch = batches[data["batch"]]
            batch["withdrawn"] = int(str(batch["withdrawn"])) + data["pieces"]
            batch["voided"] = not data["left"]
        elif leaf["type"] == "alarm.raised" and "batch" in data:
            batches[data["batch"]]["red"] = True
    names = ("service", "pieces", "withdrawn", "mailed_on", "place")
    return {
        one: (*(batch.get(name) for name in names), batch.get("voided", False), batch.get("red", False))
        for one, batch in batches.items()
    }


def _after(before: Standing, kind: str, data: dict[str, Any]) -> Standing:
    status = AFTER[kind] if before[0] in OURS.get(kind, {before[0]}) else before[0]
    assert data["status"].replace("sending", "planned") == status, (kind, before, data["status"])
    ref = before[1] if "duplicate_possible" in data else data.get("carrier_ref")
    batch = None if kind == "attempt.withdrawn" else data.get("batch") or before[2]
    return status, None if kind == "attempt.withdrawn" else ref or before[1], batch
