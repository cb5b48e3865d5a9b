"""What becomes of messages whose carrier gave no clear answer, until everybody is settled or a human looks."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import text

from notifier.bootstrap import wire
from notifier.carriers.base import Finding, Found, Sought
from notifier.core.status import AttemptEvent
from notifier.store.attempts import claim
from notifier.store.ledger import lock_chains
from notifier.usecases.reconcile import next_check, reconcile
from tests.usecases.around import said, tell
from tests.usecases.asking import (
    EMAIL,
    RESEND,
    SMS,
    SWEEP,
    Knowing,
    ask,
    knowing,
    later,
    lost,
    with_carrier,
)
from tests.usecases.desk import Desk, mailbox, now, person, phone

# The carrier is asked.


@pytest.mark.parametrize("outcome", [72, 77, 79, 84], ids=["hangs", "503", "cut", "garbled"])
def test_what_the_carrier_has_is_found_and_never_sent_again(desk: Desk, outcome: int) -> None:
    matter_id = lost(desk, outcome)
    later(desk, matter_id, SWEEP)
    desk.sandbox.settle()
    assert ask(desk) == 1
    (line,) = desk.sandbox.record(kind="taken", attempt=str(desk.only_attempt(matter_id).attempt_id))
    attempt = desk.only_attempt(matter_id)
    assert (attempt.status, attempt.carrier_ref, attempt.check_at) == ("delivered", line["ref"], None)
    (event,) = desk.said(matter_id, "attempt.arrived")
    assert event["data"]["found_by"] == "carrier_asked"
    assert desk.send(SMS) == 0


def test_what_is_found_on_its_way_is_followed_by_its_receipts(desk: Desk) -> None:
    desk.sandbox.control(receipts="held")
    try:
        matter_id = lost(desk, 79)
        later(desk, matter_id, SWEEP)
        ask(desk)
        desk.sandbox.control(receipts="all")
    finally:
        desk.sandbox.control(receipts="all")
    assert desk.statuses(matter_id).keys() <= {"handed_over", "accepted", "delivered"}
    desk.receive()
    desk.apply()
    assert desk.statuses(matter_id) == {"delivered": 1}


def test_nobody_is_asked_before_the_time_for_it(desk: Desk) -> None:
    matter_id = lost(desk, 79)
    assert desk.tick() == []
    assert ask(desk) == 0
    later(desk, matter_id, SWEEP - timedelta(minutes=1))
    assert ask(desk) == 0
    later(desk, matter_id, timedelta(minutes=1))
    assert desk.tick() == ["sms"]
    assert ask(desk) == 1


def test_absence_proves_nothing_and_it_is_asked_about_again_after_doubling_waits(desk: Desk) -> None:
    matter_id = lost(desk, 73)
    for minutes in (30, 30, 60, 120):  # after half an hour, one, two, four
        later(desk, matter_id, timedelta(minutes=minutes) - timedelta(seconds=30))
        assert ask(desk) == 0
        later(desk, matter_id, timedelta(seconds=30))
        assert ask(desk) == 1
        assert desk.statuses(matter_id) == {"unknown": 1}
        assert desk.send(SMS) == 0
    later(desk, matter_id, timedelta(minutes=30))
    assert ask(desk) == 1
    assert desk.statuses(matter_id) == {"unknown": 1, "planned": 1}


def test_a_carrier_that_cannot_be_asked_leaves_everything_as_it_is(desk: Desk) -> None:
    matter_id = lost(desk, 79)
    later(desk, matter_id, SWEEP)
    assert ask(replace(desk, sandbox=replace(desk.sandbox, url="http://127.0.0.1:9"))) == 1
    assert desk.statuses(matter_id) == {"unknown": 1}
    later(desk, matter_id, SWEEP)
    desk.sandbox.settle()
    assert ask(desk) == 1
    assert desk.statuses(matter_id) == {"delivered": 1}


def test_what_a_killed_worker_left_behind_settles_by_itself(desk: Desk) -> None:
    """Some were sent, some were not: the first are found, the others are ordered anew."""
    matter_id = desk.approved(*(person(phone=phone(n)) for n in range(4)))
    with desk.tx() as tx:
        assert len(claim(tx, SMS, chunk=2, lease=timedelta(seconds=-1))) == 2
    desk.tick()
    desk.follow()
    assert desk.statuses(matter_id) == {"unknown": 2, "delivered": 2}
    for _ in range(5):
        later(desk, matter_id, RESEND)
        ask(desk)
        desk.follow()
    assert desk.statuses(matter_id) == {"unknown": 2, "delivered": 4}
    assert sorted(desk.taken(matter_id).values()) == [1] * 4


def test_two_people_who_share_a_phone_are_told_apart_by_the_code_in_the_text(desk: Desk) -> None:
    matter_id = lost(desk, 79, 79)
    desk.sandbox.settle()
    later(desk, matter_id, SWEEP)
    assert ask(desk) == 2
    assert desk.statuses(matter_id) == {"delivered": 2}
    refs = {line["attempt"]: line["ref"] for line in desk.sandbox.record(kind="taken", to=phone(79))}
    rows = desk.rows("select attempt_id, carrier_ref from attempt where matter_id = :m", m=matter_id)
    assert all(refs[str(row.attempt_id)] == row.carrier_ref for row in rows)


def test_texts_that_cannot_be_told_apart_are_sought_together(desk: Desk) -> None:
    """Also the one whose own time has not come: what is found may be either's."""
    matter_id = lost(desk, 73, 73)
    later(desk, matter_id, SWEEP)
    with desk.tx() as tx:
        put_off = text("update attempt set check_at = now() + interval '1 hour' where attempt_id = :id")
        tx.conn.execute(put_off, {"id": desk.attempt_ids(matter_id)[0]})
    carrier = knowing(Finding.UNSURE)
    assert ask(desk, change=with_carrier(carrier)) == 1
    assert {one.message.attempt_id for one in carrier.sought} == set(desk.attempt_ids(matter_id))


