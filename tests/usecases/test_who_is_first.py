"""A worker takes an attempt at the very moment at which something else happens to it."""

import time
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from uuid import UUID

from sqlalchemy import text

from notifier.carriers.base import Finding, Found, Sought
from notifier.core.model import Actor, ActorKind, Channel
from notifier.core.status import AttemptEvent, AttemptStatus, Reason
from notifier.store.attempts import claim
from notifier.usecases.progress import Change, record
from tests.usecases.around import said, tell
from tests.usecases.asking import RESEND, SWEEP, Knowing, ask, later, lost, with_carrier
from tests.usecases.desk import Desk, now, person, phone

LEASE = timedelta(seconds=90)
PLANNED = frozenset({AttemptStatus.PLANNED})
WAITING = text("select count(*) from pg_stat_activity where wait_event_type = 'Lock' and datname = current_database()")


def until_somebody_waits(desk: Desk) -> None:
    """Until a transaction waits for another one's lock."""
    end = time.monotonic() + 10
    while time.monotonic() < end:
        with desk.service.db.engine.connect() as conn:
            if conn.execute(WAITING).scalar_one():
                return
        time.sleep(0.01)
    raise AssertionError


def test_what_a_worker_has_just_taken_is_not_given_up_as_if_nobody_had_it(desk: Desk) -> None:
    matter_id = desk.approved(person(phone=phone(0)))
    (attempt_id,) = desk.attempt_ids(matter_id)
    flags = Actor.system("contact_flags")
    change = Change(attempt_id, AttemptEvent.REFUSED, flags, reason=Reason.OPTED_OUT, only_from=PLANNED)

    def give_up() -> None:
        with desk.tx() as tx:
            record(tx, matter_id, [change], now=now())

    with ThreadPoolExecutor(1) as threads:
        with desk.tx() as tx:
            assert len(claim(tx, Channel.SMS, chunk=1, lease=LEASE)) == 1
            late = threads.submit(give_up)
            until_somebody_waits(desk)
        late.result()
    assert desk.statuses(matter_id) == {"sending": 1}


def test_what_was_said_of_an_attempt_a_moment_ago_is_known_to_whoever_takes_work(desk: Desk) -> None:
    matter_id = desk.approved(person(phone=phone(0)))
    (attempt_id,) = desk.attempt_ids(matter_id)
    with desk.tx() as tx:
        change = Change(attempt_id, AttemptEvent.HANDED_OVER, Actor(ActorKind.CARRIER, "twilio_sms"))
        record(tx, matter_id, [change], now=now())
        assert desk.send(Channel.SMS) == 0
    assert desk.send(Channel.SMS) == 0
    assert desk.statuses(matter_id) == {"handed_over": 1}


def test_an_answer_that_comes_late_takes_no_attempt_from_a_worker_that_has_it_again(desk: Desk) -> None:
    """Somebody else was told already that it was never sent, and it is being sent now."""
    matter_id = lost(desk, 73)
    (attempt_id,) = desk.attempt_ids(matter_id)
    later(desk, matter_id, SWEEP)

    def answer(one: Sought) -> Found:
        with desk.tx() as tx:
            record(tx, matter_id, [Change(attempt_id, AttemptEvent.NOT_SENT, Actor.system("reconcile"))], now=now())
        with desk.tx() as tx:
            assert len(claim(tx, Channel.SMS, chunk=1, lease=LEASE)) == 1
        return Found(one.message.attempt_id, Finding.NEVER)

    assert ask(desk, change=with_carrier(Knowing(answer))) == 1
    assert desk.statuses(matter_id) == {"sending": 1}
    assert desk.send(Channel.SMS) == 0


def test_what_a_receipt_has_told_is_not_told_again_by_whoever_asked(desk: Desk) -> None:
    matter_id = lost(desk, 73)
    (attempt_id,) = desk.attempt_ids(matter_id)
    later(desk, matter_id, RESEND)

    def answer(one: Sought) -> Found:
        tell(desk, said(desk, attempt_id, AttemptEvent.ARRIVED))
        desk.apply()
        return Found(one.message.attempt_id, Finding.THERE, "SM" + "0" * 32, AttemptEvent.HANDED_OVER)

    ask(desk, change=with_carrier(Knowing(answer)))
    assert desk.statuses(matter_id) == {"delivered": 1}
    events = desk.events(matter_id)
    assert (events["attempt.arrived"], events["attempt.handed_over"], events["receipt.ignored"]) == (1, 0, 0)


def test_what_a_receipt_has_told_is_not_sent_anew_by_whoever_asked_for_the_last_time(desk: Desk) -> None:
    matter_id = lost(desk, 73)
    (attempt_id,) = desk.attempt_ids(matter_id)
    later(desk, matter_id, RESEND)

    def answer(one: Sought) -> Found:
        tell(desk, said(desk, attempt_id, AttemptEvent.ARRIVED))
        desk.apply()
        return Found(one.message.attempt_id, Finding.ABSENT)

    assert ask(desk, change=with_carrier(Knowing(answer))) == 1
    assert desk.statuses(matter_id) == {"delivered": 1}
    assert desk.one("select count(*) from task") == 0


def test_what_somebody_else_is_asking_about_is_left_to_them(desk: Desk) -> None:
    theirs, ours = lost(desk, 73), lost(desk, 73)  # the same number
    for matter_id in (theirs, ours):
        later(desk, matter_id, RESEND)
    desk.rows("update attempt set check_at = now() + interval '2 minutes' where matter_id = :m returning 1", m=theirs)
    sought: list[UUID] = []

    def answer(one: Sought) -> Found:
        sought.append(one.message.attempt_id)
        return Found(one.message.attempt_id, Finding.ABSENT)

    assert ask(desk, change=with_carrier(Knowing(answer))) == 1
    assert len(sought) == 2
    assert (desk.statuses(theirs), desk.statuses(ours)) == ({"unknown": 1}, {"unknown": 1, "planned": 1})
    assert desk.only_attempt(theirs).check_at is not None
