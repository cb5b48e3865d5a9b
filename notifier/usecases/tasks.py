"""What waits for a caseworker: opened by whatever finds it, once while it is open, and done by an officer.

A task is kept in a matter's ledger, or in the agency's where it belongs to no matter; its times are on that matter's
clock.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from uuid import UUID, uuid4

from sqlalchemy import Row, text

from notifier.core.errors import Conflict, Forbidden, NotFound
from notifier.core.events import EventType
from notifier.core.ledger import timestamp
from notifier.core.model import Actor, KeyKind, Resolution, Role, TaskKind
from notifier.store.engine import Tx
from notifier.store.ledger import append, draft, lock_chains
from notifier.usecases.access import Principal, Scope
from notifier.usecases.matters import find_matter
from notifier.usecases.progress import legal_now

WORKING_ROLES: Final = frozenset({Role.CASEWORKER, Role.APPROVER, Role.COUNSEL, Role.ADMIN})
PLAN: Final = Actor.system("plan")
REVIEWED_WITHIN: Final = timedelta(days=2)
_BEGINNING: Final = (datetime(1, 1, 1, tzinfo=UTC), UUID(int=0))


@dataclass(frozen=True, slots=True)
class TaskRead:
    """A task. `subject_id`: what it is about, an attempt, notice, contact point, print batch, matter or agency."""

    task_id: UUID
    kind: TaskKind
    subject_id: UUID
    matter_id: UUID | None
    person_id: UUID | None
    opened_at: datetime
    due_at: datetime
    done_at: datetime | None
    done_by: UUID | None
    resolution: Resolution | None


def open_task(
    tx: Tx,
    kind: TaskKind,
    *,
    subject_id: UUID,
    matter_id: UUID | None,
    person_id: UUID | None,
    due_at: datetime,
    actor: Actor,
    now: datetime,
) -> UUID | None:
    """Open a task; None when one of this kind is open for this subject already.

    `now` and `due_at` are on our own clock. Takes the chain first, as everybody does who takes more than that. It was
    opened when the ledger says so, which never runs back: another machine's clock may be ahead of this one's.
    """
    chain_id = matter_id or tx.agency_id
    lock_chains(tx, [chain_id])
    at = now if matter_id is None else legal_now(tx, matter_id, now)
    due = due_at + (at - now)
    opened = tx.conn.execute(
        text(
            "insert into task (agency_id, task_id, kind, subject_id, matter_id, person_id, opened_at, due_at)"
            " select :agency, :task, :kind, :subject, :matter, :person,"
            "  greatest(cast(:at as timestamptz), last_at), :due"
            " from chain where agency_id = :agency and chain_id = :chain"
            " on conflict (agency_id, kind, subject_id) where done_at is null do nothing returning task_id"
        ),
        {
            "agency": tx.agency_id,
            "task": uuid4(),
            "kind": kind.value,
            "subject": subject_id,
            "matter": matter_id,
            "person": person_id,
            "chain": chain_id,
            "at": at,
            "due": due,
        },
    ).scalar_one_or_none()
    if opened is None:
        return None
    data = {"task": str(opened), "kind": kind.value, "about": str(subject_id), "due": timestamp(due)}
    append(tx, chain_id, [draft(EventType.TASK_OPENED, actor, data, person=person_id)], at=at)
    return UUID(str(opened))


def open_review(tx: Tx, matter_id: UUID, *, now: datetime) -> UUID | None:
    """Say once that a matter's plan wants messages over a channel that no carrier in use serves."""
    found = tx.conn.execute(
        text("select from task where agency_id = :agency and subject_id = :matter and kind = :kind limit 1"),
        {"agency": tx.agency_id, "matter": matter_id, "kind": TaskKind.REVIEW.value},
    )
    if found.first() is not None:
        return None
    return open_task(
        tx,
        TaskKind.REVIEW,
        subject_id=matter_id,
        matter_id=matter_id,
        person_id=None,
        due_at=now + REVIEWED_WITHIN,
        actor=PLAN,
        now=now,
    )


def finish_task(tx: Tx, task_id: UUID, *, resolution: Resolution, principal: Principal, now: datetime) -> TaskRead:
    """An officer says what came of a task; saying the same again changes nothing.

    Raises:
        Forbidden: `scope-missing`, `personal-key-needed`, `role-missing`, `mode-mismatch`.
        NotFound: `unknown-task`.
        Conflict: `task-already-done`: somebody has said something else.
    """
    principal.require(Scope.MATTER_WRITE)
    if principal.kind is not KeyKind.PERSONAL:
        raise Forbidden("personal-key-needed", "Only an officer's personal key can finish a task.")
    if not principal.roles & WORKING_ROLES:
        raise Forbidden("role-missing", "This officer has no role that may finish a task.")
    task = _one(tx, task_id)
    if task.matter_id is not None:
        find_matter(tx, task.matter_id, principal)
    chain_id = task.matter_id or tx.agency_id
    lock_chains(tx, [chain_id])
    task = _one(tx, task_id)
    if task.done_at is not None:
        if task.resolution is resolution:
            return task
        raise Conflict("task-already-done", "This task was finished with another resolution.")
    at = now if task.matter_id is None else legal_now(tx, task.matter_id, now)
    tx.conn.execute(
        text(
            "update task set done_at = :at, done_by = :officer, resolution = :resolution"
            " where agency_id = :agency and task_id = :task"
        ),
        {
            "agency": tx.agency_id,
            "task": task_id,
            "at": at,
            "officer": principal.officer_id,
            "resolution": resolution.value,
        },
    )
    data = {"task": str(task_id), "resolution": resolution.value}
    append(tx, chain_id, [draft(EventType.TASK_DONE, principal.actor, data, person=task.person_id)], at=at)
    return _one(tx, task_id)


