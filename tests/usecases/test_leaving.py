"""A worker that is asked to end: what it has not begun it hands back, what is under way it follows or says so."""

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import timedelta
from uuid import UUID

from notifier.carriers.base import Message, Outcome, SendResult
from notifier.carriers.timetable import END_SECONDS
from notifier.core.model import Channel
from notifier.usecases.dispatch import FRESH, Handful, Sender, _prepare
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
