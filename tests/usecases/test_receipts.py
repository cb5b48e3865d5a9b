"""What carriers tell: stored first, whatever it says, in whatever order, however often; applied by the table alone."""

import asyncio
import json
import threading
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import text

from notifier.carriers import sendgrid_receipts, twilio_receipts
from notifier.carriers.base import Carrier, CarrierReceipt, Message, SendResult
from notifier.carriers.timetable import Retry
from notifier.core.errors import Sealed
from notifier.core.events import REGISTRY, EventType
from notifier.core.model import Channel
from notifier.core.status import AttemptEvent, AttemptStatus, advance
from notifier.store.blobs import get_blob
from notifier.store.vault import Cipher
from notifier.usecases.carrier_bodies import forget_old_callbacks
from notifier.usecases.dispatch import dispatch
from notifier.usecases.progress import EVENT_TYPE
from notifier.usecases.quarantine import quarantine
from notifier.usecases.receipts import Stored, store_receipts
from tests.installation import open_office
from tests.usecases.around import arrived, erase, said, tell
from tests.usecases.desk import Desk, mailbox, now, person, phone
from workers.clock import forget

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


# Whose receipt it is.


@pytest.mark.parametrize("way", ["no attempt", "an unknown attempt", "an unknown agency", "another agency", "no word"])
def test_what_names_none_of_our_attempts_is_kept_in_quarantine(desk: Desk, way: str) -> None:
    matter_id = desk.approved(person(phone=phone(71)))
    desk.send(SMS)
    receipt = said(desk, desk.attempt_ids(matter_id)[0], E.ARRIVED)
    stranger = open_office(desk.service.db, desk.service.vault)
    wrong = {
        "no attempt": replace(receipt, attempt_id=None, agency_id=None),
        "an unknown attempt": replace(receipt, attempt_id=uuid4()),
        "an unknown agency": replace(receipt, agency_id=uuid4()),
        "another agency": replace(receipt, agency_id=stranger.agency_id),
        "no word": replace(receipt, is_known=False, event=None),
    }[way]
    before = quarantined(desk)
    callback = arrived(b"body of a stranger, Example Person, 303-555-0142")
    assert store_receipts(desk.service.db, [wrong], callback, carrier="twilio_sms", vault=desk.service.vault) == Stored(
        0, 0, 1
    )
    desk.apply()
    assert desk.statuses(matter_id) == {"handed_over": 1}
    (kept,) = set(quarantined(desk)) - set(before)
    assert b"Example" not in kept.sealed
    assert b"0142" not in kept.sealed
    assert json.loads(opened(desk, kept))["body"].encode("latin-1") == callback.body


def test_a_stray_among_others_is_kept_without_them(desk: Desk) -> None:
    matter_id = desk.approved(person(phone=phone(71)))
    desk.send(SMS)
    ours = said(desk, desk.attempt_ids(matter_id)[0], E.ARRIVED)
    stray = replace(ours, attempt_id=uuid4(), raw=b"about a stranger")
    before = quarantined(desk)
    assert hear(desk, ours, stray) == Stored(1, 0, 1)
    (kept,) = set(quarantined(desk)) - set(before)
    assert opened(desk, kept) == b"about a stranger"


def test_a_stray_that_is_told_again_is_kept_once(desk: Desk) -> None:
    strays = [replace(said(desk, uuid4(), E.ARRIVED), raw=uuid4().bytes) for _ in range(2)]
    before = len(quarantined(desk))
    assert hear(desk, *strays) == Stored(0, 0, 2)
    assert hear(desk, *strays, *strays) == Stored(0, 4, 0)
    assert len(quarantined(desk)) == before + 2


def test_the_quarantine_is_emptied_of_what_is_old(desk: Desk) -> None:
    for age in (timedelta(days=31), timedelta(days=29)):
        callback = arrived(uuid4().bytes, at=now() - age)
        quarantine(desk.service.db, callback, carrier="twilio_sms", reason="unreadable", vault=desk.service.vault)
    before = len(quarantined(desk))
    forget(desk.service)
    assert len(quarantined(desk)) == before - 1
    assert forget_old_callbacks(desk.service.db, now=now()) == 0


def test_a_carrier_speaks_for_its_own_attempts_only(desk: Desk) -> None:
    matter_id = desk.approved(person(phone=phone(71)))
    desk.send(SMS)
    receipt = said(desk, desk.attempt_ids(matter_id)[0], E.ARRIVED)
    before = len(quarantined(desk))
    told = store_receipts(
        desk.service.db, [receipt], arrived(b"{}"), carrier="sendgrid_email", vault=desk.service.vault
    )
    assert told == Stored(0, 0, 1)
    assert len(quarantined(desk)) == before + 1
    assert desk.apply() == 0


def test_bytes_that_are_no_text_are_kept_in_quarantine_as_they_are(desk: Desk) -> None:
    before = quarantined(desk)
    body = bytes(range(256))
    quarantine(desk.service.db, arrived(body), carrier="twilio_sms", reason="unreadable", vault=desk.service.vault)
    (kept,) = set(quarantined(desk)) - set(before)
    assert json.loads(opened(desk, kept))["body"].encode("latin-1") == body


