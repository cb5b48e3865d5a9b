"""What is learned of a number or mailbox stops what would go there, and nothing else."""

from uuid import UUID, uuid4

import pytest

from notifier.core.errors import NotFound
from notifier.core.events import EventType
from notifier.core.model import Actor, ActorKind, Channel, ContactFlag
from notifier.core.status import AttemptEvent, AttemptStatus, Reason
from notifier.store.attempts import NewAttempt, plan_attempts
from notifier.store.ledger import append, draft
from notifier.usecases.contact_flags import flag_contact, flags_of, lift_flag
from notifier.usecases.known_contacts import known_elsewhere, refuse_flagged
from notifier.usecases.progress import Change, record
from tests.usecases.desk import Desk, mailbox, now, person, phone

SMS, EMAIL, LETTER = Channel.SMS, Channel.EMAIL, Channel.LETTER
OFFICER = Actor.system("test")


def contact(desk: Desk, matter_id: UUID, kind: str = "phone") -> UUID:
    query = "select contact_id from contact_point c join person p using (agency_id, person_id)"
    (row,) = desk.rows(f"{query} where p.matter_id = :matter and c.kind = :kind", matter=matter_id, kind=kind)
    return UUID(str(row.contact_id))


def flag(desk: Desk, contact_id: UUID, what: ContactFlag = ContactFlag.OPTED_OUT) -> bool:
    with desk.tx() as tx:
        return flag_contact(tx, contact_id, what, source="test", actor=OFFICER, now=now())


def lift(desk: Desk, contact_id: UUID, what: ContactFlag = ContactFlag.OPTED_OUT) -> bool:
    with desk.tx() as tx:
        return lift_flag(tx, contact_id, what, source="test", actor=OFFICER, now=now())


def flags(desk: Desk, contact_id: UUID) -> set[str]:
    query = "select flag from contact_flag where contact_id = :contact and lifted_at is null"
    return {row.flag for row in desk.rows(query, contact=contact_id)}


def tasks(desk: Desk) -> list[str]:
    return [row.kind for row in desk.rows("select kind from task where done_at is null order by kind")]


def failed(desk: Desk, matter_id: UUID) -> dict[str, str]:
    query = "select channel, reason from attempt where matter_id = :matter and status = 'failed'"
    return {row.channel: row.reason for row in desk.rows(query, matter=matter_id)}


def order_another(desk: Desk, matter_id: UUID) -> None:
    """Plan a second message to the one number of a matter, as the plan of a pack would."""
    one = desk.only_attempt(matter_id)
    another = NewAttempt(uuid4(), one.notice_id, one.person_id, one.contact_id, "second", SMS, one.carrier, now())
    data = {"attempt": str(another.attempt_id), "notice": str(one.notice_id), "channel": "sms"}
    ordered = {**data, "contact": str(one.contact_id)}
    with desk.tx() as tx:
        plan_attempts(tx, matter_id, [another], now=now())
        append(tx, matter_id, [draft(EventType.ATTEMPT_ORDERED, OFFICER, ordered, person=one.person_id)], at=now())


def test_what_was_planned_to_a_flagged_number_is_not_sent_and_other_ways_go_on(desk: Desk) -> None:
    matter_id = desk.approved(person(phone=phone(0), email=mailbox(), post=True))
    assert flag(desk, contact(desk, matter_id))
    assert failed(desk, matter_id) == {"sms": "opted_out"}
    assert desk.send(SMS, EMAIL) == 1
    assert desk.print() is not None
    assert desk.taken(matter_id).total() == 1
    (said,) = desk.said(matter_id, "contact.flagged")
    assert said["data"] == {"contact": str(contact(desk, matter_id)), "flag": "opted_out", "source": "test"}
    assert tasks(desk) == []


def test_flagging_twice_says_it_once(desk: Desk) -> None:
    matter_id = desk.approved(person(phone=phone(0), email=mailbox()))
    assert [flag(desk, contact(desk, matter_id)) for _ in range(3)] == [True, False, False]
    assert desk.events(matter_id)["contact.flagged"] == 1
    assert desk.events(matter_id)["attempt.refused"] == 1


