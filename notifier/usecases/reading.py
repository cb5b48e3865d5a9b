"""Looking: matters, their lists and their people, and how far telling them has come. Nothing here writes."""

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import Any, Final
from uuid import UUID

from sqlalchemy import text

from notifier.core.model import Channel, ContactFlag
from notifier.core.status import AttemptStatus, PersonOutcome, outcome
from notifier.store.engine import Tx
from notifier.store.vault import Vault
from notifier.usecases.access import Principal, Scope
from notifier.usecases.contact_flags import NOT_FLAGGED, count_flags
from notifier.usecases.matters import find_matter
from notifier.usecases.stops import StopRead, stopped_channels, stops_in_force
from notifier.usecases.waiting import IS_HELD, NEXT_AT, Silence, held_parameters, waiting_parameters

_END_OF_TIME: Final = datetime(9999, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class MatterLine:
    """A matter in a list of matters."""

    matter_id: UUID
    external_id: str = field(repr=False)
    mode: str
    created_at: datetime
    persons: int


@dataclass(frozen=True, slots=True)
class TargetRead:
    """Whom a demand names."""

    kind: str
    name: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class DemandRead:
    """A demand. Who made it, its number and date and whom it names are None without the scope `people.read`."""

    demand_id: UUID
    instrument: str
    issuer_class: str
    judge_signed: str
    nondisclosure: str
    received_on: date
    return_date: date | None
    record_types: Sequence[str]
    already_released: bool
    issuer: str | None = field(default=None, repr=False)
    number: str | None = field(default=None, repr=False)
    dated: str | None = field(default=None, repr=False)
    targets: Sequence[TargetRead] | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class BoundPack:
    """A pack of rules that a matter is bound to."""

    pack_id: str
    version: int
    sha256: str


@dataclass(frozen=True, slots=True)
class ListRead:
    """One list of a matter."""

    list_id: UUID
    format: str
    rows: int
    received_at: datetime
    uploaded_by: UUID
    approved_at: datetime | None
    approved_by: UUID | None


@dataclass(frozen=True, slots=True)
class MatterRead:
    """A matter with its counts.

    `outcomes` names every outcome and adds up to the rows that came in; `attempts` maps channel to status to count;
    `flags` counts the contact points with each flag in force; `next_at` is when something is next due.
    """

    matter_id: UUID
    external_id: str = field(repr=False)
    mode: str
    edition: str
    created_at: datetime
    created_by: UUID
    persons: int
    demands: Sequence[DemandRead]
    packs: Sequence[BoundPack]
    outcomes: Mapping[PersonOutcome, int]
    attempts: Mapping[str, Mapping[str, int]]
    flags: Mapping[ContactFlag, int]
    next_at: datetime | None
    stops: Sequence[StopRead]


def list_matters(
    tx: Tx, *, after: tuple[datetime, UUID] | None, limit: int, principal: Principal, vault: Vault
) -> list[MatterLine]:
    """The newest matters of the key's mode, at most `limit` of those older than `after` (when made, id)."""
    principal.require(Scope.MATTER_READ)
    before = after or (_END_OF_TIME, UUID(int=2**128 - 1))
    rows = tx.conn.execute(
        text(
            "select matter_id, sealed, mode, created_at, persons from matter"
            " where agency_id = :agency and mode = :mode and (created_at, matter_id) < (:at, :id)"
            " order by created_at desc, matter_id desc limit :limit"
        ),
        {"agency": tx.agency_id, "mode": principal.mode.value, "limit": limit, "at": before[0], "id": before[1]},
    ).all()
    ciphers = vault.ciphers(tx, [row.matter_id for row in rows])
    return [
        MatterLine(
            row.matter_id,
            json.loads(ciphers[row.matter_id].open(row.sealed, "matter.sealed", row.matter_id))["external_id"],
            row.mode,
            row.created_at,
            row.persons,
        )
        for row in rows
    ]


def read_matter(tx: Tx, matter_id: UUID, *, principal: Principal, silence: Silence, vault: Vault) -> MatterRead:
    """A matter with its demand, packs, counts and stops.

    Raises:
        NotFound: `unknown-matter`.
        Forbidden: `scope-missing`, `mode-mismatch`.
    """
    principal.require(Scope.MATTER_READ)
    row = find_matter(tx, matter_id, principal)
    cipher = vault.cipher(tx, matter_id)
    ids = {"agency": tx.agency_id, "matter": matter_id}
    packs = tx.conn.execute(
        text(
            "select pack_id, version, sha256 from matter_pack"
            " where agency_id = :agency and matter_id = :matter order by pack_id"
        ),
        ids,
    )
    stops = stops_in_force(tx, matter_id)
    stopped = stopped_channels(stops)
    attempts, next_at = _attempts(tx, matter_id, silence, stopped)
    return MatterRead(
        matter_id=matter_id,
        external_id=json.loads(cipher.open(row.sealed, "matter.sealed", matter_id))["external_id"],
        mode=row.mode,
        edition=row.edition,
        created_at=row.created_at,
        created_by=row.created_by,
        persons=row.persons,
        demands=_demands(tx, matter_id, principal=principal, vault=vault),
        packs=[BoundPack(pack.pack_id, pack.version, pack.sha256.hex()) for pack in packs],
        outcomes=count_outcomes(tx, matter_id, stopped),
        attempts=attempts,
        flags=count_flags(tx, matter_id),
        next_at=next_at,
        stops=stops,
    )


def list_lists(tx: Tx, matter_id: UUID, *, principal: Principal) -> list[ListRead]:
    """The lists of a matter, oldest first; raises as `read_matter`."""
    principal.require(Scope.MATTER_READ)
    find_matter(tx, matter_id, principal)
    rows = tx.conn.execute(
        text(
            "select roster_id, format, rows, received_at, uploaded_by, approved_at, approved_by from roster"
            " where agency_id = :agency and matter_id = :matter order by received_at, roster_id"
        ),
        {"agency": tx.agency_id, "matter": matter_id},
    )
    return [ListRead(*row) for row in rows]


# Of the attempts `a` of one person: what `core.status.outcome` asks for.
# What went to somebody else reached nobody, whatever its carrier says of it.
STANDING: Final = f"""
array_agg(distinct case
  when a.status in ('unknown', 'handed_over', 'accepted', 'silent', 'delivered') and a.contact_id in (
    select w.contact_id from contact_flag w
    where w.agency_id = :agency and w.flag = 'wrong_person' and w.lifted_at is null) then 'failed'
  else a.status end) filter (where not {IS_HELD}) as statuses, coalesce(bool_or({IS_HELD}), false) as is_held
"""  # noqa: S608 # our own constants

_OUTCOMES: Final = f"""
with told as (
  select a.person_id, {STANDING} from attempt a
  where a.agency_id = :agency and a.matter_id = :matter group by a.person_id
)
select found.statuses, found.is_held, found.usable, found.approved, count(*) as persons from (
  select coalesce(told.statuses, '{{}}') as statuses, coalesce(told.is_held, false) as is_held,
    r.approved_at is not null as approved, told.person_id is not null or exists (
      select from contact_point c where c.agency_id = p.agency_id and c.person_id = p.person_id and c.problem is null
        and {NOT_FLAGGED}
    ) as usable
  from person p
  join roster r on r.agency_id = p.agency_id and r.roster_id = p.roster_id
  left join told on told.person_id = p.person_id
  where p.agency_id = :agency and p.matter_id = :matter
) found group by 1, 2, 3, 4
"""  # noqa: S608 # our own constants


def count_outcomes(tx: Tx, matter_id: UUID, stopped: Collection[Channel]) -> dict[PersonOutcome, int]:
    """How many people of a matter stand where, every outcome named. The rule is `core.status.outcome`, nowhere else."""
    counts = dict.fromkeys(PersonOutcome, 0)
    ids = {"agency": tx.agency_id, "matter": matter_id} | held_parameters(stopped)
    for row in tx.conn.execute(text(_OUTCOMES), ids):
        statuses = [AttemptStatus(status) for status in row.statuses]
        one = outcome(statuses, is_held=row.is_held, has_usable_contact=row.usable, approved=row.approved)
        counts[one] += row.persons
    return counts


def _attempts(
    tx: Tx, matter_id: UUID, silence: Silence, stopped: Collection[Channel]
) -> tuple[dict[str, dict[str, int]], datetime | None]:
    rows = tx.conn.execute(
        text(
            f"select a.channel, a.status, count(*) as attempts, min({NEXT_AT}) as next_at"  # noqa: S608 # our constant
            " from attempt a join matter m on m.agency_id = a.agency_id and m.matter_id = a.matter_id"
            " where a.agency_id = :agency and a.matter_id = :matter group by 1, 2 order by 1, 2"
        ),
        {"agency": tx.agency_id, "matter": matter_id} | waiting_parameters(silence, stopped),
    ).all()
    counts: dict[str, dict[str, int]] = {}
    for row in rows:
        counts.setdefault(row.channel, {})[row.status] = row.attempts
    look_at = tx.conn.execute(
        text(
            "select min(look_at) from notice where agency_id = :agency and matter_id = :matter and look_at is not null"
        ),
        {"agency": tx.agency_id, "matter": matter_id},
    ).scalar_one()
    return counts, min((at for at in [look_at, *(row.next_at for row in rows)] if at is not None), default=None)


def _demands(tx: Tx, matter_id: UUID, *, principal: Principal, vault: Vault) -> list[DemandRead]:
    ids = {"agency": tx.agency_id, "matter": matter_id}
    rows = tx.conn.execute(
        text(
            "select demand_id, instrument, issuer_class, judge_signed, nondisclosure, received_on, return_date,"
            " record_types, already_released, sealed from demand"
            " where agency_id = :agency and matter_id = :matter order by received_on, demand_id"
        ),
        ids,
    ).all()
    secrets: dict[UUID, dict[str, Any]] = {}
    if Scope.PEOPLE_READ in principal.scopes:
        cipher = vault.cipher(tx, matter_id)
        named = tx.conn.execute(
            text(
                "select target_id, kind, sealed from target"
                " where agency_id = :agency and matter_id = :matter order by target_id"
            ),
            ids,
        )
        targets = [
            TargetRead(row.kind, json.loads(cipher.open(row.sealed, "target.sealed", row.target_id))["name"])
            for row in named
        ]
        for row in rows:
            opened = json.loads(cipher.open(row.sealed, "demand.sealed", row.demand_id))
            secrets[row.demand_id] = {**opened, "targets": targets}
    return [DemandRead(*row[:-1], **secrets.get(row.demand_id, {})) for row in rows]
