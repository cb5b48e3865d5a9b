"""When the time for asking a carrier has run out: one more message, or a caseworker."""

from datetime import timedelta

from sqlalchemy import text

from notifier.core.model import Actor, ContactFlag
from notifier.usecases.contact_flags import flag_contact
from notifier.usecases.stops import place_stop
from notifier.usecases.timeline import read_timeline
from tests.usecases.asking import RESEND, SMS, ask, later, lost, without_resend
from tests.usecases.desk import Desk, now


def test_then_it_is_ordered_once_more_as_a_possible_duplicate(desk: Desk) -> None:
    matter_id = lost(desk, 73)
    (first,) = desk.rows("select * from attempt where matter_id = :m", m=matter_id)
    later(desk, matter_id, RESEND)
    ask(desk)
    old, new = desk.rows("select * from attempt where matter_id = :m order by linked_from nulls first", m=matter_id)
    assert (old.attempt_id, old.status, old.check_at) == (first.attempt_id, "unknown", None)
    assert (new.linked_from, new.status, new.tries) == (old.attempt_id, "planned", 0)
    assert (new.notice_id, new.contact_id, new.plan_row) == (old.notice_id, old.contact_id, old.plan_row)
    (event,) = desk.said(matter_id, "attempt.ordered")
    assert event["data"]["linked_from"] == str(old.attempt_id)
    assert event["data"]["duplicate_possible"] is True
    assert desk.tick() == ["sms"]


def test_it_is_not_ordered_a_third_time_and_a_caseworker_looks(desk: Desk) -> None:
    matter_id = lost(desk, 73)
    later(desk, matter_id, RESEND)
    ask(desk)
    desk.send(SMS)
    assert desk.statuses(matter_id) == {"unknown": 2}
    for _ in range(3):
        later(desk, matter_id, RESEND)
        ask(desk)
    assert desk.statuses(matter_id) == {"unknown": 2}
    second = desk.one("select attempt_id from attempt where matter_id = :m and linked_from is not null", m=matter_id)
    (task,) = desk.rows("select * from task where matter_id = :m", m=matter_id)
    assert (task.kind, task.subject_id) == ("unknown_outcome", second)
    assert desk.tick() == []


def test_where_no_pack_wants_that_a_caseworker_looks(desk: Desk) -> None:
    matter_id = lost(desk, 73)
    later(desk, matter_id, RESEND)
    ask(desk, packs=without_resend(desk))
    assert desk.statuses(matter_id) == {"unknown": 1}
    assert desk.one("select count(*) from task where kind = 'unknown_outcome' and done_at is null") == 1
    assert desk.events(matter_id)["task.opened"] == 1


def test_a_contact_that_gets_nothing_any_more_gets_no_second_message(desk: Desk) -> None:
    matter_id = lost(desk, 73)
    attempt = desk.only_attempt(matter_id)
    with desk.tx() as tx:
        flag_contact(tx, attempt.contact_id, ContactFlag.OPTED_OUT, source=None, actor=Actor.system("test"), now=now())
    later(desk, matter_id, RESEND)
    ask(desk)
    assert desk.statuses(matter_id) == {"unknown": 1}
    assert desk.one("select count(*) from task where kind = 'unknown_outcome'") == 1


def test_a_stopped_matter_sends_no_second_message_while_it_is_stopped(desk: Desk) -> None:
    matter_id = lost(desk, 73)
    with desk.tx() as tx:
        place_stop(tx, matter_id=matter_id, reason="safety", principal=desk.office.uploader, now=now())
    later(desk, matter_id, RESEND)
    ask(desk)
    assert desk.statuses(matter_id) == {"unknown": 1, "planned": 1}
    assert desk.send(SMS) == 0


def test_a_receipt_settles_it_however_late(desk: Desk) -> None:
    matter_id = lost(desk, 79)
    with desk.tx() as tx:
        tx.conn.execute(text("update attempt set check_at = null where matter_id = :m"), {"m": matter_id})
    later(desk, matter_id, timedelta(days=30))
    assert ask(desk) == 0
    desk.receive()
    desk.apply()
    assert desk.statuses(matter_id) == {"delivered": 1}


def test_the_persons_history_shows_the_second_message_as_a_possible_duplicate(desk: Desk) -> None:
    matter_id = lost(desk, 73)
    later(desk, matter_id, RESEND)
    ask(desk)
    with desk.tx() as tx:
        person_id = desk.one("select person_id from person where matter_id = :m", m=matter_id)
        told = read_timeline(tx, person_id, channels=dict.fromkeys(desk.attempt_ids(matter_id), "sms"))
    (entry,) = [entry for entry in told if entry.what == "attempt.ordered"]
    assert entry.duplicate_possible
    assert "may come twice" in entry.meaning
    assert not any(one.duplicate_possible for one in told if one is not entry)
