"""What has been done and seen for a notice, as its plan asks for it: attempts, evidence from the ledger, tasks.

What the person did is read from the ledger by type, so that whoever records it has only to append it, and to have the
plan looked at (`store.looks.look_again`).
"""

import json
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType
from typing import Any, Final
from uuid import UUID

from sqlalchemy import Row, text

from notifier.core.events import EventType
from notifier.core.model import ContactKind, ContactPoint, TaskKind
from notifier.core.plan import History, Ordered
from notifier.core.policy import Evidence
from notifier.core.status import CAME_TO_NOTHING, AttemptStatus
from notifier.store.engine import Tx
from notifier.store.looks import NoticeRow
from notifier.usecases.timing import shared_contacts

T, S = EventType, AttemptStatus

_BEFORE_LEAVING: Final = frozenset({S.PLANNED, S.SENDING})
_FAILURES: Final = frozenset({T.ATTEMPT_REFUSED, T.ATTEMPT_BOUNCED, T.ATTEMPT_CAME_BACK})

ANSWERS: Final = frozenset({Evidence.ACCESSED, Evidence.ACKNOWLEDGED, Evidence.OBJECTED})

# What the person did: of this notice, or of the person whichever notice it was.
_BY_NOTICE: Final = MappingProxyType({T.NOTICE_VIEWED: Evidence.ACCESSED, T.NOTICE_ACKNOWLEDGED: Evidence.ACKNOWLEDGED})
_READ: Final = sorted({*_BY_NOTICE, *_FAILURES, T.OBJECTION_RECEIVED, T.ATTEMPT_ARRIVED})


@dataclass(frozen=True, slots=True)
class Told:
    """What is known of one notice. Contact points stand with those first that reach nobody else of the matter.

    `nothing_reached`: there was no message, or every one failed, came back or went to somebody else; the person has not
    answered either, and no caseworker has been told since the last one did. `waiting`: messages that are planned, with
    the row that wanted each. `came_back`: letters that their carrier says came back, and that no human knows of yet.
    """

    contacts: Mapping[UUID, ContactPoint]
    history: History[UUID]
    nothing_reached: bool
    waiting: Mapping[UUID, str]
    came_back: Collection[UUID]


def read_histories(
    tx: Tx, matter_id: UUID, notices: Sequence[NoticeRow], *, now: datetime, at: datetime
) -> dict[UUID, Told]:
    """The histories of notices of one matter, by notice; `at` is `now` on the matter's clock."""
    people = list({notice.person_id for notice in notices})
    contacts = _contacts(tx, matter_id, people)
    attempts = _attempts(tx, people)
    events = _events(tx, people)
    back = {one.attempt_id for found in attempts.values() for one in found if one.status == S.RETURNED}
    tasks = _tasks(tx, [*(notice.notice_id for notice in notices), *back])
    offset = at - now
    told = {}
    for notice in notices:
        mine = attempts[notice.notice_id]
        seen = events[notice.person_id]
        ordered = [Ordered(one.contact_id, one.plan_row, _left_at(one, one.due_at + offset, at)) for one in mine]
        mine_tasks = tasks[notice.notice_id]
        history = History(_evidence(notice, mine, seen), ordered, list(mine_tasks))
        failed_at = history.evidence.get(Evidence.FAILED) if mine else notice.ordered_at
        helped_at = mine_tasks.get(TaskKind.NOT_REACHED)
        is_news = failed_at is not None and (helped_at is None or helped_at < failed_at)
        nothing_reached = is_news and not ANSWERS & history.evidence.keys()
        told[notice.notice_id] = Told(
            contacts[notice.recipient_id],
            history,
            nothing_reached,
            {one.attempt_id: one.plan_row for one in mine if one.status == S.PLANNED},
            [
                one.attempt_id
                for one in mine
                if one.attempt_id in back and not one.scanned and TaskKind.MAIL_RETURNED not in tasks[one.attempt_id]
            ],
        )
    return told


def _left_at(attempt: Row[Any], due: datetime, at: datetime) -> datetime:
    """When a message left; one that waits can leave now at the earliest.

    Of one that never left, or of which nobody knows, it is the time it was due at, whatever the clock was moved since.
    """
    if attempt.handed_over_at is not None:
        return attempt.handed_over_at  # type: ignore[no-any-return] # a timestamp
    return max(due, at) if attempt.status in _BEFORE_LEAVING else attempt.due_at


@dataclass(frozen=True, slots=True)
class _Seen:
    at: datetime
    type: EventType
    attempt: str | None
    notice: str | None


