"""Stopping is anyone's and immediate; sending again takes two officers."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID, uuid4

from sqlalchemy import Row, insert, select, text, update

from notifier.carriers import CARRIERS
from notifier.core.errors import Conflict, Forbidden, Invalid, NotFound
from notifier.core.events import EventType
from notifier.core.ledger import Json
from notifier.core.model import Channel, KeyKind, Mode
from notifier.store import tables as t
from notifier.store.engine import Tx
from notifier.store.ledger import append, draft
from notifier.usecases.access import Principal, Scope
from notifier.usecases.matters import find_matter
from notifier.usecases.progress import legal_now


@dataclass(frozen=True, slots=True)
class Stop:
    """A stop in force. What it leaves open (matter, channel) it stops everywhere."""

    stop_id: UUID
    matter_id: UUID | None
    channel: Channel | None


@dataclass(frozen=True, slots=True)
class StopRead:
    """A stop in force. `matter_id` is None when it holds for the whole agency."""

    stop_id: UUID
    scope: str
    matter_id: UUID | None
    channel: str | None
    carrier: str | None
    reason: str
    placed_at: datetime
    placed_by: UUID
    lift_proposed_by: UUID | None


@dataclass(frozen=True, slots=True)
class Lift:
    """What a resume came to: `awaiting_second_officer` or `running`, and the stops it was about."""

    state: str
    stops: tuple[UUID, ...]


def place_stop(
    tx: Tx,
    *,
    matter_id: UUID | None = None,
    channel: Channel | None = None,
    carrier: str | None = None,
    reason: str,
    principal: Principal,
    now: datetime,
) -> Stop:
    """Stop a matter, a channel or a carrier at once; looked at when work is claimed and when letters are printed.

    Raises:
        NotFound: `unknown-matter`.
        Invalid: `unknown-carrier`, `channel-not-of-carrier`, `stop-of-nothing`.
    """
    principal.require(Scope.SENDING_STOP)
    if carrier is not None:
        if carrier not in CARRIERS:
            raise Invalid("unknown-carrier", "There is no such carrier.")
        if channel not in {None, CARRIERS[carrier].channel}:
            raise Invalid("channel-not-of-carrier", "This carrier serves another channel. Place two stops.")
        channel = CARRIERS[carrier].channel
    if matter_id is None and channel is None:
        raise Invalid("stop-of-nothing", "Name a matter, a channel or a carrier.")
    if matter_id is not None:
        find_matter(tx, matter_id)  # whichever mode: holding is anybody's
    stop_id = uuid4()
    scope = "carrier" if carrier else "channel" if channel else "matter"
    tx.conn.execute(
        insert(t.stop).values(
            agency_id=tx.agency_id,
            stop_id=stop_id,
            scope=scope,
            matter_id=matter_id,
            channel=channel.value if channel else None,
            carrier=carrier,
            reason=reason,
            placed_at=now,
            placed_by=principal.officer_id,
        )
    )
    data: dict[str, Json] = {"stop": str(stop_id), "scope": scope, "reason": reason}
    data |= {"channel": channel.value} if channel else {}
    data |= {"carrier": carrier} if carrier else {}
    _append(tx, matter_id, EventType.STOP_PLACED, data, principal, now)
    return Stop(stop_id, matter_id, channel)


def lift_stops(
    tx: Tx, matter_id: UUID | None, *, only: Collection[UUID] | None = None, principal: Principal, now: datetime
) -> Lift:
    """Propose to send again, and confirm what another officer proposed: two humans, the second with a personal key.

    Each stop counts by itself, so that a stop placed after a proposal does not need a third officer. `matter_id` None
    is about the stops of the whole agency; `only` names some of those in force.

    Raises:
        NotFound: `unknown-matter`, `unknown-stop`.
        Conflict: `not-stopped`.
        Forbidden: `second-officer-needed`, `personal-key-needed`; `mode-mismatch`: a test key sets nothing live going.
    """
    principal.require(Scope.SENDING_STOP)
    if matter_id is not None:
        find_matter(tx, matter_id, principal)
    elif principal.mode is Mode.TEST:
        _require_no_live_matter(tx)
    in_force = _hold(tx, matter_id, only)
    new = [stop for stop in in_force if stop.lift_proposed_by is None]
    others = [stop for stop in in_force if stop.lift_proposed_by not in {None, principal.officer_id}]
    if not new and not others:
        raise Forbidden("second-officer-needed", "Another officer must confirm that sending goes on.")
    if others and principal.kind is not KeyKind.PERSONAL:
        raise Forbidden("personal-key-needed", "The second officer confirms with a personal key.")
    for stop in new:
        tx.conn.execute(
            update(t.stop).where(t.stop.c.stop_id == stop.stop_id).values(lift_proposed_by=principal.officer_id)
        )
        _append(tx, matter_id, EventType.STOP_LIFT_PROPOSED, {"stop": str(stop.stop_id)}, principal, now)
    for stop in others:
        tx.conn.execute(
            update(t.stop).where(t.stop.c.stop_id == stop.stop_id).values(lifted_at=now, lifted_by=principal.officer_id)
        )
        lifted: dict[str, Json] = {"stop": str(stop.stop_id), "proposed_by": str(stop.lift_proposed_by)}
        _append(tx, matter_id, EventType.STOP_LIFTED, lifted, principal, now)
    if len(others) < len(in_force):
        return Lift("awaiting_second_officer", tuple(stop.stop_id for stop in in_force if stop not in others))
    return Lift("running", tuple(stop.stop_id for stop in others))


def _hold(tx: Tx, matter_id: UUID | None, only: Collection[UUID] | None) -> list[Row[Any]]:
    """The stops to lift, held until this transaction ends."""
    in_force = tx.conn.execute(
        select(t.stop)
        .where(t.stop.c.lifted_at.is_(None), t.stop.c.matter_id.is_not_distinct_from(matter_id))
        .order_by(t.stop.c.stop_id)
        .with_for_update()
    ).all()
    if not in_force:
        raise Conflict("not-stopped", "Nothing is stopped here.")
    named = {stop.stop_id for stop in in_force} if only is None else set(only)
    if not named <= {stop.stop_id for stop in in_force}:
        raise NotFound("unknown-stop", "A stop that was named is not in force here.")
    return [stop for stop in in_force if stop.stop_id in named]


def _require_no_live_matter(tx: Tx) -> None:
    live = select(t.matter.c.matter_id).where(t.matter.c.mode == Mode.LIVE.value).limit(1)
    if tx.conn.execute(live).first() is not None:
        raise Forbidden("mode-mismatch", "A stop of the whole agency holds live matters too: use a live key.")


def _append(
    tx: Tx, matter_id: UUID | None, event: EventType, data: dict[str, Json], principal: Principal, now: datetime
) -> None:
    at = now if matter_id is None else legal_now(tx, matter_id, now)
    append(tx, matter_id or tx.agency_id, [draft(event, principal.actor, data)], at=at)


_STOPS: Final = (
    "select stop_id, scope, matter_id, channel, carrier, reason, placed_at, placed_by, lift_proposed_by"
    " from stop where agency_id = :agency and lifted_at is null and ({which}) order by placed_at, stop_id"
)


def stops_in_force(tx: Tx, matter_id: UUID) -> list[StopRead]:
    """The stops that keep this matter's messages back: its own and those of the whole agency."""
    which = text(_STOPS.format(which="matter_id is null or matter_id = :matter"))
    return [StopRead(*row) for row in tx.conn.execute(which, {"agency": tx.agency_id, "matter": matter_id})]


def agency_stops(tx: Tx, *, principal: Principal) -> list[StopRead]:
    """The stops that hold in the whole agency, oldest first; raises Forbidden `scope-missing`."""
    principal.require(Scope.MATTER_READ)
    rows = tx.conn.execute(text(_STOPS.format(which="matter_id is null")), {"agency": tx.agency_id})
    return [StopRead(*row) for row in rows]


def stopped_channels(stops: Sequence[StopRead]) -> frozenset[Channel]:
    """The channels that these stops keep back; one that names no channel keeps back all."""
    if any(stop.channel is None for stop in stops):
        return frozenset(Channel)
    return frozenset(Channel(stop.channel) for stop in stops if stop.channel)
