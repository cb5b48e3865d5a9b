"""A second officer lets the notices go out.

Two humans stand behind every notice: whoever entered the rows, and whoever approves sending to them.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID, uuid4

from sqlalchemy import Row, select, text

from notifier.core.errors import Forbidden, Invalid
from notifier.core.events import EventType
from notifier.core.ledger import Draft, Json
from notifier.core.model import Channel, ContactKind, ContactPoint, KeyKind, Mode, Nondisclosure, NoticeKind, Role
from notifier.core.plan import History, PlannedAttempt, next_attempts
from notifier.core.policy import Evidence, Packs, PlanRow, plan_of
from notifier.store import tables as t
from notifier.store.attempts import NewAttempt, database_now, open_work, plan_attempts
from notifier.store.bulk import in_chunks, insert_rows
from notifier.store.engine import Tx
from notifier.store.ledger import DraftSpool, append, append_many, draft, lock_chains
from notifier.usecases.access import Principal, Scope
from notifier.usecases.matters import take_matter
from notifier.usecases.progress import legal_now

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


@dataclass(frozen=True, slots=True)
class _Listed:
    person_id: UUID
    recipient_id: UUID
    contacts: Mapping[UUID, ContactPoint]


def approve_sending(
    tx: Tx,
    matter_id: UUID,
    *,
    principal: Principal,
    packs: Packs,
    carrier_of: Mapping[Channel, str],
    carriers_are_real: bool,
    lists: Collection[UUID] | None = None,
    now: datetime,
) -> Approved:
    """Order the initial notice for everybody on the lists that wait for approval.

    `lists` names the lists that the officer has looked at; without it, all that wait and that somebody else entered.

    (1) who approves: an officer who may, with a key of their own; (2) take the matter, and see that nothing on file
    forbids telling; (3) which lists: none that this officer entered; (4) plan for each person, in chunks; (5) take the
    chain's head last, and then open the work: everybody who holds both takes them in this order.

    Raises:
        Forbidden: `personal-key-needed`, `role-missing`, `second-officer-needed`, `mode-mismatch`.
        NotFound: `unknown-matter`.
        Invalid: `nothing-to-approve`, `list-not-waiting`; `nondisclosure-on-file`: an order or a statute may forbid
            telling; `real-carrier-in-test-mode`: a test must never reach a real person.
    """
    _require_approver(principal)  # (1)
    matter = take_matter(tx, matter_id, principal)  # (2)
    if matter.mode == Mode.TEST and carriers_are_real:
        raise Invalid("real-carrier-in-test-mode", "A test matter is never sent through a carrier's own address.")
    _require_tellable(tx, matter_id)
    lone = _may_stand_alone(tx, matter.mode)
    roster_ids, alone = _choose_lists(tx, matter_id, lists, principal=principal, lone=lone)  # (3)
    plan = plan_of([packs[pack_id] for pack_id in _bound_packs(tx, matter_id)])
    planner = _Planner(matter_id, matter.edition, plan, carrier_of, principal, database_now(tx), now)
    spool = DraftSpool()
    try:
        for chunk in in_chunks(_listed(tx, roster_ids), CHUNK):  # (4)
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
        at = legal_now(tx, matter_id, now)
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


class _Planner:
    """Orders notices chunk by chunk and counts what it ordered."""

    def __init__(
        self,
        matter_id: UUID,
        edition: str,
        plan: Sequence[PlanRow],
        carrier_of: Mapping[Channel, str],
        principal: Principal,
        clock: datetime,
        now: datetime,
    ) -> None:
        self._matter_id = matter_id
        self._edition = edition
        self._plan = [row for row in plan if row.channel in carrier_of]
        self._carrier_of = carrier_of
        self._principal = principal
        self._clock = clock
        self._now = now
        self.persons = 0
        self.unreachable = 0
        self.attempts: Counter[str] = Counter()

    def order(self, tx: Tx, chunk: Sequence[_Listed]) -> list[Draft]:
        """One notice a person, with its first attempts; returns what the ledger says of them."""
        notices: list[tuple[UUID, _Listed]] = []
        new: list[NewAttempt] = []
        drafts = []
        history: History[UUID] = History({Evidence.APPROVAL: self._now})
        for listed in chunk:
            notice_id = uuid4()
            planned = next_attempts(self._plan, listed.contacts, history, now=self._now)
            ordered = [self._attempt(notice_id, listed, item) for item in planned]
            notices.append((notice_id, listed))
            new += ordered
            drafts.append(self._draft(notice_id, listed, ordered))
            self.unreachable += not ordered
        self.persons += len(chunk)
        self.attempts.update(item.channel.value for item in new)
        self._insert_notices(tx, notices)
        plan_attempts(tx, self._matter_id, new, now=self._now)
        return drafts

    def _attempt(self, notice_id: UUID, listed: _Listed, item: PlannedAttempt[UUID]) -> NewAttempt:
        carrier, due_at = self._carrier_of[item.channel], self._clock + item.due_in
        return NewAttempt(uuid4(), notice_id, listed.person_id, item.contact, item.row, item.channel, carrier, due_at)

    def _draft(self, notice_id: UUID, listed: _Listed, attempts: Sequence[NewAttempt]) -> Draft:
        named: list[Json] = [
            {"id": str(item.attempt_id), "channel": item.channel.value, "contact": str(item.contact_id)}
            for item in attempts
        ]
        data: dict[str, Json] = {
            "notice": str(notice_id),
            "kind": NoticeKind.INITIAL.value,
            "recipient": str(listed.recipient_id),
            "edition": self._edition,
            "attempts": named,
        }
        return draft(EventType.NOTICE_ORDERED, self._principal.actor, data, person=listed.person_id)

    def _insert_notices(self, tx: Tx, notices: Sequence[tuple[UUID, _Listed]]) -> None:
        count = len(notices)
        insert_rows(
            tx,
            "notice",
            {
                "notice_id": ("uuid", [notice_id for notice_id, _ in notices]),
                "matter_id": ("uuid", [self._matter_id] * count),
                "person_id": ("uuid", [listed.person_id for _, listed in notices]),
                "recipient_id": ("uuid", [listed.recipient_id for _, listed in notices]),
                "kind": ("text", [NoticeKind.INITIAL.value] * count),
                "edition": ("text", [self._edition] * count),
                "ordered_at": ("timestamptz", [self._now] * count),
                "ordered_by": ("uuid", [self._principal.officer_id] * count),
            },
        )


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


def _bound_packs(tx: Tx, matter_id: UUID) -> list[str]:
    return list(
        tx.conn.execute(
            text("select pack_id from matter_pack where agency_id = :agency and matter_id = :matter order by pack_id"),
            {"agency": tx.agency_id, "matter": matter_id},
        ).scalars()
    )


def _listed(tx: Tx, roster_ids: Sequence[UUID]) -> Iterable[_Listed]:
    """Everybody of some lists with their contact points; only what planning needs, nothing is decrypted."""
    rows = tx.conn.execute(
        text(
            "select p.person_id, r.recipient_id,"
            " array(select c.contact_id from contact_point c where c.agency_id = p.agency_id"
            "   and c.person_id = p.person_id and c.problem is null order by c.kind, c.contact_id) contacts,"
            " array(select c.kind from contact_point c where c.agency_id = p.agency_id"
            "   and c.person_id = p.person_id and c.problem is null order by c.kind, c.contact_id) kinds"
            " from person p join recipient r"
            "   on r.agency_id = p.agency_id and r.person_id = p.person_id and r.role = 'self'"
            " where p.agency_id = :agency and p.roster_id = any(:rosters) order by p.ordinal"
        ),
        {"agency": tx.agency_id, "rosters": list(roster_ids)},
        execution_options={"yield_per": CHUNK},
    )
    for row in rows:
        contacts = {
            contact_id: ContactPoint(ContactKind(kind), "")
            for contact_id, kind in zip(row.contacts, row.kinds, strict=True)
        }
        yield _Listed(row.person_id, row.recipient_id, contacts)
