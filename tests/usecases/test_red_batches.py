"""A batch that nobody mails turns red, once, and is red no more when an officer has spoken."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from sqlalchemy import text

from notifier.usecases.backlog import read_backlog
from notifier.usecases.batches import list_batches
from notifier.usecases.red_batches import raise_alarms
from tests.usecases.desk import Desk, now, person
from tests.usecases.post_office import declare, void

FRIDAY = datetime(2026, 11, 20, 17, 0, tzinfo=UTC)
MONDAY_NIGHT = datetime(2026, 11, 24, 6, 59, tzinfo=UTC)  # Denver is seven hours behind
TUESDAY = datetime(2026, 11, 24, 7, 0, tzinfo=UTC)


@pytest.fixture
def batch_id(desk: Desk) -> UUID:
    desk.approved(person(post=True))
    made = desk.print()
    assert made is not None
    with desk.tx() as tx:
        tx.conn.execute(text("update print_batch set closed_at = :at"), {"at": FRIDAY})
    return made


def alarms(desk: Desk, at: datetime) -> list[UUID]:
    with desk.tx() as tx:
        return raise_alarms(tx, now=at)


def is_red(desk: Desk, at: datetime) -> bool:
    with desk.tx() as tx:
        (one,) = list_batches(tx, principal=desk.office.approver, now=at)
    return one.red


def test_a_batch_is_red_when_the_next_business_day_has_ended(desk: Desk, batch_id: UUID) -> None:
    assert not is_red(desk, MONDAY_NIGHT)
    assert alarms(desk, MONDAY_NIGHT) == []
    assert is_red(desk, TUESDAY)
    assert alarms(desk, TUESDAY) == [batch_id]


def test_the_alarm_is_raised_once_with_one_task(desk: Desk, batch_id: UUID) -> None:
    for hours in range(5):
        alarms(desk, TUESDAY + timedelta(hours=hours))
    (said,) = desk.said(desk.office.agency_id, "alarm.raised")
    assert (said["data"]["alarm"], said["data"]["batch"]) == ("batch_not_mailed", str(batch_id))
    (task,) = desk.rows("select * from task")
    assert (task.kind, task.subject_id, task.matter_id) == ("batch_not_mailed", batch_id, None)


@pytest.mark.parametrize("act", [declare, void])
def test_an_officers_word_ends_the_alarm_and_its_task(desk: Desk, batch_id: UUID, act: object) -> None:
    alarms(desk, TUESDAY)
    with desk.tx() as tx:  # so that it can have been mailed today, whenever the test runs
        tx.conn.execute(text("update print_batch set closed_at = :at"), {"at": now() - timedelta(days=30)})
    act(desk, batch_id)  # type: ignore[operator]
    assert not is_red(desk, now())
    assert desk.events(desk.office.agency_id)["alarm.cleared"] == 1
    (task,) = desk.rows("select * from task")
    assert (task.resolution, task.done_by) == ("done", desk.office.approver.officer_id)
    assert alarms(desk, now() + timedelta(days=10)) == []


def test_the_clock_raises_it(desk: Desk, batch_id: UUID) -> None:
    with desk.tx() as tx:
        tx.conn.execute(text("update print_batch set closed_at = :at"), {"at": now() - timedelta(days=30)})
    desk.tick()
    assert desk.one("select alarmed_at is not null from print_batch where batch_id = :id", id=batch_id)


def test_red_batches_are_counted_for_the_metrics(desk: Desk, batch_id: UUID) -> None:
    before = read_backlog(desk.service.db, now=MONDAY_NIGHT)
    after = read_backlog(desk.service.db, now=TUESDAY)
    assert after.batches_red > before.batches_red
    declared = after.batches_not_mailed
    void(desk, batch_id)
    assert read_backlog(desk.service.db, now=TUESDAY).batches_not_mailed == declared - 1
