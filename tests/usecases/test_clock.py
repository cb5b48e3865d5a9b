"""What time alone brings about: silence by the matter's own clock, lost workers, forgotten work."""

from datetime import timedelta
from uuid import UUID, uuid4

import pytest
from sqlalchemy import text

from notifier.core.errors import Forbidden, Invalid, NotFound
from notifier.core.model import Channel
from notifier.core.status import AttemptEvent
from notifier.store.ledger import lock_chains
from notifier.usecases.clock_offset import advance_clock
from tests.usecases.around import said, tell
from tests.usecases.desk import Desk, mailbox, now, person, phone

SMS, EMAIL = Channel.SMS, Channel.EMAIL


@pytest.mark.parametrize(
    ("told", "hours"),
    [({"phone": phone(71)}, 48), ({"phone": phone(70)}, 48), ({"email": mailbox("silent")}, 96)],
    ids=["sms", "sms that was sent", "email"],
)
def test_a_carrier_that_says_nothing_for_its_time_is_silent(desk: Desk, told: dict[str, str], hours: int) -> None:
    matter_id = desk.approved(person(**told))
    desk.follow()
    before = desk.statuses(matter_id)
    advance(desk, matter_id, timedelta(hours=hours) - timedelta(minutes=1))
    desk.tick()
    assert desk.statuses(matter_id) == before
    advance(desk, matter_id, timedelta(minutes=1))
    desk.tick()
    assert desk.statuses(matter_id) == {"silent": 1}
    desk.tick()
    assert desk.events(matter_id)["attempt.went_silent"] == 1


def test_a_matters_clock_is_its_own(desk: Desk) -> None:
    one, other = desk.approved(person(phone=phone(71))), desk.approved(person(phone=phone(71)))
    desk.send(SMS)
    advance(desk, one, timedelta(days=30))
    desk.tick()
    assert desk.statuses(one) == {"silent": 1}
    assert desk.statuses(other) == {"handed_over": 1}


def test_what_is_sent_after_the_clock_was_advanced_has_its_full_time(desk: Desk) -> None:
    matter_id = desk.matter(person(phone=phone(71)))
    advance(desk, matter_id, timedelta(days=30))
    desk.approve(matter_id)
    desk.send(SMS)
    desk.tick()
    assert desk.statuses(matter_id) == {"handed_over": 1}
    advance(desk, matter_id, timedelta(hours=48))
    desk.tick()
    assert desk.statuses(matter_id) == {"silent": 1}


def test_silence_is_broken_by_a_late_receipt(desk: Desk) -> None:
    matter_id = desk.approved(person(phone=phone(71)))
    desk.send(SMS)
    advance(desk, matter_id, timedelta(days=3))
    desk.tick()
    tell(desk, said(desk, desk.attempt_ids(matter_id)[0], AttemptEvent.ARRIVED))
    desk.apply()
    assert desk.statuses(matter_id) == {"delivered": 1}


def test_what_was_delivered_never_goes_silent(desk: Desk) -> None:
    matter_id = desk.approved(person(phone=phone(0)), person(phone=phone(50)), person(phone=phone(73)))
    desk.follow()
    advance(desk, matter_id, timedelta(days=3000))
    desk.tick()
    assert desk.statuses(matter_id) == {"delivered": 1, "failed": 1, "unknown": 1}


def test_a_matter_that_somebody_holds_keeps_no_other_waiting(desk: Desk) -> None:
    held, free = sorted(desk.approved(person(phone=phone(71))) for _ in range(2))
    desk.send(SMS)
    for matter_id in (held, free):
        advance(desk, matter_id, timedelta(days=3))
    with desk.tx() as tx:
        lock_chains(tx, [held])
        desk.tick()
    assert desk.statuses(held) == {"handed_over": 1}
    assert desk.statuses(free) == {"silent": 1}
    desk.tick()
    assert desk.statuses(held) == {"silent": 1}


def test_silence_and_idle_work_are_not_looked_for_in_every_tick(desk: Desk) -> None:
    matter_id = desk.approved(person(phone=phone(71)))
    desk.send(SMS)
    advance(desk, matter_id, timedelta(days=3))
    for number in range(1, 10):
        desk.tick(number)
    assert desk.statuses(matter_id) == {"handed_over": 1}
    desk.tick(10)
    assert desk.statuses(matter_id) == {"silent": 1}
    assert desk.one("select count(*) from open_work") == 1
    desk.tick(60)
    assert desk.one("select count(*) from open_work") == 0


def test_idle_work_is_forgotten_and_taken_up_again(desk: Desk) -> None:
    matter_id = desk.approved(person(phone=phone(0)))
    assert desk.tick() == ["sms"]
    desk.follow()
    assert desk.tick() == []
    assert desk.one("select count(*) from open_work") == 0
    desk.add(matter_id, [person(phone=phone(1))])
    desk.approve(matter_id)
    assert desk.tick() == ["sms"]


def test_work_that_is_not_due_yet_rings_no_bell_and_is_not_forgotten(desk: Desk) -> None:
    matter_id = desk.approved(person(phone=phone(0)))
    with desk.tx() as tx:
        tx.conn.execute(text("update attempt set due_at = now() + interval '1 hour'"))
    assert desk.tick() == []
    desk.make_due()
    assert desk.tick() == ["sms"]
    assert desk.statuses(matter_id) == {"planned": 1}


def test_ticking_twice_changes_nothing_more(desk: Desk) -> None:
    matter_id = desk.approved(*(person(phone=phone(71, area=area)) for area in (303, 720)))
    desk.send(SMS)
    advance(desk, matter_id, timedelta(days=3))
    for _ in range(3):
        desk.tick()
    assert desk.events(matter_id)["attempt.went_silent"] == 2
    assert desk.events(matter_id)["receipt.ignored"] == 0


@pytest.mark.parametrize("by", [timedelta(0), timedelta(seconds=-1), timedelta(days=-400)])
def test_a_clock_never_goes_back(desk: Desk, by: timedelta) -> None:
    with pytest.raises(Invalid, match="clock-goes-back"):
        advance(desk, desk.matter(), by)


def test_a_live_clock_cannot_be_moved(desk: Desk) -> None:
    matter_id = desk.matter()
    with desk.tx() as tx:
        tx.conn.execute(text("update matter set mode = 'live'"))
    with pytest.raises(Forbidden, match="live-clock"):
        advance(desk, matter_id, timedelta(days=1))


def test_an_unknown_matter_has_no_clock(desk: Desk) -> None:
    with pytest.raises(NotFound, match="unknown-matter"):
        advance(desk, uuid4(), timedelta(days=1))


def advance(desk: Desk, matter_id: UUID, by: timedelta) -> None:
    with desk.tx() as tx:
        advance_clock(tx, matter_id, by, now=now())
