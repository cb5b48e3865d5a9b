"""What people write to us is kept for everybody who has that number; only a command does anything."""

import threading
from datetime import UTC, datetime
from uuid import UUID, uuid4

import pytest
from sqlalchemy import text

from notifier.carriers import open_inbound
from notifier.carriers.base import Callback
from notifier.core.model import Channel
from notifier.usecases.inbound import TakenIn, read_inbound, take_in
from notifier.usecases.replaying import Again, replay
from tests.installation import open_office
from tests.usecases.around import erase
from tests.usecases.desk import Desk, mailbox, person, phone
from tests.usecases.test_contact_flags import contact, failed, flags, tasks
from tests.usecases.test_stops import approve_in, wait_until_somebody_waits

SMS = Channel.SMS
# A Monday in Denver, at three in the afternoon.
MONDAY = datetime(2026, 11, 23, 22, 0, tzinfo=UTC)


def hear(desk: Desk, number: str) -> list[TakenIn]:
    """Take in what the sandbox has posted from a number: proved, as everything of a carrier's is."""
    desk.sandbox.settle()
    reader = open_inbound("twilio_sms")
    assert reader is not None
    taken = []
    for callback in desk.catcher.caught:
        if callback.url.endswith("/callbacks/twilio_inbound") and number.removeprefix("+").encode() in callback.body:
            desk.service.readers["twilio_sms"].authenticate(callback)
            message = reader.read(callback)
            assert message is not None
            taken.append(take_in(desk.service.db, message, callback, carrier="twilio_sms", vault=desk.service.vault))
    return taken


def write(desk: Desk, number: str, words: str, *, sid: str | None = None, at: datetime = MONDAY) -> TakenIn:
    """Somebody writes to our number."""
    fields = {"MessageSid": sid or new_sid(), "From": number, "To": "+12025550199", "Body": words, "NumMedia": "0"}
    body = "&".join(f"{name}={value.replace('+', '%2B').replace(' ', '+')}" for name, value in fields.items())
    callback = Callback("https://x.example/callbacks/twilio_inbound", {}, body.encode(), at)
    reader = open_inbound("twilio_sms")
    assert reader is not None
    message = reader.read(callback)
    assert message is not None
    return take_in(desk.service.db, message, callback, carrier="twilio_sms", vault=desk.service.vault)


def new_sid() -> str:
    return "SM" + uuid4().hex


def own(area: int) -> str:
    """A number for one test: other agencies of this database have others."""
    return phone(uuid4().int % 50, area=area)


def quarantined(desk: Desk) -> list[str]:
    with desk.service.db.no_agency() as conn:
        return list(conn.execute(text("select reason from quarantine where reason like 'inbound%'")).scalars())


def test_stop_stops_text_messages_and_moves_the_person_to_the_other_ways(desk: Desk) -> None:
    number = own(201)
    matter_id = desk.approved(person(phone=number, email=mailbox(), post=True))
    assert write(desk, number, "Stop") == TakenIn(1, 0)
    assert flags(desk, contact(desk, matter_id)) == {"opted_out"}
    assert failed(desk, matter_id) == {"sms": "opted_out"}
    assert desk.send(SMS, Channel.EMAIL) == 1
    assert desk.print() is not None
    assert tasks(desk) == ["stop_received"]
    (said,) = desk.said(matter_id, "inbound.received")
    assert said["data"]["kind"] == "stop"
    assert list(said["commit"]) == ["message"]
    assert number not in str(said)


def test_stop_is_asked_about_by_the_end_of_the_next_business_day(desk: Desk) -> None:
    number = own(202)
    desk.approved(person(phone=number, email=mailbox()))
    write(desk, number, "STOP", at=datetime(2026, 11, 27, 20, 0, tzinfo=UTC))  # a Friday
    assert desk.one("select due_at from task").astimezone(UTC) == datetime(2026, 12, 1, 7, 0, tzinfo=UTC)


def test_stop_from_the_only_way_is_two_tasks(desk: Desk) -> None:
    number = own(203)
    desk.approved(person(phone=number))
    write(desk, number, "STOP")
    write(desk, number, "stop")
    assert tasks(desk) == ["only_way_opted_out", "stop_received"]