def test_the_last_way_that_is_gone_is_a_task_once(desk: Desk) -> None:
    matter_id = desk.approved(person(phone=phone(0), email=mailbox()))
    flag(desk, contact(desk, matter_id, "email"), ContactFlag.OPTED_OUT)
    assert tasks(desk) == []
    flag(desk, contact(desk, matter_id))
    flag(desk, contact(desk, matter_id))
    assert tasks(desk) == ["only_way_opted_out"]
    assert desk.events(matter_id)["task.opened"] == 1


def test_whoever_has_been_told_already_is_not_without_a_way(desk: Desk) -> None:
    matter_id = desk.approved(person(phone=phone(0)))
    desk.follow()
    flag(desk, contact(desk, matter_id))
    assert desk.statuses(matter_id) == {"delivered": 1}
    assert tasks(desk) == []


def test_a_wrong_person_report_stops_that_contact_point_only(desk: Desk) -> None:
    first, second = phone(0), phone(0, area=720)
    matter_id = desk.approved(person(phone=[first, second], email=mailbox()))
    one, other = [row.contact_id for row in desk.rows("select contact_id from attempt where channel = 'sms'")]
    flag(desk, one, ContactFlag.WRONG_PERSON)
    assert failed(desk, matter_id) == {"sms": "wrong_person"}
    assert flags(desk, other) == set()
    assert desk.send(SMS, EMAIL) == 2


def test_a_message_that_is_being_sent_goes_on(desk: Desk) -> None:
    matter_id = desk.approved(person(phone=phone(0), email=mailbox()))
    desk.rows("update attempt set status = 'sending', lease_until = now() where channel = 'sms' returning 1")
    flag(desk, contact(desk, matter_id))
    assert desk.statuses(matter_id) == {"sending": 1, "planned": 1}


def test_a_message_that_was_not_sent_after_all_is_not_tried_again_at_a_number_that_has_sent_stop(desk: Desk) -> None:
    matter_id = desk.approved(person(phone=phone(0), email=mailbox()))
    (sending,) = desk.rows(
        "update attempt set status = 'sending', lease_until = now() where channel = 'sms' returning attempt_id"
    )
    flag(desk, contact(desk, matter_id))
    carrier = Actor(ActorKind.CARRIER, "twilio_sms")
    with desk.tx() as tx:
        change = Change(sending.attempt_id, AttemptEvent.NOT_SENT, carrier, reason=Reason.RATE_LIMITED)
        after = record(tx, matter_id, [change], now=now())
    assert after == {sending.attempt_id: AttemptStatus.FAILED}
    assert failed(desk, matter_id) == {"sms": "opted_out"}
    assert desk.send(SMS) == 0


def test_lifting_sends_nothing_by_itself_and_has_the_plan_looked_at(desk: Desk) -> None:
    matter_id = desk.approved(person(phone=phone(0), email=mailbox()))
    flag(desk, contact(desk, matter_id))
    desk.rows("update notice set look_at = null returning 1")
    assert [lift(desk, contact(desk, matter_id)) for _ in range(2)] == [True, False]
    assert flags(desk, contact(desk, matter_id)) == set()
    assert failed(desk, matter_id) == {"sms": "opted_out"}
    assert desk.send(SMS) == 0
    assert desk.one("select look_at <= now() from notice where matter_id = :matter", matter=matter_id)
    assert flag(desk, contact(desk, matter_id))
    assert desk.events(matter_id)["contact.flagged"] == 2


def test_what_holds_for_the_number_is_lifted_wherever_the_number_stands(desk: Desk) -> None:
    number = phone(0)
    matters = [desk.approved(person(phone=number, email=mailbox())) for _ in range(2)]
    points = [contact(desk, matter_id) for matter_id in matters]
    for point in points:
        flag(desk, point)
        flag(desk, point, ContactFlag.WRONG_PERSON)
    lift(desk, points[0])
    lift(desk, points[0], ContactFlag.WRONG_PERSON)
    assert [flags(desk, point) for point in points] == [set(), {"wrong_person"}]


