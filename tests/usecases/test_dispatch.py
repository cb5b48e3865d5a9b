"""Text messages and emails on their way out, through the real SDKs to the sandbox. What the carrier's own record says
it took is compared with our attempts one to one."""

import asyncio
import hashlib
import threading
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from uuid import UUID

import pytest
from sqlalchemy import text

from notifier.carriers.base import Carrier, Message, SendResult
from notifier.carriers.timetable import Retry
from notifier.core.model import Channel
from notifier.store.attempts import claim
from notifier.store.engine import Tx
from notifier.usecases.dispatch import dispatch
from tests.usecases.around import Died, erase
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
    threads = [threading.Thread(target=lambda: counts.append(desk.send(SMS, EMAIL, workers=2))) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert sum(counts) == 400
    taken = desk.taken(matter_id)
    assert taken.keys() == set(map(str, desk.attempt_ids(matter_id)))
    assert set(taken.values()) == {1}
    assert desk.statuses(matter_id) == {"handed_over": 400}


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
    desk.send(SMS, EMAIL)
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


def test_after_its_tries_it_has_failed_and_is_left_alone(desk: Desk) -> None:
    matter_id = desk.approved(person(phone=phone(75)), person(email=mailbox("throttled")))
    for _ in range(5):
        desk.send(SMS, EMAIL)
        desk.make_due()
    assert desk.statuses(matter_id) == {"failed": 2}
    assert {row.tries for row in desk.rows("select tries from attempt where matter_id = :m", m=matter_id)} == {3}
    assert desk.taken(matter_id) == {}
    assert desk.events(matter_id)["attempt.not_sent"] == 4
    assert desk.events(matter_id)["attempt.refused"] == 2


def test_while_the_carrier_is_down_everything_waits(desk: Desk) -> None:
    matter_id = desk.approved(person(phone=phone(0)), person(email=mailbox()))
    down = replace(desk, sandbox=replace(desk.sandbox, url="http://127.0.0.1:9"))
    down.send(SMS, EMAIL, retry=Retry(tries=50, first_delay_seconds=60, factor=1, cap_seconds=60))
    assert desk.statuses(matter_id) == {"planned": 2}
    desk.make_due()
    desk.follow()
    assert desk.statuses(matter_id) == {"delivered": 2}


# Perhaps sent, and nobody knows.


@pytest.mark.parametrize(
    "told",
    [
        {"phone": phone(72)},
        {"phone": phone(77)},
        {"phone": phone(79)},
        {"phone": phone(84)},
        {"email": mailbox("timeout-but-sent")},
        {"email": mailbox("error-but-sent")},
        {"email": mailbox("reset-but-sent")},
    ],
    ids=["sms hangs", "sms 503", "sms cut", "sms garbled", "email hangs", "email 503", "email cut"],
)
def test_what_may_have_been_sent_is_unknown_until_a_receipt_tells(desk: Desk, told: dict[str, str]) -> None:
    matter_id = desk.approved(person(**told))
    desk.send(SMS, EMAIL)
    assert desk.statuses(matter_id) == {"unknown": 1}
    desk.make_due()
    assert desk.send(SMS, EMAIL) == 0
    desk.receive()
    desk.apply()
    assert desk.statuses(matter_id) == {"delivered": 1}
    assert set(desk.taken(matter_id).values()) == {1}


@pytest.mark.parametrize(
    "told", [{"phone": phone(73)}, {"phone": phone(76)}, {"email": mailbox("timeout")}, {"email": mailbox("reset")}]
)
def test_what_may_have_been_sent_is_never_sent_again(desk: Desk, told: dict[str, str]) -> None:
    matter_id = desk.approved(person(**told))
    for _ in range(3):
        desk.send(SMS, EMAIL)
        desk.make_due()
        desk.tick()
    assert desk.statuses(matter_id) == {"unknown": 1}
    assert desk.only_attempt(matter_id).tries == 1


def test_a_lost_workers_attempts_are_unknown_and_never_sent_again(desk: Desk) -> None:
    matter_id = desk.approved(*(person(phone=phone(n)) for n in range(3)))
    with desk.tx() as tx:
        assert len(claim(tx, SMS, chunk=2, per_matter=2, lease=timedelta(seconds=-1))) == 2
    desk.tick()
    assert desk.statuses(matter_id) == {"unknown": 2, "planned": 1}
    desk.follow()
    desk.tick()
    assert desk.statuses(matter_id) == {"unknown": 2, "delivered": 1}
    assert sum(desk.taken(matter_id).values()) == 1


def test_a_lease_that_has_not_ended_is_respected(desk: Desk) -> None:
    matter_id = desk.approved(person(phone=phone(0)))
    with desk.tx() as tx:
        claim(tx, SMS, chunk=2, per_matter=2, lease=timedelta(seconds=90))
    desk.tick()
    assert desk.send(SMS) == 0
    assert desk.statuses(matter_id) == {"sending": 1}


class Crashing:
    """A carrier whose process dies after the vendor has everything and before anybody hears of it."""

    def __init__(self, carrier: Carrier) -> None:
        self._carrier = carrier
        self.slug, self.channel = carrier.slug, carrier.channel

    async def send(self, messages: Sequence[Message]) -> list[SendResult]:
        await self._carrier.send(messages)
        raise Died

    async def close(self) -> None:
        await self._carrier.close()


def test_a_crash_between_the_carrier_and_our_record_doubles_nothing(desk: Desk) -> None:
    matter_id = desk.approved(*(person(phone=phone(n)) for n in range(4)))

    async def crash() -> None:
        sender = desk.sender(SMS)
        try:
            await dispatch(desk.office.agency_id, sender=replace(sender, carrier=Crashing(sender.carrier)), now=now())
        finally:
            await sender.carrier.close()

    with pytest.raises(Died):
        asyncio.run(crash())
    assert desk.statuses(matter_id) == {"sending": 4}
    let_leases_end(desk)
    desk.tick()
    assert desk.statuses(matter_id) == {"unknown": 4}
    desk.follow()
    assert desk.statuses(matter_id) == {"delivered": 4}
    assert list(desk.taken(matter_id).values()) == [1] * 4


class Slow:
    """A carrier whose worker is given up before it answers."""

    def __init__(self, carrier: Carrier, desk: Desk) -> None:
        self._carrier, self._desk = carrier, desk
        self.slug, self.channel = carrier.slug, carrier.channel

    async def send(self, messages: Sequence[Message]) -> list[SendResult]:
        results = await self._carrier.send(messages)
        await asyncio.to_thread(let_leases_end, self._desk)
        await asyncio.to_thread(self._desk.tick)
        await asyncio.to_thread(self._desk.tick)
        return results

    async def close(self) -> None:
        await self._carrier.close()


def test_an_answer_after_the_lease_is_believed(desk: Desk) -> None:
    matter_id = desk.approved(person(phone=phone(0)), person(phone=phone(74)), person(phone=phone(60)))

    async def late() -> None:
        sender = desk.sender(SMS)
        try:
            await dispatch(desk.office.agency_id, sender=replace(sender, carrier=Slow(sender.carrier, desk)), now=now())
        finally:
            await sender.carrier.close()

    asyncio.run(late())
    assert desk.events(matter_id)["attempt.lost_track"] == 3
    assert desk.statuses(matter_id) == {"handed_over": 1, "planned": 1, "failed": 1}
    desk.make_due()
    assert desk.tick() == ["sms"]
    desk.follow()
    assert desk.statuses(matter_id) == {"delivered": 2, "failed": 1}


# One person's trouble is nobody else's.


def test_an_erased_person_is_passed_over_and_the_others_are_told(desk: Desk) -> None:
    matter_id = desk.approved(person(phone=phone(1)), person(phone=phone(2)))
    victim = desk.rows("select person_id from person where matter_id = :m order by ordinal", m=matter_id)[0].person_id
    erase(desk, victim)
    desk.follow()
    assert desk.statuses(matter_id) == {"failed": 1, "delivered": 1}
    assert desk.rows("select reason from attempt where person_id = :p", p=victim)[0].reason == "no_text"


def test_a_matter_whose_key_is_gone_keeps_no_other_matter_from_being_told(desk: Desk) -> None:
    broken = desk.approved(person(phone=phone(1)), person(post=True))
    whole = desk.approved(person(phone=phone(2)), person(post=True))
    erase(desk, broken)
    desk.follow()
    assert desk.print() is not None
    assert desk.statuses(broken) == {"failed": 2}
    assert desk.statuses(whole) == {"delivered": 1, "handed_over": 1}


@pytest.mark.parametrize("spoilt", ["demand", "person", "contact_point", "recipient"])
def test_what_cannot_be_read_waits_and_keeps_nobody_else_from_being_told(desk: Desk, spoilt: str) -> None:
    broken = desk.approved(person(phone=phone(1), post=True))
    whole = desk.approved(person(phone=phone(2), post=True))
    of_it = (
        f"from {spoilt} where matter_id = :m"
        if spoilt in {"demand", "person"}
        else (f"from {spoilt} join person p using (person_id) where p.matter_id = :m")
    )
    column = {"demand": "demand_id", "person": "person_id", "contact_point": "contact_id", "recipient": "recipient_id"}
    kept = desk.rows(f"select {column[spoilt]} as id, {spoilt}.sealed {of_it}", m=broken)  # ours
    with desk.tx() as tx:
        for row in kept:
            spoil(tx, spoilt, column[spoilt], row.id, b"spoilt")
    desk.follow()
    assert desk.print() is not None
    assert desk.statuses(broken) == {"planned": 2}
    assert desk.statuses(whole) == {"delivered": 1, "handed_over": 1}
    assert desk.send(SMS) == 0
    with desk.tx() as tx:
        for row in kept:
            spoil(tx, spoilt, column[spoilt], row.id, row.sealed)
    desk.make_due()
    desk.follow()
    assert desk.print() is not None
    assert desk.statuses(broken) == {"delivered": 1, "handed_over": 1}
    assert {row.tries for row in desk.rows("select tries from attempt")} == {1}


def spoil(tx: Tx, table: str, key: str, row: UUID, sealed: bytes) -> None:
    tx.conn.execute(text(f"update {table} set sealed = :s where {key} = :id"), {"s": sealed, "id": row})  # noqa: S608 # ours


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
            claimed |= {one.matter_id for one in claim(tx, SMS, chunk=10, per_matter=5, lease=timedelta(minutes=1))}
    assert rounds < 8  # 10 rounds are needed for the long ones


def let_leases_end(desk: Desk) -> None:
    with desk.tx() as tx:
        tx.conn.execute(text("update attempt set lease_until = now() - interval '1 second' where status = 'sending'"))