def test_a_body_about_several_people_is_kept_once_under_a_key_of_its_own(desk: Desk) -> None:
    matter_id = desk.approved(*(person(email=mailbox()) for _ in range(3)))
    desk.send(EMAIL)
    desk.receive()
    rows = desk.rows("select r.*, b.dek_id from receipt r join blob b on b.blob_id = r.body_blob")
    assert len(rows) == 6
    people = {row.person_id for row in rows}
    assert len(people) == 3
    assert not {row.dek_id for row in rows} & people
    with desk.tx() as tx:
        for row in rows:
            whole = json.loads(get_blob(tx, row.body_blob, vault=desk.service.vault))
            assert len(json.loads(whole["body"])) > 1
            assert whole["headers"]["x-twilio-email-event-webhook-signature"]
            own = desk.service.vault.cipher(tx, row.person_id).open(row.sealed, "receipt.sealed", row.receipt_id)
            assert own in whole["body"].encode("latin-1")
            assert json.loads(own)["attempt"] == str(row.attempt_id)
    desk.apply()
    assert desk.statuses(matter_id) == {"delivered": 3}


def test_a_body_about_several_people_is_forgotten_after_its_time_and_each_ones_part_is_not(desk: Desk) -> None:
    desk.approved(*(person(email=mailbox()) for _ in range(3)))
    files_kept = "select (select count(*) from blob), (select count(*) from blob_piece), (select count(*) from dek)"
    files = desk.rows(files_kept)
    desk.send(EMAIL)
    desk.receive()
    desk.apply()
    forget_old_callbacks(desk.service.db, now=now() + timedelta(days=29))
    assert desk.one("select count(*) from receipt where body_blob is not null") == 6
    assert forget_old_callbacks(desk.service.db, now=now() + timedelta(days=31)) > 0
    assert desk.one("select count(*) from receipt where body_blob is not null") == 0
    assert desk.rows(files_kept) == files
    for row in desk.rows("select person_id, receipt_id, sealed from receipt"):
        with desk.tx() as tx:
            assert desk.service.vault.cipher(tx, row.person_id).open(row.sealed, "receipt.sealed", row.receipt_id)
    desk.check_everything()


def test_a_body_about_two_agencies_people_is_nobodys_own(desk: Desk) -> None:
    stranger = Desk(desk.service, open_office(desk.service.db, desk.service.vault), desk.sandbox, desk.catcher)
    ours, theirs = desk.approved(person(phone=phone(71))), stranger.approved(person(phone=phone(71)))
    for one in (desk, stranger):
        one.send(SMS)
    receipts = [
        said(desk, desk.attempt_ids(ours)[0], E.ARRIVED),
        said(stranger, stranger.attempt_ids(theirs)[0], E.ARRIVED),
    ]
    callback = arrived(b"about Example Person and Sample Person")
    told = store_receipts(desk.service.db, receipts, callback, carrier="twilio_sms", vault=desk.service.vault)
    assert told == Stored(2, 0, 0)
    for one in (desk, stranger):
        (row,) = one.rows("select * from receipt")
        with one.tx() as tx:
            own = one.service.vault.cipher(tx, row.person_id).open(row.sealed, "receipt.sealed", row.receipt_id)
        assert b"Example" not in own
        assert row.body_blob is not None
        one.apply()
        one.check_everything()


def test_receipts_of_an_erased_person_are_put_aside_and_harm_nobody(desk: Desk) -> None:
    matter_id = desk.approved(person(phone=phone(71)), person(phone=phone(71, area=720)))
    desk.send(SMS)
    attempts = desk.rows("select attempt_id, person_id from attempt where matter_id = :m", m=matter_id)
    gone, stays = attempts
    tell(desk, said(desk, gone.attempt_id, E.ACCEPTED))  # stored before the erasure, applied after it
    erase(desk, gone.person_id)
    assert tell(desk, said(desk, gone.attempt_id, E.ARRIVED)).stored == 0
    assert tell(desk, said(desk, stays.attempt_id, E.ARRIVED)).stored == 1
    assert desk.apply() == 2
    assert desk.statuses(matter_id) == {"handed_over": 1, "delivered": 1}
    with desk.tx() as tx, pytest.raises(Sealed):
        desk.service.vault.cipher(tx, gone.person_id)


def test_a_receipt_that_cannot_be_opened_keeps_no_other_from_being_applied(desk: Desk) -> None:
    matter_id = desk.approved(person(phone=phone(71)), person(phone=phone(71, area=720)))
    desk.send(SMS)
    for attempt_id in desk.attempt_ids(matter_id):
        tell(desk, said(desk, attempt_id, E.ARRIVED))
    with desk.tx() as tx:
        tx.conn.execute(
            text("update receipt set sealed = 'spoilt' where receipt_id = (select receipt_id from receipt limit 1)")
        )
    assert desk.apply() == 2
    assert desk.statuses(matter_id) == {"delivered": 2}
    assert desk.apply() == 0


def quarantined(desk: Desk) -> list[Any]:
    with desk.service.db.no_agency() as connection:
        return list(connection.execute(text("select * from quarantine")).all())


def opened(desk: Desk, kept: Any) -> bytes:
    cipher = Cipher(kept.quarantine_id, desk.service.vault.keys.kek(kept.kek_id))
    return cipher.open(kept.sealed, "quarantine.sealed", kept.quarantine_id)


def hear(desk: Desk, *receipts: CarrierReceipt) -> Stored:
    """One callback that says all this."""
    callback = arrived(b"about several people")
    return store_receipts(desk.service.db, receipts, callback, carrier="twilio_sms", vault=desk.service.vault)
