"""When the plan of a notice is next looked at: `notice.look_at`, on the database's clock; null when nothing is left."""

from collections.abc import Collection, Mapping
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import Row, text

from notifier.store.engine import Tx

NoticeRow = Row[tuple[UUID, UUID, UUID, datetime]]


def look_again(tx: Tx, *, attempts: Collection[UUID] = (), people: Collection[UUID] = ()) -> None:
    """Have the plans behind these attempts and of these people looked at now; their matters' chains are held."""
    if attempts:
        tx.conn.execute(
            text(
                "update notice n set look_at = now() from (select distinct a.notice_id from attempt a"
                " where a.agency_id = :agency and a.attempt_id = any(:ids)) a"
                " where n.agency_id = :agency and n.notice_id = a.notice_id"
                " and (n.look_at is null or n.look_at > now())"
            ),
            {"agency": tx.agency_id, "ids": list(attempts)},
        )
    if people:
        tx.conn.execute(
            text(
                "update notice set look_at = now() where agency_id = :agency and person_id = any(:ids)"
                " and (look_at is null or look_at > now())"
            ),
            {"agency": tx.agency_id, "ids": list(people)},
        )


def notices_to_look(tx: Tx, *, limit: int) -> dict[UUID, list[UUID]]:
    """A handful of the notices whose time has come, by matter."""
    rows = tx.conn.execute(
        text(
            "select matter_id, notice_id from notice"
            " where agency_id = :agency and look_at <= now() order by look_at limit :limit"
        ),
        {"agency": tx.agency_id, "limit": limit},
    )
    found: dict[UUID, list[UUID]] = {}
    for row in rows:
        found.setdefault(row.matter_id, []).append(row.notice_id)
    return found


def hold_notices(tx: Tx, notice_ids: Collection[UUID]) -> list[NoticeRow]:
    """Those of some notices, all of one matter whose chain is held, whose time has still come; held from here on."""
    return list(
        tx.conn.execute(
            text(
                "select notice_id, person_id, recipient_id, ordered_at from notice"
                " where agency_id = :agency and notice_id = any(:ids) and look_at <= now()"
                " order by notice_id for no key update"
            ),
            {"agency": tx.agency_id, "ids": list(notice_ids)},
        )
    )


def set_looks(tx: Tx, looks: Mapping[UUID, timedelta | None]) -> None:
    """Say in what time each notice's plan is looked at again; None: not by itself."""
    tx.conn.execute(
        text(
            "update notice n set look_at = now() + u.wait"
            " from unnest(cast(:ids as uuid[]), cast(:waits as interval[])) u(notice_id, wait)"
            " where n.agency_id = :agency and n.notice_id = u.notice_id"
        ),
        {"agency": tx.agency_id, "ids": list(looks), "waits": list(looks.values())},
    )


def put_off(tx: Tx, notice_ids: Collection[UUID], wait: timedelta) -> None:
    """Let others go first: what is wrong with one matter takes no room from the next."""
    tx.conn.execute(
        text(
            "with mine as (select notice_id from notice where agency_id = :agency and notice_id = any(:ids)"
            "   and look_at <= now() order by notice_id for no key update skip locked)"
            " update notice n set look_at = now() + :wait from mine"
            " where n.agency_id = :agency and n.notice_id = mine.notice_id"
        ),
        {"agency": tx.agency_id, "ids": list(notice_ids), "wait": wait},
    )


def pull_nearer(tx: Tx, matter_id: UUID, by: timedelta) -> None:
    """A matter's clock was advanced: what waits for its time waits so much less. The chain is held."""
    values = {"agency": tx.agency_id, "matter": matter_id, "by": by}
    tx.conn.execute(
        text(
            "update attempt set due_at = due_at - :by"
            " where agency_id = :agency and matter_id = :matter and status = 'planned'"
        ),
        values,
    )
    tx.conn.execute(
        text(
            "update notice set look_at = look_at - :by"
            " where agency_id = :agency and matter_id = :matter and look_at is not null"
        ),
        values,
    )