def test_a_message_that_another_attempt_is_known_by_is_not_taken_for_ours(desk: Desk) -> None:
    told = desk.approved(person(phone=phone(1)))
    desk.follow()
    assert desk.statuses(told) == {"delivered": 1}
    matter_id = desk.approved(person(phone=phone(1)))
    with desk.tx() as tx:
        claim(tx, SMS, chunk=1, lease=timedelta(seconds=-1))
        tx.conn.execute(
            text("update attempt set due_at = due_at - interval '1 hour' where matter_id = :m"), {"m": matter_id}
        )
    desk.tick()
    later(desk, matter_id, SWEEP)
    assert ask(desk) == 1
    assert desk.statuses(matter_id) == {"unknown": 1}


def test_only_what_is_proved_unsent_is_tried_again(desk: Desk) -> None:
    matter_id = lost(desk, 73)
    later(desk, matter_id, SWEEP)
    ask(desk, change=with_carrier(knowing(Finding.NEVER)))
    attempt = desk.only_attempt(matter_id)
    assert (attempt.status, attempt.check_at) == ("planned", None)
    (event,) = desk.said(matter_id, "attempt.not_sent")
    assert event["data"]["found_by"] == "carrier_asked"
    assert desk.dispatch(with_carrier(knowing(Finding.NEVER))) == 1
    assert desk.statuses(matter_id) == {"handed_over": 1}


def test_a_message_that_failed_meanwhile_has_failed(desk: Desk) -> None:
    matter_id = lost(desk, 79)
    later(desk, matter_id, SWEEP)
    ask(desk, change=with_carrier(knowing(Finding.THERE, carrier_ref="SM1", event=AttemptEvent.REFUSED)))
    assert desk.statuses(matter_id) == {"failed": 1}


def test_a_receipt_that_comes_while_the_carrier_is_asked_is_not_overruled(desk: Desk) -> None:
    matter_id = lost(desk, 73)
    (attempt_id,) = desk.attempt_ids(matter_id)
    later(desk, matter_id, RESEND)

    def answer(one: Sought) -> Found:
        tell(desk, said(desk, attempt_id, AttemptEvent.ARRIVED))
        desk.apply()
        return Found(one.message.attempt_id, Finding.NEVER)

    ask(desk, change=with_carrier(Knowing(answer)))
    assert desk.statuses(matter_id) == {"delivered": 1}
    assert desk.events(matter_id)["attempt.not_sent"] == 0


