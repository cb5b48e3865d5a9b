"""A machine's clock shows another time than the database's, and two clock processes run at once."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest

from notifier.carriers.timetable import Retry
from notifier.core.model import Channel
from notifier.store.attempts import claim
from notifier.usecases.clock import catch_up
from notifier.usecases.dispatch import dispatch
from tests.usecases.asking import RESEND, SWEEP, ask, later
from tests.usecases.desk import Desk, now, person, phone

WRONG = pytest.mark.parametrize("ahead", [timedelta(days=-2), timedelta(days=2)], ids=["behind", "ahead"])


@WRONG
def test_a_machine_with_a_wrong_clock_moves_nobodys_time_to_be_asked_about(desk: Desk, ahead: timedelta) -> None:
    matter_id = desk.approved(person(phone=phone(0)))
    with desk.tx() as tx:
        claim(tx, Channel.SMS, chunk=1, lease=timedelta(seconds=-1))
    service = desk.service
    catch_up(
        service.db,
        desk.office.agency_id,
        vault=service.vault,
        timetables=service.timetables,
        now=now() + ahead,
        tick=1,
    )
    assert desk.statuses(matter_id) == {"unknown": 1}
    later(desk, matter_id, SWEEP)
    assert ask(desk) == 1
    (when,) = desk.rows("select check_at - now() as left from attempt")
    assert timedelta(0) < when.left <= SWEEP  # asked again after twice the time, and not yet given up
    later(desk, matter_id, RESEND - SWEEP)
    assert ask(desk) == 1
    assert desk.statuses(matter_id) == {"unknown": 1, "planned": 1}  # ordered once more


@WRONG
def test_a_worker_with_a_wrong_clock_sends_what_is_due_and_counts_waits_by_the_databases(
    desk: Desk, ahead: timedelta
) -> None:
    desk.approved(person(phone=phone(0)), person(phone=phone(74)), person(phone=phone(79)))
    retry = Retry(tries=3, first_delay_seconds=60, factor=1, cap_seconds=60)

    async def work() -> int:
        sender = desk.sender(Channel.SMS, retry=retry)
        try:
            return await dispatch(desk.office.agency_id, sender=sender, now=now() + ahead)
        finally:
            await sender.carrier.close()

    assert asyncio.run(work()) == 3
    rows = desk.rows("select status, due_at - now() as due, check_at - now() as asked from attempt")
    by_status = {row.status: row for row in rows}
    assert by_status.keys() == {"handed_over", "planned", "unknown"}
    assert timedelta(seconds=-5) < by_status["planned"].due <= timedelta(seconds=60)
    assert SWEEP - timedelta(seconds=10) < by_status["unknown"].asked <= SWEEP
    assert desk.send(Channel.SMS) == 0 or by_status["planned"].due < timedelta(seconds=5)


def test_two_clocks_at_once_record_and_order_everything_once(desk: Desk) -> None:
    matters = [desk.approved(*(person(phone=phone(0), post=True) for _ in range(3))) for _ in range(3)]
    with desk.tx() as tx:
        assert len(claim(tx, Channel.SMS, chunk=9, lease=timedelta(seconds=-1))) == 9
    clocks: list[Callable[[], object]] = [desk.tick, desk.look] * 4
    with ThreadPoolExecutor(len(clocks)) as threads:
        for done in [threads.submit(clock) for clock in clocks]:
            done.result()
    desk.tick()
    for matter_id in matters:
        assert desk.statuses(matter_id)["unknown"] == 3
        assert desk.events(matter_id)["attempt.lost_track"] == 3
        ordered = desk.rows("select notice_id, plan_row from attempt where matter_id = :m", m=matter_id)
        assert len({tuple(row) for row in ordered}) == len(ordered)