@pytest.mark.parametrize(
    ("fields", "what", "reason"),
    [
        ({"phone": phone(62)}, "opted_out", "opted_out"),
        ({"phone": phone(61)}, "not_mobile", "not_mobile"),
        ({"phone": phone(60)}, "dead", "invalid_address"),
        ({"phone": phone(53)}, "not_mobile", "not_mobile"),
        ({"phone": phone(52)}, "dead", "number_dead"),
        ({"email": "bounced.x@example.org"}, "dead", "mailbox_refused"),
        ({"email": "dropped.x@example.org"}, "dead", "suppressed"),
        ({"email": "dropped-unsubscribed.x@example.org"}, "opted_out", "opted_out"),
        ({"email": "delivered-then-bounced.x@example.org"}, "dead", "mailbox_refused"),
    ],
)
def test_a_failure_that_will_be_the_same_again_flags_the_contact_point(
    desk: Desk, fields: dict[str, str], what: str, reason: str
) -> None:
    matter_id = desk.approved(person(**fields, post=True))
    desk.follow()
    (kind,) = fields
    assert set(failed(desk, matter_id).values()) == {reason}
    assert flags(desk, contact(desk, matter_id, kind)) == {what}
    assert flags(desk, contact(desk, matter_id, "post")) == set()
    (said,) = desk.said(matter_id, "contact.flagged")
    assert said["actor"]["kind"] == "carrier"
    assert said["data"]["source"] in map(str, desk.attempt_ids(matter_id))


@pytest.mark.parametrize("outcome", [50, 51, 54, 55, 56, 58, 66])
def test_a_failure_of_the_moment_or_of_ours_flags_nobody(desk: Desk, outcome: int) -> None:
    matter_id = desk.approved(person(phone=phone(outcome)))
    desk.follow()
    assert desk.statuses(matter_id) == {"failed": 1}
    assert flags(desk, contact(desk, matter_id)) == set()


def test_a_dead_number_fails_what_else_was_planned_to_it(desk: Desk) -> None:
    matter_id = desk.approved(person(phone=phone(52)))
    desk.send(SMS)
    order_another(desk, matter_id)
    desk.receive()
    desk.apply()
    assert desk.statuses(matter_id) == {"failed": 2}
    assert desk.events(matter_id)["contact.flagged"] == 1


def test_somebody_who_opted_out_is_not_texted_about_another_matter(desk: Desk) -> None:
    number = phone(0)
    first = desk.approved(person(phone=number, email=mailbox()))
    flag(desk, contact(desk, first))
    flag(desk, contact(desk, first), ContactFlag.WRONG_PERSON)
    second = desk.approved(person(phone=number, email=mailbox()), person(phone=phone(1)))
    assert desk.statuses(second) == {"planned": 2}
    (said,) = desk.said(second, "contact.flagged")
    assert (said["data"]["flag"], said["data"]["source"]) == ("opted_out", str(contact(desk, first)))
    query = "select contact_id, flag from contact_flag where matter_id = :matter and lifted_at is null"
    ((point, what),) = desk.rows(query, matter=second)
    assert what == "opted_out"
    assert lift(desk, point)
    assert flags(desk, contact(desk, first)) == {"wrong_person"}
    third = desk.approved(person(phone=number))
    assert desk.statuses(third) == {"planned": 1}


def test_what_a_test_matter_learns_says_nothing_in_a_live_one(desk: Desk) -> None:
    number = phone(0)
    first = desk.approved(person(phone=number))
    flag(desk, contact(desk, first))
    second = desk.matter(person(phone=number))
    desk.rows("update matter set mode = 'live' where matter_id = :matter returning 1", matter=second)
    with desk.tx() as tx:
        assert known_elsewhere(tx, second) == []


def test_a_stop_that_came_while_a_list_was_planned_is_not_passed_over(desk: Desk) -> None:
    matter_id = desk.matter(person(phone=phone(0), email=mailbox()))
    flag(desk, contact(desk, matter_id))
    desk.approve(matter_id)
    with desk.tx() as tx:
        refuse_flagged(tx, matter_id, now=now())
        assert refuse_flagged(tx, matter_id, now=now()) == 0
        assert flags_of(tx, [row.person_id for row in desk.rows("select person_id from person")])
    assert desk.send(SMS) == 0


def test_there_is_no_flag_on_nothing(desk: Desk) -> None:
    with pytest.raises(NotFound, match="unknown-contact"):
        flag(desk, uuid4())
