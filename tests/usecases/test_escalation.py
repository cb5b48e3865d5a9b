"""What is sent next: a second message, a certified letter, then a caseworker; never to somebody who has answered."""

import threading
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any
from uuid import UUID, uuid4
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import text

from notifier.core.events import EventType
from notifier.core.ledger import Json
from notifier.core.model import Actor, ActorKind, Channel, ContactFlag, Mode, TaskKind
from notifier.core.status import AttemptEvent
from notifier.store.attempts import Claimed, claim
from notifier.store.engine import Tx
from notifier.store.ledger import append, draft, lock_chains
from notifier.store.looks import look_again, notices_to_look
from notifier.usecases import reading, reading_people
from notifier.usecases.compose import open_parcels
from notifier.usecases.contact_flags import flag_contact
from notifier.usecases.escalation import look_at
from notifier.usecases.night import wait_for_day
from notifier.usecases.progress import legal_now
from notifier.usecases.stops import place_stop
from notifier.usecases.tasks import list_tasks
from tests.installation import open_office
from tests.usecases.around import Died, said, tell
from tests.usecases.desk import Desk, mailbox, now, person, phone

SMS, EMAIL, LETTER = Channel.SMS, Channel.EMAIL, Channel.LETTER
DENVER = ZoneInfo("America/Denver")


def test_on_day_three_an_email_and_a_text_message_follow_and_on_day_five_a_certified_letter(desk: Desk) -> None:
    matter_id = desk.approved(person(phone=phone(0), email=mailbox(), post=True))
    desk.follow()
    desk.print()
    assert ordered(desk, matter_id) == Counter()
    desk.advance(matter_id, days=2, hours=23)
    assert ordered(desk, matter_id) == Counter()
    desk.advance(matter_id, hours=2)
    assert ordered(desk, matter_id) == {"email-second": 1, "sms-second": 1}
    desk.advance(matter_id, days=2)
    assert ordered(desk, matter_id) == {"email-second": 1, "sms-second": 1, "letter-certified": 1}
    services = desk.rows("select plan_row, service from attempt where matter_id = :m and service <> ''", m=matter_id)
    assert [tuple(row) for row in services] == [("co-agency-default/letter-certified", "certified")]
    desk.advance(matter_id, days=400)
    assert sum(ordered(desk, matter_id).values()) == 3
    desk.follow()
    assert sorted(desk.taken(matter_id).values()) == [1, 1, 1, 1]


def test_the_ledger_says_of_what_was_ordered_which_row_wanted_it_and_when_it_was_due(desk: Desk) -> None:
    matter_id = desk.approved(person(post=True))
    desk.print()
    desk.advance(matter_id, days=5)
    (event,) = desk.said(matter_id, "attempt.ordered")
    assert event["actor"] == {"kind": "system", "id": "plan"}
    assert event["data"]["plan_row"] == "co-agency-default/letter-certified"
    assert event["data"]["service"] == "certified"
    due = datetime.fromisoformat(event["data"]["due"])
    assert abs(due - now() - timedelta(days=5)) < timedelta(minutes=5)


def test_the_certified_letter_waits_for_the_plain_one_to_leave_the_house(desk: Desk) -> None:
    matter_id = desk.approved(person(post=True))
    desk.advance(matter_id, days=6)
    assert ordered(desk, matter_id) == Counter()
    desk.print()
    desk.advance(matter_id, days=2)
    assert ordered(desk, matter_id) == {"letter-certified": 1}


ANSWERS: Mapping[EventType, Mapping[str, Json]] = {
    EventType.NOTICE_VIEWED: {},
    EventType.NOTICE_ACKNOWLEDGED: {},
    EventType.OBJECTION_RECEIVED: {"response": str(uuid4())},
}


@pytest.mark.parametrize("answer", ANSWERS)
def test_whoever_has_answered_gets_nothing_more(desk: Desk, answer: EventType) -> None:
    matter_id = desk.approved(*(person(name, phone=phone(0, area=area)) for name, area in (("A", 303), ("B", 720))))
    desk.follow()
    answered = happens(desk, matter_id, answer, **ANSWERS[answer])
    desk.advance(matter_id, days=10)
    (second,) = desk.rows("select person_id from attempt where matter_id = :m and plan_row like '%second'", m=matter_id)
    assert second.person_id != answered
    looks = desk.rows("select look_at from notice where person_id = :p", p=answered)
    assert [row.look_at for row in looks] == [None]


