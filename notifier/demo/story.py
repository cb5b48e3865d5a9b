"""What happens in the demonstration, in order, over the HTTP API as an agency would do it."""

import io
import json
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final
from uuid import UUID, uuid4
from zoneinfo import ZoneInfo

from notifier.core.model import PostService
from notifier.demo.house import House
from notifier.demo.office import ZONE, Office
from notifier.demo.people import MadeUp
from notifier.demo.sample import sample_labels
from notifier.servers.errors import CannotStart
from notifier.terminal import is_moving
from notifier.usecases.applying import some_receipt_waits
from notifier.usecases.clock_offset import advance_clock

POLL_SECONDS: Final = 0.25
QUIET_SECONDS: Final = 4.0
LONGEST_SECONDS: Final = 180.0
ONCE_MORE: Final = timedelta(days=6)  # the default plan: email and text message on day 3, a certified letter on day 5
LONG_ENOUGH: Final = timedelta(days=36)  # the slowest carrier, the post, is called silent after 35
UNSETTLED: Final = frozenset({"handed_over", "accepted"})

Shown = Callable[[Mapping[str, Any]], None]


def demand(today: date) -> dict[str, Any]:
    """A made-up subpoena that came in last week."""
    return {
        "external_id": f"DEMO-{uuid4().hex[:8]}",
        "demand": {
            "issuer": "Example Field Office",
            "issuer_class": "federal_immigration",
            "instrument": "admin_subpoena",
            "number": "EX-2026-0001",
            "dated": str(today - timedelta(days=9)),
            "received_on": str(today - timedelta(days=7)),
            "return_date": str(today + timedelta(days=45)),
            "judge_signed": "no",
            "nondisclosure": "request",
            "record_types": ["home_address", "wages"],
            "already_released": False,
        },
        "targets": [{"kind": "organisation", "name": "Example Roofing LLC"}],
    }


def today() -> date:
    """The day where the agency is."""
    return datetime.now(ZoneInfo(ZONE)).date()


def post_matter(office: Office, people: Sequence[MadeUp]) -> UUID:
    """The agency's system posts the demand with its people."""
    body = {**demand(today()), "people": [person.row for person in people]}
    made = office.machine.post("/v1/matters", json.dumps(body).encode(), once=str(uuid4()))
    return UUID(made.document["matter_id"])


def approve(office: Office, matter_id: UUID) -> dict[str, int]:
    """The second officer approves; returns the messages that will be sent, by channel."""
    approved = office.personal.post(f"/v1/matters/{matter_id}/approve", b"{}", once=str(uuid4()))
    attempts: dict[str, int] = approved.document["attempts"]
    return attempts


def follow_sending(house: House, office: Office, matter_id: UUID, shown: Shown) -> None:
    """Until everything due was handed over and the sandbox has told all that it will ever tell."""
    _follow(house, office, matter_id, shown, waits_for=frozenset())


def declare_mailed(office: Office) -> int:
    """The second officer declares every print batch mailed, certified ones with made-up labels; returns the pieces."""
    pieces = 0
    for batch in office.personal.get("/v1/print-batches")["batches"]:
        if batch["mailed_on"]:
            continue
        path = f"/v1/print-batches/{batch['batch_id']}"
        body: dict[str, Any] = {"mailed_on": str(today())}
        if batch["service"] == PostService.CERTIFIED:
            body["certified"] = list(sample_labels(_manifest(office, path)))
        pieces += office.personal.post(f"{path}/mailed", json.dumps(body).encode(), once=str(uuid4())).document[
            "pieces"
        ]
    return pieces


def _manifest(office: Office, path: str) -> io.StringIO:
    file = io.BytesIO()
    office.personal.download(f"{path}/manifest", file)
    return io.StringIO(file.getvalue().decode("utf-8-sig"))


def move_clock(house: House, office: Office, matter_id: UUID, by: timedelta) -> None:
    """Let time pass in the test matter."""
    with house.db.transaction(office.agency_id) as tx:
        advance_clock(tx, matter_id, by, now=datetime.now(UTC))


def await_silence(house: House, office: Office, matter_id: UUID, shown: Shown) -> None:
    """Watch silence be declared, until no carrier is waited for any longer."""
    _follow(house, office, matter_id, shown, waits_for=UNSETTLED)


def _follow(house: House, office: Office, matter_id: UUID, shown: Shown, *, waits_for: Collection[str]) -> None:
    """Until nothing has moved for a while and no message stands where it is waited for.

    While a carrier is asked what became of a message nothing shows that it may be ordered again a moment later.
    """
    quiet = 0
    for matter in _watch(house, office, matter_id):
        shown(matter)
        waits = any(counts.get(status) for counts in matter["attempts"].values() for status in waits_for)
        quiet = 0 if waits or not _rests(house, office, matter) else quiet + 1
        if quiet * POLL_SECONDS >= QUIET_SECONDS:
            return


def _rests(house: House, office: Office, matter: Mapping[str, Any]) -> bool:
    """Whether nothing moves, nothing is due, and nothing that was said waits to be read."""
    is_due = matter["next_at"] is not None and datetime.fromisoformat(matter["next_at"]) <= datetime.now(UTC)
    if is_due or is_moving(matter) or house.sandbox_waits():
        return False
    with house.db.transaction(office.agency_id) as tx:
        return not some_receipt_waits(tx)


def _watch(house: House, office: Office, matter_id: UUID) -> Iterator[dict[str, Any]]:
    deadline = time.monotonic() + LONGEST_SECONDS
    while time.monotonic() < deadline:
        yield _read(office, matter_id)
        house.wait(POLL_SECONDS)
    raise CannotStart(f"The notices did not come to an end in {LONGEST_SECONDS:.0f} seconds.")


def _read(office: Office, matter_id: UUID) -> dict[str, Any]:
    return office.machine.get(f"/v1/matters/{matter_id}")