def test_a_stop_holds_in_every_matter_of_the_agency_and_in_no_other_agency_unless_it_has_the_number(desk: Desk) -> None:
    number = own(205)
    matters = [desk.approved(person(phone=number, email=mailbox())) for _ in range(3)]
    stranger = Desk(desk.service, open_office(desk.service.db, desk.service.vault), desk.sandbox, desk.catcher)
    theirs = stranger.approved(person(phone=own(206)), person(phone=number))
    assert write(desk, number, "STOP") == TakenIn(4, 0)
    for matter_id in matters:
        assert flags(desk, contact(desk, matter_id)) == {"opted_out"}
    assert failed(stranger, theirs) == {"sms": "opted_out"}
    assert stranger.statuses(theirs) == {"failed": 1, "planned": 1}
    stranger.check_everything()


def test_everybody_who_shares_a_phone_has_the_message(desk: Desk) -> None:
    number = own(207)
    matter_id = desk.approved(*[person(phone=number, email=mailbox()) for _ in range(3)])
    assert write(desk, number, "who is this") == TakenIn(3, 0)
    assert tasks(desk) == ["reply_received"] * 3
    assert desk.statuses(matter_id) == {"planned": 6}
    for row in desk.rows("select person_id from person"):
        with desk.tx() as tx:
            cipher = desk.service.vault.cipher(tx, row.person_id)
            (message,) = read_inbound(tx, row.person_id, cipher=cipher)
        assert message.text == "who is this"


def test_please_stop_is_for_a_human_within_four_business_hours(desk: Desk) -> None:
    number = own(208)
    matter_id = desk.approved(person(phone=number))
    write(desk, number, "please stop", at=MONDAY)  # three in the afternoon: two hours today, two tomorrow
    assert flags(desk, contact(desk, matter_id)) == set()
    assert tasks(desk) == ["reply_received"]
    assert desk.one("select due_at from task").astimezone(UTC) == datetime(2026, 11, 24, 17, 0, tzinfo=UTC)
    assert desk.send(SMS) == 1


def test_start_lifts_the_stop_and_sends_nothing(desk: Desk) -> None:
    number = own(209)
    matter_id = desk.approved(person(phone=number, email=mailbox()))
    write(desk, number, "STOP")
    write(desk, number, "START")
    assert flags(desk, contact(desk, matter_id)) == set()
    assert desk.send(SMS) == 0
    assert tasks(desk) == ["stop_received"]
    assert desk.events(matter_id)["contact.flag_lifted"] == 1


def test_a_yes_that_starts_nothing_may_answer_us_and_is_read(desk: Desk) -> None:
    number = own(210)
    matter_id = desk.approved(person(phone=number))
    write(desk, number, "Yes")
    assert tasks(desk) == ["reply_received"]
    assert desk.events(matter_id)["contact.flag_lifted"] == 0


def test_help_is_kept_and_asks_nobody_for_anything(desk: Desk) -> None:
    number = own(212)
    matter_id = desk.approved(person(phone=number))
    write(desk, number, "HELP")
    assert desk.events(matter_id)["inbound.received"] == 1
    assert tasks(desk) == []


def test_what_twilio_says_twice_is_taken_once(desk: Desk) -> None:
    number, sid = own(213), new_sid()
    matter_id = desk.approved(person(phone=number, email=mailbox()))
    assert [write(desk, number, "STOP", sid=sid) for _ in range(3)] == [TakenIn(1, 0), TakenIn(0, 1), TakenIn(0, 1)]
    assert desk.events(matter_id)["inbound.received"] == 1


def test_a_number_that_nobody_has_goes_to_the_quarantine_once(desk: Desk) -> None:
    number, sid = own(214), new_sid()
    before = len(quarantined(desk))
    for _ in range(2):
        assert write(desk, number, "STOP", sid=sid).is_from_nobody
    assert quarantined(desk)[before:] == ["inbound-from-nobody"]


@pytest.mark.parametrize("sender", ["72404", "anonymous", "+1", "whatsapp:+13035550100", "x" * 2000])
def test_a_sender_that_is_no_number_is_nobody(desk: Desk, sender: str) -> None:
    assert write(desk, sender, "STOP").is_from_nobody


def test_the_number_of_somebody_erased_is_nobodys(desk: Desk) -> None:
    number = own(215)
    matter_id = desk.approved(person(phone=number))
    erase(desk, UUID(str(desk.only_attempt(matter_id).person_id)))
    assert write(desk, number, "STOP").is_from_nobody
    assert desk.events(matter_id)["inbound.received"] == 0