def _evidence(notice: NoticeRow, attempts: Sequence[Row[Any]], seen: Sequence[_Seen]) -> dict[Evidence, datetime]:
    """When each fact began to hold, earliest first."""
    # What went to somebody else reached nobody, whatever its carrier says.
    astray = [one.astray_since for one in attempts if one.astray_since is not None]
    status = {str(one.attempt_id): S(one.status) if one.astray_since is None else S.FAILED for one in attempts}
    found: dict[Evidence, list[datetime]] = defaultdict(list)
    found[Evidence.APPROVAL].append(notice.ordered_at)
    found[Evidence.HANDED_OVER] += [one.handed_over_at for one in attempts if one.handed_over_at is not None]
    for event in seen:
        if event.type in _BY_NOTICE and event.notice == str(notice.notice_id):
            found[_BY_NOTICE[event.type]].append(event.at)
        elif event.type is T.OBJECTION_RECEIVED:
            found[Evidence.OBJECTED].append(event.at)
        elif event.type is T.ATTEMPT_ARRIVED and status.get(event.attempt or "") is S.DELIVERED:
            found[Evidence.DELIVERED].append(event.at)
        elif event.type is T.ATTEMPT_CAME_BACK and event.attempt in status:
            found[Evidence.RETURNED].append(event.at)
    evidence = {kind: min(times) for kind, times in found.items() if times}
    standing = set(status.values())
    if standing & {S.FAILED, S.RETURNED} and standing <= CAME_TO_NOTHING:
        failures = [event.at for event in seen if event.type in _FAILURES and event.attempt in status]
        evidence[Evidence.FAILED] = max([*failures, *astray], default=notice.ordered_at)
    return evidence


def _contacts(tx: Tx, matter_id: UUID, people: Collection[UUID]) -> dict[UUID, dict[UUID, ContactPoint]]:
    """Every contact point by recipient; one with a flag in force is none that can be used."""
    rows = tx.conn.execute(
        text(
            "select c.contact_id, c.recipient_id, c.kind, c.problem, exists (select from contact_flag f"
            "   where f.agency_id = c.agency_id and f.contact_id = c.contact_id and f.lifted_at is null) as flagged"
            " from contact_point c where c.agency_id = :agency and c.person_id = any(:people)"
            " order by c.kind, c.contact_id"
        ),
        {"agency": tx.agency_id, "people": list(people)},
    ).all()
    shared = shared_contacts(tx, matter_id, of=[row.contact_id for row in rows])
    found: dict[UUID, dict[UUID, ContactPoint]] = defaultdict(dict)
    for row in sorted(rows, key=lambda row: row.contact_id in shared):
        problem = row.problem or ("flagged" if row.flagged else None)
        found[row.recipient_id][row.contact_id] = ContactPoint(ContactKind(row.kind), "", problem=problem)
    return found


def _attempts(tx: Tx, people: Collection[UUID]) -> dict[UUID, list[Row[Any]]]:
    rows = tx.conn.execute(
        text(
            "select a.notice_id, a.attempt_id, a.contact_id, a.plan_row, a.status, a.due_at, a.handed_over_at,"
            " f.since as astray_since, r.attempt_id is not null as scanned from attempt a"
            " left join contact_flag f on f.agency_id = a.agency_id and f.contact_id = a.contact_id"
            "  and f.flag = 'wrong_person' and f.lifted_at is null"
            " left join returned_piece r on r.agency_id = a.agency_id and r.attempt_id = a.attempt_id"
            " where a.agency_id = :agency and a.person_id = any(:people) order by a.due_at, a.attempt_id"
        ),
        {"agency": tx.agency_id, "people": list(people)},
    )
    found: dict[UUID, list[Row[Any]]] = defaultdict(list)
    for row in rows:
        found[row.notice_id].append(row)
    return found


def _events(tx: Tx, people: Collection[UUID]) -> dict[UUID, list[_Seen]]:
    rows = tx.conn.execute(
        text(
            "select person_id, type, at, body from event"
            " where agency_id = :agency and person_id = any(:people) and type = any(:types) order by seq"
        ),
        {"agency": tx.agency_id, "people": list(people), "types": [kind.value for kind in _READ]},
    )
    found: dict[UUID, list[_Seen]] = defaultdict(list)
    for row in rows:
        data = json.loads(row.body)["data"]
        found[row.person_id].append(_Seen(row.at, T(row.type), data.get("attempt"), data.get("notice")))
    return found


def _tasks(tx: Tx, subjects: Collection[UUID]) -> dict[UUID, dict[TaskKind, datetime]]:
    """When a task of each kind was last opened about each of these."""
    rows = tx.conn.execute(
        text(
            "select subject_id, kind, max(opened_at) as opened_at from task"
            " where agency_id = :agency and subject_id = any(:subjects) group by 1, 2"
        ),
        {"agency": tx.agency_id, "subjects": list(subjects)},
    )
    found: dict[UUID, dict[TaskKind, datetime]] = defaultdict(dict)
    for row in rows:
        found[row.subject_id][TaskKind(row.kind)] = row.opened_at
    return found