def test_what_was_ordered_before_the_answer_and_has_not_left_is_taken_back(desk: Desk) -> None:
    matter_id = desk.approved(person(phone=phone(0)))
    desk.follow()
    desk.advance(matter_id, days=3)
    happens(desk, matter_id, EventType.NOTICE_VIEWED)
    desk.look()
    assert desk.statuses(matter_id) == {"delivered": 1, "cancelled": 1}
    desk.advance(matter_id, days=30)
    assert ordered(desk, matter_id) == {"sms-second": 1}
    assert desk.send(SMS) == 0


def test_an_answer_takes_back_no_first_message(desk: Desk) -> None:
    matter_id = desk.approved(person(phone=phone(0), post=True))
    happens(desk, matter_id, EventType.OBJECTION_RECEIVED, response=str(uuid4()))
    desk.look()
    assert desk.statuses(matter_id) == {"planned": 2}


def test_a_wrong_person_report_stops_that_phone_only(desk: Desk) -> None:
    matter_id = desk.approved(person(phone=[phone(0), phone(1)], email=mailbox()))
    desk.follow()
    wrong, right = (row.contact_id for row in desk.rows("select contact_id from contact_point where kind = 'phone'"))
    with desk.tx() as tx:
        actor = Actor.system("test")
        flag_contact(tx, wrong, ContactFlag.WRONG_PERSON, source=None, actor=actor, now=now())
    desk.advance(matter_id, days=4)
    found = desk.rows("select contact_id, channel from attempt where plan_row like '%second'")
    assert {(row.channel, row.contact_id == right) for row in found} == {("sms", True), ("email", False)}
    assert len(found) == 2


def test_a_phone_that_was_off_is_tried_once_more_and_then_a_caseworker_is_told_once(desk: Desk) -> None:
    matter_id = desk.approved(person(phone=phone(0)))
    fail(desk, matter_id)
    assert desk.look() == 1
    assert desk.statuses(matter_id) == {"failed": 1}
    assert tasks(desk) == []
    desk.advance(matter_id, days=3)
    assert desk.statuses(matter_id) == {"failed": 1, "planned": 1}
    fail(desk, matter_id)
    desk.look()
    assert tasks(desk) == [TaskKind.NOT_REACHED]
    desk.advance(matter_id, days=60)
    desk.tick()
    assert tasks(desk) == [TaskKind.NOT_REACHED]
    assert desk.events(matter_id)["task.opened"] == 1


def test_a_letter_that_could_not_be_written_holds_nothing_up_however_often_the_clock_is_moved(desk: Desk) -> None:
    matter_id = desk.approved(person(name="王小明", post=True))
    desk.print()
    assert desk.statuses(matter_id) == {"failed": 1}
    for _ in range(3):
        desk.advance(matter_id, days=2)
    assert ordered(desk, matter_id) == {"letter-certified": 1}


@pytest.mark.parametrize("channel", [None, SMS])
def test_while_a_matter_is_stopped_nobody_is_asked_to_tell_them_in_another_way(
    desk: Desk, channel: Channel | None
) -> None:
    matter_id = desk.approved(person(phone=phone(52)))
    with desk.tx() as tx:
        place_stop(tx, matter_id=matter_id, channel=channel, reason="other", principal=desk.office.approver, now=now())
    fail_planned(desk, matter_id)
    desk.look()
    assert tasks(desk) == ([] if channel is None else [TaskKind.NOT_REACHED])
    with desk.tx() as tx:
        tx.conn.execute(text("update stop set lifted_at = now()"))
    desk.advance(matter_id, hours=2)
    assert tasks(desk) == [TaskKind.NOT_REACHED]


def test_a_dead_phone_is_not_tried_again_and_a_caseworker_is_told_at_once(desk: Desk) -> None:
    matter_id = desk.approved(person(phone=phone(52)), person(phone=phone(53, area=720), email=mailbox()))
    desk.follow()
    dead = desk.one("select count(*) from contact_flag")
    desk.look()
    assert (dead, tasks(desk)) == (2, [TaskKind.NOT_REACHED])
    desk.advance(matter_id, days=10)
    assert ordered(desk, matter_id) == {"email-second": 1}


def test_two_clocks_do_not_order_twice(desk: Desk) -> None:
    matter_id = desk.approved(*(person(phone=phone(0, area=200 + number)) for number in range(20, 40)))
    desk.follow()
    with desk.tx() as tx:
        tx.conn.execute(text("update matter set clock_offset = interval '4 days'"))
        tx.conn.execute(text("update notice set look_at = now() - interval '1 day'"))
    clocks = [threading.Thread(target=desk.look) for _ in range(4)]
    for clock in clocks:
        clock.start()
    for clock in clocks:
        clock.join()
    assert ordered(desk, matter_id) == {"sms-second": 20}
    assert desk.events(matter_id)["attempt.ordered"] == 20


