"""What carriers tell: stored first, whatever it says, in whatever order, however often; applied by the table alone."""

import asyncio
import json
import threading
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from notifier.carriers import sendgrid_receipts, twilio_receipts
from notifier.carriers.base import Carrier, Message, SendResult
from notifier.carriers.timetable import Retry
from notifier.core.events import REGISTRY, EventType
from notifier.core.model import Channel
from notifier.core.status import AttemptEvent, AttemptStatus, advance
from notifier.usecases.dispatch import dispatch
from notifier.usecases.progress import EVENT_TYPE
from notifier.usecases.receipts import Stored
from tests.usecases.around import said, tell
from tests.usecases.desk import Desk, mailbox, now, person, phone

SMS, EMAIL = Channel.SMS, Channel.EMAIL
E = AttemptEvent
# What a carrier can say of an attempt; post comes back without one.
SAYABLE = {event for words in (twilio_receipts.EVENTS, sendgrid_receipts.EVENTS) for event in words.values() if event}
SAYABLE |= {E.CAME_BACK}


@pytest.mark.parametrize("event", sorted(SAYABLE))
def test_whatever_a_carrier_says_the_ledger_can_hold_its_proof(event: AttemptEvent) -> None:
    for kind in (EVENT_TYPE[event], EventType.RECEIPT_IGNORED):
        assert "receipt" in REGISTRY[kind].commits
        assert "receipt" in REGISTRY[kind].must | REGISTRY[kind].may


def test_a_receipt_is_kept_whole_under_its_persons_key(desk: Desk) -> None:
    matter_id = desk.approved(person(phone=phone(0)))
    desk.send(SMS)
    assert desk.receive() == Stored(2, 0, 0)
    attempt = desk.only_attempt(matter_id)
    rows = desk.rows("select * from receipt order by word")
    assert [row.word for row in rows] == ["delivered", "sent"]
    with desk.tx() as tx:
        cipher = desk.service.vault.cipher(tx, attempt.person_id)
        kept = json.loads(cipher.open(rows[0].sealed, "receipt.sealed", rows[0].receipt_id))
    assert "MessageStatus=delivered" in kept["body"]
    assert kept["headers"]["x-twilio-signature"]
    assert str(attempt.attempt_id) in kept["url"]
    assert rows[0].body_blob is None


def test_nothing_changes_before_a_stored_receipt_is_applied(desk: Desk) -> None:
    matter_id = desk.approved(person(phone=phone(0)))
    desk.send(SMS)
    desk.receive()
    assert desk.statuses(matter_id) == {"handed_over": 1}
    assert desk.tick() == ["receipts"]
    assert desk.apply() == 2
    assert desk.apply() == 0
    assert desk.tick() == []
    assert desk.statuses(matter_id) == {"delivered": 1}


@pytest.mark.parametrize(
    ("told", "status", "reason"),
    [
        ({"phone": phone(50)}, "failed", "unreachable"),
        ({"phone": phone(52)}, "failed", "number_dead"),
        ({"phone": phone(54)}, "failed", "filtered"),
        ({"phone": phone(70)}, "accepted", None),
        ({"phone": phone(71)}, "handed_over", None),
        ({"phone": phone(80)}, "delivered", None),
        ({"phone": phone(81)}, "delivered", None),
        ({"phone": phone(82)}, "delivered", None),
        ({"phone": phone(83)}, "delivered", None),
        ({"phone": phone(85)}, "delivered", None),
        ({"email": mailbox("bounced")}, "failed", "mailbox_refused"),
        ({"email": mailbox("blocked")}, "failed", "blocked"),
        ({"email": mailbox("dropped")}, "failed", "suppressed"),
        ({"email": mailbox("deferred")}, "delivered", None),
        ({"email": mailbox("delivered-then-bounced")}, "failed", "mailbox_refused"),
        ({"email": mailbox("processed")}, "accepted", None),
        ({"email": mailbox("duplicate")}, "delivered", None),
        ({"email": mailbox("reordered")}, "delivered", None),
        ({"email": mailbox("early")}, "delivered", None),
        ({"email": mailbox("broken-element")}, "delivered", None),
        ({"email": mailbox("unknown")}, "delivered", None),
        ({"email": mailbox("opened")}, "delivered", None),
    ],
    ids=lambda value: str(value.get("phone", value.get("email", ""))) if isinstance(value, dict) else None,
)
def test_every_end_of_the_sandbox_is_followed(
    desk: Desk, told: dict[str, str], status: str, reason: str | None
) -> None:
    matter_id = desk.approved(person(**told))
    desk.follow()
    attempt = desk.only_attempt(matter_id)
    assert (attempt.status, attempt.reason) == (status, reason)
    assert set(desk.taken(matter_id).values()) == {1}


def test_the_same_callback_twice_counts_once(desk: Desk) -> None:
    matter_id = desk.approved(person(phone=phone(0)), *(person(email=mailbox()) for _ in range(3)))
    desk.send(SMS, EMAIL)
    desk.sandbox.settle()
    caught = [one for one in desk.catcher.caught if str(desk.office.agency_id) in f"{one.url}{one.body!r}"]
    first = [desk.take(callback) for callback in caught]
    files = desk.one("select count(*) from blob"), desk.one("select count(*) from dek")
    desk.apply()
    again = [desk.take(callback) for callback in caught]
    assert [one.stored for one in again] == [0] * len(caught)
    assert [one.duplicates for one in again] == [one.stored for one in first]
    assert (desk.one("select count(*) from blob"), desk.one("select count(*) from dek")) == files
    assert desk.apply() == 0
    assert desk.statuses(matter_id) == {"delivered": 4}


