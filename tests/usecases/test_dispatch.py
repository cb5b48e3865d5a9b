"""Text messages and emails on their way out, through the real SDKs to the sandbox. What the carrier's own record says
it took is compared with our attempts one to one."""

import asyncio
import hashlib
import threading
import time
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import timedelta
from functools import partial
from uuid import UUID

import pytest
from sqlalchemy import text
from sqlalchemy.exc import OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from notifier.carriers.base import Carrier, Message, Outcome, SendResult
from notifier.carriers.timetable import Retry
from notifier.core.model import Channel
from notifier.core.status import Reason
from notifier.store.attempts import claim, give_back, stopped_since
from notifier.store.engine import Database, Tx
from notifier.usecases.dispatch import dispatch
from notifier.usecases.stops import place_stop
from tests.usecases.around import let_leases_end
from tests.usecases.desk import Desk, mailbox, now, person, phone

SMS, EMAIL = Channel.SMS, Channel.EMAIL


def test_everybody_is_told_and_followed(desk: Desk) -> None:
    matter_id = desk.approved(*(person(phone=phone(n), email=mailbox()) for n in range(5)))
    desk.follow()
    assert desk.statuses(matter_id) == {"delivered": 10}
    assert set(desk.taken(matter_id).values()) == {1}


def test_nothing_is_sent_before_it_is_approved(desk: Desk) -> None:
    desk.matter(person(phone=phone(0), email=mailbox()))
    assert desk.send(SMS, EMAIL) == 0