def test_a_clock_that_dies_while_it_looks_has_ordered_nothing(desk: Desk) -> None:
    matter_id = desk.approved(person(phone=phone(0)))
    desk.follow()
    with desk.tx() as tx:
        tx.conn.execute(text("update matter set clock_offset = interval '4 days'"))
        tx.conn.execute(text("update notice set look_at = now() - interval '1 day'"))
    with pytest.raises(Died):
        look_and_die(desk, matter_id)
    assert ordered(desk, matter_id) == Counter()
    assert desk.look() == 1
    assert desk.look() == 0
    assert ordered(desk, matter_id) == {"sms-second": 1}


def test_a_matter_that_somebody_holds_is_looked_at_later_and_keeps_no_other_waiting(desk: Desk) -> None:
    held, free = (desk.approved(person(phone=phone(0))) for _ in range(2))
    desk.follow()
    with desk.tx() as tx:
        tx.conn.execute(text("update matter set clock_offset = interval '4 days'"))
        tx.conn.execute(text("update notice set look_at = now() - interval '1 day'"))
    with desk.tx() as tx:
        lock_chains(tx, [held])
        assert desk.look() == 2
    assert (ordered(desk, held), ordered(desk, free)) == (Counter(), {"sms-second": 1})
    assert desk.look() == 0
    with desk.tx() as tx:
        tx.conn.execute(text("update notice set look_at = now() where look_at < now() + interval '2 minutes'"))
    desk.look()
    assert ordered(desk, held) == {"sms-second": 1}


def test_somebody_for_whom_nothing_is_left_is_not_looked_at_again(desk: Desk) -> None:
    matter_id = desk.approved(person())
    assert desk.look() == 1
    assert [row.look_at for row in desk.rows("select look_at from notice")] == [None]
    desk.advance(matter_id, days=30)
    assert desk.statuses(matter_id) == Counter()


def test_a_channel_without_a_carrier_is_a_task_for_the_matter_and_not_forgotten(desk: Desk) -> None:
    in_use = desk.service.carrier_of
    desk.service = replace(desk.service, carrier_of={LETTER: in_use[LETTER]})
    people = [person(phone=phone(0), post=True), person(phone=phone(1), post=True), person(post=True)]
    matter_id = desk.approved(*people)
    assert desk.statuses(matter_id) == {"planned": 3}
    assert tasks(desk) == [TaskKind.REVIEW]
    desk.print()
    desk.advance(matter_id, days=6)
    assert ordered(desk, matter_id) == {"letter-certified": 3}
    assert tasks(desk) == [TaskKind.REVIEW]


def test_the_next_date_of_a_person_and_of_a_matter_says_when_more_may_be_sent(desk: Desk) -> None:
    matter_id = desk.approved(person(phone=phone(0)))
    desk.follow()
    service, approver = desk.service, desk.office.approver
    with desk.tx() as tx:
        (line,) = reading_people.list_people(
            tx, matter_id, after=-1, limit=9, principal=approver, silence=service.silence, vault=service.vault
        )
        matter = reading.read_matter(tx, matter_id, principal=approver, silence=service.silence, vault=service.vault)
    assert line.next_at is not None
    assert abs(line.next_at - now() - timedelta(days=3)) < timedelta(minutes=5)
    assert matter.next_at == line.next_at


def test_at_night_a_text_message_waits_for_the_morning_and_an_email_does_not(desk: Desk) -> None:
    keep_hours(desk)
    matter_id = desk.matter(person(phone=phone(0), email=mailbox(), post=True))
    walk_to(desk, matter_id, hour=22)
    desk.approve(matter_id)
    due = {row.channel: at for row, at in due_times(desk, matter_id)}
    assert abs(due["email"] - now_of(desk, matter_id)) < timedelta(minutes=5)
    assert abs(due["letter"] - now_of(desk, matter_id)) < timedelta(minutes=5)
    assert (due["sms"].hour, due["sms"].minute <= 30) == (8, True)
    assert due["sms"].date() == now_of(desk, matter_id).date() + timedelta(days=1)


def test_a_number_that_says_nothing_is_asked_for_its_state(desk: Desk) -> None:
    keep_hours(desk)
    home = {"lines": ["1 Example Road"], "city": "Honolulu", "region": "HI", "postal_code": "96813", "country": "US"}
    matter_id = desk.matter(person(phone="+1 800 555 0142", post=home))
    walk_to(desk, matter_id, hour=10)
    desk.approve(matter_id)
    due = {row.channel: at for row, at in due_times(desk, matter_id)}
    assert due["sms"].astimezone(ZoneInfo("Pacific/Honolulu")).hour == 8


