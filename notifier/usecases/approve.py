"""A second officer lets the notices go out.

Two humans stand behind every notice: whoever entered the rows, and whoever approves sending to them.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final, cast
from uuid import UUID

from sqlalchemy import Row, select, text

from notifier.core.errors import Forbidden, Invalid
from notifier.core.events import EventType
from notifier.core.ledger import Json
from notifier.core.model import Channel, KeyKind, Mode, Nondisclosure, Role
from notifier.core.policy import Packs, household_gap_of, plan_of
from notifier.store import tables as t
from notifier.store.attempts import database_now, open_work
from notifier.store.bulk import in_chunks
from notifier.store.draft_spool import DraftSpool
from notifier.store.engine import Tx
from notifier.store.ledger import append, append_many, draft, lock_chains
from notifier.store.vault import Vault
from notifier.usecases.access import Principal, Scope
from notifier.usecases.known_contacts import inherit_flags, known_elsewhere, refuse_flagged
from notifier.usecases.matters import bound_packs, take_matter
from notifier.usecases.ordering import Clock, Listed, Orders
from notifier.usecases.return_address import review_address
from notifier.usecases.tasks import open_review
from notifier.usecases.timing import shared_contacts, timing_of

CHUNK: Final = 1000
APPROVING_ROLES: Final = frozenset({Role.APPROVER, Role.COUNSEL, Role.ADMIN})
FORBIDS_TELLING: Final = frozenset({Nondisclosure.COURT_ORDER, Nondisclosure.STATUTE})


@dataclass(frozen=True, slots=True)
class Approved:
    """What an approval set going: which lists, and counts. `unreachable` people have nothing that can be used."""

    lists: tuple[UUID, ...]
    persons: int
    unreachable: int
    attempts: dict[str, int]


def approve_sending(
    tx: Tx,
    matter_id: UUID,
    *,
    principal: Principal,
    packs: Packs,
    carrier_of: Mapping[Channel, str],
    carriers_are_real: bool,
    vault: Vault,
    lists: Collection[UUID] | None = None,
    now: datetime,
) -> Approved:
    """Order the initial notice for everybody on the lists that wait for approval.

    `lists` names the lists that the officer has looked at; without it, all that wait and that somebody else entered.

    (1) who approves: an officer who may, with a key of their own; (2) take the matter, and see that nothing on file
    forbids telling; (3) which lists: none that this officer entered; (4) pass over numbers that are known
    from other matters, and plan for each person, in chunks; (5) take the chain's head last, and then open the work:
    everybody who holds both takes them in this order; (6) what the plan wants over a channel that no carrier serves,
    what was planned to a contact point that got a flag meanwhile, and letters that cannot be posted.

    Raises:
        Forbidden: `personal-key-needed`, `role-missing`, `second-officer-needed`, `mode-mismatch`.
        NotFound: `unknown-matter`.
        Invalid: `nothing-to-approve`, `list-not-waiting`; `unknown-pack`, as `bound_packs`; `nondisclosure-on-file`: an
            order or a statute may forbid telling; `real-carrier-in-test-mode`: a test must never reach a real person.
    """
    _require_approver(principal)  # (1)
    matter = take_matter(tx, matter_id, principal)  # (2)
    if matter.mode == Mode.TEST and carriers_are_real:
        raise Invalid("real-carrier-in-test-mode", "A test matter is never sent through a carrier's own address.")
    _require_tellable(tx, matter_id)
    lone = _may_stand_alone(tx, matter.mode)
    roster_ids, alone = _choose_lists(tx, matter_id, lists, principal=principal, lone=lone)  # (3)
    bound = bound_packs(tx, matter_id, packs)
    gap = household_gap_of(bound)
    timing = timing_of(tx, matter.mode, gap=gap, vault=vault)
    at = now + cast("timedelta", matter.clock_offset)
    planner = Orders(
        matter_id,
        matter.edition,
        plan_of(bound),
        carrier_of=carrier_of,
        principal=principal,
        clock=Clock(now, database_now(tx), at),
        timing=timing,
        places=shared_contacts(tx, matter_id) if timing and gap else {},
    )
    spool = DraftSpool()
    try:
        known = known_elsewhere(tx, matter_id)
        passed_over = frozenset(row.contact_id for row in known)
        for chunk in in_chunks(_listed(tx, roster_ids, passed_over), CHUNK):  # (4)
            spool.add(planner.order(tx, chunk))
        lock_chains(tx, [matter_id])  # (5)
        open_work(tx, matter_id, [Channel(channel) for channel in planner.attempts])
        tx.conn.execute(
            text(
                "update roster set approved_at = :now, approved_by = :officer"
                " where agency_id = :agency and roster_id = any(:rosters)"
            ),
            {"now": now, "officer": principal.officer_id, "agency": tx.agency_id, "rosters": roster_ids},
        )
        counts: dict[str, Json] = dict(planner.attempts)
        approval: dict[str, Json] = {
            "persons": planner.persons,
            "attempts": counts,
            "unreachable": planner.unreachable,
            "alone": alone,
            "edition": matter.edition,
        }
        append(tx, matter_id, [draft(EventType.SENDING_APPROVED, principal.actor, approval)], at=at)
        append_many(tx, matter_id, spool, at=at)
        if planner.without_carrier:  # (6)
            open_review(tx, matter_id, now=now)
        inherit_flags(tx, matter_id, known, at=at)
        refuse_flagged(tx, matter_id, now=now)
        if planner.attempts.get(Channel.LETTER):
            review_address(tx, carrier_of[Channel.LETTER], now=now)
    finally:
        spool.close()
    return Approved(tuple(roster_ids), planner.persons, planner.unreachable, dict(planner.attempts))


def _require_approver(principal: Principal) -> None:
    principal.require(Scope.SENDING_APPROVE)
    if principal.kind is not KeyKind.PERSONAL:
        raise Forbidden("personal-key-needed", "Only an officer's personal key can approve sending.")
    if not principal.roles & APPROVING_ROLES:
        raise Forbidden("role-missing", "This officer has no role that may approve sending.")


def _require_tellable(tx: Tx, matter_id: UUID) -> None:
    """Refuse while an order or a statute that may forbid telling is on file; a request to keep silent never does."""
    found = tx.conn.execute(
        text(
            "select from demand where agency_id = :agency and matter_id = :matter"
            " and nondisclosure = any(:kinds) limit 1"
        ),
        {"agency": tx.agency_id, "matter": matter_id, "kinds": [kind.value for kind in FORBIDS_TELLING]},
    )
    if found.first() is not None:
        raise Invalid("nondisclosure-on-file", "An order or a statute that may forbid telling is on file.")


def _choose_lists(
    tx: Tx, matter_id: UUID, lists: Collection[UUID] | None, *, principal: Principal, lone: bool
) -> tuple[list[UUID], bool]:
    """The lists to approve, and whether this officer stands alone behind any of them."""
    waiting = {roster.roster_id: roster.uploaded_by for roster in _unapproved_rosters(tx, matter_id)}
    if lists is not None and not waiting.keys() >= set(lists):
        raise Invalid("list-not-waiting", "A list that was named is none of this matter's, or was approved before.")
    looked_at = [roster_id for roster_id in waiting if lists is None or roster_id in set(lists)]
    if not looked_at:
        raise Invalid("nothing-to-approve", "Nobody in this matter waits for approval.")
    own = [roster_id for roster_id in looked_at if waiting[roster_id] == principal.officer_id]
    if lone:
        return looked_at, bool(own)
    if len(own) == len(looked_at) or (own and lists is not None):
        raise Forbidden("second-officer-needed", "Whoever entered a list cannot approve sending to it.")
    return [roster_id for roster_id in looked_at if roster_id not in own], False


def _may_stand_alone(tx: Tx, mode: str) -> bool:
    """Whether one officer may approve what they entered: in test mode, where the agency lets them."""
    lone = select(t.agency.c.lone_officer_in_test).where(t.agency.c.agency_id == tx.agency_id)
    return mode == Mode.TEST and bool(tx.conn.execute(lone).scalar_one())


def _unapproved_rosters(tx: Tx, matter_id: UUID) -> Sequence[Row[tuple[UUID, UUID]]]:
    return tx.conn.execute(
        text(
            "select roster_id, uploaded_by from roster where agency_id = :agency and matter_id = :matter"
            " and approved_at is null order by received_at, roster_id"
        ),
        {"agency": tx.agency_id, "matter": matter_id},
    ).all()


_USABLE: Final = """
  from contact_point c where c.agency_id = p.agency_id and c.person_id = p.person_id and c.problem is null
    and not exists (select from contact_flag f
      where f.agency_id = c.agency_id and f.contact_id = c.contact_id and f.lifted_at is null)
  order by c.kind, c.contact_id
"""


def _listed(tx: Tx, roster_ids: Sequence[UUID], passed_over: Collection[UUID]) -> Iterable[Listed]:
    """Everybody of some lists with their contact points but those passed over; nothing is decrypted."""
    rows = tx.conn.execute(
        text(
            f"select p.person_id, r.recipient_id, array(select c.contact_id {_USABLE}), array(select c.kind {_USABLE})"  # noqa: S608 # our own constant
            " from person p join recipient r"
            "   on r.agency_id = p.agency_id and r.person_id = p.person_id and r.role = 'self'"
            " where p.agency_id = :agency and p.roster_id = any(:rosters) order by p.ordinal"
        ),
        {"agency": tx.agency_id, "rosters": list(roster_ids)},
        execution_options={"yield_per": CHUNK},
    )
    return (_without(Listed(*row), passed_over) for row in rows)


def _without(listed: Listed, passed_over: Collection[UUID]) -> Listed:
    if not any(contact_id in passed_over for contact_id in listed.contacts):
        return listed
    left = [pair for pair in zip(listed.contacts, listed.kinds, strict=True) if pair[0] not in passed_over]
    return replace(listed, contacts=[contact_id for contact_id, _ in left], kinds=[kind for _, kind in left])