def test_the_same_receipt_at_once_counts_once(desk: Desk) -> None:
    matter_id = desk.approved(person(phone=phone(71)))
    desk.send(SMS)
    attempt_id = desk.attempt_ids(matter_id)[0]
    stored: list[Stored] = []
    receipt = said(desk, attempt_id, E.ARRIVED)
    threads = [threading.Thread(target=lambda: stored.append(tell(desk, receipt))) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert sum(one.stored for one in stored) == 1
    assert sum(one.duplicates for one in stored) == 4
    desk.apply()
    assert desk.events(matter_id)["attempt.arrived"] == 1


def test_two_workers_that_apply_at_once_apply_each_receipt_once(desk: Desk) -> None:
    matter_id = desk.approved(*(person(phone=phone(n)) for n in range(40)))
    desk.send(SMS)
    desk.receive()
    counts: list[int] = []
    threads = [threading.Thread(target=lambda: counts.append(desk.apply())) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    desk.apply()
    assert desk.one("select count(*) from receipt where applied_at is null") == 0
    assert desk.statuses(matter_id) == {"delivered": 40}
    assert desk.events(matter_id)["attempt.arrived"] == 40


class Hasty:
    """A carrier whose receipts are in and applied before its answer is recorded."""

    def __init__(self, carrier: Carrier, desk: Desk) -> None:
        self._carrier, self._desk = carrier, desk
        self.slug, self.channel = carrier.slug, carrier.channel

    async def send(self, messages: Sequence[Message]) -> list[SendResult]:
        results = await self._carrier.send(messages)
        await asyncio.to_thread(self._desk.receive)
        await asyncio.to_thread(self._desk.apply)
        return results

    async def close(self) -> None:
        await self._carrier.close()


def test_receipts_may_overtake_the_answer(desk: Desk) -> None:
    matter_id = desk.approved(person(phone=phone(0)), person(phone=phone(50)), person(phone=phone(72)))

    async def hasty() -> None:
        sender = desk.sender(SMS)
        try:
            await dispatch(
                desk.office.agency_id, sender=replace(sender, carrier=Hasty(sender.carrier, desk)), now=now()
            )
        finally:
            await sender.carrier.close()

    asyncio.run(hasty())
    assert desk.statuses(matter_id) == {"delivered": 2, "failed": 1}
    events = desk.events(matter_id)
    assert (events["attempt.handed_over"], events["attempt.lost_track"]) == (2, 1)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(st.sampled_from(sorted(SAYABLE)), st.booleans()), min_size=1, max_size=6))
def test_any_receipts_in_any_order_end_where_the_table_says(
    desk: Desk, events: list[tuple[AttemptEvent, bool]]
) -> None:
    matter_id = desk.approved(person(phone=phone(71)))
    desk.send(SMS)
    attempt_id = desk.attempt_ids(matter_id)[0]
    expected = AttemptStatus.HANDED_OVER
    for event, is_applied_at_once in events:
        tell(desk, said(desk, attempt_id, event))
        if is_applied_at_once:
            desk.apply()
        expected = advance(expected, event)
    desk.apply()
    assert desk.only_attempt(matter_id).status == expected


@pytest.mark.parametrize("late", [E.BOUNCED, E.CAME_BACK])
def test_late_bad_news_is_always_applied(desk: Desk, late: AttemptEvent) -> None:
    matter_id = desk.approved(person(phone=phone(0)))
    desk.follow()
    tell(desk, said(desk, desk.attempt_ids(matter_id)[0], late), at=now() + timedelta(days=40))
    desk.apply()
    assert desk.statuses(matter_id) == {advance(AttemptStatus.DELIVERED, late).value: 1}


def test_good_news_after_a_failure_changes_nothing_and_is_kept(desk: Desk) -> None:
    matter_id = desk.approved(person(phone=phone(50)))
    desk.follow()
    tell(desk, said(desk, desk.attempt_ids(matter_id)[0], E.ARRIVED))
    desk.apply()
    assert desk.statuses(matter_id) == {"failed": 1}
    assert desk.events(matter_id)["receipt.ignored"] == 1


def test_a_receipt_for_what_was_believed_unsent_keeps_it_from_being_sent(desk: Desk) -> None:
    matter_id = desk.approved(*(person(phone=phone(75, area=area)) for area in (303, 720, 970)))
    desk.send(SMS, retry=Retry(tries=9, first_delay_seconds=60, factor=1, cap_seconds=60))
    assert desk.statuses(matter_id) == {"planned": 3}
    attempts = desk.attempt_ids(matter_id)
    for attempt_id, event in zip(attempts, (E.HANDED_OVER, E.ACCEPTED, E.ARRIVED), strict=True):
        tell(desk, said(desk, attempt_id, event))
    desk.apply()
    desk.make_due()
    assert desk.send(SMS) == 0
    assert desk.statuses(matter_id) == {"handed_over": 1, "accepted": 1, "delivered": 1}