def test_a_number_that_has_moved_with_its_owner_is_not_woken_by_its_area_code(desk: Desk) -> None:
    keep_hours(desk)
    home = {"lines": ["1 Example Road"], "city": "Fresno", "region": "CA", "postal_code": "93701", "country": "US"}
    matter_id = desk.matter(person(phone=phone(0, area=212), post=home))
    walk_to(desk, matter_id, hour=6)
    desk.approve(matter_id)
    due = {row.channel: at for row, at in due_times(desk, matter_id)}
    assert due["sms"].astimezone(ZoneInfo("America/Los_Angeles")).hour == 8


def test_a_test_matter_sends_at_any_hour_unless_the_agency_asks(desk: Desk) -> None:
    matter_id = desk.matter(person(phone=phone(0)))
    walk_to(desk, matter_id, hour=3)
    desk.approve(matter_id)
    assert desk.send(SMS) == 1


def test_a_live_matter_keeps_the_night_always(desk: Desk) -> None:
    desk.office = open_office(desk.service.db, desk.service.vault, mode=Mode.LIVE)
    matter_id = desk.approved(person(phone=phone(0)))
    ((_, due),) = due_times(desk, matter_id)
    assert 8 <= due.hour < 20


def test_a_message_that_is_late_does_not_leave_at_night(desk: Desk) -> None:
    desk.office = open_office(desk.service.db, desk.service.vault, mode=Mode.LIVE)
    matter_id = desk.approved(*(person(phone=number) for number in (phone(0), phone(0, area=808), "+64 3 555 0142")))
    morning = now().astimezone(DENVER).replace(hour=8, minute=30)
    with desk.tx() as tx:
        parcels, _ = open_parcels(tx, claim_all(tx), vault=desk.service.vault, now=now())
        by_day = wait_for_day(tx, parcels, SMS, clock=morning)
    assert [parcel.value for parcel in by_day] == [phone(0)]
    waits = {row.attempt_id: row for row in desk.rows("select * from attempt where status = 'planned'")}
    assert len(waits) == 2
    assert all((row.tries, row.lease_until, row.due_at > morning) == (0, None, True) for row in waits.values())
    assert desk.statuses(matter_id) == {"sending": 1, "planned": 2}


def test_several_people_behind_one_phone_or_mailbox_are_written_to_apart_on_the_same_day(desk: Desk) -> None:
    keep_hours(desk)
    shared: dict[str, Any] = {"phone": phone(0), "email": mailbox(), "post": True}
    matter_id = desk.matter(*(person(**shared) for _ in range(3)), person(phone=phone(1), email=mailbox()))
    walk_to(desk, matter_id, hour=9)
    desk.approve(matter_id)
    start = now_of(desk, matter_id)
    gaps: dict[str, list[int]] = {"sms": [], "email": [], "letter": []}
    for row, at in due_times(desk, matter_id):
        gaps[row.channel].append(round((at - start) / timedelta(minutes=1)))
    assert gaps == {"sms": [0, 0, 30, 60], "email": [0, 0, 30, 60], "letter": [0, 0, 0]}


def test_a_big_household_is_written_to_on_the_same_day_all_the_same(desk: Desk) -> None:
    keep_hours(desk)
    matter_id = desk.matter(*(person(phone=phone(0)) for _ in range(41)))
    walk_to(desk, matter_id, hour=9)
    desk.approve(matter_id)
    times = sorted(at for _, at in due_times(desk, matter_id))
    assert len(set(times)) == 41
    assert times[-1] - times[0] <= timedelta(hours=8)
    assert times[-1].date() == times[0].date()


def test_a_household_that_the_night_parts_is_written_to_apart_in_the_morning_too(desk: Desk) -> None:
    keep_hours(desk)
    matter_id = desk.matter(*(person(phone=phone(0)) for _ in range(5)))
    walk_to(desk, matter_id, hour=19)
    desk.approve(matter_id)
    times = sorted(at for _, at in due_times(desk, matter_id))
    gaps = [round((later - earlier) / timedelta(minutes=1)) for earlier, later in pairwise(times)]
    assert (gaps[0], gaps[2:], times[2].hour) == (30, [30, 30], 8)
    assert (times[2].date() - times[1].date()).days == 1


def test_an_address_of_many_people_keeps_nobody_s_letter_back_for_longer_than_a_few_days(desk: Desk) -> None:
    keep_hours(desk)
    matter_id = desk.matter(*(person(post=True) for _ in range(31)))
    desk.approve(matter_id)
    desk.print()
    desk.advance(matter_id, days=5)
    times = sorted(at for row, at in due_times(desk, matter_id) if row.service == "certified")
    assert (len(set(times)), times[-1] - times[0] <= timedelta(days=5)) == (31, True)


