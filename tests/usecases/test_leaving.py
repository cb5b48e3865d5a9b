"""A worker that is asked to end: what it has not begun it hands back, what is under way it follows or says so."""

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import timedelta
from uuid import UUID

from notifier.carriers.base import Message, Outcome, SendResult
from notifier.carriers.timetable import END_SECONDS
from notifier.core.model import Actor, Channel, ContactFlag
from notifier.usecases.contact_flags import flag_contact
from notifier.usecases.dispatch import FRESH, Sender, _prepare
from notifier.usecases.handful import Handful
from notifier.usecases.leaving import LAST_CALL, Leaving
from tests.usecases.desk import Desk, now, person, phone

SMS = Channel.SMS


class Clock:
    """A clock that stands until it is moved."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


class Patient:
    """A carrier that does something before it answers."""

    slug, channel = "twilio_sms", SMS

    def __init__(self, first: Callable[[], None] = lambda: None, *, seconds: float = 0.0) -> None:
        self._first, self._seconds = first, seconds
        self.calls = 0

    async def send(self, messages: Sequence[Message]) -> list[SendResult]:
        self.calls += 1
        self._first()
        await asyncio.sleep(self._seconds)
        return [SendResult(message.attempt_id, Outcome.HANDED_OVER) for message in messages]

    async def close(self) -> None:
        """It has nothing."""


def send(desk: Desk, change: Callable[[Sender], Sender]) -> int:
    return desk.dispatch(change, concurrency=20)


def test_a_worker_that_is_asked_to_end_claims_nothing_more(desk: Desk) -> None:
    matter_id = desk.approved(*(person(phone=phone(n)) for n in range(5)))
    leaving = Leaving()
    leaving.ask()
    assert send(desk, lambda sender: replace(sender, leaving=leaving)) == 0
    assert desk.one("select sum(tries) from attempt") == 0
    assert desk.statuses(matter_id) == {"planned": 5}


def test_what_was_claimed_and_not_begun_is_handed_back_as_if_it_was_never_taken(desk: Desk) -> None:
    matter_id = desk.approved(*(person(phone=phone(n)) for n in range(5)))
    leaving, carrier = Leaving(), Patient()

    def prepare(agency_id: UUID, sender: Sender, at_most: int, _: object) -> Handful:
        handful = _prepare(agency_id, sender, at_most, now())
        leaving.ask()
        return handful

    assert send(desk, lambda sender: replace(sender, leaving=leaving, prepare=prepare, carrier=carrier)) == 5
    assert carrier.calls == 0
    rows = desk.rows("select status, tries, lease_until, due_at <= now() as is_due from attempt")
    assert {tuple(row) for row in rows} == {("planned", 0, None, True)}
    assert desk.events(matter_id)["attempt.not_sent"] == 0
    desk.follow()
    assert desk.statuses(matter_id) == {"delivered": 5}


def test_what_is_handed_back_is_not_sent_to_a_number_that_has_sent_stop_meanwhile(desk: Desk) -> None:
    matter_id = desk.approved(*(person(phone=phone(n)) for n in range(3)))
    (contact,) = desk.rows("select contact_id from contact_point order by contact_id limit 1")
    leaving = Leaving()

    def prepare(agency_id: UUID, sender: Sender, at_most: int, _: object) -> Handful:
        handful = _prepare(agency_id, sender, at_most, now())
        leaving.ask()
        with desk.tx() as tx:
            flag_contact(
                tx, contact.contact_id, ContactFlag.OPTED_OUT, source=None, actor=Actor.system("inbound"), now=now()
            )
        return handful

    send(desk, lambda sender: replace(sender, leaving=leaving, prepare=prepare))
    assert desk.statuses(matter_id) == {"planned": 2, "failed": 1}
    desk.follow()
    assert desk.statuses(matter_id) == {"delivered": 2, "failed": 1}
    (failed,) = desk.rows("select contact_id, reason from attempt where status = 'failed'")
    assert (failed.contact_id, failed.reason) == (contact.contact_id, "opted_out")


def test_what_was_given_up_for_lost_is_not_handed_back(desk: Desk) -> None:
    """A slow goodbye: the lease has ended, and whoever has looked does not know that nothing was begun."""
    matter_id = desk.approved(*(person(phone=phone(n)) for n in range(3)))
    leaving = Leaving()

    def prepare(agency_id: UUID, sender: Sender, at_most: int, _: object) -> Handful:
        handful = _prepare(agency_id, sender, at_most, now())
        leaving.ask()
        desk.rows("update attempt set lease_until = now() - interval '1 second' returning 1")
        desk.tick()
        return handful

    send(desk, lambda sender: replace(sender, leaving=leaving, prepare=prepare))
    assert desk.statuses(matter_id) == {"unknown": 3}
    assert desk.one("select count(*) from attempt where check_at is null") == 0


def test_calls_in_flight_end_and_are_recorded(desk: Desk) -> None:
    matter_id = desk.approved(*(person(phone=phone(n)) for n in range(5)))
    leaving = Leaving()
    carrier = Patient(leaving.ask, seconds=0.3)
    send(desk, lambda sender: replace(sender, leaving=leaving, carrier=carrier))
    assert desk.statuses(matter_id) == {"handed_over": 5}


def test_what_does_not_end_in_time_is_unknown_and_said_to_be(desk: Desk) -> None:
    matter_id = desk.approved(*(person(phone=phone(n)) for n in range(5)))
    clock = Clock()
    leaving = Leaving(clock)

    def asked_long_ago() -> None:
        leaving.ask()
        clock.now = LAST_CALL

    began = time.monotonic()
    carrier = Patient(asked_long_ago, seconds=60)
    send(desk, lambda sender: replace(sender, leaving=leaving, carrier=carrier))
    assert time.monotonic() - began < 10
    assert desk.statuses(matter_id) == {"unknown": 5}
    (reason,) = {event["data"]["reason"] for event in desk.said(matter_id, "attempt.lost_track")}
    assert reason == "worker_lost"
    assert all("text" in event["commit"] for event in desk.said(matter_id, "attempt.lost_track"))
    assert desk.one("select count(*) from attempt where check_at is null") == 0


def test_what_waits_for_calls_in_flight_is_not_begun_once_a_worker_is_asked_to_end(desk: Desk) -> None:
    matter_id = desk.approved(*(person(phone=phone(n)) for n in range(10)))
    leaving = Leaving()
    carrier = Patient(leaving.ask, seconds=0.3)
    desk.dispatch(lambda sender: replace(sender, leaving=leaving, carrier=carrier), concurrency=2, ahead=8)
    assert carrier.calls == 2
    assert desk.statuses(matter_id) == {"handed_over": 2, "planned": 8}


def test_what_still_waited_for_calls_in_flight_when_they_were_given_up_is_known_to_be_unsent(desk: Desk) -> None:
    matter_id = desk.approved(*(person(phone=phone(n)) for n in range(10)))
    clock = Clock()
    leaving = Leaving(clock)

    def asked_long_ago() -> None:
        leaving.ask()
        clock.now = LAST_CALL

    carrier = Patient(asked_long_ago, seconds=60)
    desk.dispatch(lambda sender: replace(sender, leaving=leaving, carrier=carrier), concurrency=2, ahead=8)
    assert carrier.calls == 2
    assert desk.statuses(matter_id) == {"unknown": 2, "planned": 8}


def test_the_time_to_end_begins_when_it_is_first_asked() -> None:
    clock = Clock()
    leaving = Leaving(clock)
    clock.now = 100
    assert not leaving.is_asked
    leaving.ask()
    clock.now += LAST_CALL - 1
    leaving.ask()
    assert (leaving.is_asked, leaving.is_late, leaving.is_over) == (True, False, False)
    clock.now += 1
    assert (leaving.is_late, leaving.is_over) == (True, False)
    clock.now = 100 + END_SECONDS
    assert leaving.is_over


def test_on_a_lease_that_has_grown_old_no_call_is_begun(desk: Desk) -> None:
    """This machine was asleep after it had claimed: somebody else may hold these soon."""
    matter_id = desk.approved(*(person(phone=phone(n)) for n in range(5)))
    carrier = Patient()

    def prepare(agency_id: UUID, sender: Sender, at_most: int, _: object) -> Handful:
        handful = _prepare(agency_id, sender, at_most, now())
        return replace(handful, began=handful.began - (FRESH + timedelta(seconds=1)).total_seconds())

    send(desk, lambda sender: replace(sender, prepare=prepare, carrier=carrier))
    assert carrier.calls == 0
    assert desk.statuses(matter_id) == {"planned": 5}
    assert [event["data"]["reason"] for event in desk.said(matter_id, "attempt.not_sent")] == ["worker_lost"] * 5