def test_nothing_that_was_written_stands_in_the_clear(desk: Desk) -> None:
    number = own(216)
    matter_id = desk.approved(person(phone=number))
    write(desk, number, "canary")
    with desk.tx() as tx:
        row = tx.conn.execute(text("select * from inbound")).one()
        bodies = tx.conn.execute(text("select body from event")).scalars().all()
    assert b"canary" not in bytes(row.sealed)
    assert not any(b"canary" in bytes(body) or number[-7:].encode() in bytes(body) for body in bodies)
    assert row.matter_id == matter_id


def test_somebody_who_answers_stop_is_told_by_post_and_asked(desk: Desk) -> None:
    number = phone(87, area=218)
    matter_id = desk.approved(person(phone=number, post=True))
    desk.follow()
    assert hear(desk, number) == [TakenIn(1, 0)]
    assert desk.statuses(matter_id) == {"delivered": 1, "planned": 1}
    assert flags(desk, contact(desk, matter_id)) == {"opted_out"}
    assert tasks(desk) == ["stop_received"]
    assert desk.print() is not None
    # Another matter does not even ask the carrier, which would refuse.
    other = desk.approved(person(phone=number, email=mailbox()))
    assert desk.statuses(other) == {"planned": 1}


def test_a_stop_that_we_never_heard_of_is_learned_from_the_refusal(desk: Desk) -> None:
    number = own(219)
    desk.sandbox.write(number, "STOP")
    matter_id = desk.approved(person(phone=number, email=mailbox()))
    desk.follow()
    assert failed(desk, matter_id) == {"sms": "opted_out"}
    assert flags(desk, contact(desk, matter_id)) == {"opted_out"}


def test_words_that_are_no_command_come_through_the_wire_as_they_were_written(desk: Desk) -> None:
    number = own(220)
    matter_id = desk.approved(person(phone=number))
    desk.sandbox.write(number, "Quién es?\n+1 & more")
    assert hear(desk, number) == [TakenIn(1, 0)]
    person_id = desk.only_attempt(matter_id).person_id
    with desk.tx() as tx:
        (message,) = read_inbound(tx, person_id, cipher=desk.service.vault.cipher(tx, person_id))
    assert message.text == "Quién es?\n+1 & more"


def test_whoever_wrote_before_they_were_on_a_list_is_heard_when_the_quarantine_is_read_again(desk: Desk) -> None:
    number = own(224)
    desk.sandbox.write(number, "STOP")
    assert [taken.is_from_nobody for taken in hear(desk, number)] == [True]
    matter_id = desk.matter(person(phone=number, email=mailbox()))
    readers, vault = desk.service.readers, desk.service.vault
    found = replay(desk.service.db, readers=readers, vault=vault, reason="inbound-from-nobody")
    assert found[Again.PLACED] == 1
    assert flags(desk, contact(desk, matter_id)) == {"opted_out"}
    again = replay(desk.service.db, readers=readers, vault=vault, reason="inbound-from-nobody")
    assert again[Again.PLACED] == 0
    desk.approve(matter_id)
    assert desk.statuses(matter_id) == {"planned": 1}


def test_a_stop_that_comes_while_sending_is_approved_holds(desk: Desk) -> None:
    number = own(225)
    matter_id = desk.matter(person(phone=number, email=mailbox()))
    stopped: list[TakenIn] = []
    with desk.tx() as tx:  # an approval that has ordered everything and has not committed yet
        approve_in(tx, desk, matter_id)
        writing = threading.Thread(target=lambda: stopped.append(write(desk, number, "STOP")))
        writing.start()
        wait_until_somebody_waits(desk)
    writing.join(10)
    assert stopped == [TakenIn(1, 0)]
    assert failed(desk, matter_id) == {"sms": "opted_out"}
    assert desk.send(SMS) == 0


def test_the_same_message_at_once_is_taken_once(desk: Desk) -> None:
    number, sid = own(226), new_sid()
    matters = [desk.approved(person(phone=number, email=mailbox())) for _ in range(3)]
    taken: list[TakenIn] = []
    writing = [threading.Thread(target=lambda: taken.append(write(desk, number, "STOP", sid=sid))) for _ in range(4)]
    for thread in writing:
        thread.start()
    for thread in writing:
        thread.join(20)
    assert sorted((one.kept, one.duplicates) for one in taken) == [(0, 3)] * 3 + [(3, 0)]
    assert [desk.events(matter_id)["contact.flagged"] for matter_id in matters] == [1, 1, 1]