def test_second_letters_to_one_address_go_on_different_days(desk: Desk) -> None:
    keep_hours(desk)
    matter_id = desk.matter(*(person(post=True) for _ in range(3)))
    desk.approve(matter_id)
    desk.print()
    desk.advance(matter_id, days=5)
    times = sorted(at for row, at in due_times(desk, matter_id) if row.service == "certified")
    assert [round((at - times[0]) / timedelta(days=1)) for at in times] == [0, 1, 2]


# What happens.


def happens(desk: Desk, matter_id: UUID, event: EventType, **data: Json) -> UUID:
    """One person does something, as the public page will say it; returns who."""
    (first, *_) = desk.rows("select notice_id, person_id from notice where matter_id = :m order by 1", m=matter_id)
    named: dict[str, Json] = {"notice": str(first.notice_id)} if event.value.startswith("notice.") else {}
    actor = Actor(ActorKind.PERSON, str(first.person_id))
    with desk.tx() as tx:
        at = legal_now(tx, matter_id, now())
        append(tx, matter_id, [draft(event, actor, {**named, **data}, person=first.person_id)], at=at)
        look_again(tx, people=[first.person_id])
    found: UUID = first.person_id
    return found


def look_and_die(desk: Desk, matter_id: UUID) -> None:
    """A clock that is killed when it has done everything but commit."""
    service = desk.service
    with desk.tx() as tx:
        due = notices_to_look(tx, limit=10)[matter_id]
        look_at(tx, matter_id, due, packs=service.packs, carrier_of=service.carrier_of, vault=service.vault, now=now())
        raise Died


def claim_all(tx: Tx) -> list[Claimed]:
    """Claim whatever is planned, due or not."""
    tx.conn.execute(text("update attempt set due_at = now()"))
    return claim(tx, SMS, chunk=10, lease=timedelta(seconds=30))


def fail(desk: Desk, matter_id: UUID) -> None:
    """Every message that is under way turns out undeliverable, for a reason of the moment."""
    desk.send(SMS)
    for row in desk.rows("select attempt_id from attempt where matter_id = :m and status <> 'failed'", m=matter_id):
        tell(desk, said(desk, row.attempt_id, AttemptEvent.REFUSED))
    desk.apply()


def fail_planned(desk: Desk, matter_id: UUID) -> None:
    """The only phone turns out to be out of use before anything was sent."""
    with desk.tx() as tx:
        contact_id = desk.only_attempt(matter_id).contact_id
        flag_contact(tx, contact_id, ContactFlag.DEAD, source=None, actor=Actor.system("test"), now=now())


def keep_hours(desk: Desk) -> None:
    with desk.tx() as tx:
        tx.conn.execute(text("""update agency set profile = profile || '{"keep_hours_in_test": true}'"""))


def walk_to(desk: Desk, matter_id: UUID, *, hour: int) -> None:
    """Walk a matter's clock to the next time it is this hour in Denver."""
    at = now_of(desk, matter_id)
    target = at.replace(hour=hour, minute=0, second=0, microsecond=0)
    while target <= at:
        target += timedelta(days=1)
    desk.advance(matter_id, seconds=(target.astimezone() - at.astimezone()).total_seconds())


# What is to be seen.


def now_of(desk: Desk, matter_id: UUID) -> datetime:
    with desk.tx() as tx:
        return legal_now(tx, matter_id, now()).astimezone(DENVER)


def due_times(desk: Desk, matter_id: UUID) -> list[tuple[Any, datetime]]:
    """Every attempt with its due time on the matter's clock, in Denver."""
    rows: Sequence[Any] = desk.rows(
        "select a.channel, a.service, a.due_at + m.clock_offset as at from attempt a join matter m using (matter_id)"
        " where a.matter_id = :m order by a.due_at",
        m=matter_id,
    )
    return [(row, row.at.astimezone(DENVER)) for row in rows]


def ordered(desk: Desk, matter_id: UUID) -> Counter[str]:
    """How often each row of the plan ordered something after the approval."""
    rows = desk.rows("select plan_row from attempt where matter_id = :m and plan_row not like '%first'", m=matter_id)
    return Counter(row.plan_row.partition("/")[2] for row in rows)


def tasks(desk: Desk) -> list[TaskKind]:
    with desk.tx() as tx:
        return [task.kind for task in list_tasks(tx, principal=desk.office.approver, limit=100)]
