"""A demand comes in, and with it a matter is opened."""

import json
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from uuid import UUID, uuid4

from sqlalchemy.dialects.postgresql import insert

from notifier.core.errors import Finding, Invalid
from notifier.core.events import EventType
from notifier.core.ledger import Draft, Json
from notifier.core.model import Demand
from notifier.core.person_row import PersonRow
from notifier.core.policy import Packs, bind
from notifier.store import tables as t
from notifier.store.engine import Tx
from notifier.store.ledger import append, draft, open_chain, sealed_draft
from notifier.store.vault import Cipher, Vault
from notifier.usecases.access import Principal, Scope
from notifier.usecases.people import ListReceived, add_people


@dataclass(frozen=True, slots=True)
class Target:
    """Whom the demand names: `kind` is "person" or "organisation"."""

    kind: str
    name: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class NewMatter:
    """A demand as the agency enters it. `external_id` is the agency's own number for it."""

    external_id: str = field(repr=False)
    demand: Demand = field(repr=False)
    packs: tuple[str, ...] = ()
    targets: tuple[Target, ...] = ()


@dataclass(frozen=True, slots=True)
class MatterCreated:
    """A new matter, with its first list where one came along."""

    matter_id: UUID
    demand_id: UUID
    packs: tuple[str, ...]
    people: ListReceived | None


def create_matter(
    tx: Tx,
    new: NewMatter,
    people: Sequence[PersonRow],
    *,
    principal: Principal,
    packs: Packs,
    edition: str,
    body_digest: bytes,
    vault: Vault,
    now: datetime,
) -> MatterCreated:
    """Open a matter for a demand, with its people where they came along.

    Raises:
        Invalid: `unknown-pack`, `duplicate-matter` (the external id is in use), `duplicate-external-id`.
    """
    principal.require(Scope.MATTER_WRITE)
    bound = bind(new.packs, packs)
    matter_id, demand_id, lineage_id = uuid4(), uuid4(), uuid4()
    cipher = vault.make(tx, [matter_id], "matter")[matter_id]
    external = json.dumps({"external_id": new.external_id}).encode()
    number = unicodedata.normalize("NFC", new.external_id)
    stored = tx.conn.execute(
        insert(t.matter)
        .values(
            agency_id=tx.agency_id,
            matter_id=matter_id,
            lineage_id=lineage_id,
            mode=principal.mode.value,
            external_index=vault.blind(tx.agency_id, "matter.external_id", number.encode()),
            sealed=cipher.seal(external, "matter.sealed", matter_id),
            edition=edition,
            created_at=now,
            created_by=principal.officer_id,
        )
        .on_conflict_do_nothing(index_elements=["agency_id", "external_index"])
        .returning(t.matter.c.matter_id)
    ).one_or_none()
    if stored is None:
        raise Invalid(
            "duplicate-matter",
            "A matter with this external_id exists already. Nothing was stored.",
            [Finding("/external_id", "duplicate-matter", "In use by another matter of this agency.")],
        )
    tx.conn.execute(
        insert(t.matter_pack),
        [
            {
                "agency_id": tx.agency_id,
                "matter_id": matter_id,
                "pack_id": p.id,
                "version": p.version,
                "sha256": bytes.fromhex(p.sha256),
                "content": p.content,
            }
            for p in bound
        ],
    )
    open_chain(tx, matter_id, is_matter=True)
    created = {"mode": principal.mode.value, "edition": edition, "lineage": str(lineage_id)}
    bindings: list[Json] = [{"id": p.id, "version": p.version, "sha256": p.sha256} for p in bound]
    drafts = [
        sealed_draft(cipher, EventType.MATTER_CREATED, principal.actor, created, values={"external_id": external}),
        _store_demand(tx, matter_id, demand_id, new.demand, principal=principal, cipher=cipher),
        draft(EventType.PACKS_BOUND, principal.actor, {"packs": bindings}),
        *(_store_target(tx, matter_id, target, principal=principal, cipher=cipher) for target in new.targets),
    ]
    append(tx, matter_id, drafts, at=now)
    received = None
    if people:
        received = add_people(
            tx, matter_id, people, format="inline", body_digest=body_digest, principal=principal, vault=vault, now=now
        )
    return MatterCreated(matter_id, demand_id, tuple(p.id for p in bound), received)


def _store_demand(
    tx: Tx, matter_id: UUID, demand_id: UUID, demand: Demand, *, principal: Principal, cipher: Cipher
) -> Draft:
    secret = json.dumps({"issuer": demand.issuer, "number": demand.number, "dated": demand.dated}).encode()
    facts: dict[str, Json] = {
        "instrument": demand.instrument.value,
        "issuer_class": demand.issuer_class.value,
        "judge_signed": demand.judge_signed.value,
        "nondisclosure": demand.nondisclosure.value,
        "received_on": demand.received_on,
        "record_types": list(demand.record_types),
        "already_released": demand.already_released,
    }
    if demand.return_date is not None:
        facts["return_date"] = demand.return_date
    dates = {name: date.fromisoformat(str(facts[name])) for name in ("received_on", "return_date") if name in facts}
    tx.conn.execute(
        insert(t.demand).values(
            **(facts | dates),
            agency_id=tx.agency_id,
            demand_id=demand_id,
            matter_id=matter_id,
            sealed=cipher.seal(secret, "demand.sealed", demand_id),
        )
    )
    return sealed_draft(
        cipher,
        EventType.DEMAND_RECEIVED,
        principal.actor,
        {"demand": str(demand_id)} | facts,
        values={"demand": secret},
    )


def _store_target(tx: Tx, matter_id: UUID, target: Target, *, principal: Principal, cipher: Cipher) -> Draft:
    target_id = uuid4()
    secret = json.dumps({"name": target.name}).encode()
    tx.conn.execute(
        insert(t.target).values(
            agency_id=tx.agency_id,
            target_id=target_id,
            matter_id=matter_id,
            kind=target.kind,
            sealed=cipher.seal(secret, "target.sealed", target_id),
        )
    )
    return sealed_draft(
        cipher,
        EventType.TARGET_LISTED,
        principal.actor,
        {"target": str(target_id), "kind": target.kind},
        values={"target": secret},
    )