def settle_task(
    tx: Tx, kind: TaskKind, *, subject_id: UUID, resolution: Resolution, principal: Principal, now: datetime
) -> None:
    """Finish the open task of this kind about something, if there is one: an officer has just done what it asks for."""
    open_one = tx.conn.execute(
        text(
            "select task_id, matter_id, person_id from task"
            " where agency_id = :agency and kind = :kind and subject_id = :subject and done_at is null"
        ),
        {"agency": tx.agency_id, "kind": kind.value, "subject": subject_id},
    ).one_or_none()
    if open_one is None:
        return
    chain_id = open_one.matter_id or tx.agency_id
    lock_chains(tx, [chain_id])
    at = now if open_one.matter_id is None else legal_now(tx, open_one.matter_id, now)
    done = tx.conn.execute(
        text(
            "update task set done_at = :at, done_by = :officer, resolution = :resolution"
            " where agency_id = :agency and task_id = :task and done_at is null returning task_id"
        ),
        {
            "agency": tx.agency_id,
            "task": open_one.task_id,
            "at": at,
            "officer": principal.officer_id,
            "resolution": resolution.value,
        },
    )
    if done.first() is not None:
        data = {"task": str(open_one.task_id), "resolution": resolution.value}
        append(tx, chain_id, [draft(EventType.TASK_DONE, principal.actor, data, person=open_one.person_id)], at=at)


_COLUMNS: Final = (
    "k.task_id, k.kind, k.subject_id, k.matter_id, k.person_id, k.opened_at, k.due_at, k.done_at, k.done_by,"
    " k.resolution"
)
# A task that belongs to no matter has the mode of the print batch that it is about, or is live.
_MODE: Final = (
    "coalesce((select m.mode from matter m where m.agency_id = k.agency_id and m.matter_id = k.matter_id),"
    " (select b.mode from print_batch b where b.agency_id = k.agency_id and b.batch_id = k.subject_id), 'live')"
)


def list_tasks(
    tx: Tx,
    *,
    principal: Principal | None,
    kind: TaskKind | None = None,
    matter_id: UUID | None = None,
    only_open: bool = True,
    after: tuple[datetime, UUID] | None = None,
    limit: int,
) -> list[TaskRead]:
    """Tasks of the key's mode, the one due first in front, at most `limit` of those behind `after` (due, id).

    Without a principal the operator of this machine asks, who sees both modes.

    Raises:
        Forbidden: `scope-missing`, `mode-mismatch`.
        NotFound: `unknown-matter`.
    """
    where = ["k.agency_id = :agency", "(k.due_at, k.task_id) > (:at, :id)"]
    if principal is not None:
        principal.require(Scope.MATTER_READ)
        where.append(f"{_MODE} = :mode")
    if matter_id is not None:
        find_matter(tx, matter_id, principal)
        where.append("k.matter_id = :matter")
    if kind is not None:
        where.append("k.kind = :kind")
    if only_open:
        where.append("k.done_at is null")
    behind = after or _BEGINNING
    rows = tx.conn.execute(
        text(f"select {_COLUMNS} from task k where {' and '.join(where)} order by k.due_at, k.task_id limit :limit"),  # noqa: S608 # our own words
        {
            "agency": tx.agency_id,
            "mode": None if principal is None else principal.mode.value,
            "matter": matter_id,
            "kind": None if kind is None else kind.value,
            "at": behind[0],
            "id": behind[1],
            "limit": limit,
        },
    )
    return [_read(row) for row in rows]


def _one(tx: Tx, task_id: UUID) -> TaskRead:
    row = tx.conn.execute(
        text(f"select {_COLUMNS} from task k where k.agency_id = :agency and k.task_id = :task"),  # noqa: S608 # our own words
        {"agency": tx.agency_id, "task": task_id},
    ).one_or_none()
    if row is None:
        raise NotFound("unknown-task", "There is no such task.")
    return _read(row)


def _read(row: Row[Any]) -> TaskRead:
    columns = row._asdict()
    kind, resolution = TaskKind(columns.pop("kind")), columns.pop("resolution")
    return TaskRead(kind=kind, resolution=None if resolution is None else Resolution(resolution), **columns)