def test_two_workers_never_ask_about_the_same(desk: Desk) -> None:
    matter_id = lost(desk, 73)
    later(desk, matter_id, SWEEP)
    second: list[int] = []

    def answer(one: Sought) -> Found:
        second.append(ask(desk))
        return Found(one.message.attempt_id, Finding.ABSENT)

    async def work() -> int:
        sender = desk.sender(SMS)
        try:
            carrier = Slow(Knowing(answer))
            changed = replace(sender, carrier=carrier)
            return await reconcile(desk.office.agency_id, sender=changed, packs=desk.service.packs, now=now())
        finally:
            await sender.carrier.close()

    assert asyncio.run(work()) == 1
    assert second == [0]


class Slow(Knowing):
    """Asks in a thread, because it asks us in turn."""

    def __init__(self, carrier: Knowing) -> None:
        super().__init__(carrier._answer)  # noqa: SLF001 # of its own kind

    async def find(self, sought: Sequence[Sought]) -> list[Found]:
        return [await asyncio.to_thread(self._answer, one) for one in sought]


def test_what_is_asked_for_is_the_text_that_may_have_been_sent(desk: Desk) -> None:
    matter_id = lost(desk, 73)
    later(desk, matter_id, SWEEP)
    carrier = knowing(Finding.ABSENT)
    ask(desk, change=with_carrier(carrier))
    (one,) = carrier.sought
    (event,) = desk.said(matter_id, "attempt.lost_track")
    assert one.message.to == phone(73)
    assert one.message.text.startswith("Example Agency")
    assert one.since <= datetime.fromisoformat(event["at"])


@pytest.mark.parametrize("told", [{"email": mailbox("timeout")}, {"email": mailbox("reset-but-sent")}])
def test_an_email_whose_carrier_cannot_be_asked_waits_for_its_events(desk: Desk, told: Mapping[str, str]) -> None:
    matter_id = desk.approved(person(**told))
    desk.send(EMAIL)
    for _ in range(5):
        later(desk, matter_id, timedelta(hours=1))
        ask(desk, EMAIL)
        assert desk.statuses(matter_id) == {"unknown": 1}
    later(desk, matter_id, timedelta(hours=20))
    ask(desk, EMAIL)
    assert desk.statuses(matter_id) == {"unknown": 1, "planned": 1}
    desk.follow()
    assert desk.statuses(matter_id)["delivered"] == (2 if "sent" in told["email"] else 0)


def test_a_matter_that_somebody_holds_keeps_no_other_from_being_settled(desk: Desk) -> None:
    """What is wrong with one costs no other; it is taken up again after a while."""
    broken, whole = sorted((lost(desk, 73), lost(desk, 73)))
    for matter_id in (broken, whole):
        later(desk, matter_id, SWEEP)

    def answer(one: Sought) -> Found:
        with desk.tx() as tx:
            owner = tx.conn.execute(
                text("select matter_id from attempt where attempt_id = :id"), {"id": one.message.attempt_id}
            ).scalar_one()
            lock_chains(tx, [owner])
        event = AttemptEvent.CLAIMED if owner == broken else AttemptEvent.HANDED_OVER  # no word of a carrier's
        return Found(one.message.attempt_id, Finding.THERE, "SM1", event)

    ask(desk, change=with_carrier(Knowing(answer)))
    assert desk.statuses(broken) == {"unknown": 1}
    assert desk.statuses(whole) == {"handed_over": 1}


def test_the_clock_that_is_advanced_lets_a_back_off_fall_due(desk: Desk) -> None:
    matter_id = desk.approved(person(phone=phone(75)))
    with desk.tx() as tx:
        tx.conn.execute(text("update attempt set due_at = now() + interval '3 hours'"))
    assert desk.tick() == []
    later(desk, matter_id, timedelta(hours=2))
    assert desk.tick() == []
    later(desk, matter_id, timedelta(hours=1))
    assert desk.tick() == ["sms"]
    assert desk.send(SMS) == 1


def test_the_waits_double_and_end_at_the_last_moment() -> None:
    twilio, began = wire("twilio_sms"), datetime(2026, 11, 22, tzinfo=UTC)
    at, asked = began + SWEEP, []
    while (following := next_check(began, at, twilio)) is not None:
        asked.append((following - began) / timedelta(minutes=1))
        at = following
    assert asked == [60, 120, 240, 270]
    assert next_check(began, began + timedelta(days=3), twilio) is None  # nobody looked for days
