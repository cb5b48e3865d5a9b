"""How the carriers in use are doing, for whoever must decide to stop one: counts, and nobody's data."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from redis import Redis
from sqlalchemy import Row, text

from notifier.carriers import CARRIERS
from notifier.core.model import Channel
from notifier.store.engine import Tx
from notifier.usecases.access import Principal, Scope
from notifier.usecases.breaker import Standing, breaker_states


@dataclass(frozen=True, slots=True)
class CarrierRead:
    """One carrier, as this agency's messages of the key's mode see it.

    `stops` are those of the whole agency that keep its messages back; `breaker` is the whole installation's. `due` are
    messages whose time has come, held back or not; `unknown` those of which nobody knows whether they were sent.
    """

    carrier: str
    channel: Channel
    in_use: bool
    stops: Sequence[UUID]
    breaker: Standing
    due: int
    oldest_due_at: datetime | None
    unknown: int
    last_heard_at: datetime | None


def carrier_states(
    tx: Tx, *, carrier_of: Mapping[Channel, str], redis: Redis, principal: Principal
) -> list[CarrierRead]:
    """The carriers in use, and those that are not any more and still have messages to account for.

    Raises:
        Forbidden: `scope-missing`.
    """
    principal.require(Scope.MATTER_READ)
    counts = _counts(tx, principal)
    heard = _heard(tx, principal)
    stops = tx.conn.execute(
        text(
            "select stop_id, channel from stop where agency_id = :agency and matter_id is null and lifted_at is null"
            " order by placed_at, stop_id"
        ),
        {"agency": tx.agency_id},
    ).all()
    used = set(carrier_of.values())
    slugs = sorted(used | {slug for slug in counts if slug in CARRIERS})
    breakers = breaker_states(redis, [slug for slug in slugs if CARRIERS[slug].carrier is not None])
    found = []
    for slug in slugs:
        channel, row = CARRIERS[slug].channel, counts.get(slug)
        found.append(
            CarrierRead(
                carrier=slug,
                channel=channel,
                in_use=slug in used,
                stops=[stop.stop_id for stop in stops if stop.channel in {None, channel.value}],
                breaker=breakers.get(slug, Standing(is_open=False)),
                due=row.due if row else 0,
                oldest_due_at=row.oldest if row else None,
                unknown=row.unknown if row else 0,
                last_heard_at=heard.get(slug),
            )
        )
    return found


def _counts(tx: Tx, principal: Principal) -> dict[str, Row[Any]]:
    rows = tx.conn.execute(
        text(
            "select a.carrier, count(*) filter (where a.status = 'planned' and a.due_at <= now()) as due,"
            " min(a.due_at) filter (where a.status = 'planned' and a.due_at <= now()) as oldest,"
            " count(*) filter (where a.status = 'unknown') as unknown"
            " from attempt a join matter m on m.agency_id = a.agency_id and m.matter_id = a.matter_id"
            " where a.agency_id = :agency and m.mode = :mode group by 1"
        ),
        {"agency": tx.agency_id, "mode": principal.mode.value},
    )
    return {row.carrier: row for row in rows}


def _heard(tx: Tx, principal: Principal) -> dict[str, datetime]:
    rows = tx.conn.execute(
        text(
            "select r.carrier, max(r.received_at) as at from receipt r"
            " join matter m on m.agency_id = r.agency_id and m.matter_id = r.matter_id"
            " where r.agency_id = :agency and m.mode = :mode group by 1"
        ),
        {"agency": tx.agency_id, "mode": principal.mode.value},
    )
    return {row.carrier: row.at for row in rows}
