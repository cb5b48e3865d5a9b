"""A text message that was to leave by day does not leave at night because it was late: looked at when it is claimed.

Backlogs, outages and stops that are lifted do not know the hour for which a message was planned (`timing`).
"""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import text

from notifier.core.model import Channel, Mode
from notifier.core.quiet_hours import next_allowed, zones_of_phone
from notifier.store.engine import Tx
from notifier.usecases.compose import Parcel
from notifier.usecases.timing import share_of


def wait_for_day(tx: Tx, parcels: Sequence[Parcel], channel: Channel, *, clock: datetime) -> list[Parcel]:
    """Those that may leave now; the others are given back untried, in this transaction, until it is day.

    Live text messages only, to numbers that say where they are; `clock` is the database's.
    """
    if channel is not Channel.SMS:
        return list(parcels)
    found = {one.claimed.attempt_id: until for one in parcels if (until := _night_ends(one, clock)) is not None}
    if not found:
        return list(parcels)
    tx.conn.execute(
        text(
            "update attempt a set status = 'planned', lease_until = null, tries = greatest(a.tries - 1, 0),"
            " due_at = u.until"
            " from unnest(cast(:ids as uuid[]), cast(:untils as timestamptz[])) u(attempt_id, until)"
            " where a.agency_id = :agency and a.attempt_id = u.attempt_id"
        ),
        {"agency": tx.agency_id, "ids": list(found), "untils": list(found.values())},
    )
    return [one for one in parcels if one.claimed.attempt_id not in found]


def _night_ends(parcel: Parcel, clock: datetime) -> datetime | None:
    """None by day, and where no night is kept."""
    zones = zones_of_phone(parcel.value) if parcel.facts.mode is Mode.LIVE else frozenset()
    if not zones:
        return None
    until = next_allowed(clock, zones, share=share_of(parcel.claimed.contact_id))
    return None if until == clock else until
