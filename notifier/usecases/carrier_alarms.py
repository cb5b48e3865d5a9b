"""An alarm in the ledger of each agency whose messages wait because their carrier does not answer: once an outage."""

import json
from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Final
from uuid import UUID

import structlog
from sqlalchemy import text
from sqlalchemy.exc import OperationalError

from notifier.carriers import CARRIERS
from notifier.core.events import EventType
from notifier.core.model import Actor, Channel
from notifier.store.engine import Database, Tx
from notifier.store.ledger import append, draft, lock_chains
from notifier.usecases.breaker import Standing
from notifier.usecases.clock import PATIENCE

ALARM: Final = "carrier_not_answering"
ACTOR: Final = Actor.system("clock")
log = structlog.get_logger()

_KINDS: Final = (EventType.ALARM_RAISED, EventType.ALARM_CLEARED)


class CarrierAlarms:
    """What one process has read or written of these alarms, so that it need not look again; the ledger is the truth."""

    def __init__(self) -> None:
        """Nothing is known yet."""
        self._standing: dict[UUID, frozenset[str]] = {}

    def follow(
        self,
        db: Database,
        agency_id: UUID,
        standings: Mapping[str, Standing],
        *,
        waiting: Collection[Channel],
        now: datetime,
    ) -> None:
        """Raise what is to be raised in one agency, and clear what is over.

        `waiting` are the channels on which something is due there. Of a carrier about which nobody can tell nothing is
        said.
        """
        is_open = {slug for slug, standing in standings.items() if standing.is_open}
        is_closed = {slug for slug, standing in standings.items() if standing.is_open is False}
        troubled = {slug for slug in is_open if CARRIERS[slug].channel in waiting}
        known = self._standing.get(agency_id)
        if known is not None and not troubled - known and not is_closed & known:
            return
        try:
            with db.transaction(agency_id) as tx:
                tx.conn.execute(text(PATIENCE))
                self._standing[agency_id] = _write(tx, troubled=troubled, is_closed=is_closed, now=now)
        except OperationalError as error:  # somebody holds the chain: the next tick tries again
            log.warning("alarms.left", agency=str(agency_id), error=type(error).__name__)


def _write(tx: Tx, *, troubled: Collection[str], is_closed: Collection[str], now: datetime) -> frozenset[str]:
    """The alarms that stand afterwards. The agency's chain is held, so that of two clocks one only writes."""
    raised = _raised(tx)
    if not set(troubled) - raised and not raised & set(is_closed):
        return raised
    lock_chains(tx, [tx.agency_id])
    raised = _raised(tx)
    new, over = sorted(set(troubled) - raised), sorted(raised & set(is_closed))
    drafts = [draft(EventType.ALARM_RAISED, ACTOR, {"alarm": ALARM, "carrier": slug}) for slug in new]
    drafts += [draft(EventType.ALARM_CLEARED, ACTOR, {"alarm": ALARM, "carrier": slug}) for slug in over]
    append(tx, tx.agency_id, drafts, at=now)
    return raised.union(new).difference(over)


def _raised(tx: Tx) -> frozenset[str]:
    """The carriers whose last word in the agency's ledger is an alarm."""
    bodies = tx.conn.execute(
        text(
            "select body from event where agency_id = :agency and chain_id = :agency and type = any(:kinds)"
            " order by seq"
        ),
        {"agency": tx.agency_id, "kinds": [kind.value for kind in _KINDS]},
    ).scalars()
    last: dict[str, str] = {}
    for body in bodies:
        leaf = json.loads(body)
        if leaf["data"]["alarm"] == ALARM:
            last[leaf["data"]["carrier"]] = leaf["type"]
    return frozenset(slug for slug, kind in last.items() if kind == EventType.ALARM_RAISED)
