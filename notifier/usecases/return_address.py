"""The agency's own address as a carrier that posts letters prints it, and what is done while it cannot be read.

An agency enters lines. While they are not a name, streets and CITY ST ZIP, none of its letters can be posted, and
somebody is told: nobody else would see why they wait.
"""

import re
from collections.abc import Sequence
from datetime import datetime
from typing import Final
from uuid import UUID

from sqlalchemy import select, text

from notifier.carriers import CARRIERS
from notifier.core.errors import Finding, Invalid
from notifier.core.model import Channel, PostalAddress, TaskKind
from notifier.core.status import AttemptStatus
from notifier.store import tables as t
from notifier.store.engine import Tx
from notifier.usecases.profile import AgencyProfile
from notifier.usecases.tasks import PLAN, REVIEWED_WITHIN, open_task

# "Denver CO 80201", "DENVER, CO 80201-1234"
_LAST_LINE: Final = re.compile(r"(?P<city>.+?),?\s+(?P<state>[A-Z]{2})\s+(?P<code>[0-9]{5}(?:-[0-9]{4})?)")

NOWHERE: Final = PostalAddress((), "", "", "")


def our_address(tx: Tx) -> tuple[str, PostalAddress]:
    """The agency's name and address as a carrier prints them on the envelope; `NOWHERE` while they cannot be read."""
    row = tx.conn.execute(select(t.agency.c.profile)).one()
    return read_address(AgencyProfile.stored(row.profile).return_address)


def read_address(lines: Sequence[str]) -> tuple[str, PostalAddress]:
    """Name and address of printed lines: a name, streets, and CITY ST ZIP; `NOWHERE` when they are not these."""
    name, *streets = (" ".join(line.split()) for line in lines)
    last = _LAST_LINE.fullmatch(streets[-1]) if streets else None
    if last is None or len(streets) == 1:
        return name, NOWHERE
    return name, PostalAddress(tuple(streets[:-1]), last["city"], last["state"], last["code"])


def require_postal(profile: AgencyProfile, carrier: str) -> None:
    """Refuse a return address that this carrier of letters could not print; the mailroom's is printed as it is.

    Raises:
        Invalid: `invalid-agency-profile`.
    """
    if CARRIERS[carrier].carrier is not None and read_address(profile.return_address)[1] is NOWHERE:
        what = 'is not a name, one or two streets and a last line like "Denver CO 80201", and letters are posted for us'
        findings = [Finding("/return_address", "not_postal", what)]
        raise Invalid("invalid-agency-profile", "What the agency prints of itself is incomplete.", findings)


def review_address(tx: Tx, carrier: str, *, now: datetime) -> UUID | None:
    """Open a task about the agency when letters wait for this carrier and it cannot tell where they come from.

    None when nothing waits, the address can be read, nobody is called, or the task is open already. Takes the agency's
    chain, and so comes last.
    """
    if CARRIERS[carrier].carrier is None or our_address(tx)[1] is not NOWHERE:
        return None
    found = tx.conn.execute(
        text(
            "select exists (select from attempt where agency_id = :agency and channel = :channel and carrier = :carrier"
            " and status = :planned) and not exists (select from task where agency_id = :agency"
            " and subject_id = :agency and kind = :kind and done_at is null)"
        ),
        {
            "agency": tx.agency_id,
            "channel": Channel.LETTER.value,
            "carrier": carrier,
            "planned": AttemptStatus.PLANNED.value,
            "kind": TaskKind.REVIEW.value,
        },
    )
    if not found.scalar_one():
        return None
    return open_task(
        tx,
        TaskKind.REVIEW,
        subject_id=tx.agency_id,
        matter_id=None,
        person_id=None,
        due_at=now + REVIEWED_WITHIN,
        actor=PLAN,
        now=now,
    )
