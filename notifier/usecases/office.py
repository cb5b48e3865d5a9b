"""Who works with this installation: its agencies and their officers, as its operator sees them."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from uuid import UUID
from zoneinfo import ZoneInfo

from sqlalchemy import Table, select

from notifier.core.errors import NotFound
from notifier.core.model import Mode
from notifier.store import tables as t
from notifier.store.engine import Database, Tx
from notifier.usecases.access import all_agencies


@dataclass(frozen=True, slots=True)
class AgencyLine:
    """An agency in a list of agencies."""

    agency_id: UUID
    name: str
    zone: str
    lone_officer_in_test: bool
    created_at: datetime


@dataclass(frozen=True, slots=True)
class OfficerLine:
    """An officer in a list of officers."""

    officer_id: UUID
    name: str = field(repr=False)
    roles: Sequence[str]
    created_at: datetime
    removed_at: datetime | None


class Thing(StrEnum):
    """What belongs to exactly one agency and is called by an id of its own."""

    OFFICER = "officer"
    KEY = "key"
    MATTER = "matter"
    ATTEMPT = "attempt"


_WHERE: dict[Thing, tuple[Table, str]] = {
    Thing.OFFICER: (t.officer, "officer_id"),
    Thing.KEY: (t.api_key, "key_id"),
    Thing.MATTER: (t.matter, "matter_id"),
    Thing.ATTEMPT: (t.attempt, "attempt_id"),
}


def list_agencies(db: Database) -> list[AgencyLine]:
    """Every agency of the installation, oldest first."""
    lines = []
    for agency_id in all_agencies(db):
        with db.transaction(agency_id) as tx:
            row = tx.conn.execute(select(t.agency)).one()
            lines.append(AgencyLine(row.agency_id, row.name, row.zone, row.lone_officer_in_test, row.created_at))
    return sorted(lines, key=lambda line: (line.created_at, line.agency_id))


def list_officers(tx: Tx) -> list[OfficerLine]:
    """An agency's officers, oldest first, those who left among them."""
    rows = tx.conn.execute(select(t.officer).order_by(t.officer.c.created_at, t.officer.c.officer_id))
    return [OfficerLine(row.officer_id, row.name, row.roles, row.created_at, row.removed_at) for row in rows]


def find_agency(db: Database, thing: Thing, wanted: UUID) -> UUID:
    """The agency that one of these things belongs to.

    Raises:
        NotFound: `unknown-officer`, `unknown-key`, ...: no agency here has it.
    """
    table, name = _WHERE[thing]
    for agency_id in all_agencies(db):
        with db.transaction(agency_id) as tx:
            if tx.conn.execute(select(table.c[name]).where(table.c[name] == wanted)).first() is not None:
                return agency_id
    raise NotFound(f"unknown-{thing.value}", f"There is no such {thing.value} in this installation.")


def has_live_matters(db: Database) -> bool:
    """Whether any agency has a matter that is no test: made-up carriers must never be let near such a database."""
    for agency_id in all_agencies(db):
        with db.transaction(agency_id) as tx:
            live = select(t.matter.c.matter_id).where(t.matter.c.mode == Mode.LIVE.value).limit(1)
            if tx.conn.execute(live).first() is not None:
                return True
    return False


def zone_of(tx: Tx) -> ZoneInfo:
    """Where the agency is."""
    return ZoneInfo(tx.conn.execute(select(t.agency.c.zone).where(t.agency.c.agency_id == tx.agency_id)).scalar_one())