def test_two_dispatchers_at_once_hand_no_attempt_over_twice(desk: Desk) -> None:
    people = [person(phone=phone(n, area=area), email=mailbox()) for area in (303, 720, 970, 719) for n in range(50)]
    matter_id = desk.approved(*people)
    counts: list[int] = []

    def work() -> None:  # patiently: a busy machine is no carrier in trouble
        counts.append(desk.send(SMS, EMAIL, workers=2, timeout_seconds=20.0, connect_timeout_seconds=10.0))

    threads = [threading.Thread(target=work) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert sum(counts) == 400
    taken = desk.taken(matter_id)
    assert taken.keys() == set(map(str, desk.attempt_ids(matter_id)))
    assert set(taken.values()) == {1}
    assert desk.statuses(matter_id) == {"handed_over": 400}


def test_who_waits_for_places_until_the_time_is_up_begins_nothing(desk: Desk) -> None:
    matter_id = desk.approved(person(phone=phone(0)))

    async def work() -> int:
        sender = desk.sender(SMS)
        try:
            return await dispatch(desk.office.agency_id, sender=sender, now=now(), until=time.monotonic())
        finally:
            await sender.carrier.close()

    assert asyncio.run(work()) == 0
    assert desk.statuses(matter_id) == {"planned": 1}
    assert desk.send(SMS) == 1


def test_what_is_kept_is_what_was_sent(desk: Desk) -> None:
    matter_id = desk.approved(person(phone=phone(0), language="es"))
    desk.send(SMS)
    attempt = desk.only_attempt(matter_id)
    with desk.tx() as tx:
        sealed = tx.conn.execute(text("select sealed from content where attempt_id = :id"), {"id": attempt.attempt_id})
        cipher = desk.service.vault.cipher(tx, attempt.person_id)
        kept = cipher.open(sealed.scalar_one(), "content.sealed", attempt.attempt_id)
    (line,) = desk.sandbox.record(kind="taken", attempt=str(attempt.attempt_id))
    assert line["text_sha256"] == hashlib.sha256(kept).hexdigest()


@pytest.mark.parametrize(
    ("outcome", "status", "reason"),
    [(60, "failed", "invalid_address"), (61, "failed", "not_mobile"), (62, "failed", "opted_out")],
)
def test_a_refusal_is_final_and_tried_once(desk: Desk, outcome: int, status: str, reason: str) -> None:
    matter_id = desk.approved(person(phone=phone(outcome)))
    assert desk.send(SMS) == 1
    attempt = desk.only_attempt(matter_id)
    assert (attempt.status, attempt.reason, attempt.tries) == (status, reason, 1)
    desk.make_due()
    assert desk.send(SMS) == 0


# Not sent, and it is known.


def test_what_was_proved_unsent_is_tried_again(desk: Desk) -> None:
    matter_id = desk.approved(person(phone=phone(74)), person(email=mailbox("throttled-once")))
    desk.send(SMS, EMAIL, handfuls=1)
    assert desk.statuses(matter_id) == {"planned": 2}
    desk.make_due()
    desk.send(SMS, EMAIL)
    desk.receive()
    desk.apply()
    assert desk.statuses(matter_id) == {"delivered": 2}
    assert set(desk.taken(matter_id).values()) == {1}
    assert desk.events(matter_id)["attempt.not_sent"] == 2


def test_a_second_try_waits_for_its_time(desk: Desk) -> None:
    matter_id = desk.approved(person(phone=phone(75)))
    slowly = Retry(tries=3, first_delay_seconds=3600, factor=1, cap_seconds=3600)
    for _ in range(5):
        assert desk.send(SMS, retry=slowly) == 1
        wait = desk.one("select due_at - now() from attempt where matter_id = :matter", matter=matter_id)
        if wait > timedelta(seconds=5):  # the wait is drawn from nothing to an hour
            break
        desk.make_due()
        with desk.tx() as tx:
            tx.conn.execute(text("update attempt set tries = 0"))
    assert timedelta(seconds=5) < wait <= timedelta(hours=1)
    assert desk.send(SMS, retry=slowly) == 0


class Answering:
    """A carrier that gives every message the same answer and keeps nothing."""

    slug, channel = "twilio_sms", SMS

    def __init__(self, outcome: Outcome, reason: Reason | None = None, *, ref: str | None = None) -> None:
        self._answer = partial(SendResult, outcome=outcome, reason=reason, carrier_ref=ref, carrier_code=ref)

    async def send(self, messages: Sequence[Message]) -> list[SendResult]:
        return [self._answer(message.attempt_id) for message in messages]

    async def close(self) -> None:
        """It has nothing."""


def answer(desk: Desk, carrier: Carrier) -> int:
    return desk.dispatch(lambda sender: replace(sender, carrier=carrier))


def test_after_its_tries_it_has_failed_and_is_left_alone(desk: Desk) -> None:
    matter_id = desk.approved(person(phone=phone(0)))
    for _ in range(5):
        answer(desk, Answering(Outcome.NOT_SENT, Reason.UNSPECIFIED))
        desk.make_due()
    attempt = desk.only_attempt(matter_id)
    assert (attempt.status, attempt.reason, attempt.tries) == ("failed", "unspecified", 3)
    assert [event["data"]["tries"] for event in desk.said(matter_id, "attempt.not_sent")] == [1, 2]
    assert all("retry_at" in event["data"] for event in desk.said(matter_id, "attempt.not_sent"))
    assert desk.events(matter_id)["attempt.refused"] == 1


@pytest.mark.parametrize("reason", [Reason.CARRIER_ERROR, Reason.RATE_LIMITED, Reason.MISCONFIGURED])
def test_nobody_is_given_up_for_a_trouble_that_is_not_theirs(desk: Desk, reason: Reason) -> None:
    matter_id = desk.approved(person(phone=phone(0)))
    for _ in range(5):
        assert answer(desk, Answering(Outcome.NOT_SENT, reason)) == 1
        desk.make_due()
    assert desk.statuses(matter_id) == {"planned": 1}
    desk.follow()
    assert desk.statuses(matter_id) == {"delivered": 1}


def test_while_the_carrier_is_down_everything_waits(desk: Desk) -> None:
    matter_id = desk.approved(person(phone=phone(0)), person(email=mailbox()))
    down = replace(desk, sandbox=replace(desk.sandbox, url="http://127.0.0.1:9"))
    down.send(SMS, EMAIL, retry=Retry(tries=50, first_delay_seconds=60, factor=1, cap_seconds=60))
    assert desk.statuses(matter_id) == {"planned": 2}
    desk.make_due()
    desk.follow()
    assert desk.statuses(matter_id) == {"delivered": 2}


def test_the_ledger_names_the_edition_that_was_sent(desk: Desk) -> None:
    matter_id = desk.approved(person(phone=phone(0)), person(phone=phone(73)), person(post=True))
    desk.send(SMS)
    desk.print()
    for event_type in ("attempt.handed_over", "attempt.lost_track", "attempt.composed"):
        event = desk.said(matter_id, event_type)[0]
        assert event["data"]["edition"] == desk.service.renderer.edition.id


@pytest.mark.parametrize("ref", ["Sample Person", "x" * 101, "+1 303 555 0100", "", "a\nb"])
def test_a_carriers_reference_that_is_no_identifier_is_not_kept(desk: Desk, ref: str) -> None:
    matter_id = desk.approved(person(phone=phone(0)))
    answer(desk, Answering(Outcome.HANDED_OVER, ref=ref))
    attempt = desk.only_attempt(matter_id)
    assert (attempt.status, attempt.carrier_ref, attempt.carrier_code) == ("handed_over", None, None)


class Crowded(Answering):
    """A carrier that is slow, and counts what is with it and what is claimed."""

    def __init__(self, desk: Desk) -> None:
        super().__init__(Outcome.HANDED_OVER)
        self._desk = desk
        self.most = 0
        self.has_some = asyncio.Event()

    async def send(self, messages: Sequence[Message]) -> list[SendResult]:
        self.has_some.set()
        await asyncio.sleep(0.05)
        claimed = "select count(*) from attempt where status = 'sending'"
        self.most = max(self.most, await asyncio.to_thread(self._desk.one, claimed))
        return await super().send(messages)


def test_no_more_is_claimed_than_can_leave_at_once(desk: Desk) -> None:
    matter_id = desk.approved(*(person(phone=phone(n)) for n in range(40)))
    carrier = Crowded(desk)

    async def lanes() -> None:
        sender = desk.sender(SMS, concurrency=8)
        busy = replace(sender, carrier=carrier)
        try:
            while any(
                await asyncio.gather(*(dispatch(desk.office.agency_id, sender=busy, now=now()) for _ in range(6)))
            ):
                pass
        finally:
            await sender.carrier.close()

    asyncio.run(lanes())
    assert desk.statuses(matter_id) == {"handed_over": 40}
    assert 1 < carrier.most <= 8


# The database is away, or the worker is given up, while messages are under way.


class Stumbling(Database):
    """A database of which some transactions fail, counted from one."""

    def __init__(self, db: Database, *, at: Collection[int], error: Exception) -> None:
        self.engine = db.engine
        self._at, self._error, self._count = at, error, 0

    @contextmanager
    def transaction(self, agency_id: UUID) -> Iterator[Tx]:
        self._count += 1
        if self._count in self._at:
            raise self._error
        with super().transaction(agency_id) as tx:
            yield tx


GONE = OperationalError("", {}, Exception())


@pytest.mark.parametrize("error", [GONE, PoolTimeoutError()], ids=["gone", "all connections in use"])
def test_an_answer_is_recorded_when_the_database_is_back(desk: Desk, error: Exception) -> None:
    matter_id = desk.approved(*(person(phone=phone(n)) for n in range(3)))
    desk.dispatch(lambda sender: replace(sender, db=Stumbling(sender.db, at={2, 3}, error=error)))
    assert desk.statuses(matter_id) == {"handed_over": 3}


def test_an_answer_that_cannot_be_recorded_costs_its_own_matter_only(desk: Desk) -> None:
    matters = [desk.approved(person(phone=phone(n))) for n in range(3)]
    desk.dispatch(lambda sender: replace(sender, db=Stumbling(sender.db, at={2, 3}, error=ValueError())))
    statuses = Counter(status for matter_id in matters for status in desk.statuses(matter_id))
    assert statuses == {"handed_over": 2, "sending": 1}
    let_leases_end(desk)
    desk.tick()
    (lost,) = [event for matter_id in matters for event in desk.said(matter_id, "attempt.lost_track")]
    assert lost["data"]["reason"] == "worker_lost"
    assert lost["commit"].keys() == {"text"}


def test_who_gives_a_dispatch_up_waits_for_what_is_under_way(desk: Desk) -> None:
    matter_id = desk.approved(*(person(phone=phone(n)) for n in range(3)))
    carrier = Crowded(desk)

    async def give_up() -> None:
        sender = desk.sender(SMS)
        busy = replace(sender, carrier=carrier)
        sending = asyncio.create_task(dispatch(desk.office.agency_id, sender=busy, now=now()))
        await carrier.has_some.wait()
        sending.cancel()
        with suppress(asyncio.CancelledError):
            await sending
        await sender.carrier.close()

    asyncio.run(give_up())
    assert desk.statuses(matter_id) == {"handed_over": 3}


def test_what_a_stop_came_to_hold_while_it_was_written_is_given_back(desk: Desk) -> None:
    stopped, other = desk.approved(person(phone=phone(0))), desk.approved(person(phone=phone(1)))
    with desk.tx() as tx:
        claimed = claim(tx, SMS, chunk=10, lease=timedelta(minutes=1))
        place(desk, stopped)
        assert stopped_since(tx, SMS, claimed) == {stopped}
        give_back(tx, claimed)
    assert desk.send(SMS) == 1
    assert desk.statuses(stopped) == {"planned": 1}
    assert desk.statuses(other) == {"handed_over": 1}
    assert desk.only_attempt(stopped).tries == 0


def place(desk: Desk, matter_id: UUID) -> None:
    with desk.tx() as tx:
        place_stop(tx, matter_id=matter_id, reason="safety", principal=desk.office.uploader, now=now())


def test_a_small_matter_does_not_wait_for_two_long_ones(desk: Desk) -> None:
    first, second, small = sorted(desk.matter() for _ in range(3))
    for matter_id, count in ((first, 50), (second, 50), (small, 1)):
        desk.add(matter_id, [person(phone=phone(n)) for n in range(count)])
        desk.approve(matter_id)
    rounds = 0
    claimed: set[UUID] = set()
    while small not in claimed:
        rounds += 1
        with desk.tx() as tx:
            claimed |= {one.matter_id for one in claim(tx, SMS, chunk=10, lease=timedelta(minutes=1))}
    assert rounds < 8  # 10 rounds are needed for the long ones


def test_matters_with_nothing_due_keep_no_place_from_one_that_has(desk: Desk) -> None:
    for _ in range(6):
        desk.approved(person(phone=phone(1)))
    with desk.tx() as tx:
        tx.conn.execute(text("update attempt set due_at = now() + interval '1 hour'"))
    due = desk.approved(person(phone=phone(0)))
    with desk.tx() as tx:
        (claimed,) = claim(tx, SMS, chunk=1, lease=timedelta(minutes=1))
        assert claimed.matter_id == due
        give_back(tx, [claimed])
